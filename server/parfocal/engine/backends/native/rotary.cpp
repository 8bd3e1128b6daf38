// Rotary position embeddings (arXiv 2104.09864), a head's first half paired with its second, as transformers pairs them.

#include "rotary.h"

#include "lanes.h"

namespace parfocal {

void rotate(float* head, const float* cos, const float* sin, long size) {
  const long half = size / 2;
  for (long i = 0; i < half; i += 16) {
    const __mmask16 mask = lanes(half - i);
    const __m512 a = _mm512_maskz_loadu_ps(mask, head + i), b = _mm512_maskz_loadu_ps(mask, head + half + i);
    const __m512 turned = _mm512_mul_ps(b, _mm512_maskz_loadu_ps(mask, sin + i));
    const __m512 other = _mm512_mul_ps(a, _mm512_maskz_loadu_ps(mask, sin + half + i));
    const __m512 new_a = _mm512_sub_ps(_mm512_mul_ps(a, _mm512_maskz_loadu_ps(mask, cos + i)), turned);
    const __m512 new_b = _mm512_add_ps(_mm512_mul_ps(b, _mm512_maskz_loadu_ps(mask, cos + half + i)), other);
    _mm512_mask_storeu_ps(head + i, mask, new_a);
    _mm512_mask_storeu_ps(head + half + i, mask, new_b);
  }
}

}  // namespace parfocal
