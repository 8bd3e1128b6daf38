// y = x Wᵀ + bias for few or many float32 rows x and a weight W that stays in 4 bit, on CPUs with AVX-512 VNNI.
//
// A weight is code[nibble] * absmax of its block of 64 (NF4, arXiv 2305.14314). Both operands become integers, a block
// of 64 activations with a scale of its own, and a block's products add up in 32 bits without loss. Wide: 14 and 13
// bits, vpdpwssd, twice as fast as float32 and with 16 times the resolution of bfloat16. Narrow: 8 and 8 bits,
// vpdpbusd, twice as fast again. Exact linears multiply in float32.
//
// Eight rows at a time meet the weights in registers as they are unpacked: doing that again for the next eight costs
// less than storing and loading what was unpacked.

#include "linear.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "by_rows.h"
#include "integers.h"
#include "lanes.h"
#include "threads.h"
#include "unrolled.h"

namespace parfocal {
namespace {

constexpr int kGroups = kBlock / 8;              // eight inputs lie in one 64-byte word of each half tile
constexpr long kPackedBytes = kBlock * kTile / 2;
constexpr long kCacheBytes = 512 << 10;

// Integer sums of one block: `chains` of them for each row and half hide the latency of adding where rows are few.
template <int rows>
struct Sums {
  static constexpr int chains = rows <= 2 ? 4 / rows : 1;
  __m512i whole[rows][2][chains];

  template <int row>
  PARFOCAL_INLINE void start(__m512i from) {
    unrolled<2>([&]<int half>() PARFOCAL_INLINE {
      whole[row][half][0] = from;
      unrolled<chains - 1>([&]<int c>() PARFOCAL_INLINE { whole[row][half][c + 1] = _mm512_setzero_si512(); });
    });
  }

  template <int row, int half>
  PARFOCAL_INLINE __m512 total() const {
    __m512i sum = whole[row][half][0];
    unrolled<chains - 1>([&]<int c>() PARFOCAL_INLINE { sum = _mm512_add_epi32(sum, whole[row][half][c + 1]); });
    return _mm512_cvtepi32_ps(sum);
  }
};

// Activations of 13 bits: a 32-bit lane multiplies two inputs of one output.
struct Wide {
  using Code = int16_t;
  static constexpr int words = kBlock / 2;  // words of one block for each half tile
  const Rows& x;

  float scale(long row, long block) const { return x.wide_scales[row * (x.inputs / kBlock) + block]; }
  __m512i start(long, long) const { return _mm512_setzero_si512(); }

  const int16_t* word(long block, int number) const { return x.wide + block * kBlock + 2 * number; }
  static void multiply(__m512i& sum, __m512i codes, __m512i inputs) { multiply_pairs(sum, codes, inputs); }
};

// Activations of 8 bits: a 32-bit lane multiplies four inputs of one output.
struct Narrow {
  using Code = uint8_t;
  static constexpr int words = kBlock / 4;
  const Rows& x;

  float scale(long row, long block) const { return x.narrow_scales[row * (x.inputs / kBlock) + block]; }
  __m512i start(long row, long block) const {
    return _mm512_set1_epi32(x.narrow_starts[row * (x.inputs / kBlock) + block]);
  }

  const int8_t* word(long block, int number) const { return x.narrow + block * kBlock + 4 * number; }
  static void multiply(__m512i& sum, __m512i codes, __m512i inputs) { multiply_fours(sum, codes, inputs); }
};

// Adds the products of one word of inputs, the same word of each row, to one chain of sums.
template <int chain, int rows, typename Inputs>
PARFOCAL_INLINE inline void add_word(const Inputs& inputs, long block, int word, __m512i low, __m512i high,
                                     Sums<rows>& sums) {
  const auto* const first = inputs.word(block, word);
  const long stride = inputs.x.inputs;
  unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
    const __m512i own = broadcast(first + row * stride);
    Inputs::multiply(sums.whole[row][0][chain % Sums<rows>::chains], low, own);
    Inputs::multiply(sums.whole[row][1][chain % Sums<rows>::chains], high, own);
  });
}

