// Attention of each token over its own context in the paged KV cache, read where it lies (PagedAttention, arXiv
// 2309.06180): grouped queries, sliding windows, soft-capped scores. A decoding row and a token of a prompt's chunk are
// the same thing here.

#include "attention.h"

#include <cmath>
#include <limits>
#include <vector>

#include "lanes.h"
#include "numbers.h"
#include "threads.h"

namespace parfocal {
namespace {

constexpr long kLargestDim = 256;

// A token's context, in pieces of at most sixteen tokens of one block.
struct Context {
  const int64_t* table;
  long block_tokens, first, length;

  // Calls `use(block, place in the block, position, tokens)` for each piece, in order.
  template <typename Use>
  void each_piece(const Use& use) const {
    for (long at = first; at < length;) {
      const long place = at % block_tokens;
      const long tokens = std::min({block_tokens - place, length - at, 16L});
      use(table[at / block_tokens], place, at, tokens);
      at += tokens;
    }
  }
};

// Turns scores into weights in place and returns their sum.
float weigh(float* scores, long count, float softcap) {
  __m512 most = _mm512_set1_ps(-std::numeric_limits<float>::infinity()), fault = _mm512_setzero_ps();
  for (long i = 0; i < count; i += 16) {
    const __mmask16 mask = lanes(count - i);
    __m512 s = _mm512_maskz_loadu_ps(mask, scores + i);
    if (softcap > 0.f) {
      const __m512 cap = _mm512_set1_ps(softcap);
      s = _mm512_mul_ps(hyperbolic_tangent(_mm512_div_ps(s, cap)), cap);
      _mm512_mask_storeu_ps(scores + i, mask, s);
    }
    most = _mm512_mask_max_ps(most, mask, most, s);
    fault = _mm512_mask_add_ps(fault, mask, fault, _mm512_mul_ps(s, _mm512_setzero_ps()));
  }
  const __m512 highest = _mm512_set1_ps(_mm512_reduce_max_ps(most));
  __m512 sum = fault;  // maximum forgets a NaN; the sum must not
  for (long i = 0; i < count; i += 16) {
    const __mmask16 mask = lanes(count - i);
    const __m512 e = exponential(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, scores + i), highest));
    _mm512_mask_storeu_ps(scores + i, mask, e);
    sum = _mm512_mask_add_ps(sum, mask, sum, e);
  }
  return _mm512_reduce_add_ps(sum);
}

// The attention of `group` query heads from `head` on, which share one key head, for one token.
template <typename Number, int parts, int group>
struct Heads {
  static constexpr long dim = 16 * parts;
  const Attention& a;
  Context context;
  long token, head, kv_head;
  float* scores;  // [group][count]
  long count;

  void attend() const {
    score();
    float sums[group];
    for (int g = 0; g < group; ++g) sums[g] = weigh(scores + g * count, count, a.softcap);
    gather(sums);
  }

  // Sixteen keys lie side by side for each dimension, so a piece is scored without adding up across lanes.
  void score() const {
    alignas(64) float query[group][dim];
    for (int g = 0; g < group; ++g)
      for (long i = 0; i < dim; i += 16)
        _mm512_store_ps(query[g] + i, _mm512_mul_ps(_mm512_set1_ps(a.scale),
                                                    _mm512_loadu_ps(a.query + token * a.query_token +
                                                                    (head + g) * a.query_head + i)));
    context.each_piece([&](long block, long place, long at, long tokens) {
      const Number* keys = static_cast<const Number*>(a.keys) +
                           (block * a.kv_heads + kv_head) * dim * a.block_tokens + place;
      const __mmask16 mask = lanes(tokens);
      __m512 sums[group][2];
      for (int g = 0; g < group; ++g) sums[g][0] = sums[g][1] = _mm512_setzero_ps();
      for (long d = 0; d < dim; d += 2)
        for (int odd = 0; odd < 2; ++odd, keys += a.block_tokens) {
          const __m512 key = load(keys, mask);
          for (int g = 0; g < group; ++g)
            sums[g][odd] = _mm512_fmadd_ps(_mm512_set1_ps(query[g][d + odd]), key, sums[g][odd]);
        }
      for (int g = 0; g < group; ++g)
        _mm512_mask_storeu_ps(scores + g * count + at - context.first, mask, _mm512_add_ps(sums[g][0], sums[g][1]));
    });
  }

