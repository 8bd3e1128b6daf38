// Where a step's time goes, for whoever asks; when nobody does, a step pays one test of a flag for each kernel.

#pragma once

#include <x86intrin.h>

#include <atomic>
#include <chrono>

namespace parfocal {

enum class Phase { linears, adapters, attention, rows };
constexpr int kPhases = 4;

extern std::atomic<bool> profiling;

// Adds to what the phase has taken.
void took(Phase phase, double seconds);

// Keeps what the phases have taken as it is, for a fork.
void hold_times();
void release_times();

// Adds the time from its making to its end to a phase.
class Timed {
 public:
  explicit Timed(Phase phase) : phase_(phase), on_(profiling.load(std::memory_order_relaxed)) {
    if (on_) begun_ = Clock::now();
  }
  ~Timed() {
    if (on_) took(phase_, std::chrono::duration<double>(Clock::now() - begun_).count());
  }

 private:
  using Clock = std::chrono::steady_clock;
  Phase phase_;
  bool on_;
  Clock::time_point begun_;
};

// Divides the time of a job that does linears and adapters side by side by the ticks that its threads spend on each.
class Shared {
 public:
  Shared() : on_(profiling.load(std::memory_order_relaxed)) {
    if (on_) begun_ = Clock::now();
  }
  ~Shared();

  // Does one piece of work, counting its ticks.
  template <typename Use>
  void piece(bool adapters, const Use& use) const {
    if (!on_) return use();
    const auto begun = __rdtsc();
    use();
    ticks_[adapters].fetch_add(__rdtsc() - begun, std::memory_order_relaxed);
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool on_;
  Clock::time_point begun_;
  mutable std::atomic<unsigned long long> ticks_[2] = {0, 0};
};

}  // namespace parfocal
