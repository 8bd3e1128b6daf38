// All decoder layers of one step in one call: between two kernels there is neither Python nor an allocation.
//
// The layers are those of the Llama family, with what its members add: biases, norms of heads, norms after attention
// and feed-forward, two kinds of rotation, sliding windows, soft caps, GELU. Work that needs the same input is one job
// for the threads: the tiles of query, key and value, and the adapters' first half beside them.

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "activation.h"
#include "attention.h"
#include "decoder.h"
#include "linear.h"
#include "lora.h"
#include "norm.h"
#include "profile.h"
#include "rotary.h"
#include "threads.h"

namespace parfocal {

namespace {

constexpr long kRowNumbers = 1 << 14;  // numbers of row-wise work that are worth another thread

// Memory that is kept from step to step, aligned to whole cache lines.
template <typename Number>
class Buffer {
 public:
  Number* of(long count) {
    if (count > size_) {
      memory_.reset(static_cast<Number*>(std::aligned_alloc(64, (count * sizeof(Number) + 63) / 64 * 64)));
      size_ = memory_ ? count : 0;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(Number* memory) const { std::free(memory); }
  };
  std::unique_ptr<Number, Free> memory_;
  long size_ = 0;
};

struct Memory {
  Buffer<float> input, answer, wide, inner, whole_scales, byte_scales;
  Buffer<int16_t> whole;
  Buffer<int8_t> bytes;
  Buffer<int32_t> starts;
};

class Run {
 public:
  Run(const Decoder& decoder, const Step& step, Memory& memory) : d_(decoder), s_(step) {
    const long tokens = step.tokens, wide = qkv_width() > 2 * d_.feed_forward ? qkv_width() : 2 * d_.feed_forward;
    const long inputs = std::max({d_.hidden, d_.heads * d_.dim, d_.feed_forward});
    input_ = memory.input.of(tokens * inputs);
    answer_ = memory.answer.of(tokens * d_.hidden);
    wide_ = memory.wide.of(tokens * wide);
    inner_ = memory.inner.of(3 * tokens * std::max(1L, step.widest_rank));
    if (d_.numbers == Numbers::wide || (step.work_count > 0 && step.whole_adapters)) {
      whole_ = memory.whole.of(tokens * inputs);
      whole_scales_ = memory.whole_scales.of(tokens * inputs / kBlock);
    }
    if (d_.numbers == Numbers::narrow) {
      bytes_ = memory.bytes.of(tokens * inputs);
      byte_scales_ = memory.byte_scales.of(tokens * inputs / kBlock);
      starts_ = memory.starts.of(tokens * inputs / kBlock);
    }
  }

  void all_layers() {
    const float* norm_after = nullptr;
    float* addend = nullptr;
    for (const Layer* layer = d_.layers; layer != d_.layers + d_.count; ++layer) {
      add_and_norm(addend, norm_after, layer->before_attention);
      project(layer->query_key_value, d_.hidden, wide_);
      attention(*layer);
      project(layer->output, d_.heads * d_.dim, answer_);
      add_and_norm(answer_, layer->after_attention, layer->before_feed_forward);
      project(layer->gate_up, d_.hidden, wide_);
      activate();
      project(layer->down, d_.feed_forward, answer_);
      norm_after = layer->after_feed_forward, addend = answer_;
    }
    add_and_norm(addend, norm_after, nullptr);
  }

 private:
  long qkv_width() const { return (d_.heads + 2 * d_.kv_heads) * d_.dim; }

  template <typename Use>
  void each_token(long numbers, const Use& use) const {
    const Timed time(Phase::rows);
    share(s_.tokens, 1 + kRowNumbers / numbers, [&](long first, long last) {
      for (long token = first; token < last; ++token) use(token);
    });
  }

  // x += norm(addend); the next linears' input is norm(x).
  void add_and_norm(float* addend, const float* norm_after, const float* norm_before) {
    const long hidden = d_.hidden;
    each_token(hidden, [=, this](long token) {
      float* const x = s_.x + token * hidden;
      if (addend) {
        float* const own = addend + token * hidden;
        if (norm_after) rms_norm(own, norm_after, own, hidden, d_.epsilon);
        for (long i = 0; i < hidden; ++i) x[i] += own[i];
      }
      if (!norm_before) return;
      rms_norm(x, norm_before, input_ + token * hidden, hidden, d_.epsilon);
      take_in(token, hidden);
    });
  }

  // A row of the input as the linears want it.
  void take_in(long token, long size) const {
    const long blocks = size / kBlock;
    round_blocks(input_ + token * size, {whole_, whole_scales_, bytes_, byte_scales_, starts_}, token * blocks, blocks);
  }

