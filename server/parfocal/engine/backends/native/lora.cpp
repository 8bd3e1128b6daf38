// y += (x A) B for every row under its own adapter, weights read where they lie. Floats are converted in registers and
// multiplied in float32. Integers, of 14 or 8 bits, meet activations of 13 bits by vpdpwssd, twice as fast; what lies
// between the two matrices is rounded to 13 bits as well.

#include "lora.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "integers.h"
#include "lanes.h"
#include "numbers.h"
#include "threads.h"
#include "unrolled.h"

namespace parfocal {
namespace {

constexpr long kLanes = 16;

// Sums of even and odd inputs apart, however many rows there are: that hides the latency of adding, and a row's answer
// has the same bits whatever else is in the batch.
template <typename Weight, int rows>
void shrink_rows(const Weight* a, const float* x, long stride, long inputs, long rank, float* inner) {
  for (long j = 0; j < rank; j += 16) {
    const __mmask16 mask = lanes(rank - j);
    __m512 sums[rows][2];
    for (int row = 0; row < rows; ++row) sums[row][0] = sums[row][1] = _mm512_setzero_ps();
    const Weight* weights = a + j;
    for (long k = 0; k + 1 < inputs; k += 2)
      for (int odd = 0; odd < 2; ++odd, weights += rank) {
        const __m512 weight = load(weights, mask);
        for (int row = 0; row < rows; ++row)
          sums[row][odd] = _mm512_fmadd_ps(_mm512_set1_ps(x[row * stride + k + odd]), weight, sums[row][odd]);
      }
    if (inputs % 2)
      for (int row = 0; row < rows; ++row)
        sums[row][0] = _mm512_fmadd_ps(_mm512_set1_ps(x[row * stride + inputs - 1]), load(weights, mask), sums[row][0]);
    for (int row = 0; row < rows; ++row)
      _mm512_mask_storeu_ps(inner + row * rank + j, mask, _mm512_add_ps(sums[row][0], sums[row][1]));
  }
}

template <typename Weight, int rows>
void expand_rows(const Weight* b, const float* inner, long outputs, long rank, float* y, long stride) {
  for (long o = 0; o < outputs; o += 16) {
    const __mmask16 mask = lanes(outputs - o);
    __m512 sums[rows];
    for (int row = 0; row < rows; ++row) sums[row] = _mm512_setzero_ps();
    for (long j = 0; j < rank; ++j) {
      const __m512 weight = load(b + j * outputs + o, mask);
      for (int row = 0; row < rows; ++row)
        sums[row] = _mm512_fmadd_ps(_mm512_set1_ps(inner[row * rank + j]), weight, sums[row]);
    }
    for (int row = 0; row < rows; ++row) {
      float* const to = y + row * stride + o;
      _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(sums[row], _mm512_maskz_loadu_ps(mask, to)));
    }
  }
}

// Sixteen columns' pairs of integers.
inline __m512i pairs(const int16_t* from, __mmask16 mask) { return _mm512_maskz_loadu_epi32(mask, from); }

inline __m512i pairs(const int8_t* from, __mmask16 mask) {
  return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi16(mask, from));
}

// Adds the products of `count` pairs of inputs to sums: x [rows] are the first inputs of rows `stride` apart, weights
// the first of pairs `columns` apart.
template <int rows, typename Weight>
PARFOCAL_INLINE inline void multiply_block(const Weight* weights, long columns, __mmask16 mask, const int16_t* x,
                                           long stride, long count, __m512i (&sums)[rows]) {
  constexpr int chains = rows <= 2 ? 4 / rows : 1;  // hide the latency of adding
  __m512i more[rows][chains];
  unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
    unrolled<chains>([&]<int c>() PARFOCAL_INLINE { more[row][c] = _mm512_setzero_si512(); });
  });
  const auto add = [&]<int chain>(long pair) PARFOCAL_INLINE {
    const __m512i own = pairs(weights + 2 * pair * columns, mask);
    unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
      multiply_pairs(more[row][chain], own, broadcast(x + row * stride + 2 * pair));
    });
  };
  long pair = 0;
  for (; pair + chains <= count; pair += chains)
    unrolled<chains>([&]<int c>() PARFOCAL_INLINE { add.template operator()<c>(pair + c); });
  for (; pair < count; ++pair) add.template operator()<0>(pair);
  unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
    sums[row] = more[row][0];
    unrolled<chains - 1>([&]<int c>() PARFOCAL_INLINE { sums[row] = _mm512_add_epi32(sums[row], more[row][c + 1]); });
  });
}

