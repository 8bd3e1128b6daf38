// A base's decoder layers and one step through them, as Python describes both.

#pragma once

#include <cstdint>

#include "activation.h"
#include "linear.h"
#include "lora.h"

namespace parfocal {

// A linear whose answers lie from `offset` on in its group's rows. Twins of all of these are in structs.py, and
// layout.cpp tells their layouts.
struct Part {
  Linear linear;
  long offset;
};

// Linears that share their input. `width` is the length of a row of their answers, `module` the first one's number in
// the slabs' tables.
struct Group {
  const Part* parts;
  long count, width, module;
};

struct Layer {
  Group query_key_value, output, gate_up, down;
  const float* before_attention;  // norms' weights
  const float* after_attention;   // or null
  const float* before_feed_forward;
  const float* after_feed_forward;  // or null
  const float* query_norm;          // or null
  const float* key_norm;            // or null
  void* keys;
  void* values;
  long window;    // 0 for none
  long rotation;  // which of the step's rotations
};

struct Decoder {
  const Layer* layers;
  long count, hidden, heads, kv_heads, dim, rotary, feed_forward, block_tokens;
  Activation activation;
  float epsilon, scale, softcap;
  Numbers numbers;  // of all linears
  int half;         // a cache of 16-bit floats
};

// One step. `x` [tokens, hidden] holds the embeddings, and the last layer's answer afterwards.
struct Step {
  float* x;
  const float* cos[2];  // [tokens, rotary] for each rotation
  const float* sin[2];
  const int64_t* tables;
  const int64_t* token_rows;
  const int64_t* lengths;
  const int64_t* places;  // [tokens]: where keys and values go
  const Slab* slabs;
  const AdapterRows* works;
  long tokens, most_blocks, work_count, widest_rank;
  long whole_adapters;  // whether the adapters' numbers are integers
};

}  // namespace parfocal
