// How a product is cut, and where its parts lie in shared memory.
//
// A program computes 128 outputs of up to 64 rows over a part of the inputs, 128 inputs at a time: that is a stage of
// the ring. Of its 8 warps each has 32 outputs and one of the stage's two blocks of 64 inputs.
//
// A block's 32 bytes, as `Blocked` has them, are already in the order of the tensor cores' fragments: byte j holds
// inputs j and 32 + j, a fragment's word holds two inputs of an output, and which inputs stand beside each other in a
// product is ours to choose as long as both sides choose alike. So lane 4 g + t takes bytes 8 t to 8 t + 7 of outputs g
// and g + 8: two reads of 8 bytes without conflicts, of 512 bytes that lie together.

#pragma once

#include <warp.cuh>

namespace parfocal {

constexpr int kBlock = 64;        // inputs that share a scale
constexpr int kBlockBytes = 32;   // of an output
constexpr int kLanes = 32;        // threads of a warp
constexpr int kTile = 16;         // outputs that a tensor core takes at once
constexpr int kGroup = 8;         // rows that it takes at once
constexpr int kTiles = 2;         // of a warp
constexpr int kColumns = 4;       // warps side by side along the outputs
constexpr int kHalves = 2;        // blocks of a stage, each with warps of its own
constexpr int kWarpOutputs = kTiles * kTile;
constexpr int kOutputs = kColumns * kWarpOutputs;
constexpr int kHalfThreads = kColumns * kLanes;
constexpr int kThreads = kHalves * kHalfThreads;
constexpr int kChunk = 16;                            // bytes that are copied at once
constexpr int kRowChunks = 2 * kBlock / kChunk;       // of a block's 64 inputs in one row
constexpr int kTurnRows = kHalfThreads / kRowChunks;  // whose chunks a half copies at once

// The pairs of all 256 bytes, each once for every lane: a warp's lanes look up what they like, each in its own bank.
constexpr int kTableBytes = 256 * kLanes * 4;

// What a thread copies of them, rotated so that the threads of a quarter of a warp write to different banks.
__device__ constexpr int table_chunk(int byte, int turn) {
  return (byte * kRowChunks + (turn + byte) % kRowChunks) * kChunk;
}

// The pair that a lane finds for byte `index` of a word of codes.
__device__ constexpr int table_place(unsigned int codes, int index, int lane) {
  const unsigned int shifted = index == 0 ? codes << 7 : codes >> (8 * index - 7);
  return static_cast<int>((shifted & 0x7f80u) | static_cast<unsigned int>(lane * 4));
}

// A stage: codes [2 blocks, 128 outputs, 32 bytes], scales [2, 128] and the rows' inputs [2, rows, 64].
template <int kRows>
struct Stage {
  static constexpr int kScales = kHalves * kOutputs * kBlockBytes;
  static constexpr int kInputs = kScales + kHalves * kOutputs * 4;
  static constexpr int kBytes = kInputs + kHalves * kRows * kRowChunks * kChunk;
};

__device__ constexpr int codes_place(int half, int output) { return (half * kOutputs + output) * kBlockBytes; }

__device__ constexpr int scale_place(int half, int output) { return (half * kOutputs + output) * 4; }

// Odd rows have the halves of their block swapped, so that eight lanes read two rows without conflicts.
template <int kRows>
__device__ constexpr int inputs_place(int half, int row, int chunk) {
  return ((half * kRows + row) * kRowChunks + (chunk ^ row % 2 * (kRowChunks / 2))) * kChunk;
}

// Where the warps of the second half leave their sums for those of the first.
__device__ constexpr int sum_place(int column, int number, int lane) {
  return ((number * kColumns + column) * kLanes + lane) * 4;
}

}  // namespace parfocal
