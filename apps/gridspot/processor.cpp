// On x86 gridspot is compiled for processors with AVX2. On an older one it would end with an illegal instruction; this
// file, which is compiled for any (see CMakeLists.txt) and runs before everything else, says so instead.
#if defined(__x86_64__)
#include <unistd.h>

#include <cstdlib>

namespace {
[[gnu::constructor(101)]] void check_processor() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return;
  constexpr char message[] = "gridspot: this processor lacks AVX2, FMA or BMI2, which this build needs\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message, sizeof message - 1);
  _exit(5);
}
}  // namespace
#endif
