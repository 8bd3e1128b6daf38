// Rotary position embeddings of one head.

#pragma once

namespace parfocal {

// Rotates the first `size` numbers of a head in place; cos and sin are [size].
void rotate(float* head, const float* cos, const float* sin, long size);

}  // namespace parfocal
