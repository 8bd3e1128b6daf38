// The product for the type NUMBER and each size of a tile of rows; STAGES_8 and its like say how deep the ring is.

#include <product.cuh>

using parfocal::Given;

template <int kRows, int kStages>
__device__ __forceinline__ void run(const Given& given) {
  parfocal::Program<parfocal::NUMBER, kRows, kStages>(given).run();
}

extern "C" {

__global__ void __launch_bounds__(parfocal::kThreads, 2) product_8(const Given given) { run<8, STAGES_8>(given); }
__global__ void __launch_bounds__(parfocal::kThreads, 2) product_16(const Given given) { run<16, STAGES_16>(given); }
__global__ void __launch_bounds__(parfocal::kThreads, 2) product_32(const Given given) { run<32, STAGES_32>(given); }
__global__ void __launch_bounds__(parfocal::kThreads, 2) product_64(const Given given) { run<64, STAGES_64>(given); }

}
