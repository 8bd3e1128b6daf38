// How numbers lie in memory when they are not float32: 16 at a time to float32 and back.

#pragma once

#include <immintrin.h>

#include <cstdint>

namespace parfocal {

// IEEE's 16-bit floats: 11 bits of precision. What is too large for them becomes the largest, not infinite.
struct Half {
  uint16_t bits;
};

struct Bfloat16 {
  uint16_t bits;
};

inline __m512 load(const float* from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }

inline __m512 load(const Half* from, __mmask16 mask) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from));
}

// bfloat16 is the upper half of a float32.
inline __m512 load(const Bfloat16* from, __mmask16 mask) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
}

inline void store(float* to, __mmask16 mask, __m512 values) { _mm512_mask_storeu_ps(to, mask, values); }

// minps and maxps give their second operand where the first is NaN, so NaN stays NaN.
inline void store(Half* to, __mmask16 mask, __m512 values) {
  const __m512 most = _mm512_set1_ps(65504.f);
  const __m512 within = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), most), _mm512_min_ps(most, values));
  _mm256_mask_storeu_epi16(to, mask, _mm512_cvtps_ph(within, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace parfocal
