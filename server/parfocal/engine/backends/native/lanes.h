// What the kernels share: masks and elementary functions on 16 lanes of float32.

#pragma once

#include <immintrin.h>

#include <algorithm>

namespace parfocal {

// The lanes of a register that hold values when `left` are left.
inline __mmask16 lanes(long left) {
  return static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
}

// e to the x: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for r and the exponent for n (Cephes' expf). Off by at
// most two units in the last place; 0 below -87, infinite above 88.7; NaN stays NaN.
inline __m512 exponential(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  for (const float next : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(next));
  p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, _mm512_add_ps(r, _mm512_set1_ps(1.f)));
  const __m512 result = _mm512_scalef_ps(p, n);
  return _mm512_mask_mov_ps(result, _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3f), _CMP_LT_OQ), _mm512_setzero_ps());
}

// tanh x = 1 - 2 / (e^2x + 1); for soft caps, whose arguments lie near 1, not for tiny ones.
inline __m512 hyperbolic_tangent(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.f);
  const __m512 e = exponential(_mm512_add_ps(x, x));
  return _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.f), _mm512_add_ps(e, one)));
}

}  // namespace parfocal
