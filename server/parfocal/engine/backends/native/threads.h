// Threads that share the work of one kernel. A kernel is done when its work is done, not when every thread has shown
// up: where another process holds a CPU, the calling thread does the rest alone and is not kept waiting. (OpenMP's
// regions end when the last thread arrives; with one busy neighbour on two CPUs that made a step 13 times slower.)

#pragma once

namespace parfocal {

// Works on `first` to `last` of a kernel's work.
using Work = void (*)(const void* context, long first, long last);

// Has 0 to `count` done in parts of `grain`, by this thread and whichever others are free. Returns when all is done.
void share(long count, long grain, Work work, const void* context);

// The same for a callable of (first, last).
template <typename Callable>
void share(long count, long grain, const Callable& callable) {
  share(count, grain, [](const void* context, long first, long last) {
    (*static_cast<const Callable*>(context))(first, last);
  }, &callable);
}

}  // namespace parfocal
