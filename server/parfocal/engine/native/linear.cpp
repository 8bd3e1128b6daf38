// y = x Wᵀ + bias for few or many float32 rows x and a weight W that stays in 4 bit, on CPUs with AVX-512 VNNI.
//
// A weight is code[nibble] * absmax of its block of 64 (NF4, arXiv 2305.14314). Both operands become 16-bit
// integers: the code book with 13 bits and a sign, a block of 64 activations with 12 bits, a sign and a scale of
// its own. 64 products of them fit a 32-bit sum, so vpdpwssd adds up a block without loss, twice as fast as float32
// and with 16 times the resolution of bfloat16. Exact linears multiply in float32 instead.
//
// Few rows meet the weights in registers as they are unpacked; for many rows a tile is unpacked into cache once. A
// row's answer has the same bits either way: sums of integers have no order.

#include "linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace parfocal {
namespace {

constexpr int kPairs = kBlock / 2;               // vpdpwssd multiplies neighbouring pairs
constexpr int kGroups = kBlock / 8;              // eight inputs lie in one 64-byte word of each half tile
constexpr long kRows = 8;                        // rows that share a load of weights
constexpr long kFewRows = 2 * kRows;             // up to so many rows unpacking again is cheaper than storing
constexpr long kPackedBytes = kBlock * kTile / 2;
constexpr float kMostActivation = 4095.f;        // 4095 * 8191 * 64 < 2³¹
constexpr long kCacheBytes = 512 << 10;

// One block of one tile, unpacked: [pair][half of the tile][output, inputs 2p and 2p + 1].
struct alignas(64) Block {
  int16_t codes[kPairs][2][32];
};

// sum += the products of neighbouring pairs. As an intrinsic it makes GCC copy every sum in every round.
inline void multiply_add(__m512i& sum, __m512i a, __m512i b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

inline __m512i two_inputs(const int16_t* x) {
  int32_t two;
  std::memcpy(&two, x, sizeof two);
  return _mm512_set1_epi32(two);
}

// Integer sums of one block: `chains` of them for each row and half hide the latency of adding where rows are few.
template <int rows>
struct Sums {
  static constexpr int chains = rows <= 2 ? 4 / rows : 1;
  __m512i whole[rows][2][chains];

  void clear() {
    for (int row = 0; row < rows; ++row)
      for (int half = 0; half < 2; ++half)
        for (int c = 0; c < chains; ++c) whole[row][half][c] = _mm512_setzero_si512();
  }

  void add(int row, int pair, __m512i low, __m512i high, __m512i inputs) {
    multiply_add(whole[row][0][pair % chains], low, inputs);
    multiply_add(whole[row][1][pair % chains], high, inputs);
  }

  __m512 total(int row, int half) const {
    __m512i sum = whole[row][half][0];
    for (int c = 1; c < chains; ++c) sum = _mm512_add_epi32(sum, whole[row][half][c]);
    return _mm512_cvtepi32_ps(sum);
  }
};

// 4-bit codes, unpacked in registers. Each 16-bit lane holds four codes of one output: for a group of eight inputs,
// lane 2 * output + e holds inputs e, 2 + e, 4 + e and 6 + e from its lowest bits up. vpermw looks at five bits, so
// the table repeats itself.
struct PackedCodes {
  const uint8_t* tile;
  __m512i twice;

  template <int rows>
  void multiply(long block, const int16_t* x, long stride, Sums<rows>& sums) const {
    const uint8_t* from = tile + block * kPackedBytes;
    for (int group = 0; group < kGroups; ++group, from += 128) {
      __m512i low = _mm512_loadu_si512(from), high = _mm512_loadu_si512(from + 64);
#pragma GCC unroll 4
      for (int pair = 0; pair < 4; ++pair) {
        const __m512i low_codes = _mm512_permutexvar_epi16(low, twice);
        const __m512i high_codes = _mm512_permutexvar_epi16(high, twice);
        low = _mm512_srli_epi16(low, 4);
        high = _mm512_srli_epi16(high, 4);
        for (int row = 0; row < rows; ++row)
          sums.add(row, pair, low_codes, high_codes, two_inputs(x + row * stride + 8 * group + 2 * pair));
      }
    }
  }
};

// 16-bit codes as they lie in memory or cache.
struct WideCodes {
  const Block* tile;

  template <int rows>
  void multiply(long block, const int16_t* x, long stride, Sums<rows>& sums) const {
#pragma GCC unroll 4
    for (int pair = 0; pair < kPairs; ++pair) {
      const __m512i low = _mm512_load_si512(tile[block].codes[pair][0]);
      const __m512i high = _mm512_load_si512(tile[block].codes[pair][1]);
      for (int row = 0; row < rows; ++row) sums.add(row, pair, low, high, two_inputs(x + row * stride + 2 * pair));
    }
  }
};

// Where a tile's answers go, and what they start from.
struct Target {
  const float* bias;  // [32] or null
  float* y;
  long stride;
  __mmask16 mask[2];  // outputs that exist

  __m512 start(int half) const {
    return bias ? _mm512_maskz_loadu_ps(mask[half], bias + 16 * half) : _mm512_setzero_ps();
  }

  void store(long row, int half, __m512 sum) const {
    _mm512_mask_storeu_ps(y + row * stride + 16 * half, mask[half], sum);
  }
};

template <int rows, typename Codes>
void multiply_rows(const Codes& codes, const float* scales, const Rows& x, const Target& target) {
  const long blocks = x.inputs / kBlock;
  __m512 sums[rows][2];
  for (int row = 0; row < rows; ++row)
    for (int half = 0; half < 2; ++half) sums[row][half] = target.start(half);
  for (long block = 0; block < blocks; ++block) {
    Sums<rows> whole;
    whole.clear();
    codes.template multiply<rows>(block, x.whole + block * kBlock, x.inputs, whole);
    const __m512 scale[2] = {_mm512_loadu_ps(scales + block * kTile), _mm512_loadu_ps(scales + block * kTile + 16)};
    for (int row = 0; row < rows; ++row) {
      const __m512 own = _mm512_set1_ps(x.scales[row * blocks + block]);
      for (int half = 0; half < 2; ++half)
        sums[row][half] = _mm512_fmadd_ps(whole.total(row, half), _mm512_mul_ps(own, scale[half]), sums[row][half]);
    }
  }
  for (int row = 0; row < rows; ++row)
    for (int half = 0; half < 2; ++half) target.store(row, half, sums[row][half]);
}

// The same in float32: a weight is rounded once, as bitsandbytes' dequantisation does it.
template <int rows>
void multiply_rows_exactly(const Linear& linear, long tile, const Rows& x, const Target& target) {
  const long blocks = linear.blocks();
  const uint8_t* from = linear.codes + tile * blocks * kPackedBytes;
  const float* scales = linear.scales + tile * blocks * kTile;
  const __m512 table = _mm512_loadu_ps(linear.exact);
  __m512 sums[rows][2];
  for (int row = 0; row < rows; ++row)
    for (int half = 0; half < 2; ++half) sums[row][half] = target.start(half);
  for (long group = 0; group < blocks * kGroups; ++group) {
    for (int half = 0; half < 2; ++half, from += 64) {
      const __m512 scale = _mm512_loadu_ps(scales + group / kGroups * kTile + 16 * half);
      const __m512i four = _mm512_loadu_si512(from);
      for (int input = 0; input < 8; ++input) {
        // A 32-bit lane is one output; its upper half holds the odd inputs. vpermps looks at four bits.
        const __m512i code = _mm512_srli_epi32(four, 4 * (input / 2) + 16 * (input % 2));
        const __m512 weight = _mm512_mul_ps(_mm512_permutexvar_ps(code, table), scale);
        for (int row = 0; row < rows; ++row) {
          const __m512 one = _mm512_set1_ps(x.floats[row * x.inputs + 8 * group + input]);
          sums[row][half] = _mm512_fmadd_ps(one, weight, sums[row][half]);
        }
      }
    }
  }
  for (int row = 0; row < rows; ++row)
    for (int half = 0; half < 2; ++half) target.store(row, half, sums[row][half]);
}

// Calls `use` with the number of rows, at most eight at a time, known to the compiler.
template <typename Use>
void by_rows(long rows, const Use& use) {
  for (long row = 0; row < rows; row += kRows) {
    switch (std::min(rows - row, kRows)) {
      case 1: use.template operator()<1>(row); break;
      case 2: use.template operator()<2>(row); break;
      case 3: use.template operator()<3>(row); break;
      case 4: use.template operator()<4>(row); break;
      case 5: use.template operator()<5>(row); break;
      case 6: use.template operator()<6>(row); break;
      case 7: use.template operator()<7>(row); break;
      default: use.template operator()<8>(row);
    }
  }
}

Target moved(const Target& target, long row) {
  return {target.bias, target.y + row * target.stride, target.stride, {target.mask[0], target.mask[1]}};
}

template <typename Codes>
void multiply(const Codes& codes, const float* scales, const Rows& x, long rows, const Target& target) {
  by_rows(rows, [&]<int some>(long row) { multiply_rows<some>(codes, scales, x.from(row), moved(target, row)); });
}

void unpack(const uint8_t* packed, const __m512i twice, Block* to, long blocks) {
  for (Block* const end = to + blocks; to != end; ++to)
    for (int group = 0; group < kGroups; ++group)
      for (int half = 0; half < 2; ++half, packed += 64) {
        __m512i four = _mm512_loadu_si512(packed);
        for (int pair = 0; pair < 4; ++pair) {
          _mm512_store_si512(to->codes[group * 4 + pair][half], _mm512_permutexvar_epi16(four, twice));
          four = _mm512_srli_epi16(four, 4);
        }
      }
}

float quantise_block(const float* x, int16_t* whole) {
  __m512 part[4], most = _mm512_setzero_ps(), fault = _mm512_setzero_ps();
  for (int i = 0; i < 4; ++i) {
    part[i] = _mm512_loadu_ps(x + 16 * i);
    most = _mm512_max_ps(most, _mm512_abs_ps(part[i]));
    fault = _mm512_fmadd_ps(part[i], _mm512_setzero_ps(), fault);
  }
  const float largest = _mm512_reduce_max_ps(most);
  const __m512 up = _mm512_set1_ps(largest > 0.f ? kMostActivation / largest : 0.f);
  for (int i = 0; i < 4; ++i) {
    const __m512i ints = _mm512_cvtps_epi32(_mm512_mul_ps(part[i], up));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(whole + 16 * i), _mm512_cvtsepi32_epi16(ints));
  }
  return largest / kMostActivation + _mm512_reduce_add_ps(fault);
}

}  // namespace

