// y [rows, outputs] = x W of 4-bit weights, for few rows, as float32 sums over parts of the inputs.
//
// Weights are the left operand, so that 8 rows fill a tensor core's tile. Levels are multiplied unscaled; the sum over
// a block is then multiplied by the block's scale. Everything about a row is added in one order, which the sizes of the
// weight decide: a row's bits depend on no other row, nor on how many there are.

#pragma once

#include <layout.cuh>
#include <warp.cuh>

namespace parfocal {

// What a product is given; its twin is `Given` in given.py. Strides: of x and the scales in numbers, of the codes in
// bytes, of which there are fewer than 2^31. A part takes `share` blocks of 64 inputs, the last one what is left.
struct Given {
  float* parts;                // [parts, rows, outputs]
  const unsigned short* x;     // [rows, inputs], aligned to 16 bytes
  const unsigned char* codes;  // [blocks, outputs, 32], as `Blocked` has them, aligned to 16 bytes
  const float* scales;         // [blocks, outputs]
  const Word* table;           // [256] pairs of levels: the lower code's in the lower half
  int x_stride, codes_stride, scales_stride;
  int rows, outputs, blocks, share;
};

// One program, seen by one of its threads. Grid: (outputs / 128, parts, rows / kRows), rounded up.
//
// The threads of a half copy and multiply the same blocks, every other one of the part. What lies beyond the part, the
// outputs or the rows is neither copied nor multiplied into anything that is stored.
template <class Number, int kRows, int kStages>
class Program {
 public:
  __device__ __forceinline__ explicit Program(const Given& given) : given_(given) {}

  __device__ __forceinline__ void run() const {
    const int begin = Program::begin();
    // Asked for first, since it is needed first.
    const Word pair = read<Word>(given_.table + this_thread<kAnew>());
#pragma unroll 1
    for (int ahead = 0; ahead < kStages - 1; ahead++) {
      copy_weights(begin + ahead * kHalves, kRing + ahead * kStage);
      end_group();
    }
    fill_table(pair);
    // Weights and levels never change; the input is the last kernel's work.
    await_last_kernel();
    admit_next_kernel();
    place_inputs(begin);
    Sums sums = {};
    int stage = kRing;
#pragma unroll 1
    for (int block = begin; block < end(); block += kHalves) {
      await_groups<kStages - 2>();
      meet();
      // Everybody is through with the stage before this one, whose place is free.
      const int next = block + (kStages - 1) * kHalves, last = kRing + (kStages - 1) * kStage;
      const int free = stage == kRing ? last : stage - kStage;
      copy_weights(next, free);
      copy_inputs(next, free);
      end_group();
      add_block(sums, block, stage);
      stage = stage == last ? kRing : stage + kStage;
    }
    await_groups<0>();
    meet();
    join_halves(sums);
  }

 private:
  static constexpr int kRing = kTableBytes, kStage = Stage<kRows>::kBytes;
  static constexpr int kGroups = kRows / kGroup;
  // The sums of more rows leave no register for what can be found again.
  static constexpr bool kAnew = kRows >= 32;
  static constexpr int kSums = kTiles * kGroups * 4;
  static_assert(kSums * kColumns * kLanes * 4 <= kStages * Stage<kRows>::kBytes, "sums find room in the ring");

  using Sums = float[kTiles][kGroups][4];

  // A thread's place among the others.
  struct Place {
    int thread = this_thread<kAnew>();
    int lane = thread % kLanes, column = thread / kLanes % kColumns, half = thread / kHalfThreads;
  };

  // The program's share of the work.
  __device__ __forceinline__ int begin() const { return this_program<1, kAnew>() * given_.share; }
  __device__ __forceinline__ int end() const { return min(begin() + given_.share, given_.blocks); }
  __device__ __forceinline__ static int first_output() { return this_program<0, kAnew>() * kOutputs; }
  __device__ __forceinline__ static int first_row() { return this_program<2, kAnew>() * kRows; }

  // Each thread writes the pair of one byte.
  __device__ __forceinline__ void fill_table(Word pair) const {
    const Place own;
    const FourWords copies = {{pair, pair, pair, pair}};
#pragma unroll
    for (int turn = 0; turn < kRowChunks; turn++) store(table_chunk(own.thread, turn), copies);
  }

  // Each warp copies the codes that it multiplies, each thread of a half the scale of one output.
  __device__ __forceinline__ void copy_weights(int first, int stage) const {
    const Place own;
    const int block = first + own.half, first_output = Program::first_output();
    if (block >= end()) return;
#pragma unroll
    for (int tile = 0; tile < kTiles; tile++) {
      const int output = own.column * kWarpOutputs + tile * kTile + own.lane / 2, inner = own.lane % 2 * kChunk;
      const int from = block * given_.codes_stride + (first_output + output) * kBlockBytes + inner;
      if (first_output + output < given_.outputs)
        copy16(stage + codes_place(own.half, output) + inner, given_.codes + from);
    }
    const int output = own.thread % kHalfThreads;
    const float* from = given_.scales + (block * given_.scales_stride + first_output + output);
    if (first_output + output < given_.outputs)
      copy4(stage + Stage<kRows>::kScales + scale_place(own.half, output), from);
  }

  // How often a thread moves 16 bytes of the rows' inputs for a stage.
  static constexpr int kTurns = (kRows + kTurnRows - 1) / kTurnRows;