  // y = the group's linears of the input, adapters included.
  void project(const Group& group, long inputs, float* y) const {
    const Rows x{input_, whole_, whole_scales_, bytes_, byte_scales_, starts_, inputs};
    long tiles = 0;
    for (long i = 0; i < group.count; ++i) tiles += group.parts[i].linear.tiles();
    const long at_once = rows_at_once(inputs), products = tiles * ((s_.tokens + at_once - 1) / at_once);
    const long shrinks = s_.work_count * group.count;
    {
      const Shared time;
      share(shrinks + products, 1, [&](long first, long last) {
        for (long item = first; item < last; ++item)
          time.piece(item < shrinks, [&] {
            if (item < shrinks) return first_half(group, item, x);
            const long product = item - shrinks;
            multiply(group, product % tiles, x, product / tiles * at_once, at_once, y);
          });
      });
    }
    if (shrinks == 0) return;
    const Timed time(Phase::adapters);
    share(shrinks, 1, [&](long first, long last) {
      for (long item = first; item < last; ++item) second_half(group, item, inputs, y);
    });
  }

  void multiply(const Group& group, long tile, const Rows& x, long row, long most, float* y) const {
    const Part* part = group.parts;
    for (; tile >= part->linear.tiles(); ++part) tile -= part->linear.tiles();
    multiply_tile(part->linear, tile, x.from(row), std::min(most, s_.tokens - row),
                  y + row * group.width + part->offset + tile * kTile, group.width);
  }

  // The adapter's work `item / count` on the group's linear `item % count`.
  Adapted adapted(const Group& group, long item, long inputs) const {
    const Slab* slab = s_.slabs + s_.works[item / group.count].slab;
    const long part = item % group.count;
    return {slab, slab->pairs + group.module + part, inputs, group.parts[part].linear.outputs};
  }

  float* inner(long part, long row) const { return inner_ + (part * s_.tokens + row) * s_.widest_rank; }

  void first_half(const Group& group, long item, const Rows& x) const {
    const AdapterRows& work = s_.works[item / group.count];
    const Adapted module = adapted(group, item, x.inputs);
    if (module.pair->a) shrink(module, work, x.from(work.row), inner(item % group.count, work.row));
  }

  void second_half(const Group& group, long item, long inputs, float* y) const {
    const AdapterRows& work = s_.works[item / group.count];
    const Adapted module = adapted(group, item, inputs);
    const long part = item % group.count;
    if (module.pair->a)
      expand(module, work, inner(part, work.row), y + work.row * group.width + group.parts[part].offset, group.width);
  }

  // From query, key and value in `wide_` to the heads' answers as the next input.
  void attention(const Layer& layer) const {
    const long width = qkv_width(), queries = d_.heads * d_.dim;
    const Attention a{wide_,     layer.keys,  layer.values, s_.tables,       s_.token_rows, s_.lengths,
                      input_,    s_.tokens,   d_.heads,     d_.kv_heads,     d_.dim,        d_.block_tokens,
                      s_.most_blocks, width,  d_.dim,       layer.window,    d_.scale,      d_.softcap,
                      d_.half != 0};
    each_token(width, [&](long token) {
      float* const query = wide_ + token * width;
      place_heads(layer, token, query, d_.heads, layer.query_norm);
      place_heads(layer, token, query + queries, d_.kv_heads, layer.key_norm);
      store_token(a, query + queries, query + queries + d_.kv_heads * d_.dim, d_.dim, s_.places[token]);
    });
    {
      const Timed time(Phase::attention);
      attend(a);
    }
    if (whole_ || bytes_) each_token(queries, [&](long token) { take_in(token, queries); });
  }

  void place_heads(const Layer& layer, long token, float* heads, long count, const float* norm) const {
    const float* const cos = s_.cos[layer.rotation] + token * d_.rotary;
    const float* const sin = s_.sin[layer.rotation] + token * d_.rotary;
    for (float* head = heads; head != heads + count * d_.dim; head += d_.dim) {
      if (norm) rms_norm(head, norm, head, d_.dim, d_.epsilon);
      rotate(head, cos, sin, d_.rotary);
    }
  }

  void activate() const {
    const long size = d_.feed_forward;
    each_token(2 * size, [=, this](long token) {
      const float* const gate = wide_ + token * 2 * size;
      gated(d_.activation, gate, gate + size, input_ + token * size, size);
      take_in(token, size);
    });
  }

  const Decoder& d_;
  const Step& s_;
  float* input_;
  float* answer_;
  float* wide_;
  float* inner_;
  int16_t* whole_ = nullptr;
  float* whole_scales_ = nullptr;
  int8_t* bytes_ = nullptr;
  float* byte_scales_ = nullptr;
  int32_t* starts_ = nullptr;
};

}  // namespace
}  // namespace parfocal

extern "C" {

// Runs a step through all layers, in place of `step->x`.
void parfocal_decode(const parfocal::Decoder* decoder, const parfocal::Step* step) {
  static thread_local parfocal::Memory memory;
  parfocal::Run(*decoder, *step, memory).all_layers();
}

// Whether heads of this size can be attended.
int parfocal_can_attend(long dim) { return parfocal::can_attend(dim); }

}  // extern "C"
