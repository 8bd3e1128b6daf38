// y += (x A) B for every row under its own adapter, weights read where they lie and converted in registers. The cost
// follows each adapter's own rank; rows of the base are not visited.

#include <cstdint>
#include <cstring>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace {

using parfocal::lanes;

constexpr long kRows = 8;  // rows of one adapter that share a load of weights

inline __m512 load(const float* from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }

// bfloat16 is the upper half of a float32.
inline __m512 load(const uint16_t* from, __mmask16 mask) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
}

// Numbers of one byte; their scales are applied to whole sums.
inline __m512 load(const int8_t* from, __mmask16 mask) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, from)));
}

// One adapter's part of one module. The scales, of A's columns [rank] and B's columns [outputs], are null for 1.
template <typename Weight>
struct Adapter {
  const Weight* a;  // [inputs, rank]
  const Weight* b;  // [rank, outputs]
  const float* a_scale;
  const float* b_scale;
};

struct Shape {
  long inputs, outputs, rank;
};

// inner [rows, rank] = x [rows, inputs] A [inputs, rank].
template <typename Weight, int rows>
void shrink(const float* x, const Adapter<Weight>& adapter, const Shape& shape, float* inner) {
  constexpr int chains = rows == 1 ? 4 : rows == 2 ? 2 : 1;  // hide the latency of adding
  for (long j = 0; j < shape.rank; j += 16) {
    const __mmask16 mask = lanes(shape.rank - j);
    __m512 sums[rows][chains];
    for (int row = 0; row < rows; ++row)
      for (int c = 0; c < chains; ++c) sums[row][c] = _mm512_setzero_ps();
    for (long k = 0; k < shape.inputs; k += chains)
      for (int c = 0; c < chains; ++c) {
        if (k + c >= shape.inputs) break;
        const __m512 weight = load(adapter.a + (k + c) * shape.rank + j, mask);
        for (int row = 0; row < rows; ++row)
          sums[row][c] = _mm512_fmadd_ps(_mm512_set1_ps(x[row * shape.inputs + k + c]), weight, sums[row][c]);
      }
    for (int row = 0; row < rows; ++row) {
      for (int c = 1; c < chains; ++c) sums[row][0] = _mm512_add_ps(sums[row][0], sums[row][c]);
      if (adapter.a_scale) sums[row][0] = _mm512_mul_ps(sums[row][0], _mm512_maskz_loadu_ps(mask, adapter.a_scale + j));
      _mm512_mask_storeu_ps(inner + row * shape.rank + j, mask, sums[row][0]);
    }
  }
}

// y [rows, outputs] += inner [rows, rank] B [rank, outputs].
template <typename Weight, int rows>
void expand(const float* inner, const Adapter<Weight>& adapter, const Shape& shape, float* y) {
  for (long o = 0; o < shape.outputs; o += 16) {
    const __mmask16 mask = lanes(shape.outputs - o);
    __m512 sums[rows];
    for (int row = 0; row < rows; ++row) sums[row] = _mm512_setzero_ps();
    for (long j = 0; j < shape.rank; ++j) {
      const __m512 weight = load(adapter.b + j * shape.outputs + o, mask);
      for (int row = 0; row < rows; ++row)
        sums[row] = _mm512_fmadd_ps(_mm512_set1_ps(inner[row * shape.rank + j]), weight, sums[row]);
    }
    const __m512 scale = adapter.b_scale ? _mm512_maskz_loadu_ps(mask, adapter.b_scale + o) : _mm512_set1_ps(1.f);
    for (int row = 0; row < rows; ++row) {
      float* const to = y + row * shape.outputs + o;
      _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(sums[row], scale, _mm512_maskz_loadu_ps(mask, to)));
    }
  }
}

template <typename Weight, int rows>
void add(const float* x, const Adapter<Weight>& adapter, const Shape& shape, float* inner, float* y) {
  shrink<Weight, rows>(x, adapter, shape, inner);
  expand<Weight, rows>(inner, adapter, shape, y);
}

template <typename Weight>
void add_rows(long rows, const float* x, const Adapter<Weight>& adapter, const Shape& shape, float* inner, float* y) {
  switch (rows) {
    case 1: return add<Weight, 1>(x, adapter, shape, inner, y);
    case 2: return add<Weight, 2>(x, adapter, shape, inner, y);
    case 3: return add<Weight, 3>(x, adapter, shape, inner, y);
    case 4: return add<Weight, 4>(x, adapter, shape, inner, y);
    case 5: return add<Weight, 5>(x, adapter, shape, inner, y);
    case 6: return add<Weight, 6>(x, adapter, shape, inner, y);
    case 7: return add<Weight, 7>(x, adapter, shape, inner, y);
    default: return add<Weight, 8>(x, adapter, shape, inner, y);
  }
}

template <typename Weight>
void add_all(const float* x, float* y, const Adapter<Weight>& slots, const Shape& shape, const int64_t* works,
             long count) {
  parfocal::share(count, 1, [=, &slots](long first, long last) {
    static thread_local std::vector<float> inner;
    if (static_cast<long>(inner.size()) < kRows * shape.rank) inner.resize(kRows * shape.rank);
    for (long number = first; number < last; ++number) {
      const int64_t slot = works[3 * number], start = works[3 * number + 1], rows = works[3 * number + 2];
      const Adapter<Weight> own{slots.a + slot * shape.inputs * shape.rank, slots.b + slot * shape.rank * shape.outputs,
                                slots.a_scale ? slots.a_scale + slot * shape.rank : nullptr,
                                slots.b_scale ? slots.b_scale + slot * shape.outputs : nullptr};
      add_rows(rows, x + start * shape.inputs, own, shape, inner.data(), y + start * shape.outputs);
    }
  });
}

template <typename Weight>
Adapter<Weight> slots_of(const void* a, const void* b, const float* a_scale, const float* b_scale) {
  return {static_cast<const Weight*>(a), static_cast<const Weight*>(b), a_scale, b_scale};
}

}  // namespace

extern "C" {

// Adds to y [rows, outputs] in place, from x [rows, inputs]. A is [slots, inputs, rank], B [slots, rank, outputs], of
// `bytes` a number: 4 for float32, 2 for bfloat16, 1 for integers with a scale for each column, [slots, rank] and
// [slots, outputs], which are null otherwise. `works` [count, 3] lists slot, first row and number of rows (1 to 8); no
// two of them share a row.
void parfocal_lora(const float* x, float* y, const void* a, const void* b, const float* a_scale, const float* b_scale,
                   int bytes, const int64_t* works, long count, long inputs, long outputs, long rank) {
  const Shape shape{inputs, outputs, rank};
  if (bytes == 1)
    add_all(x, y, slots_of<int8_t>(a, b, a_scale, b_scale), shape, works, count);
  else if (bytes == 2)
    add_all(x, y, slots_of<uint16_t>(a, b, nullptr, nullptr), shape, works, count);
  else
    add_all(x, y, slots_of<float>(a, b, nullptr, nullptr), shape, works, count);
}

}  // extern "C"
