// Attention of tokens over their own contexts in the paged KV cache.

#pragma once

#include <cstdint>

namespace parfocal {

// One layer's attention for all tokens of a step. `keys` and `values` are one layer's cache, of `half` precision or
// float32: values [blocks, block_tokens, kv_heads, dim], keys [blocks, kv_heads, dim, block_tokens], so that sixteen
// tokens are scored at once.
struct Attention {
  const float* query;         // [tokens, heads, dim], by strides
  void* keys;
  void* values;
  const int64_t* tables;      // [rows, most_blocks]
  const int64_t* token_rows;  // [tokens]: the row whose table a token uses
  const int64_t* lengths;     // [tokens]: how many tokens of its context it sees
  float* out;                 // [tokens, heads, dim]
  long tokens, heads, kv_heads, dim, block_tokens, most_blocks, query_token, query_head, window;
  float scale, softcap;       // window and softcap are 0 for none
  bool half;
};

// Whether there is a kernel for heads of this size.
bool can_attend(long dim);

// Shares the work among the threads.
void attend(const Attention& a);

// Stores the keys and values [kv_heads, dim] of one token, heads `stride` floats apart, at `place` of the cache.
void store_token(const Attention& a, const float* key, const float* value, long stride, int64_t place);

}  // namespace parfocal
