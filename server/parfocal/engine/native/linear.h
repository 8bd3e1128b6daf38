// Linears on float32 rows whose weights stay in 4 bit, and heads in 16 bit, tile by tile.

#pragma once

#include <cstdint>

namespace parfocal {

constexpr int kBlock = 64;  // inputs that share a scale
constexpr int kTile = 32;   // outputs that are computed together

// A weight [outputs, inputs] in tiles; `inputs` is a multiple of 64. Its twin is `LinearStruct` in structs.py.
struct Linear {
  const uint8_t* codes;   // [tiles][blocks][1024 bytes] of 4-bit codes, or [tiles][blocks][4096] of 16-bit ones
  const float* scales;    // [tiles][blocks][32]
  const int16_t* table;   // [16]: what 4-bit codes mean, as integers of 14 bits
  const float* exact;     // [16]: what they mean in float32; then all arithmetic is float32
  const float* bias;      // [outputs] or null
  long inputs, outputs;

  long tiles() const { return (outputs + kTile - 1) / kTile; }
  long blocks() const { return inputs / kBlock; }
};

// Activations [rows, inputs]: as floats for exact linears, otherwise as integers of 13 bits and a scale for each
// block of 64.
struct Rows {
  const float* floats;
  const int16_t* whole;
  const float* scales;
  long inputs;

  Rows from(long row) const {
    const long blocks = inputs / kBlock;
    return {floats + row * inputs, whole ? whole + row * inputs : nullptr, scales ? scales + row * blocks : nullptr,
            inputs};
  }
};

// Turns `blocks` blocks of 64 floats into integers with a scale each, NaN if one of its numbers is not finite.
void quantise(const float* x, int16_t* whole, float* scales, long blocks);

// y [rows][32 outputs from 32 * tile on] = x Wᵀ + bias; y's rows are `stride` floats apart.
void multiply_tile(const Linear& linear, long tile, const Rows& x, long rows, float* y, long stride);

// Rows whose integers should stay in the second-level cache while tile after tile meets them.
long rows_at_once(long inputs);

}  // namespace parfocal
