// How the structures that Python mirrors by hand lie in memory, so that a twin that has drifted is noticed before it is
// read.

#include <cstddef>
#include <initializer_list>
#include <string>

#include "attention.h"
#include "decoder.h"
#include "linear.h"
#include "lora.h"

namespace parfocal {
namespace {

struct Field {
  const char* name;
  std::size_t offset, size;
};

std::string line(const char* name, std::size_t size, std::initializer_list<Field> fields) {
  std::string text = std::string(name) + ' ' + std::to_string(size);
  for (const Field& field : fields) {
    text += std::string(" ") + field.name + ' ' + std::to_string(field.offset) + ' ' + std::to_string(field.size);
  }
  return text + '\n';
}

#define AT(Struct, field) {#field, offsetof(Struct, field), sizeof(Struct::field)}

std::string layouts() {
  return line("Linear", sizeof(Linear),
              {AT(Linear, codes), AT(Linear, scales), AT(Linear, table), AT(Linear, bias), AT(Linear, inputs),
               AT(Linear, outputs), AT(Linear, numbers)}) +
         line("Pair", sizeof(Pair), {AT(Pair, a), AT(Pair, b), AT(Pair, a_scale), AT(Pair, b_scale)}) +
         line("Slab", sizeof(Slab), {AT(Slab, pairs), AT(Slab, rank), AT(Slab, numbers)}) +
         line("AdapterRows", sizeof(AdapterRows),
              {AT(AdapterRows, slab), AT(AdapterRows, slot), AT(AdapterRows, row), AT(AdapterRows, rows)}) +
         line("Attention", sizeof(Attention),
              {AT(Attention, query), AT(Attention, keys), AT(Attention, values), AT(Attention, tables),
               AT(Attention, token_rows), AT(Attention, lengths), AT(Attention, out), AT(Attention, tokens),
               AT(Attention, heads), AT(Attention, kv_heads), AT(Attention, dim), AT(Attention, block_tokens),
               AT(Attention, most_blocks), AT(Attention, query_token), AT(Attention, query_head),
               AT(Attention, window), AT(Attention, scale), AT(Attention, softcap), AT(Attention, half)}) +
         line("Part", sizeof(Part), {AT(Part, linear), AT(Part, offset)}) +
         line("Group", sizeof(Group), {AT(Group, parts), AT(Group, count), AT(Group, width), AT(Group, module)}) +
         line("Layer", sizeof(Layer),
              {AT(Layer, query_key_value), AT(Layer, output), AT(Layer, gate_up), AT(Layer, down),
               AT(Layer, before_attention), AT(Layer, after_attention), AT(Layer, before_feed_forward),
               AT(Layer, after_feed_forward), AT(Layer, query_norm), AT(Layer, key_norm), AT(Layer, keys),
               AT(Layer, values), AT(Layer, window), AT(Layer, rotation)}) +
         line("Decoder", sizeof(Decoder),
              {AT(Decoder, layers), AT(Decoder, count), AT(Decoder, hidden), AT(Decoder, heads),
               AT(Decoder, kv_heads), AT(Decoder, dim), AT(Decoder, rotary), AT(Decoder, feed_forward),
               AT(Decoder, block_tokens), AT(Decoder, activation), AT(Decoder, epsilon), AT(Decoder, scale),
               AT(Decoder, softcap), AT(Decoder, numbers), AT(Decoder, half)}) +
         line("Step", sizeof(Step),
              {AT(Step, x), AT(Step, cos), AT(Step, sin), AT(Step, tables), AT(Step, token_rows), AT(Step, lengths),
               AT(Step, places), AT(Step, slabs), AT(Step, works), AT(Step, tokens), AT(Step, most_blocks),
               AT(Step, work_count), AT(Step, widest_rank), AT(Step, whole_adapters)});
}

#undef AT

}  // namespace
}  // namespace parfocal

extern "C" {

// A line for each structure: its name, its size, then each field's name, offset and size.
const char* parfocal_layouts() {
  static const std::string text = parfocal::layouts();
  return text.c_str();
}

}  // extern "C"