  void gather(const float* sums) const {
    __m512 part[group][parts];
    for (int g = 0; g < group; ++g)
      for (int i = 0; i < parts; ++i) part[g][i] = _mm512_setzero_ps();
    context.each_piece([&](long block, long place, long at, long tokens) {
      const Number* value = static_cast<const Number*>(a.values) +
                            ((block * a.block_tokens + place) * a.kv_heads + kv_head) * dim;
      for (long t = at; t < at + tokens; ++t, value += a.kv_heads * dim)
        for (int i = 0; i < parts; ++i) {
          const __m512 own = load(value + 16 * i, 0xffff);
          for (int g = 0; g < group; ++g)
            part[g][i] = _mm512_fmadd_ps(_mm512_set1_ps(scores[g * count + t - context.first]), own, part[g][i]);
        }
    });
    for (int g = 0; g < group; ++g)
      for (int i = 0; i < parts; ++i)
        _mm512_storeu_ps(a.out + (token * a.heads + head + g) * dim + 16 * i,
                         _mm512_div_ps(part[g][i], _mm512_set1_ps(sums[g])));
  }
};

template <typename Number, int parts, int group>
void attend_group(const Attention& a, long token, long head, std::vector<float>& scores) {
  const long length = a.lengths[token], first = a.window > 0 ? std::max(0L, length - a.window) : 0;
  const Context context{a.tables + a.token_rows[token] * a.most_blocks, a.block_tokens, first, length};
  const long count = length - first;
  if (static_cast<long>(scores.size()) < count * group) scores.resize(count * group);
  Heads<Number, parts, group>{a, context, token, head, head / (a.heads / a.kv_heads), scores.data(), count}.attend();
}

template <typename Number, int parts>
void attend_all(const Attention& a) {
  // As many query heads at once as leave registers for their sums.
  constexpr int most = parts <= 4 ? 4 : parts <= 8 ? 2 : 1;
  const long group = a.heads / a.kv_heads;
  const long together = group % most == 0 ? most : group % 3 == 0 && most == 4 ? 3 : group % 2 == 0 && most > 1 ? 2 : 1;
  const long works = a.tokens * (a.heads / together);
  share(works, 4, [&a, together](long first, long last) {
    static thread_local std::vector<float> scores;
    for (long work = first; work < last; ++work) {
      const long token = work / (a.heads / together), head = work % (a.heads / together) * together;
      if (together == 1) attend_group<Number, parts, 1>(a, token, head, scores);
      if constexpr (most >= 2)
        if (together == 2) attend_group<Number, parts, 2>(a, token, head, scores);
      if constexpr (most >= 4) {
        if (together == 3) attend_group<Number, parts, 3>(a, token, head, scores);
        if (together == 4) attend_group<Number, parts, 4>(a, token, head, scores);
      }
    }
  });
}

template <typename Number>
void attend_in(const Attention& a) {
  switch (a.dim) {
    case 16: return attend_all<Number, 1>(a);
    case 32: return attend_all<Number, 2>(a);
    case 64: return attend_all<Number, 4>(a);
    case 80: return attend_all<Number, 5>(a);
    case 96: return attend_all<Number, 6>(a);
    case 128: return attend_all<Number, 8>(a);
    case 256: return attend_all<Number, 16>(a);
  }
}

template <typename Number>
void store_in(const Attention& a, const float* key, const float* value, long stride, int64_t place) {
  const long block = place / a.block_tokens, within = place % a.block_tokens;
  Number* keys = static_cast<Number*>(a.keys) + block * a.kv_heads * a.dim * a.block_tokens + within;
  Number* values = static_cast<Number*>(a.values) + place * a.kv_heads * a.dim;
  for (long head = 0; head < a.kv_heads; ++head, key += stride, value += stride, values += a.dim) {
    Number own[kLargestDim];
    for (long d = 0; d < a.dim; d += 16) {
      store(own + d, 0xffff, _mm512_loadu_ps(key + d));
      store(values + d, 0xffff, _mm512_loadu_ps(value + d));
    }
    for (long d = 0; d < a.dim; ++d, keys += a.block_tokens) *keys = own[d];
  }
}

}  // namespace

bool can_attend(long dim) {
  for (const long known : {16, 32, 64, 80, 96, 128, 256})
    if (dim == known) return true;
  return false;
}

void attend(const Attention& a) { a.half ? attend_in<Half>(a) : attend_in<float>(a); }

void store_token(const Attention& a, const float* key, const float* value, long stride, int64_t place) {
  a.half ? store_in<Half>(a, key, value, stride, place) : store_in<float>(a, key, value, stride, place);
}

}  // namespace parfocal

extern "C" {

// Stores keys and values [tokens, kv_heads, dim] (by strides) at `places` [tokens] of one layer's cache, then attends
// all tokens. Returns 0, or 1 if there is no kernel for this head size.
int parfocal_attend(const parfocal::Attention* a, const float* key, const float* value, const int64_t* places,
                    long token_stride, long head_stride) {
  if (!parfocal::can_attend(a->dim)) return 1;
  for (long token = 0; token < a->tokens; ++token)
    parfocal::store_token(*a, key + token * token_stride, value + token * token_stride, head_stride, places[token]);
  parfocal::attend(*a);
  return 0;
}

}  // extern "C"
