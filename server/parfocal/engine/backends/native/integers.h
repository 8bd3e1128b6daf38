// Products of integers that add up in 32 bits.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace parfocal {

constexpr float kMostWide = 4095.f;  // 4095 * 8191 * 64 < 2³¹
constexpr float kMostNarrow = 127.f;

// sum += the products of neighbouring pairs, or fours. As intrinsics they make GCC copy every sum in every round.
inline void multiply_pairs(__m512i& sum, __m512i a, __m512i b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

inline void multiply_fours(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

// Four bytes of inputs, in every lane.
inline __m512i broadcast(const void* four_bytes) {
  int32_t whole;
  std::memcpy(&whole, four_bytes, sizeof whole);
  return _mm512_set1_epi32(whole);
}

}  // namespace parfocal