template <typename Weight, int rows>
void shrink_whole(const Weight* a, const float* scale, const Rows& x, long inputs, long rank, float* inner) {
  const long blocks = x.inputs / kBlock, all_pairs = (inputs + 1) / 2;
  for (long j = 0; j < rank; j += 16) {
    const __mmask16 mask = lanes(rank - j);
    __m512 sums[rows];
    unrolled<rows>([&]<int row>() PARFOCAL_INLINE { sums[row] = _mm512_setzero_ps(); });
    for (long block = 0; block < blocks; ++block) {
      const long first = block * kBlock / 2, count = std::min(kBlock / 2L, all_pairs - first);
      __m512i whole[rows];
      multiply_block<rows>(a + 2 * (first * rank + j), rank, mask, x.wide + block * kBlock, x.inputs, count, whole);
      unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
        const __m512 own = _mm512_set1_ps(x.wide_scales[row * blocks + block]);
        sums[row] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[row]), own, sums[row]);
      });
    }
    const __m512 column = _mm512_maskz_loadu_ps(mask, scale + j);
    for (int row = 0; row < rows; ++row)
      _mm512_mask_storeu_ps(inner + row * rank + j, mask, _mm512_mul_ps(sums[row], column));
  }
}

template <typename Weight, int rows>
void expand_whole(const Weight* b, const float* scale, const float* inner, long outputs, long rank, float* y,
                  long stride) {
  static thread_local std::vector<int16_t> integers;
  static thread_local std::vector<float> integers_scales;
  const long blocks = (rank + kBlock - 1) / kBlock, size = blocks * kBlock;
  if (static_cast<long>(integers.size()) < rows * size) {
    integers.resize(rows * size);
    integers_scales.resize(rows * blocks);
  }
  int16_t* const wide = integers.data();
  float* const scales = integers_scales.data();
  for (int row = 0; row < rows; ++row)
    for (long block = 0; block < blocks; ++block) {
      float padded[kBlock] = {};
      std::copy_n(inner + row * rank + block * kBlock, std::min<long>(kBlock, rank - block * kBlock), padded);
      widen(padded, wide + row * size + block * kBlock, scales + row * blocks + block, 1);
    }
  for (long o = 0; o < outputs; o += 16) {
    const __mmask16 mask = lanes(outputs - o);
    __m512 sums[rows];
    unrolled<rows>([&]<int row>() PARFOCAL_INLINE { sums[row] = _mm512_setzero_ps(); });
    for (long block = 0; block < blocks; ++block) {
      const long first = block * kBlock / 2, count = std::min<long>(kBlock, rank - block * kBlock) / 2;
      __m512i whole[rows];
      multiply_block<rows>(b + o * rank + 2 * first * kLanes, kLanes, mask, wide + block * kBlock, size, count, whole);
      unrolled<rows>([&]<int row>() PARFOCAL_INLINE {
        const __m512 own = _mm512_set1_ps(scales[row * blocks + block]);
        sums[row] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[row]), own, sums[row]);
      });
    }
    const __m512 column = _mm512_maskz_loadu_ps(mask, scale + o);
    for (int row = 0; row < rows; ++row) {
      float* const to = y + row * stride + o;
      _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(sums[row], column, _mm512_maskz_loadu_ps(mask, to)));
    }
  }
}