void quantise(const float* x, int16_t* whole, float* scales, long blocks) {
  for (long block = 0; block < blocks; ++block) scales[block] = quantise_block(x + block * kBlock, whole + block * kBlock);
}

long rows_at_once(long inputs) {
  const long rows = kCacheBytes / (inputs * static_cast<long>(sizeof(int16_t)));
  return std::max(kFewRows, rows / kRows * kRows);
}

void multiply_tile(const Linear& linear, long tile, const Rows& x, long rows, float* y, long stride) {
  const long blocks = linear.blocks();
  const float* const scales = linear.scales + tile * blocks * kTile;
  const Target target{linear.bias ? linear.bias + tile * kTile : nullptr, y, stride,
                      {lanes(linear.outputs - tile * kTile), lanes(linear.outputs - tile * kTile - 16)}};
  if (linear.exact)
    return by_rows(rows, [&]<int some>(long row) {
      multiply_rows_exactly<some>(linear, tile, x.from(row), moved(target, row));
    });
  if (!linear.table)
    return multiply(WideCodes{reinterpret_cast<const Block*>(linear.codes) + tile * blocks}, scales, x, rows, target);
  const uint8_t* const packed = linear.codes + tile * blocks * kPackedBytes;
  const __m512i twice =
      _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(linear.table)));
  if (rows <= kFewRows) return multiply(PackedCodes{packed, twice}, scales, x, rows, target);
  static thread_local std::vector<Block> cache;
  if (static_cast<long>(cache.size()) < blocks) cache.resize(blocks);
  unpack(packed, twice, cache.data(), blocks);
  multiply(WideCodes{cache.data()}, scales, x, rows, target);
}

}  // namespace parfocal

