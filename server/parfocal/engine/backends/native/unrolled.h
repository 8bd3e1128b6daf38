// Loops whose counts the compiler knows, written out before it looks for what can stay in registers.

#pragma once

#include <utility>

namespace parfocal {

#define PARFOCAL_INLINE __attribute__((always_inline))

// Calls use.operator()<i>() for i = 0 … count - 1.
template <int count, typename Use>
PARFOCAL_INLINE inline void unrolled(const Use& use) {
  [&]<int... i>(std::integer_sequence<int, i...>) PARFOCAL_INLINE { (use.template operator()<i>(), ...); }
  (std::make_integer_sequence<int, count>());
}

}  // namespace parfocal
