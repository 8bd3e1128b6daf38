#include "profile.h"

#include <mutex>

namespace parfocal {
namespace {

std::mutex lock;
double seconds[kPhases];

}  // namespace

std::atomic<bool> profiling{false};

void took(Phase phase, double more) {
  const std::lock_guard<std::mutex> guard(lock);
  seconds[static_cast<int>(phase)] += more;
}

void hold_times() { lock.lock(); }

void release_times() { lock.unlock(); }

Shared::~Shared() {
  if (!on_) return;
  const double all = std::chrono::duration<double>(Clock::now() - begun_).count();
  const double linears = ticks_[0].load(), adapters = ticks_[1].load();
  if (linears + adapters == 0.) return;
  took(Phase::linears, all * linears / (linears + adapters));
  took(Phase::adapters, all * adapters / (linears + adapters));
}

}  // namespace parfocal

extern "C" {

// Begins to take times, or stops.
void parfocal_profile(int on) { parfocal::profiling.store(on != 0); }

// Writes the seconds [4] that linears, adapters, attention and row-wise work have taken since the last call.
void parfocal_profiled(double* to) {
  const std::lock_guard<std::mutex> guard(parfocal::lock);
  for (int phase = 0; phase < parfocal::kPhases; ++phase) {
    to[phase] = parfocal::seconds[phase];
    parfocal::seconds[phase] = 0.;
  }
}

}  // extern "C"