// Calls `use` with the number of rows known to the compiler.
template <typename Use>
void with_rows(long rows, const Use& use) {
  switch (rows) {
    case 1: return use.template operator()<1>();
    case 2: return use.template operator()<2>();
    case 3: return use.template operator()<3>();
    case 4: return use.template operator()<4>();
    case 5: return use.template operator()<5>();
    case 6: return use.template operator()<6>();
    case 7: return use.template operator()<7>();
    default: return use.template operator()<kAdapterRows>();
  }
}

// Calls `use` with the slab's number type, as a null pointer.
template <typename Use>
void with_type(AdapterNumbers numbers, const Use& use) {
  switch (numbers) {
    case AdapterNumbers::float32: return use(static_cast<const float*>(nullptr));
    case AdapterNumbers::bfloat16: return use(static_cast<const Bfloat16*>(nullptr));
    case AdapterNumbers::int16: return use(static_cast<const int16_t*>(nullptr));
    case AdapterNumbers::int8: return use(static_cast<const int8_t*>(nullptr));
  }
}

long evened(long size) { return size + size % 2; }
long filled(long outputs) { return (outputs + kLanes - 1) / kLanes * kLanes; }

}  // namespace

void shrink(const Adapted& module, const AdapterRows& work, const Rows& x, float* inner) {
  const long rank = module.slab->rank, inputs = module.inputs;
  with_type(module.slab->numbers, [&]<typename Weight>(const Weight*) {
    const Weight* const a = static_cast<const Weight*>(module.pair->a);
    with_rows(work.rows, [&]<int rows>() {
      if constexpr (std::is_integral_v<Weight>)
        shrink_whole<Weight, rows>(a + work.slot * evened(inputs) * rank, module.pair->a_scale + work.slot * rank, x,
                                   inputs, rank, inner);
      else
        shrink_rows<Weight, rows>(a + work.slot * inputs * rank, x.floats, x.inputs, inputs, rank, inner);
    });
  });
}

void expand(const Adapted& module, const AdapterRows& work, const float* inner, float* y, long stride) {
  const long rank = module.slab->rank, outputs = module.outputs;
  with_type(module.slab->numbers, [&]<typename Weight>(const Weight*) {
    const Weight* const b = static_cast<const Weight*>(module.pair->b);
    with_rows(work.rows, [&]<int rows>() {
      if constexpr (std::is_integral_v<Weight>)
        expand_whole<Weight, rows>(b + work.slot * rank * filled(outputs), module.pair->b_scale + work.slot * outputs,
                                   inner, outputs, rank, y, stride);
      else
        expand_rows<Weight, rows>(b + work.slot * rank * outputs, inner, outputs, rank, y, stride);
    });
  });
}

}  // namespace parfocal

extern "C" {

// Adds one slab's adapters to y [rows, outputs] in place, from x [rows, padded], of which `inputs` are true and `padded`
// is a multiple of 64. No two works share a row.
void parfocal_lora(const float* x, float* y, const parfocal::Slab* slab, const parfocal::AdapterRows* works, long count,
                   long rows, long inputs, long padded, long outputs) {
  using namespace parfocal;
  const Adapted module{slab, slab->pairs, inputs, outputs};
  const long blocks = padded / kBlock;
  std::vector<int16_t> wide(rows * padded);
  std::vector<float> scales(rows * blocks);
  widen(x, wide.data(), scales.data(), rows * blocks);
  const Rows all{x, wide.data(), scales.data(), nullptr, nullptr, nullptr, padded};
  share(count, 1, [=](long first, long last) {
    static thread_local std::vector<float> inner;
    if (static_cast<long>(inner.size()) < kAdapterRows * slab->rank) inner.resize(kAdapterRows * slab->rank);
    for (long number = first; number < last; ++number) {
      const AdapterRows& work = works[number];
      shrink(module, work, all.from(work.row), inner.data());
      expand(module, work, inner.data(), y + work.row * outputs, outputs);
    }
  });
}

}  // extern "C"
