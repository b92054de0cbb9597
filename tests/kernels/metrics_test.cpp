#include "kernels/metrics.h"

#include "gridspot/error.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

class RecordStep : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(RecordStep);

TEST_P(RecordStep, MeansTermsAndSumsCountsIntoTheStepsSlot) {
  Random random(5);
  for (const int canvases : {1, 2, 31, 32, 33, 64, 1000}) {
    const auto terms = random.uniforms(3 * canvases, 0, 10);
    std::vector<std::int32_t> collisions(canvases), unplaced(canvases);
    std::vector<double> wanted{0, 0, 0, 0.5, 0, 0};
    for (int i = 0; i < canvases; ++i) {
      collisions[i] = random.integer(0, 3);
      unplaced[i] = random.integer(0, 2);
      for (int term = 0; term < 3; ++term) wanted[term] += double(terms[3 * i + term]) / canvases;
      wanted[4] += collisions[i];
      wanted[5] += unplaced[i];
    }
    const auto history = run([&](Stream& stream) {
      const auto step = upload(stream, std::vector<std::uint64_t>{7});
      const auto norm = upload(stream, std::vector<float>{0.5f});
      const auto term_buffer = upload(stream, terms);
      const auto collision_buffer = upload(stream, collisions), unplaced_buffer = upload(stream, unplaced);
      const auto slots = upload(stream, std::vector<StepMetrics>(4, StepMetrics{}));
      record_step(stream, step.data(), term_buffer, norm, collision_buffer, unplaced_buffer, slots);
      return download(stream, slots);
    });
    const StepMetrics& m = history[7 % 4];
    const std::vector<float> values{m.objectness, m.box, m.classes, m.gradient_norm, m.collisions, m.unplaced};
    EXPECT_TRUE(test::matches(values, wanted, test::float32_tolerance)) << canvases << " canvases";
    for (const int other : {0, 1, 2}) EXPECT_EQ(history[other].gradient_norm, 0) << "slot " << other;
  }
}

TEST_P(RecordStep, RefusesSizesThatDoNotFit) {
  Stream stream(device());
  Buffer<float> terms(device(), 6), norm(device(), 1);
  Buffer<std::int32_t> counts(device(), 2), too_many(device(), 3);
  Buffer<StepMetrics> history(device(), 4);
  EXPECT_THROW(record_step(stream, nullptr, terms, norm, counts, too_many, history), InvalidInput);
  EXPECT_THROW(record_step(stream, nullptr, terms, norm, too_many, too_many, history), InvalidInput);
}

}  // namespace
}  // namespace gridspot
