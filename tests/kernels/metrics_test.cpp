#include "kernels/metrics.h"

#include <cmath>
#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

class RecordStep : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(RecordStep);

TEST_P(RecordStep, MeansTermsAndSumsCountsIntoTheStepsSlot) {
  Random random(5);
  for (const int canvases : {1, 2, 31, 127, 128, 129, 1000, 4096}) {
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

// A step without a finite loss must not be taken; its gradient may look harmless.
TEST_P(RecordStep, SpoilsTheNormOfAStepWhoseLossIsNotFinite) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {1.0f, nan, infinity, -infinity})
    for (const int term : {0, 1, 2}) {
      std::vector<float> terms(3 * 40, 2.0f);
      terms[3 * 33 + term] = bad;
      std::vector<float> norm;
      const auto history = run([&](Stream& stream) {
        const auto step = upload(stream, std::vector<std::uint64_t>{0});
        const auto norm_buffer = upload(stream, std::vector<float>{0.5f});
        const auto counts = upload(stream, std::vector<std::int32_t>(40));
        const Buffer<StepMetrics> slots(device(), 1);
        record_step(stream, step.data(), upload(stream, terms), norm_buffer, counts, counts, slots);
        norm = download(stream, norm_buffer);
        return download(stream, slots);
      });
      EXPECT_EQ(history[0].gradient_norm, 0.5f) << bad;
      EXPECT_EQ(std::isnan(norm[0]), !std::isfinite(bad)) << bad << " in term " << term;
    }
}

TEST_P(RecordStep, RefusesSizesThatDoNotFit) {
  struct Arguments {
    std::size_t terms = 6, norm = 1, collisions = 2, unplaced = 2, history = 4;
  };
  Stream stream(device());
  const auto step = upload(stream, std::vector<std::uint64_t>{0});
  const auto call = [&](const Arguments& a) {
    const auto terms = upload(stream, std::vector<float>(a.terms)), norm = upload(stream, std::vector<float>(a.norm));
    const auto collisions = upload(stream, std::vector<std::int32_t>(a.collisions)),
               unplaced = upload(stream, std::vector<std::int32_t>(a.unplaced));
    const Buffer<StepMetrics> history(device(), a.history);
    record_step(stream, step.data(), terms, norm, collisions, unplaced, history);
    stream.synchronize();
  };
  const char* rule = "record_step: terms, collisions and unplaced must hold the same number of canvases, at least one";
  test::expect_refusals(Arguments{}, call,
                        {{[](auto& a) { a.terms = 5; }, rule},
                         {[](auto& a) { a.collisions = 3; }, rule},
                         {[](auto& a) { a.unplaced = 1; }, rule},
                         {[](auto& a) { a.terms = a.collisions = a.unplaced = 0; }, rule},
                         {[](auto& a) { a.norm = 0; }, rule},
                         {[](auto& a) { a.history = 0; }, rule}});
}

}  // namespace
}  // namespace gridspot