// Unpacks a group's 4-bit codes into words of integers and calls `use.operator()<word of the group>(low, high)`.
//
// Each 16-bit lane holds four codes of one output: for a group of eight inputs, lane 2 * output + e holds inputs e,
// 2 + e, 4 + e and 6 + e from its lowest bits up. Seen as bytes, low halves hold inputs 0 4 1 5 and high ones 2 6 3 7.
template <typename Use>
PARFOCAL_INLINE inline void unpack_group(const int16_t*, const uint8_t* from, __m512i table, const Use& use) {
  const __m512i low = _mm512_loadu_si512(from), high = _mm512_loadu_si512(from + 64);
  // vpermw looks at five bits, so the table repeats itself.
  unrolled<4>([&]<int pair>() PARFOCAL_INLINE {
    use.template operator()<pair>(_mm512_permutexvar_epi16(_mm512_srli_epi16(low, 4 * pair), table),
                                  _mm512_permutexvar_epi16(_mm512_srli_epi16(high, 4 * pair), table));
  });
}

template <typename Use>
PARFOCAL_INLINE inline void unpack_group(const uint8_t*, const uint8_t* from, __m512i table, const Use& use) {
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i low = _mm512_loadu_si512(from), high = _mm512_loadu_si512(from + 64);
  unrolled<2>([&]<int four>() PARFOCAL_INLINE {
    const __m512i low_codes = _mm512_and_si512(_mm512_srli_epi16(low, 4 * four), nibble);
    const __m512i high_codes = _mm512_and_si512(_mm512_srli_epi16(high, 4 * four), nibble);
    use.template operator()<four>(_mm512_shuffle_epi8(table, low_codes), _mm512_shuffle_epi8(table, high_codes));
  });
}

// The table of 16 integers, repeated over a register.
inline __m512i repeated(const void* table, const int16_t*) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(table)));
}

inline __m512i repeated(const void* table, const uint8_t*) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(table)));
}

// 4-bit codes of one tile, unpacked in registers.
template <typename Inputs>
struct PackedCodes {
  const uint8_t* tile;
  __m512i table;

  template <int rows>
  PARFOCAL_INLINE void multiply(const Inputs& inputs, long block, Sums<rows>& sums) const {
    const typename Inputs::Code* const kind = nullptr;
    constexpr int words = Inputs::words / kGroups;
    for (int group = 0; group < kGroups; ++group)
      unpack_group(kind, tile + block * kPackedBytes + 128 * group, table,
                   [&]<int word>(__m512i low, __m512i high) PARFOCAL_INLINE {
                     add_word<word>(inputs, block, words * group + word, low, high, sums);
                   });
  }
};

// Codes of one tile as integers, in cache or memory: [block][word][half of the tile][64 bytes].
template <typename Inputs>
struct WholeCodes {
  const uint8_t* tile;

