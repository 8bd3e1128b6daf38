// Attention of each token over its own context in the paged KV cache, read where it lies (PagedAttention, arXiv
// 2309.06180): grouped queries, sliding windows, soft-capped scores. A decoding row and a token of a prompt's chunk are
// the same thing here.

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace {

using parfocal::exponential;
using parfocal::hyperbolic_tangent;
using parfocal::lanes;

struct Attention {
  const float* q;             // [tokens, heads, dim], by strides
  const float* keys;          // [blocks, block_tokens, kv_heads, dim]
  const float* values;        // as keys
  const int64_t* tables;      // [rows, most blocks]
  const int64_t* token_rows;  // [tokens]: the row whose table a token uses
  const int64_t* lengths;     // [tokens]: how many tokens of its context it sees
  float* out;                 // [tokens, heads, dim]
  long tokens, heads, kv_heads, block_tokens, most_blocks, q_token, q_head, window;
  float scale, softcap;       // window and softcap are 0 for none
};

// Calls `use(t, row)` for the context's tokens `first` to `length` of one key head, in order.
template <typename Use>
void each_row(const float* store, const Attention& a, const int64_t* table, long head, long dim, long first,
              long length, Use use) {
  const long stride = a.kv_heads * dim;
  for (long t = first; t < length;) {
    const long until = std::min(length, (t / a.block_tokens + 1) * a.block_tokens);
    const float* row = store + (table[t / a.block_tokens] * a.block_tokens + t % a.block_tokens) * stride + head * dim;
    for (; t < until; ++t, row += stride) use(t, row);
  }
}

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

// Attends `group` query heads from `head` on, which share one key head, for one token. dim is 16 * parts.
template <int parts, int group>
void attend(const Attention& a, long token, long head, std::vector<float>& scores) {
  const long dim = 16 * parts, length = a.lengths[token];
  const long first = a.window > 0 ? std::max(0L, length - a.window) : 0, count = length - first;
  const int64_t* table = a.tables + a.token_rows[token] * a.most_blocks;
  const long kv_head = head / (a.heads / a.kv_heads);
  if (static_cast<long>(scores.size()) < count * group) scores.resize(count * group);
  __m512 part[group][parts];
  for (int g = 0; g < group; ++g)
    for (int i = 0; i < parts; ++i)
      part[g][i] = _mm512_mul_ps(_mm512_set1_ps(a.scale),
                                 _mm512_loadu_ps(a.q + token * a.q_token + (head + g) * a.q_head + 16 * i));
  each_row(a.keys, a, table, kv_head, dim, first, length, [&](long t, const float* key) {
    for (int g = 0; g < group; ++g) {
      __m512 dot = _mm512_mul_ps(part[g][0], _mm512_loadu_ps(key));
      for (int i = 1; i < parts; ++i) dot = _mm512_fmadd_ps(part[g][i], _mm512_loadu_ps(key + 16 * i), dot);
      scores[g * count + t - first] = _mm512_reduce_add_ps(dot);
    }
  });
  float sums[group];
  for (int g = 0; g < group; ++g) {
    sums[g] = weigh(scores.data() + g * count, count, a.softcap);
    for (int i = 0; i < parts; ++i) part[g][i] = _mm512_setzero_ps();
  }
  each_row(a.values, a, table, kv_head, dim, first, length, [&](long t, const float* value) {
    for (int g = 0; g < group; ++g) {
      const __m512 weight = _mm512_set1_ps(scores[g * count + t - first]);
      for (int i = 0; i < parts; ++i) part[g][i] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(value + 16 * i), part[g][i]);
    }
  });
  for (int g = 0; g < group; ++g)
    for (int i = 0; i < parts; ++i)
      _mm512_storeu_ps(a.out + (token * a.heads + head + g) * dim + 16 * i,
                       _mm512_div_ps(part[g][i], _mm512_set1_ps(sums[g])));
}

template <int parts>
void attend_all(const Attention& a) {
  // As many query heads at once as leave registers for their sums.
  constexpr int most = parts <= 4 ? 4 : parts <= 8 ? 2 : 1;
  const long group = a.heads / a.kv_heads;
  const long together = group % most == 0 ? most : group % 3 == 0 && most == 4 ? 3 : group % 2 == 0 && most > 1 ? 2 : 1;
  const long works = a.tokens * (a.heads / together);
  parfocal::share(works, 4, [&a, together](long first, long last) {
    static thread_local std::vector<float> scores;
    for (long work = first; work < last; ++work) {
      const long token = work / (a.heads / together), head = work % (a.heads / together) * together;
      if (together == 1) attend<parts, 1>(a, token, head, scores);
      if constexpr (most >= 2)
        if (together == 2) attend<parts, 2>(a, token, head, scores);
      if constexpr (most >= 4) {
        if (together == 3) attend<parts, 3>(a, token, head, scores);
        if (together == 4) attend<parts, 4>(a, token, head, scores);
      }
    }
  });
}

}  // namespace

extern "C" {

// Stores keys and values [tokens, kv_heads, dim] (by strides) at `places` [tokens] of one layer's cache.
void parfocal_store(const float* key, const float* value, float* keys, float* values, const int64_t* places,
                    long tokens, long kv_heads, long dim, long token_stride, long head_stride) {
  for (long token = 0; token < tokens; ++token)
    for (long head = 0; head < kv_heads; ++head) {
      const long from = token * token_stride + head * head_stride, to = (places[token] * kv_heads + head) * dim;
      std::copy_n(key + from, dim, keys + to);
      std::copy_n(value + from, dim, values + to);
    }
}

// Attends all tokens of a step in one layer. Returns 0, or 1 if there is no kernel for this head size.
int parfocal_attend(const float* q, const float* keys, const float* values, const int64_t* tables,
                    const int64_t* token_rows, const int64_t* lengths, float* out, long tokens, long heads,
                    long kv_heads, long dim, long block_tokens, long most_blocks, long q_token, long q_head,
                    long window, float scale, float softcap) {
  const Attention a{q,     keys,  values,   tables,       token_rows,  lengths, out,    tokens, heads,
                    kv_heads, block_tokens, most_blocks, q_token, q_head, window, scale,  softcap};
  switch (dim) {
    case 16: return attend_all<1>(a), 0;
    case 32: return attend_all<2>(a), 0;
    case 64: return attend_all<4>(a), 0;
    case 80: return attend_all<5>(a), 0;
    case 96: return attend_all<6>(a), 0;
    case 128: return attend_all<8>(a), 0;
    case 256: return attend_all<16>(a), 0;
    default: return 1;
  }
}

}  // extern "C"
