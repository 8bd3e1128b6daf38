// What kernels ask of a warp and of its multiprocessor, in PTX where CUDA C++ has no word for it. A CPU has a twin of
// this file, which the tests compile kernels with. NVRTC brings no headers, so nothing is included.

#pragma once

namespace parfocal {

using Word = unsigned int;

struct alignas(8) TwoWords {
  Word words[2];
};

struct alignas(16) FourWords {
  Word words[4];
};

// The two types of 16 bits, of which a word holds two.
struct Float16 {};
struct Bfloat16 {};

// All shared memory is dynamic; a place in it is a number of bytes from its beginning.
extern __shared__ __align__(128) unsigned char shared[];

template <class T>
__device__ __forceinline__ T load(int place) {
  return *reinterpret_cast<const T*>(shared + place);
}

template <class T>
__device__ __forceinline__ void store(int place, T value) {
  *reinterpret_cast<T*>(shared + place) = value;
}

// The thread's number in its program and the program's along an axis of the grid. Where registers are scarce they are
// read anew each time, so that what follows from them takes none until it is needed.
template <bool kAnew>
__device__ __forceinline__ int this_thread() {
  if (!kAnew) return threadIdx.x;
  int number;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(number));
  __builtin_assume(number >= 0 && number < 1024);
  return number;
}

template <int kAxis, bool kAnew>
__device__ __forceinline__ int this_program() {
  if (!kAnew) return kAxis == 0 ? blockIdx.x : kAxis == 1 ? blockIdx.y : blockIdx.z;
  int number;
  if (kAxis == 0) asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(number));
  if (kAxis == 1) asm volatile("mov.u32 %0, %%ctaid.y;" : "=r"(number));
  if (kAxis == 2) asm volatile("mov.u32 %0, %%ctaid.z;" : "=r"(number));
  return number;
}

// Global memory.
template <class T>
__device__ __forceinline__ T read(const void* from) {
  return *static_cast<const T*>(from);
}

__device__ __forceinline__ void write(float* to, float value) { *to = value; }

// Copies 16 bytes from global memory beside what follows; both places are aligned.
__device__ __forceinline__ void copy16(int place, const void* from) {
  const Word target = static_cast<Word>(__cvta_generic_to_shared(shared + place));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(from) : "memory");
}

// The same with 4 bytes.
__device__ __forceinline__ void copy4(int place, const void* from) {
  const Word target = static_cast<Word>(__cvta_generic_to_shared(shared + place));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(target), "l"(from) : "memory");
}

// Makes one group of this thread's copies since the last one.
__device__ __forceinline__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for this thread's groups, but for the last `kPending`.
template <int kPending>
__device__ __forceinline__ void await_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Waits for all threads of the program.
__device__ __forceinline__ void meet() { __syncthreads(); }

// Keeps loads that follow from being made earlier, where they would hold registers that there are not.
__device__ __forceinline__ void hold_loads() { __syncwarp(); }

// The lower halves of two words as one, and the upper ones: `low`'s below.
__device__ __forceinline__ Word lower_halves(Word low, Word high) { return __byte_perm(low, high, 0x5410); }

__device__ __forceinline__ Word upper_halves(Word low, Word high) { return __byte_perm(low, high, 0x7632); }

// sums [16, 8] += left [16, 16] x right [16, 8], by the tensor cores of the warp, as mma.sync.m16n8k16 has them: lane
// 4 g + t has rows g and g + 8 of the sums, columns 2 t and 2 t + 1; of left those rows, inputs 2 t, 2 t + 1 and 8
// more; of right column g and the same inputs.
template <class Number>
__device__ void multiply(float (&sums)[4], const Word (&left)[4], Word right0, Word right1);

template <>
__device__ __forceinline__ void multiply<Bfloat16>(float (&sums)[4], const Word (&left)[4], Word right0, Word right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

template <>
__device__ __forceinline__ void multiply<Float16>(float (&sums)[4], const Word (&left)[4], Word right0, Word right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// Waits until the kernel before this one on its stream has ended and all it wrote can be read. From Hopper on, a kernel
// that was launched so begins earlier.
__device__ __forceinline__ void await_last_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel on the stream begin as soon as there is room for it.
__device__ __forceinline__ void admit_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace parfocal