  template <int rows>
  PARFOCAL_INLINE void multiply(const Inputs& inputs, long block, Sums<rows>& sums) const {
    const uint8_t* from = tile + block * Inputs::words * 128;
    for (int word = 0; word < Inputs::words; word += 4, from += 4 * 128)
      unrolled<4>([&]<int next>() PARFOCAL_INLINE {
        add_word<next>(inputs, block, word + next, _mm512_loadu_si512(from + 128 * next),
                       _mm512_loadu_si512(from + 128 * next + 64), sums);
      });
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

  Target from(long row) const { return {bias, y + row * stride, stride, {mask[0], mask[1]}}; }
};

template <int rows, typename Inputs, typename Codes>
void multiply_rows(const Codes& codes, const float* scales, const Rows& x, const Target& target) {
  const Inputs inputs{x};
  __m512 sums[rows][2];
  for (int row = 0; row < rows; ++row)
    for (int half = 0; half < 2; ++half) sums[row][half] = target.start(half);
  for (long block = 0; block < x.inputs / kBlock; ++block) {
    Sums<rows> whole;
    unrolled<rows>([&]<int row>() PARFOCAL_INLINE { whole.template start<row>(inputs.start(row, block)); });
    codes.template multiply<rows>(inputs, block, whole);
    const __m512 scale[2] = {_mm512_loadu_ps(scales + block * kTile), _mm512_loadu_ps(scales + block * kTile + 16)};
    unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
      const __m512 own = _mm512_set1_ps(inputs.scale(row, block));
      unrolled<2>([&]<int half>() PARFOCAL_INLINE {
        const __m512 total = whole.template total<row, half>();
        sums[row][half] = _mm512_fmadd_ps(total, _mm512_mul_ps(own, scale[half]), sums[row][half]);
      });
    });
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
  const __m512 table = _mm512_loadu_ps(linear.table);
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

template <typename Inputs, typename Codes>
void multiply(const Codes& codes, const float* scales, const Rows& x, long rows, const Target& target) {
  by_rows(rows, [&]<int some>(long row) {
    multiply_rows<some, Inputs>(codes, scales, x.from(row), target.from(row));
  });
}

template <typename Inputs>
void multiply_packed(const Linear& linear, long tile, const Rows& x, long rows, const Target& target) {
  const typename Inputs::Code* const kind = nullptr;
  const long blocks = linear.blocks();
  const uint8_t* const packed = linear.codes + tile * blocks * kPackedBytes;
  const float* const scales = linear.scales + tile * blocks * kTile;
  const __m512i table = repeated(linear.table, kind);
  multiply<Inputs>(PackedCodes<Inputs>{packed, table}, scales, x, rows, target);
}

template <typename Inputs>
void multiply_dense(const Linear& linear, long tile, const Rows& x, long rows, const Target& target) {
  const long blocks = linear.blocks();
  const uint8_t* const codes = linear.codes + tile * blocks * Inputs::words * 128;
  multiply<Inputs>(WholeCodes<Inputs>{codes}, linear.scales + tile * blocks * kTile, x, rows, target);
}

void multiply_exactly(const Linear& linear, long tile, const Rows& x, long rows, const Target& target) {
  by_rows(rows, [&]<int some>(long row) {
    multiply_rows_exactly<some>(linear, tile, x.from(row), target.from(row));
  });
}

// 64 floats, their largest magnitude, and whether one of them is not finite.
struct Loaded {
  __m512 part[4];
  float largest;
  bool broken;

  explicit Loaded(const float* x) {
    __m512 most = _mm512_setzero_ps();
    __mmask16 finite = 0xffff;
    unrolled<4>([&]<int i>() PARFOCAL_INLINE {
      part[i] = _mm512_loadu_ps(x + 16 * i);
      const __m512 size = _mm512_abs_ps(part[i]);
      finite &= _mm512_cmp_ps_mask(size, _mm512_set1_ps(std::numeric_limits<float>::max()), _CMP_LE_OQ);
      most = _mm512_max_ps(most, size);
    });
    largest = _mm512_reduce_max_ps(most);
    broken = finite != 0xffff;
  }

  // What an integer stands for if `most` stands for the largest.
  float scale(float most) const { return broken ? std::numeric_limits<float>::quiet_NaN() : largest / most; }

  template <int i>
  PARFOCAL_INLINE __m512i whole(float most) const {
    return _mm512_cvtps_epi32(_mm512_mul_ps(part[i], _mm512_set1_ps(largest > 0.f ? most / largest : 0.f)));
  }
};

void widen_block(const Loaded& loaded, int16_t* wide, float* scale) {
  unrolled<4>([&]<int i>() PARFOCAL_INLINE {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(wide + 16 * i), _mm512_cvtsepi32_epi16(loaded.whole<i>(kMostWide)));
  });
  *scale = loaded.scale(kMostWide);
}

