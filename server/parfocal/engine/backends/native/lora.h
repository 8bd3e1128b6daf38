// LoRA: (x A) B of rows under their own adapters. Cost follows each adapter's own rank; rows of the base are not visited.

#pragma once

#include <cstdint>

#include "linear.h"

namespace parfocal {

constexpr long kAdapterRows = 8;  // rows of one adapter that share a load of weights

// One module's weights for all slots of a slab: A [slots, inputs, rank] and B [slots, rank, outputs]. Integers lie in
// pairs, [slots, inputs / 2, rank, 2] and [slots, outputs / 16, rank / 2, 16, 2], filled up with zeros, and have a scale
// for each column, [slots, rank] and [slots, outputs], null otherwise. `a` is null where no adapter of the slab adapts the module. The twin of
// `PairStruct` in structs.py.
struct Pair {
  const void* a;
  const void* b;
  const float* a_scale;
  const float* b_scale;
};

enum class AdapterNumbers : long { float32 = 0, bfloat16 = 1, int16 = 2, int8 = 3 };

// A slab's modules in the model's order. Its rank is a multiple of four.
struct Slab {
  const Pair* pairs;
  long rank;
  AdapterNumbers numbers;
};

// `rows` (1 to 8) rows from `row` on that use the slot `slot` of slab `slab`.
struct AdapterRows {
  int64_t slab, slot, row, rows;
};

// One module of a step as the kernels see it.
struct Adapted {
  const Slab* slab;
  const Pair* pair;
  long inputs, outputs;
};

// inner [rows, rank] = x A. Integers meet x's wide integers, others its floats.
void shrink(const Adapted& module, const AdapterRows& work, const Rows& x, float* inner);

// y [rows, outputs], rows `stride` apart, += inner [rows, rank] B.
void expand(const Adapted& module, const AdapterRows& work, const float* inner, float* y, long stride);

}  // namespace parfocal
