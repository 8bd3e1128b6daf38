// What kernels ask of a warp, on a CPU: stands in for the engine's file of this name, so that g++ compiles kernels.
//
// A program's threads are fibers, which run one after the other until they wait for others. A copy beside the program
// is made as late as it may be, when its group is awaited, or as early, when it is asked for: one shows what is read
// before it has come, the other what is overwritten before it has been read. Shared memory begins as NaNs.

#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace emulated {

struct Three {
  unsigned x, y, z;
};

struct Copy {
  int place;
  const void* from;
  int bytes;
};

struct Access {
  int place, bytes;
};

enum class State { ready, in_warp, at_meeting, done };

constexpr int kStack = 64 << 10;

struct Thread {
  State state = State::ready;
  bool has_begun = false;
  ucontext_t start;
  jmp_buf at;
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStack);
  std::deque<std::vector<Copy>> groups;
  std::vector<Copy> open;
  uint32_t left[4], right[2];
  float* sums;
  std::vector<Access> loads, stores;
};

// How a card behaves where it may do as it likes, and what it has seen.
struct Card {
  bool copies_late = true, runs_backward = false;
  std::vector<std::pair<const char*, long>> memory;  // what kernels may touch
  long load_conflicts = 0, store_conflicts = 0, waits = 0, admissions = 0;
  std::string fault;
};

inline Card card;
inline std::vector<unsigned char> shared;
inline std::vector<std::unique_ptr<Thread>> threads;
inline int current = 0;
inline Three block;
inline std::function<void()> kernel;
inline jmp_buf scheduler;

inline Thread& own() { return *threads[current]; }

// Ends the launch. Fibers that have not ended are abandoned.
[[noreturn]] inline void fail(const std::string& what) {
  card.fault = what;
  _longjmp(scheduler, 2);
}

inline void yield() {
  if (_setjmp(own().at) == 0) _longjmp(scheduler, 1);
}

inline void* inside(int place, int bytes) {
  if (place < 0 || place % bytes || place + bytes > static_cast<int>(shared.size()))
    fail("shared memory: " + std::to_string(bytes) + " bytes at " + std::to_string(place));
  return shared.data() + place;
}

inline void check(const void* at, int bytes) {
  const char* place = static_cast<const char*>(at);
  for (const auto& [begin, size] : card.memory)
    if (place >= begin && place + bytes <= begin + size) {
      if (reinterpret_cast<uintptr_t>(place) % bytes) fail("an address is not aligned");
      return;
    }
  fail("an address lies outside what the kernel was given");
}

inline void perform(const std::vector<Copy>& copies) {
  for (const Copy& copy : copies) std::memcpy(inside(copy.place, copy.bytes), copy.from, copy.bytes);
}

inline void copy(Copy asked) {
  check(asked.from, asked.bytes);
  inside(asked.place, asked.bytes);
  if (card.copies_late) own().open.push_back(asked);
  else perform({asked});
}

inline float half(uint32_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float size = exponent ? std::ldexp(1024.0f + fraction, exponent - 25) : std::ldexp(float(fraction), -24);
  const float number = exponent < 31 ? size : fraction ? NAN : INFINITY;
  return bits & 0x8000 ? -number : number;
}

inline float brain(uint32_t bits) {
  const uint32_t word = bits << 16;
  float number;
  std::memcpy(&number, &word, 4);
  return number;
}

using Read = float (*)(uint32_t);

// sums += left x right for the warp of the lanes from `first` on, as mma.sync.m16n8k16 does it, in double precision.
inline void multiply_warp(int first, Read number) {
  double left[16][16], right[16][8];
  for (int lane = 0; lane < 32; lane++) {
    const Thread& thread = *threads[first + lane];
    const int g = lane / 4, t = lane % 4;
    for (int upper = 0; upper < 2; upper++)
      for (int word = 0; word < 2; word++)
        for (int bit = 0; bit < 2; bit++)
          left[g + 8 * upper][2 * t + 8 * word + bit] = number(thread.left[2 * word + upper] >> 16 * bit & 0xFFFF);
    for (int word = 0; word < 2; word++)
      for (int bit = 0; bit < 2; bit++)
        right[2 * t + 8 * word + bit][g] = number(thread.right[word] >> 16 * bit & 0xFFFF);
  }
  for (int lane = 0; lane < 32; lane++)
    for (int place = 0; place < 4; place++) {
      const int row = lane / 4 + 8 * (place / 2), column = lane % 4 * 2 + place % 2;
      double sum = threads[first + lane]->sums[place];
      for (int k = 0; k < 16; k++) sum += left[row][k] * right[k][column];
      threads[first + lane]->sums[place] = static_cast<float>(sum);
    }
}

// Waits for the other lanes; the last one to come does the `work` of all.
template <class Work>
void together(Work work) {
  own().state = State::in_warp;
  const int first = current / 32 * 32;
  for (int lane = 0; lane < 32; lane++)
    if (threads[first + lane]->state != State::in_warp) return yield();
  work(first);
  for (int lane = 0; lane < 32; lane++) threads[first + lane]->state = State::ready;
}

