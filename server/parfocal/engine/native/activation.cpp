// The gated activation of a feed-forward layer (SwiGLU, arXiv 2002.05202).

#include "lanes.h"
#include "threads.h"

using parfocal::exponential;
using parfocal::lanes;

extern "C" {

// gate [size] = silu(gate) * up, in place; silu(x) = x / (1 + e^-x).
void parfocal_silu_times(float* gate, const float* up, long size) {
  parfocal::share(size, 1 << 14, [=](long first, long last) {
    const __m512 one = _mm512_set1_ps(1.f);
    for (long i = first; i < last; i += 16) {
      const __mmask16 mask = lanes(last - i);
      const __m512 x = _mm512_maskz_loadu_ps(mask, gate + i);
      const __m512 below = _mm512_add_ps(one, exponential(_mm512_sub_ps(_mm512_setzero_ps(), x)));
      const __m512 product = _mm512_mul_ps(_mm512_div_ps(x, below), _mm512_maskz_loadu_ps(mask, up + i));
      _mm512_mask_storeu_ps(gate + i, mask, product);
    }
  });
}

}  // extern "C"
