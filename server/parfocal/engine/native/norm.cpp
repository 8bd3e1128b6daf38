// Root-mean-square normalisation (arXiv 1910.07467) of float32 rows.

#include <cmath>

#include "lanes.h"
#include "threads.h"

using parfocal::lanes;

extern "C" {

// out [rows, size] = x / sqrt(mean(x²) + epsilon) * weight [size].
void parfocal_rms_norm(const float* x, const float* weight, float* out, long rows, long size, float epsilon) {
  parfocal::share(rows, 1 + (1 << 14) / size, [=](long first, long last) {
    for (long row = first; row < last; ++row) {
      const float* from = x + row * size;
      __m512 squares = _mm512_setzero_ps();
      for (long i = 0; i < size; i += 16) {
        const __m512 part = _mm512_maskz_loadu_ps(lanes(size - i), from + i);
        squares = _mm512_fmadd_ps(part, part, squares);
      }
      const __m512 scale = _mm512_set1_ps(1.f / std::sqrt(_mm512_reduce_add_ps(squares) / size + epsilon));
      for (long i = 0; i < size; i += 16) {
        const __mmask16 mask = lanes(size - i);
        const __m512 part = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i), scale);
        _mm512_mask_storeu_ps(out + row * size + i, mask, _mm512_mul_ps(part, _mm512_maskz_loadu_ps(mask, weight + i)));
      }
    }
  });
}

}  // extern "C"