  // Calls `move(turn, place, from)` for every 16 bytes of a stage's inputs that are this thread's to move.
  template <class Move>
  __device__ __forceinline__ void for_inputs(int first, int stage, Move move) const {
    const Place own;
    const int block = first + own.half, inputs = stage + Stage<kRows>::kInputs;
    const int own_row = own.thread % kHalfThreads / kRowChunks, chunk = own.thread % kRowChunks;
    const int first_row = Program::first_row();
    const unsigned short* x = given_.x + static_cast<long long>(first_row) * given_.x_stride;
    if (block >= end()) return;
#pragma unroll
    for (int turn = 0; turn < kTurns; turn++) {
      const int row = turn * kTurnRows + own_row;
      const int from = row * given_.x_stride + block * kBlock + chunk * (kChunk / 2);
      const int place = inputs + inputs_place<kRows>(own.half, row, chunk);
      if (row < kRows && first_row + row < given_.rows) move(turn, place, x + from);
    }
  }

  __device__ __forceinline__ void copy_inputs(int first, int stage) const {
    for_inputs(first, stage, [](int, int place, const unsigned short* from) { copy16(place, from); });
  }

  // The first stages' inputs, by way of registers, so that the first step waits for its own weights only. All are asked
  // for before the first is awaited.
  __device__ __forceinline__ void place_inputs(int begin) const {
    FourWords words[kStages - 1][kTurns];
#pragma unroll
    for (int ahead = 0; ahead < kStages - 1; ahead++)
      for_inputs(begin + ahead * kHalves, kRing + ahead * kStage, [&](int turn, int, const unsigned short* from) {
        words[ahead][turn] = read<FourWords>(from);
      });
#pragma unroll
    for (int ahead = 0; ahead < kStages - 1; ahead++)
      for_inputs(begin + ahead * kHalves, kRing + ahead * kStage, [&](int turn, int place, const unsigned short*) {
        store(place, words[ahead][turn]);
      });
  }

  // Adds this warp's share of a stage: 32 outputs, one block, all rows.
  __device__ __forceinline__ void add_block(Sums& sums, int first, int stage) const {
    const Place own;
    const int row = own.lane / 4, part = own.lane % 4;
    Word levels[kTiles][4][4];
    float scales[kTiles][2];
    const int all_scales = stage + Stage<kRows>::kScales;
    if (first + own.half >= end()) return;
#pragma unroll
    for (int tile = 0; tile < kTiles; tile++) {
      const int output = own.column * kWarpOutputs + tile * kTile + row;
      look_up(levels[tile], stage + codes_place(own.half, output) + part * 8, own.lane);
#pragma unroll
      for (int upper = 0; upper < 2; upper++)
        scales[tile][upper] = load<float>(all_scales + scale_place(own.half, output + upper * kGroup));
    }
    const int inputs = stage + Stage<kRows>::kInputs + inputs_place<kRows>(own.half, row, part);
#pragma unroll
    for (int group = 0; group < kGroups; group++) {
      if (group % 2 == 1) hold_loads();
      const int place = inputs + group * kGroup * kRowChunks * kChunk;
      const FourWords upper = load<FourWords>(place), lower = load<FourWords>(place ^ kRowChunks / 2 * kChunk);
      float block[kTiles][4] = {};
#pragma unroll
      for (int quarter = 0; quarter < 4; quarter++) {
        const Word low = lower_halves(lower.words[quarter], upper.words[quarter]);
        const Word high = upper_halves(lower.words[quarter], upper.words[quarter]);
#pragma unroll
        for (int tile = 0; tile < kTiles; tile++) multiply<Number>(block[tile], levels[tile][quarter], low, high);
      }
#pragma unroll
      for (int tile = 0; tile < kTiles; tile++)
#pragma unroll
        for (int number = 0; number < 4; number++)
          sums[tile][group][number] = fmaf(scales[tile][number / 2], block[tile][number], sums[tile][group][number]);
    }
  }

  // The words of a tile that this lane has in the tensor cores' left operand: four products of 16 inputs.
  __device__ __forceinline__ void look_up(Word (&levels)[4][4], int place, int lane) const {
    const TwoWords upper = load<TwoWords>(place), lower = load<TwoWords>(place + kGroup * kBlockBytes);
#pragma unroll
    for (int index = 0; index < 8; index++) {
      levels[index / 2][index % 2 * 2] = load<Word>(table_place(upper.words[index / 4], index % 4, lane));
      levels[index / 2][index % 2 * 2 + 1] = load<Word>(table_place(lower.words[index / 4], index % 4, lane));
    }
  }

  // Adds the second half's sums to the first's, always in this order, and stores them.
  __device__ __forceinline__ void join_halves(const Sums& sums) const {
    const Place own;
    if (own.half == 1) {
#pragma unroll
      for (int number = 0; number < kSums; number++) {
        const float sum = sums[number / kGroups / 4][number / 4 % kGroups][number % 4];
        store(kRing + sum_place(own.column, number, own.lane), sum);
      }
    }
    meet();
    if (own.half == 1) return;
    const int first_output = Program::first_output(), first_row = Program::first_row();
    const long long before = this_program<1, kAnew>() * static_cast<long long>(given_.rows) + first_row;
    float* parts = given_.parts + before * given_.outputs;
#pragma unroll
    for (int number = 0; number < kSums; number++) {
      const int tile = number / kGroups / 4, group = number / 4 % kGroups;
      const float other = load<float>(kRing + sum_place(own.column, number, own.lane));
      const int in_tile = own.lane / 4 + number % 4 / 2 * kGroup;
      const int output = first_output + own.column * kWarpOutputs + tile * kTile + in_tile;
      const int row = group * kGroup + own.lane % 4 * 2 + number % 2;
      if (output < given_.outputs && first_row + row < given_.rows)
        write(parts + (row * given_.outputs + output), sums[tile][group][number % 4] + other);
    }
  }

  const Given& given_;
};

}  // namespace parfocal
