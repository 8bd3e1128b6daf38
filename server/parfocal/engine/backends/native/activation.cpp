// Gated activations: silu(x) = x / (1 + e^-x); gelu by its tanh form (arXiv 1606.08415), which is
// x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x³).

#include "activation.h"

#include "lanes.h"
#include "threads.h"

namespace parfocal {
namespace {

inline __m512 exponent(Activation kind, __m512 x) {
  if (kind == Activation::silu) return x;
  const __m512 cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
  const __m512 inner = _mm512_fmadd_ps(cube, _mm512_set1_ps(0.044715f), x);
  return _mm512_mul_ps(inner, _mm512_set1_ps(2.f * 0.7978845608f));
}

}  // namespace

void gated(Activation kind, const float* gate, const float* up, float* out, long size) {
  const __m512 one = _mm512_set1_ps(1.f);
  for (long i = 0; i < size; i += 16) {
    const __mmask16 mask = lanes(size - i);
    const __m512 x = _mm512_maskz_loadu_ps(mask, gate + i);
    const __m512 below = _mm512_add_ps(one, exponential(_mm512_sub_ps(_mm512_setzero_ps(), exponent(kind, x))));
    const __m512 product = _mm512_mul_ps(_mm512_div_ps(x, below), _mm512_maskz_loadu_ps(mask, up + i));
    _mm512_mask_storeu_ps(out + i, mask, product);
  }
}

}  // namespace parfocal

extern "C" {

// gate [size] = silu(gate) * up, in place.
void parfocal_silu_times(float* gate, const float* up, long size) {
  parfocal::share(size, 1 << 14, [=](long first, long last) {
    parfocal::gated(parfocal::Activation::silu, gate + first, up + first, gate + first, last - first);
  });
}

}  // extern "C"
