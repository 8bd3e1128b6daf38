// Root-mean-square normalisation of one row.

#pragma once

namespace parfocal {

// out [size] = x / sqrt(mean(x²) + epsilon) * weight; `out` may be `x`.
void rms_norm(const float* x, const float* weight, float* out, long size, float epsilon);

}  // namespace parfocal