void narrow_block(const Loaded& loaded, int8_t* narrow, float* scale, int32_t* start) {
  const __m128i order = _mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  __m512i sum = _mm512_setzero_si512();
  unrolled<4>([&]<int i>() PARFOCAL_INLINE {
    const __m512i whole = loaded.whole<i>(kMostNarrow);
    sum = _mm512_add_epi32(sum, whole);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(narrow + 16 * i),
                     _mm_shuffle_epi8(_mm512_cvtsepi32_epi8(whole), order));
  });
  *scale = loaded.scale(kMostNarrow);
  *start = -128 * _mm512_reduce_add_epi32(sum);
}

}  // namespace

void widen(const float* x, int16_t* wide, float* scales, long blocks) {
  round_blocks(x, {wide, scales, nullptr, nullptr, nullptr}, 0, blocks);
}

void round_blocks(const float* x, const Forms& forms, long first, long blocks) {
  for (long block = first; block < first + blocks; ++block, x += kBlock) {
    const Loaded loaded(x);
    if (forms.wide) widen_block(loaded, forms.wide + block * kBlock, forms.wide_scales + block);
    if (forms.narrow)
      narrow_block(loaded, forms.narrow + block * kBlock, forms.narrow_scales + block, forms.narrow_starts + block);
  }
}

long rows_at_once(long inputs) {
  const long rows = kCacheBytes / (inputs * static_cast<long>(sizeof(int16_t)));
  return std::max(2 * kRows, rows / kRows * kRows);
}

void multiply_tile(const Linear& linear, long tile, const Rows& x, long rows, float* y, long stride) {
  const Target target{linear.bias ? linear.bias + tile * kTile : nullptr, y, stride,
                      {lanes(linear.outputs - tile * kTile), lanes(linear.outputs - tile * kTile - 16)}};
  switch (linear.numbers) {
    case Numbers::exact: return multiply_exactly(linear, tile, x, rows, target);
    case Numbers::wide: return multiply_packed<Wide>(linear, tile, x, rows, target);
    case Numbers::narrow: return multiply_packed<Narrow>(linear, tile, x, rows, target);
    case Numbers::dense_wide: return multiply_dense<Wide>(linear, tile, x, rows, target);
    case Numbers::dense_narrow: return multiply_dense<Narrow>(linear, tile, x, rows, target);
  }
}

}  // namespace parfocal

extern "C" {

// Computes y [rows, outputs] = x [rows, inputs] Wᵀ + bias.
void parfocal_linear(const parfocal::Linear* linear, const float* x, float* y, long rows) {
  using namespace parfocal;
  static thread_local std::vector<int16_t> wide;
  static thread_local std::vector<float> scales;
  static thread_local std::vector<int32_t> starts;
  const long blocks = linear->blocks(), inputs = linear->inputs, at_once = rows_at_once(inputs);
  const bool is_exact = linear->numbers == Numbers::exact;
  const bool is_narrow = linear->numbers == Numbers::narrow || linear->numbers == Numbers::dense_narrow;
  if (!is_exact && static_cast<long>(wide.size()) < rows * inputs) {
    wide.resize(rows * inputs);
    scales.resize(rows * blocks);
    starts.resize(rows * blocks);
  }
  int8_t* const bytes = reinterpret_cast<int8_t*>(wide.data());
  const Rows all{x, wide.data(), scales.data(), bytes, scales.data(), starts.data(), inputs};
  const Forms forms{is_narrow ? nullptr : wide.data(), scales.data(), is_narrow ? bytes : nullptr, scales.data(),
                    starts.data()};
  if (!is_exact)
    share(rows * blocks, 512,
          [&](long first, long last) { round_blocks(x + first * kBlock, forms, first, last - first); });
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
