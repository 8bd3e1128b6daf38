// Linears on float32 rows whose weights stay in 4 bit, and heads in 8 or 16, tile by tile.

#pragma once

#include <cstdint>

namespace parfocal {

constexpr int kBlock = 64;  // inputs that share a scale
constexpr int kTile = 32;   // outputs that are computed together

// What the codes of a weight are and in what they are multiplied.
enum class Numbers : long {
  exact = 0,       // 4-bit codes; a table of float32, and float32's arithmetic
  wide = 1,        // 4-bit codes; a table of 14-bit integers, which meet activations of 13 bits
  narrow = 2,      // 4-bit codes; a table of bytes, 128 more than they mean, which meet activations of 8 bits
  dense_wide = 3,  // 16-bit codes, no table
  dense_narrow = 4 // 8-bit codes, 128 more than they mean, no table
};

// A weight [outputs, inputs] in tiles of 32 outputs and blocks of 64 inputs; `inputs` is a multiple of 64. Its twin is
// `LinearStruct` in structs.py.
struct Linear {
  const uint8_t* codes;  // [tiles][blocks][1024 bytes] in 4 bit, [2048] in 8 bit, [4096] in 16 bit
  const float* scales;   // [tiles][blocks][32]
  const void* table;     // [16]
  const float* bias;     // [outputs] or null
  long inputs, outputs;
  Numbers numbers;

  long tiles() const { return (outputs + kTile - 1) / kTile; }
  long blocks() const { return inputs / kBlock; }
};

// Activations [rows, inputs] in as many forms as somebody wants. Integers have a scale for each block of 64. Bytes lie
// in each eight in the order 0 4 1 5 2 6 3 7, which is that of the 4-bit codes, and have for each block what a sum of
// products must start from since the weights' bytes are 128 too large.
struct Rows {
  const float* floats;
  const int16_t* wide;
  const float* wide_scales;
  const int8_t* narrow;
  const float* narrow_scales;
  const int32_t* narrow_starts;
  long inputs;

  Rows from(long row) const {
    const long number = row * inputs, block = number / kBlock;
    return {floats + number,        wide + number,         wide_scales + block, narrow + number,
            narrow_scales + block, narrow_starts + block, inputs};
  }
};

// Turns blocks of 64 floats into integers with a scale each, NaN if one of a block's numbers is not finite.
void widen(const float* x, int16_t* wide, float* scales, long blocks);

// Where both kinds of integers of some rows go; those that are null are left out.
struct Forms {
  int16_t* wide;
  float* wide_scales;
  int8_t* narrow;
  float* narrow_scales;
  int32_t* narrow_starts;
};

// Turns blocks of 64 floats into the forms, from block `first` of all.
void round_blocks(const float* x, const Forms& forms, long first, long blocks);

// y [rows][32 outputs from 32 * tile on] = x Wᵀ + bias; y's rows are `stride` floats apart.
void multiply_tile(const Linear& linear, long tile, const Rows& x, long rows, float* y, long stride);

// Rows whose integers should stay in the second-level cache while tile after tile meets them.
long rows_at_once(long inputs);

}  // namespace parfocal
