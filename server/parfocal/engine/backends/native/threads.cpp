#include "threads.h"

#include "profile.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>
#include <mutex>
#include <thread>

namespace {

using parfocal::Work;

// Rounds of looking for work before a thread sleeps: some 200 microseconds, longer than Python needs between kernels.
constexpr int kPatience = 4000;
// Yielding sooner hands the CPU to the server's other threads in the middle of a step: 103 tokens/s instead of 127.
constexpr int kRoundsPerYield = 1024;
constexpr uint64_t kClosed = UINT32_MAX;  // as the next part: nothing to take

// The job's number (upper half) and the next part that nobody has taken (lower half). A part is taken by exchanging
// both, so a thread that is late for a job cannot take from the next one what it knows of the last.
std::atomic<uint64_t> ticket{kClosed};
std::atomic<Work> job_work{nullptr};
std::atomic<const void*> job_context{nullptr};
std::atomic<long> job_count{0}, job_grain{1}, parts_done{0};

std::atomic<uint32_t> bell{0};  // changes with every job; sleeping threads wait for that
std::atomic<int> sleeping{0};
std::atomic<int> helpers{0};
std::mutex one_job;             // two engines in one process take turns, or work alone

long futex(int operation, uint32_t value) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t*>(&bell), operation, value, nullptr, nullptr, 0);
}

// Takes one part and works on it. Returns false if there is none.
bool work_on_one_part() {
  uint64_t now = ticket.load(std::memory_order_acquire);
  for (;;) {
    const uint64_t part = now & UINT32_MAX;
    if (part == kClosed) return false;
    const Work work = job_work.load(std::memory_order_relaxed);
    const void* context = job_context.load(std::memory_order_relaxed);
    const long count = job_count.load(std::memory_order_relaxed), grain = job_grain.load(std::memory_order_relaxed);
    const long first = static_cast<long>(part) * grain;
    if (first >= count) return false;
    if (!ticket.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    work(context, first, std::min(first + grain, count));
    parts_done.fetch_add(1, std::memory_order_release);
    return true;
  }
}

void help() {
  for (;;) {
    const uint32_t heard = bell.load(std::memory_order_acquire);
    bool worked = false;
    for (int round = 0; round < kPatience && !worked; ++round) {
      worked = work_on_one_part();
      if (worked) break;
      _mm_pause();
      if (round % kRoundsPerYield == kRoundsPerYield - 1) sched_yield();
    }
    if (worked) continue;
    sleeping.fetch_add(1);
    if (bell.load() == heard) futex(FUTEX_WAIT_PRIVATE, heard);
    sleeping.fetch_sub(1);
  }
}

// Around a fork no job runs and both locks are this thread's: else a child would begin in the middle of a job, with a
// lock that a thread of its parent holds for ever. A job's own threads may take times, so its lock comes first.
void before_fork() {
  one_job.lock();
  parfocal::hold_times();
}

void after_fork() {
  parfocal::release_times();
  one_job.unlock();
}

// A child process has none of its parent's threads.
void in_child() {
  helpers.store(0);
  sleeping.store(0);
  ticket.store(kClosed);
  after_fork();
}

// Registered when the library is loaded: at that time no other thread uses it.
[[maybe_unused]] const int handled = pthread_atfork(before_fork, after_fork, in_child);

}  // namespace

namespace parfocal {

void share(long count, long grain, Work work, const void* context) {
  std::unique_lock<std::mutex> lock(one_job, std::try_to_lock);
  if (count <= grain || helpers.load(std::memory_order_relaxed) == 0 || !lock.owns_lock()) {
    if (count > 0) work(context, 0, count);
    return;
  }
  const uint64_t number = (ticket.load(std::memory_order_relaxed) >> 32) + 1;
  job_work.store(work, std::memory_order_relaxed);
  job_context.store(context, std::memory_order_relaxed);
  job_count.store(count, std::memory_order_relaxed);
  job_grain.store(grain, std::memory_order_relaxed);
  parts_done.store(0, std::memory_order_relaxed);
  ticket.store(number << 32, std::memory_order_release);
  bell.fetch_add(1);
  if (sleeping.load() > 0) futex(FUTEX_WAKE_PRIVATE, INT_MAX);
  while (work_on_one_part()) {
  }
  const long parts = (count + grain - 1) / grain;
  for (int round = 1; parts_done.load(std::memory_order_acquire) != parts; ++round) {
    _mm_pause();
    if (round % kRoundsPerYield == 0) sched_yield();
  }
  // Before the next job's facts are written, nobody may take a part of this one by them.
  ticket.store(number << 32 | kClosed, std::memory_order_release);
}

}  // namespace parfocal

extern "C" {

// Lets `threads` threads share the kernels' work, the calling one among them. More are started if need be; none ends.
void parfocal_threads(int threads) {
  const std::lock_guard<std::mutex> lock(one_job);
  for (; helpers.load() + 1 < threads; helpers.fetch_add(1)) std::thread(help).detach();
}

}  // extern "C"
