// The likeliest tokens of rows of logits, among all of them or among those that a row may take.

#include <cmath>
#include <cstdint>

#include "lanes.h"
#include "threads.h"

using parfocal::lanes;

namespace {

constexpr long kShared = 1 << 16;  // logits below which waking another thread takes longer than looking at them

// The highest logit so far in each lane and the block of 16 that had it first.
struct Best {
  __m512 highest = _mm512_set1_ps(-INFINITY);
  __m512i block = _mm512_set1_epi32(-1);
  __mmask16 broken = 0;

  void look(__mmask16 mask, const float* logits, long at) {
    const __m512 here = _mm512_maskz_loadu_ps(mask, logits + at);
    broken |= _mm512_mask_cmp_ps_mask(mask, here, here, _CMP_UNORD_Q);
    const __mmask16 better = _mm512_mask_cmp_ps_mask(mask, here, highest, _CMP_GT_OQ);
    highest = _mm512_mask_mov_ps(highest, better, here);
    block = _mm512_mask_mov_epi32(block, better, _mm512_set1_epi32(static_cast<int>(at)));
  }

  // The first place of the highest logit; -1 if there is none that is finite, or a NaN.
  int64_t place() const {
    const float peak = _mm512_reduce_max_ps(highest);
    if (broken || !std::isfinite(peak)) return -1;
    const __mmask16 equal = _mm512_cmp_ps_mask(highest, _mm512_set1_ps(peak), _CMP_EQ_OQ);
    const __m512i number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_mask_reduce_min_epi32(equal, _mm512_add_epi32(block, number));
  }
};

int64_t of_all(const float* logits, long width) {
  Best best;
  for (long at = 0; at < width; at += 16) best.look(lanes(width - at), logits, at);
  return best.place();
}

int64_t of_allowed(const float* logits, const uint32_t* bits, long width) {
  Best best;
  for (long at = 0; at < width; at += 32) {
    const uint32_t word = bits[at / 32];
    if (word & 0xffff) best.look(lanes(width - at) & static_cast<__mmask16>(word), logits, at);
    if (word >> 16) best.look(lanes(width - at - 16) & static_cast<__mmask16>(word >> 16), logits, at + 16);
  }
  return best.place();
}

}  // namespace

extern "C" {

// Writes to places [rows] the first place of the highest of each of the `count` rows of logits [rows, width], or -1
// where that is not finite or a logit is NaN. With `rows` [count] only for these rows, and each only among the tokens
// that have their bit in its `bits` [count], a word for each 32 tokens, the lowest bit first.
void parfocal_likeliest(const float* logits, const int64_t* rows, const uint32_t* const* bits, long count, long width,
                        int64_t* places) {
  const long grain = std::max(1L, kShared / std::max(1L, width));
  parfocal::share(count, grain, [=](long first, long last) {
    for (long n = first; n < last; ++n) {
      const long row = rows ? rows[n] : n;
      const float* own = logits + row * width;
      places[row] = rows ? of_allowed(own, bits[n], width) : of_all(own, width);
    }
  });
}

}  // extern "C"
