// y += (x A) B for every row under its own adapter, weights read where they lie and converted in registers.

#include "lora.h"

#include <vector>

#include "lanes.h"
#include "numbers.h"
#include "threads.h"

namespace parfocal {
namespace {

// Sums of even and odd inputs apart, however many rows there are: that hides the latency of adding, and a row's answer
// has the same bits whatever else is in the batch.
template <typename Weight, int rows>
void shrink_rows(const Weight* a, const float* scale, const float* x, long inputs, long rank, float* inner) {
  for (long j = 0; j < rank; j += 16) {
    const __mmask16 mask = lanes(rank - j);
    __m512 sums[rows][2];
    for (int row = 0; row < rows; ++row) sums[row][0] = sums[row][1] = _mm512_setzero_ps();
    const Weight* weights = a + j;
    for (long k = 0; k + 1 < inputs; k += 2)
      for (int odd = 0; odd < 2; ++odd, weights += rank) {
        const __m512 weight = load(weights, mask);
        for (int row = 0; row < rows; ++row)
          sums[row][odd] = _mm512_fmadd_ps(_mm512_set1_ps(x[row * inputs + k + odd]), weight, sums[row][odd]);
      }
    if (inputs % 2)
      for (int row = 0; row < rows; ++row)
        sums[row][0] = _mm512_fmadd_ps(_mm512_set1_ps(x[row * inputs + inputs - 1]), load(weights, mask), sums[row][0]);
    for (int row = 0; row < rows; ++row) {
      __m512 sum = _mm512_add_ps(sums[row][0], sums[row][1]);
      if (scale) sum = _mm512_mul_ps(sum, _mm512_maskz_loadu_ps(mask, scale + j));
      _mm512_mask_storeu_ps(inner + row * rank + j, mask, sum);
    }
  }
}

template <typename Weight, int rows>
void expand_rows(const Weight* b, const float* scale, const float* inner, long outputs, long rank, float* y,
                 long stride) {
  for (long o = 0; o < outputs; o += 16) {
    const __mmask16 mask = lanes(outputs - o);
    __m512 sums[rows];
    for (int row = 0; row < rows; ++row) sums[row] = _mm512_setzero_ps();
    for (long j = 0; j < rank; ++j) {
      const __m512 weight = load(b + j * outputs + o, mask);
      for (int row = 0; row < rows; ++row)
        sums[row] = _mm512_fmadd_ps(_mm512_set1_ps(inner[row * rank + j]), weight, sums[row]);
    }
    const __m512 own = scale ? _mm512_maskz_loadu_ps(mask, scale + o) : _mm512_set1_ps(1.f);
    for (int row = 0; row < rows; ++row) {
      float* const to = y + row * stride + o;
      _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(sums[row], own, _mm512_maskz_loadu_ps(mask, to)));
    }
  }
}

// Calls `use` with the number of rows known to the compiler.
template <typename Use>
void with_rows(long rows, const Use& use) {
  switch (rows) {
    case 1: return use.template operator()<1>();
    case 2: return use.template operator()<2>();
    case 3: return use.template operator()<3>();
    case 4: return use.template operator()<4>();
    case 5: return use.template operator()<5>();
    case 6: return use.template operator()<6>();
    case 7: return use.template operator()<7>();
    default: return use.template operator()<kAdapterRows>();
  }
}

// Calls `use` with the slab's number type, as a null pointer.
template <typename Use>
void with_type(long bytes, const Use& use) {
  if (bytes == 1) return use(static_cast<const int8_t*>(nullptr));
  if (bytes == 2) return use(static_cast<const Bfloat16*>(nullptr));
  return use(static_cast<const float*>(nullptr));
}

}  // namespace

void shrink(const Adapted& module, const AdapterRows& work, const float* x, float* inner) {
  const long rank = module.slab->rank;
  const float* const scale = module.pair->a_scale ? module.pair->a_scale + work.slot * rank : nullptr;
  with_type(module.slab->bytes, [&]<typename Weight>(const Weight*) {
    const Weight* const a = static_cast<const Weight*>(module.pair->a) + work.slot * module.inputs * rank;
    with_rows(work.rows, [&]<int rows>() { shrink_rows<Weight, rows>(a, scale, x, module.inputs, rank, inner); });
  });
}

void expand(const Adapted& module, const AdapterRows& work, const float* inner, float* y, long stride) {
  const long rank = module.slab->rank;
  const float* const scale = module.pair->b_scale ? module.pair->b_scale + work.slot * module.outputs : nullptr;
  with_type(module.slab->bytes, [&]<typename Weight>(const Weight*) {
    const Weight* const b = static_cast<const Weight*>(module.pair->b) + work.slot * rank * module.outputs;
    with_rows(work.rows, [&]<int rows>() { expand_rows<Weight, rows>(b, scale, inner, module.outputs, rank, y, stride); });
  });
}

}  // namespace parfocal

extern "C" {

// Adds one slab's adapters to y [rows, outputs] in place, from x [rows, inputs]. No two works share a row.
void parfocal_lora(const float* x, float* y, const parfocal::Slab* slab, const parfocal::AdapterRows* works, long count,
                   long inputs, long outputs) {
  using namespace parfocal;
  const Adapted module{slab, slab->pairs, inputs, outputs};
  share(count, 1, [=](long first, long last) {
    static thread_local std::vector<float> inner;
    if (static_cast<long>(inner.size()) < kAdapterRows * slab->rank) inner.resize(kAdapterRows * slab->rank);
    for (long number = first; number < last; ++number) {
      const AdapterRows& work = works[number];
      shrink(module, work, x + work.row * inputs, inner.data());
      expand(module, work, inner.data(), y + work.row * outputs, outputs);
    }
  });
}

}  // extern "C"
