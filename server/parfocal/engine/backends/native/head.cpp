// The last touch to a head's logits: those that might be the highest are computed again in float32.

#include <cmath>

#include "lanes.h"
#include "threads.h"

using parfocal::lanes;

namespace {

float dot(const float* a, const float* b, long size) {
  __m512 sum = _mm512_setzero_ps();
  for (long i = 0; i < size; i += 16) {
    const __mmask16 mask = lanes(size - i);
    sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i), sum);
  }
  return _mm512_reduce_add_ps(sum);
}

}  // namespace

extern "C" {

// Replaces each of logits [rows, outputs] that lies within `near` * |highest| of its row's highest by x [rows, inputs]
// · weight [outputs, inputs] + bias [outputs] or null.
void parfocal_refine(const float* x, const float* weight, const float* bias, float* logits, long rows, long inputs,
                     long outputs, float near) {
  parfocal::share(rows, 1, [=](long first, long last) {
    for (long row = first; row < last; ++row) {
      float* const own = logits + row * outputs;
      __m512 most = _mm512_set1_ps(-INFINITY);
      for (long i = 0; i < outputs; i += 16)
        most = _mm512_mask_max_ps(most, lanes(outputs - i), most, _mm512_maskz_loadu_ps(lanes(outputs - i), own + i));
      const float highest = _mm512_reduce_max_ps(most);
      const __m512 bound = _mm512_set1_ps(highest - near * std::fabs(highest));
      for (long i = 0; i < outputs; i += 16) {
        const __mmask16 mask = lanes(outputs - i);
        unsigned close = _mm512_mask_cmp_ps_mask(mask, _mm512_maskz_loadu_ps(mask, own + i), bound, _CMP_GE_OQ);
        for (; close; close &= close - 1) {
          const long at = i + __builtin_ctz(close);
          own[at] = dot(x + row * inputs, weight + at * inputs, inputs) + (bias ? bias[at] : 0.f);
        }
      }
    }
  });
}

}  // extern "C"
