// y = x Wᵀ + bias for few or many float32 rows x and a weight W that stays in 4 bit, on CPUs with AVX-512 VNNI.
//
// A weight is code[nibble] * absmax of its block of 64 (NF4, arXiv 2305.14314). Both operands become 16-bit
// integers: the code book with 13 bits and a sign, a block of 64 activations with 12 bits, a sign and a scale of
// its own. 64 products of them fit a 32-bit sum, so vpdpwssd adds up a block without loss, twice as fast as float32
// and with 16 times the resolution of bfloat16.
//
// A tile is 32 outputs. Its weights are unpacked into cache once and then meet all rows, eight at a time.

#include <cstdint>
#include <cstring>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace {

using parfocal::lanes;

constexpr int kBlock = 64;                        // inputs that share a scale
constexpr int kTile = 32;                         // outputs that are computed together
constexpr int kPairs = kBlock / 2;                // vpdpwssd multiplies neighbouring pairs
constexpr long kRows = 8;                         // rows that share a load of weights
constexpr int kCodes = kBlock * kTile;            // codes of one block of one tile
constexpr float kMostActivation = 4095.f;         // 4095 * 8191 * 64 < 2³¹
constexpr long kRowsInCache = 192;                // rows whose 16-bit form should stay in the second-level cache

// One block of one tile, unpacked: [pair][half of the tile][output, inputs 2p and 2p + 1].
struct alignas(64) Block {
  int16_t codes[kPairs][2][32];
};

// Each 16-bit lane holds four codes of one output: for a group of eight inputs, lane 2 * output + e holds inputs e,
// 2 + e, 4 + e and 6 + e from its lowest bits up. vpermw looks at five bits, so the table repeats itself.
void unpack_block(const uint8_t* packed, const __m512i table, Block& block) {
  for (int group = 0; group < kBlock / 8; ++group) {
    for (int half = 0; half < 2; ++half) {
      __m512i four = _mm512_loadu_si512(packed);
      packed += 64;
      for (int pair = 0; pair < 4; ++pair) {
        _mm512_store_si512(block.codes[group * 4 + pair][half], _mm512_permutexvar_epi16(four, table));
        four = _mm512_srli_epi16(four, 4);
      }
    }
  }
}

// sum += the products of neighbouring pairs. As an intrinsic it makes GCC copy every sum in every round.
inline void multiply_add(__m512i& sum, __m512i a, __m512i b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

// Adds one block's products to sums[row][half], which are outputs in float32.
template <int rows>
void multiply_block(const int16_t* x, long x_stride, const float* x_scale, long scale_stride, const Block& block,
                    const float* scale, __m512 (*sums)[2]) {
  __m512i whole[rows][2];
  for (int row = 0; row < rows; ++row) whole[row][0] = whole[row][1] = _mm512_setzero_si512();
  for (int pair = 0; pair < kPairs; ++pair) {
    const __m512i low = _mm512_load_si512(block.codes[pair][0]);
    const __m512i high = _mm512_load_si512(block.codes[pair][1]);
    for (int row = 0; row < rows; ++row) {
      int32_t two;
      std::memcpy(&two, x + row * x_stride + 2 * pair, sizeof two);
      const __m512i both = _mm512_set1_epi32(two);
      multiply_add(whole[row][0], low, both);
      multiply_add(whole[row][1], high, both);
    }
  }
  const __m512 low = _mm512_loadu_ps(scale), high = _mm512_loadu_ps(scale + 16);
  for (int row = 0; row < rows; ++row) {
    const __m512 own = _mm512_set1_ps(x_scale[row * scale_stride]);
    sums[row][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[row][0]), _mm512_mul_ps(own, low), sums[row][0]);
    sums[row][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[row][1]), _mm512_mul_ps(own, high), sums[row][1]);
  }
}

struct Tile {
  const Block* codes;   // [blocks]
  const float* scales;  // [blocks][32]
  const float* bias;    // [32] or null
  long blocks;
  __mmask16 mask[2];    // outputs that exist
};

