// What this library was made from, and whether this processor can run it. Compiled like the rest, it must not use any
// wide register itself: it is called before anybody knows.

extern "C" {

// The digest of the sources, so that a stale library is noticed.
const char* parfocal_sources() { return PARFOCAL_SOURCES; }

// Whether the processor has AVX-512 with VNNI and the system saves its registers.
int parfocal_runs_here() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

}  // extern "C"
