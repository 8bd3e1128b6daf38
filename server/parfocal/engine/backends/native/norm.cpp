// Root-mean-square normalisation (arXiv 1910.07467) of float32 rows.

#include "norm.h"

#include <cmath>

#include "lanes.h"
#include "threads.h"

namespace parfocal {

void rms_norm(const float* x, const float* weight, float* out, long size, float epsilon) {
  __m512 squares = _mm512_setzero_ps();
  for (long i = 0; i < size; i += 16) {
    const __m512 part = _mm512_maskz_loadu_ps(lanes(size - i), x + i);
    squares = _mm512_fmadd_ps(part, part, squares);
  }
  const __m512 scale = _mm512_set1_ps(1.f / std::sqrt(_mm512_reduce_add_ps(squares) / size + epsilon));
  for (long i = 0; i < size; i += 16) {
    const __mmask16 mask = lanes(size - i);
    const __m512 part = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale);
    _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(part, _mm512_maskz_loadu_ps(mask, weight + i)));
  }
}

}  // namespace parfocal

extern "C" {

// The same for x [rows, size].
void parfocal_rms_norm(const float* x, const float* weight, float* out, long rows, long size, float epsilon) {
  parfocal::share(rows, 1 + (1 << 14) / size, [=](long first, long last) {
    for (long row = first; row < last; ++row)
      parfocal::rms_norm(x + row * size, weight, out + row * size, size, epsilon);
  });
}

}  // extern "C"
