#pragma once
// Tests that run on every device, and on the CPU under every thread order.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "device/buffer.h"
#include "tests/support/thread_orders.h"

namespace gridspot::test {

/// Parameterised by "cpu" and "cuda"; skips with the reason where there is no such device. Where $GRIDSPOT_REQUIRE_GPU
/// is set, a missing GPU is a failure.
class DeviceTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override;
  [[nodiscard]] Device device() const;

  /// Runs `body(stream)` (which returns a vector of a trivially copyable type) on the device. On the CPU it is run
  /// under forward, reverse and several shuffled thread orders, on CUDA twice; the outputs must be equal bit for bit.
  /// Returns the output.
  template <class Body>
  auto run(Body body) {
    Stream stream(device());
    auto [output, difference] = run_under_every_order(stream, body);
    EXPECT_EQ(difference, "");
    return output;
  }
};

#define GRIDSPOT_ON_EVERY_DEVICE(Suite)                             \
  INSTANTIATE_TEST_SUITE_P(, Suite, testing::Values("cpu", "cuda"), \
                           [](const auto& instance) { return std::string(instance.param); })

/// A generator whose seed is printed when the test fails. GRIDSPOT_TEST_SEED overrides the seed.
class Random : public std::mt19937_64 {
 public:
  explicit Random(std::uint64_t seed = 1);
  float uniform(float low = 0, float high = 1);
  int integer(int low, int high);  ///< both ends included
  std::vector<float> uniforms(std::size_t count, float low = -1, float high = 1);

 private:
  testing::ScopedTrace trace_;
};

}  // namespace gridspot::test