extern "C" {

// Computes y [rows, outputs] = x [rows, inputs] Wᵀ + bias.
void parfocal_linear(const parfocal::Linear* linear, const float* x, float* y, long rows) {
  using namespace parfocal;
  static thread_local std::vector<int16_t> whole;
  static thread_local std::vector<float> scales;
  const long blocks = linear->blocks(), inputs = linear->inputs, at_once = rows_at_once(inputs);
  const bool exact = linear->exact != nullptr;
  if (!exact && static_cast<long>(whole.size()) < rows * inputs) {
    whole.resize(rows * inputs);
    scales.resize(rows * blocks);
  }
  const Rows all{x, exact ? nullptr : whole.data(), exact ? nullptr : scales.data(), inputs};
  if (!exact)
    share(rows * blocks, 512, [=, ints = whole.data(), own = scales.data()](long first, long last) {
      quantise(x + first * kBlock, ints + first * kBlock, own + first, last - first);
    });
  const long tiles = linear->tiles(), parts = (rows + at_once - 1) / at_once;
  share(tiles * parts, 1, [=](long first, long last) {
    for (long item = first; item < last; ++item) {
      const long tile = item % tiles, row = item / tiles * at_once;
      multiply_tile(*linear, tile, all.from(row), std::min(at_once, rows - row),
                    y + row * linear->outputs + tile * kTile, linear->outputs);
    }
  });
}

}  // extern "C"
