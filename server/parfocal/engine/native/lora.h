// LoRA: (x A) B of rows under their own adapters. Cost follows each adapter's own rank; rows of the base are not visited.

#pragma once

#include <cstdint>

namespace parfocal {

constexpr long kAdapterRows = 8;  // rows of one adapter that share a load of weights

// One module's weights for all slots of a slab: A [slots, inputs, rank] and B [slots, rank, outputs], of the slab's
// number type. Integers have a scale for each column, [slots, rank] and [slots, outputs], null otherwise. `a` is null
// where no adapter of the slab adapts the module. The twin of `PairStruct` in structs.py.
struct Pair {
  const void* a;
  const void* b;
  const float* a_scale;
  const float* b_scale;
};

// A slab's modules in the model's order. `bytes` a number: 4 float32, 2 bfloat16, 1 integer.
struct Slab {
  const Pair* pairs;
  long rank, bytes;
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

// inner [rows, rank] = x [rows, inputs] A.
void shrink(const Adapted& module, const AdapterRows& work, const float* x, float* inner);

// y [rows, outputs], rows `stride` apart, += inner [rows, rank] B.
void expand(const Adapted& module, const AdapterRows& work, const float* inner, float* y, long stride);

}  // namespace parfocal
