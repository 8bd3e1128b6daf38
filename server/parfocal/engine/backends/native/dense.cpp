// y = x Wᵀ + bias in float32. Each answer is one sum in sixteen lanes, in the order of its inputs, however many rows
// there are: that is what a library's product, which is cut by its sizes, does not promise.

#include <algorithm>

#include "by_rows.h"
#include "lanes.h"
#include "threads.h"

namespace parfocal {
namespace {

constexpr long kOutputs = 3;   // with eight rows, their sums fill the registers
constexpr long kShared = 48;   // outputs whose weights stay in the second-level cache while rows after rows meet them

struct Dense {
  const float* weight;  // [outputs, inputs]
  const float* bias;    // [outputs] or null
  long inputs, outputs;
};

// Some rows by at most kOutputs outputs from `first` on.
template <int rows>
void dot_rows(const Dense& dense, long first, long count, const float* x, float* y) {
  const float* weights[kOutputs];
  // An output that does not exist is computed as the last one, and not stored.
  for (long o = 0; o < kOutputs; ++o) weights[o] = dense.weight + (first + std::min(o, count - 1)) * dense.inputs;
  __m512 sums[rows][kOutputs];
  for (int row = 0; row < rows; ++row)
    for (long o = 0; o < kOutputs; ++o) sums[row][o] = _mm512_setzero_ps();
  for (long k = 0; k < dense.inputs; k += 16) {
    const __mmask16 mask = lanes(dense.inputs - k);
    __m512 own[kOutputs];
    for (long o = 0; o < kOutputs; ++o) own[o] = _mm512_maskz_loadu_ps(mask, weights[o] + k);
    for (int row = 0; row < rows; ++row) {
      const __m512 input = _mm512_maskz_loadu_ps(mask, x + row * dense.inputs + k);
      for (long o = 0; o < kOutputs; ++o) sums[row][o] = _mm512_fmadd_ps(input, own[o], sums[row][o]);
    }
  }
  for (int row = 0; row < rows; ++row)
    for (long o = 0; o < count; ++o)
      y[row * dense.outputs + first + o] =
          _mm512_reduce_add_ps(sums[row][o]) + (dense.bias ? dense.bias[first + o] : 0.f);
}

}  // namespace
}  // namespace parfocal

extern "C" {

// Computes y [rows, outputs] = x [rows, inputs] · weight [outputs, inputs] + bias [outputs] or null.
void parfocal_dense(const float* weight, const float* bias, const float* x, float* y, long rows, long inputs,
                    long outputs) {
  using namespace parfocal;
  const Dense dense{weight, bias, inputs, outputs};
  share((outputs + kShared - 1) / kShared, 1, [=](long begin, long end) {
    for (long part = begin; part < end; ++part) {
      const long last = std::min(outputs, (part + 1) * kShared);
      by_rows(rows, [&]<int some>(long row) {
        for (long first = part * kShared; first < last; first += kOutputs)
          dot_rows<some>(dense, first, std::min(kOutputs, last - first), x + row * inputs, y + row * outputs);
      });
    }
  });
}

}  // extern "C"
