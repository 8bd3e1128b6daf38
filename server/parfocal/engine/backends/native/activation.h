// Gated activations of feed-forward layers (GLU variants, arXiv 2002.05202).

#pragma once

namespace parfocal {

enum class Activation : long { silu = 0, gelu_tanh = 1 };

// out [size] = activation(gate) * up; `out` may be `gate`.
void gated(Activation kind, const float* gate, const float* up, float* out, long size);

}  // namespace parfocal