template <int rows>
void multiply_rows(const Tile& tile, const int16_t* x, const float* x_scale, float* y, long y_stride) {
  __m512 sums[rows][2];
  for (int half = 0; half < 2; ++half) {
    const __m512 first = tile.bias ? _mm512_maskz_loadu_ps(tile.mask[half], tile.bias + 16 * half) : _mm512_setzero_ps();
    for (int row = 0; row < rows; ++row) sums[row][half] = first;
  }
  for (long block = 0; block < tile.blocks; ++block)
    multiply_block<rows>(x + block * kBlock, tile.blocks * kBlock, x_scale + block, tile.blocks, tile.codes[block],
                         tile.scales + block * kTile, sums);
  for (int row = 0; row < rows; ++row)
    for (int half = 0; half < 2; ++half)
      _mm512_mask_storeu_ps(y + row * y_stride + 16 * half, tile.mask[half], sums[row][half]);
}

void multiply_some_rows(const Tile& tile, const int16_t* x, const float* x_scale, float* y, long y_stride, long rows) {
  switch (rows) {
    case 1: return multiply_rows<1>(tile, x, x_scale, y, y_stride);
    case 2: return multiply_rows<2>(tile, x, x_scale, y, y_stride);
    case 3: return multiply_rows<3>(tile, x, x_scale, y, y_stride);
    case 4: return multiply_rows<4>(tile, x, x_scale, y, y_stride);
    case 5: return multiply_rows<5>(tile, x, x_scale, y, y_stride);
    case 6: return multiply_rows<6>(tile, x, x_scale, y, y_stride);
    case 7: return multiply_rows<7>(tile, x, x_scale, y, y_stride);
    default: return multiply_rows<8>(tile, x, x_scale, y, y_stride);
  }
}

// Turns 64 floats into integers; returns their scale, which is NaN if one of them is not finite.
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

extern "C" {

// Computes y [rows, outputs] = x [rows, inputs] Wᵀ + bias. `packed` is [tiles][blocks][1024 bytes] of 4-bit codes that
// index `table` [16], or [tiles][blocks][4096 bytes] of 16-bit codes when `table` is null; scales are
// [tiles][blocks][32]; bias is null or [outputs]. `inputs` is a multiple of 64.
void parfocal_linear(const float* x, const uint8_t* packed, const float* scales, const int16_t* table,
                     const float* bias, float* y, long rows, long inputs, long outputs) {
  static thread_local std::vector<int16_t> whole;
  static thread_local std::vector<float> x_scales;
  const long blocks = inputs / kBlock, tiles = (outputs + kTile - 1) / kTile;
  if (static_cast<long>(whole.size()) < rows * inputs) {
    whole.resize(rows * inputs);
    x_scales.resize(rows * blocks);
  }
  int16_t* const ints = whole.data();
  float* const own_scales = x_scales.data();
  __m512i twice = _mm512_setzero_si512();
  if (table) twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table)));
  parfocal::share(rows * blocks, 512, [=](long first, long last) {
    for (long block = first; block < last; ++block)
      own_scales[block] = quantise_block(x + block * kBlock, ints + block * kBlock);
  });
  for (long from = 0; from < rows; from += kRowsInCache) {
    const long until = std::min(from + kRowsInCache, rows);
    parfocal::share(tiles, 1, [=](long first, long last) {
      static thread_local std::vector<Block> cache;
      if (table && static_cast<long>(cache.size()) < blocks) cache.resize(blocks);
      for (long number = first; number < last; ++number) {
        const uint8_t* const own = packed + number * blocks * (table ? kCodes / 2 : sizeof(Block));
        if (table)
          for (long block = 0; block < blocks; ++block) unpack_block(own + block * (kCodes / 2), twice, cache[block]);
        const Tile tile{table ? cache.data() : reinterpret_cast<const Block*>(own), scales + number * blocks * kTile,
                        bias ? bias + number * kTile : nullptr, blocks,
                        {lanes(outputs - number * kTile), lanes(outputs - number * kTile - 16)}};
        for (long row = from; row < until; row += kRows)
          multiply_some_rows(tile, ints + row * inputs, own_scales + row * blocks, y + row * outputs + number * kTile,
                             outputs, std::min(until - row, kRows));
      }
    });
  }
}

}  // extern "C"