// How often the warp's lanes ask one bank for more than one word at once. Eight bytes are read by half a warp at a
// time, sixteen by a quarter.
inline long conflicts(int first, const std::vector<Access> Thread::* log) {
  long found = 0;
  for (int lane = 1; lane < 32; lane++)
    if ((threads[first + lane].get()->*log).size() != (threads[first].get()->*log).size()) return 0;
  for (size_t number = 0; number < (threads[first].get()->*log).size(); number++) {
    const int bytes = (threads[first].get()->*log)[number].bytes, at_once = std::min(32, 128 / bytes);
    for (int lane = 0; lane < 32; lane += at_once) {
      std::array<std::set<int>, 32> banks;
      for (int own = lane; own < lane + at_once; own++)
        for (int word = 0; word < bytes / 4; word++) {
          const int place = (threads[first + own].get()->*log)[number].place / 4 + word;
          banks[place % 32].insert(place);
        }
      for (const auto& words : banks) found += std::max<long>(0, static_cast<long>(words.size()) - 1);
    }
  }
  return found;
}

inline void enter() {
  kernel();
  own().state = State::done;
  _longjmp(scheduler, 1);
}

inline void resume(int number) {
  current = number;
  Thread& thread = *threads[number];
  if (thread.has_begun) _longjmp(thread.at, 1);
  thread.has_begun = true;
  getcontext(&thread.start);
  thread.start.uc_stack.ss_sp = thread.stack.get();
  thread.start.uc_stack.ss_size = kStack;
  thread.start.uc_link = nullptr;
  makecontext(&thread.start, enter, 0);
  setcontext(&thread.start);
}

// The next thread that can go on; those that have met go on together. -1 when all have ended.
inline int next() {
  const int count = static_cast<int>(threads.size());
  for (int turn = 0; turn < 2; turn++) {
    for (int place = 0; place < count; place++) {
      const int number = card.runs_backward ? count - 1 - place : place;
      if (threads[number]->state == State::ready) return number;
    }
    const auto is_done = [](const auto& one) { return one->state == State::done; };
    if (std::all_of(threads.begin(), threads.end(), is_done)) return -1;
    for (const auto& thread : threads) {
      if (thread->state != State::at_meeting) fail("some threads wait for others that never come");
      thread->state = State::ready;
    }
  }
  return -1;
}

inline void run_program(int count, int shared_bytes) {
  shared.assign(shared_bytes, 0xFF);
  threads.clear();
  for (int number = 0; number < count; number++) threads.push_back(std::make_unique<Thread>());
  volatile int chosen = next();
  const int told = _setjmp(scheduler);
  if (told == 2) return;
  if (told == 1) chosen = next();
  if (chosen >= 0) resume(chosen);
  for (int first = 0; first < count; first += 32) {
    card.load_conflicts += conflicts(first, &Thread::loads);
    card.store_conflicts += conflicts(first, &Thread::stores);
  }
}

}  // namespace emulated

namespace parfocal {

using std::fmaf;
using std::min;
using Word = unsigned int;

struct alignas(8) TwoWords {
  Word words[2];
};

struct alignas(16) FourWords {
  Word words[4];
};

struct Float16 {};
struct Bfloat16 {};

template <class T>
T load(int place) {
  T value;
  std::memcpy(&value, emulated::inside(place, sizeof(T)), sizeof(T));
  emulated::own().loads.push_back({place, sizeof(T)});
  return value;
}

template <class T>
void store(int place, T value) {
  std::memcpy(emulated::inside(place, sizeof(T)), &value, sizeof(T));
  emulated::own().stores.push_back({place, sizeof(T)});
}

template <bool kAnew>
int this_thread() {
  return emulated::current;
}

template <int kAxis, bool kAnew>
int this_program() {
  return kAxis == 0 ? emulated::block.x : kAxis == 1 ? emulated::block.y : emulated::block.z;
}

template <class T>
T read(const void* from) {
  emulated::check(from, sizeof(T));
  return *static_cast<const T*>(from);
}

inline void write(float* to, float value) {
  emulated::check(to, sizeof(float));
  *to = value;
}

inline void copy16(int place, const void* from) { emulated::copy({place, from, 16}); }
inline void copy4(int place, const void* from) { emulated::copy({place, from, 4}); }

inline void end_group() {
  emulated::own().groups.push_back(std::move(emulated::own().open));
  emulated::own().open.clear();
}

template <int kPending>
void await_groups() {
  auto& groups = emulated::own().groups;
  for (; groups.size() > kPending; groups.pop_front()) emulated::perform(groups.front());
}

inline void meet() {
  emulated::own().state = emulated::State::at_meeting;
  emulated::yield();
}

inline void hold_loads() {}

inline Word lower_halves(Word low, Word high) { return (low & 0xFFFF) | high << 16; }
inline Word upper_halves(Word low, Word high) { return low >> 16 | (high & 0xFFFF0000); }

template <class Number>
void multiply(float (&sums)[4], const Word (&left)[4], Word right0, Word right1) {
  emulated::Thread& own = emulated::own();
  std::copy(left, left + 4, own.left);
  own.right[0] = right0, own.right[1] = right1, own.sums = sums;
  emulated::together([](int first) {
    emulated::multiply_warp(first, std::is_same_v<Number, Float16> ? emulated::half : emulated::brain);
  });
}

inline void await_last_kernel() { emulated::card.waits++; }
inline void admit_next_kernel() { emulated::card.admissions++; }

}  // namespace parfocal
