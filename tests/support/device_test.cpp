#include "tests/support/device_test.h"

#include <cstdlib>

namespace gridspot::test {

void DeviceTest::SetUp() {
  if (std::string(GetParam()) == "cpu") {
    if (const char* reason = simt::Runtime::absence()) GTEST_SKIP() << reason;
    return;
  }
  std::string reason;
  if (cuda_device_count(&reason) > 0) return;
  if (std::getenv("GRIDSPOT_REQUIRE_GPU") != nullptr) FAIL() << reason;
  GTEST_SKIP() << reason;
}

Device DeviceTest::device() const { return parse_device(GetParam()); }

namespace {
std::uint64_t seed_or_override(std::uint64_t seed) {
  const char* text = std::getenv("GRIDSPOT_TEST_SEED");
  return text ? std::strtoull(text, nullptr, 10) : seed;
}
}  // namespace

Random::Random(std::uint64_t seed)
    : std::mt19937_64(seed_or_override(seed)),
      trace_(__FILE__, __LINE__, "seed " + std::to_string(seed_or_override(seed))) {}

float Random::uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(*this); }
int Random::integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(*this); }

std::vector<float> Random::uniforms(std::size_t count, float low, float high) {
  std::vector<float> values(count);
  for (float& value : values) value = uniform(low, high);
  return values;
}

}  // namespace gridspot::test
