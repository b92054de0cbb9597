#include "kernels/finish_step.h"

#include <cmath>
#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/reference/optimizer.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

/// What a step leaves to be finished, on the host.
struct StepEnd {
  std::vector<float> partial_norms{9, 16}, terms{1, 2, 3};
  std::vector<std::int32_t> collisions{0}, unplaced{0};
  std::uint64_t step = 7, frozen_steps = 0;
  std::size_t history = 4, factors = 2;
  OptimizerSettings settings;
};

struct Finished {
  std::vector<StepMetrics> history;
  std::vector<StepFactors> factors;
  std::uint64_t step, progress;
};

Finished finish(Stream& stream, const StepEnd& end) {
  const auto partial_norms = upload(stream, end.partial_norms), terms = upload(stream, end.terms);
  const auto collisions = upload(stream, end.collisions), unplaced = upload(stream, end.unplaced);
  const auto history = upload(stream, std::vector<StepMetrics>(end.history));
  const auto factors = upload(stream, std::vector<StepFactors>(end.factors));
  const auto step = upload(stream, std::vector{end.step}), progress = upload(stream, std::vector<std::uint64_t>{0});
  finish_step(stream, end.settings,
              {.partial_norms = partial_norms,
               .terms = terms,
               .collisions = collisions,
               .unplaced = unplaced,
               .history = history,
               .factors = factors,
               .step = step.data(),
               .progress = progress.data()},
              end.frozen_steps);
  return {download(stream, history), download(stream, factors), download(stream, step)[0],
          download(stream, progress)[0]};
}

class FinishStep : public test::DeviceTest {
 protected:
  Finished finished(const StepEnd& end) {
    std::optional<Finished> last;
    // The bytes of everything, so that the thread orders are compared.
    run([&](Stream& stream) {
      last = finish(stream, end);
      std::vector<unsigned char> bytes;
      const auto append = [&](const void* data, std::size_t size) {
        const auto* first = static_cast<const unsigned char*>(data);
        bytes.insert(bytes.end(), first, first + size);
      };
      append(last->history.data(), last->history.size() * sizeof(StepMetrics));
      append(last->factors.data(), last->factors.size() * sizeof(StepFactors));
      append(&last->step, sizeof last->step);
      return bytes;
    });
    return *last;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(FinishStep);

TEST_P(FinishStep, MeansTermsAndSumsCountsIntoTheStepsSlot) {
  Random random(5);
  for (const int canvases : {1, 2, 31, 127, 128, 129, 1000, 4096}) {
    StepEnd end{.terms = random.uniforms(3 * canvases, 0, 10),
                .collisions = std::vector<std::int32_t>(canvases),
                .unplaced = std::vector<std::int32_t>(canvases)};
    std::vector<double> wanted{0, 0, 0, 5, 0, 0};
    for (int i = 0; i < canvases; ++i) {
      end.collisions[i] = random.integer(0, 3);
      end.unplaced[i] = random.integer(0, 2);
      for (int term = 0; term < 3; ++term) wanted[term] += double(end.terms[3 * i + term]) / canvases;
      wanted[4] += end.collisions[i];
      wanted[5] += end.unplaced[i];
    }
    const auto history = finished(end).history;
    const StepMetrics& m = history[7 % 4];
    const std::vector<float> values{m.objectness, m.box, m.classes, m.gradient_norm, m.collisions, m.unplaced};
    EXPECT_TRUE(test::matches(values, wanted, test::float32_tolerance)) << canvases << " canvases";
    for (const int other : {0, 1, 2}) EXPECT_EQ(history[other].gradient_norm, 0) << "slot " << other;
  }
}

TEST_P(FinishStep, SumsThePartsOfTheNorm) {
  Random random(6);
  for (const int partials : {0, 1, 2, 127, 128, 129, 5000}) {
    StepEnd end{.partial_norms = random.uniforms(partials, 0, 10)};
    double sum = 0;
    for (const float part : end.partial_norms) sum += part;
    const float norm = finished(end).history[3].gradient_norm;
    EXPECT_TRUE(test::matches(std::vector{norm}, std::vector{std::sqrt(sum)}, test::float32_tolerance)) << partials;
  }
}

TEST_P(FinishStep, FactorsFollowTheirDefinition) {
  for (const std::uint64_t step : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{1000}, std::uint64_t{1} << 40})
    for (const std::uint64_t frozen_steps : {std::uint64_t{0}, std::uint64_t{5}, step})
      for (const float clip : {0.0f, 2.5f, 100.0f}) {
        if (frozen_steps > step) continue;
        StepEnd end{.step = step, .frozen_steps = frozen_steps};
        end.settings = {.clip_norm = clip, .ema_decay = 0.99f, .schedule = {.peak = 0.5f, .steps = 2000, .warmup = 10}};
        const auto result = finished(end);
        const double rate = reference::learning_rate(end.settings.schedule, static_cast<double>(step));
        for (const int which : {0, 1}) {
          const double t = static_cast<double>(step),
                       updates = t - (which == 0 ? 0.0 : static_cast<double>(frozen_steps)) + 1;
          const StepFactors& f = result.factors[which];
          const std::vector<float> values{f.finite,    f.learning_rate, f.clip,
                                          f.step_size, f.root_scale,    f.average_decay};
          const std::vector<double> wanted{1,
                                           rate,
                                           clip > 0 ? std::min(1.0, clip / (5 + 1e-6)) : 1,
                                           rate / (1 - std::pow(double(end.settings.beta1), updates)),
                                           1 / std::sqrt(1 - std::pow(double(end.settings.beta2), updates)),
                                           std::min(double(end.settings.ema_decay), (1 + t) / (10 + t))};
          EXPECT_TRUE(test::matches(values, wanted, test::float32_tolerance))
              << "step " << step << ", frozen before " << frozen_steps << ", clip " << clip << ", factors " << which;
        }
      }
}

TEST_P(FinishStep, CountsSteps) {
  const auto result = finished({.step = 0xffffffffu});
  EXPECT_EQ(result.step, 0x100000000u);
  EXPECT_EQ(result.progress, 0x100000000u);
}

// A step without a finite loss must not be taken; its gradient may look harmless. Nor one without a finite norm.
TEST_P(FinishStep, LeavesOutAStepThatIsNotFinite) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const auto expect_taken = [&](const StepEnd& end, bool taken, const std::string& what) {
    const auto result = finished(end);
    EXPECT_EQ(result.step, taken ? 8u : 7u) << what;
    EXPECT_EQ(result.progress, result.step) << what;
    for (const StepFactors& f : result.factors) EXPECT_EQ(f.finite, taken ? 1.0f : 0.0f) << what;
  };
  for (const float value : {1.0f, nan, infinity, -infinity}) {
    for (const int term : {0, 1, 2}) {
      StepEnd end{.terms = std::vector<float>(3 * 40, 2.0f),
                  .collisions = std::vector<std::int32_t>(40),
                  .unplaced = std::vector<std::int32_t>(40)};
      end.terms[3 * 33 + term] = value;
      EXPECT_EQ(finished(end).history[3].gradient_norm, 5) << value;
      expect_taken(end, std::isfinite(value), "loss " + std::to_string(value) + " in term " + std::to_string(term));
    }
    StepEnd end;
    end.partial_norms[1] = value;
    expect_taken(end, std::isfinite(value), "part of the norm " + std::to_string(value));
  }
}

TEST_P(FinishStep, RefusesWhatBreaksTheContract) {
  Stream stream(device());
  StepEnd good;
  good.terms.resize(6);
  good.collisions.resize(2);
  good.unplaced.resize(2);
  test::expect_refusals(
      good, [&](const StepEnd& end) { finish(stream, end); },
      {{[](auto& a) { a.terms.resize(5); }, "finish_step: terms must have 6 elements, it has 5"},
       {[](auto& a) { a.collisions.resize(3); }, "finish_step: terms must have 9 elements, it has 6"},
       {[](auto& a) { a.unplaced.resize(1); }, "finish_step: unplaced must have 2 elements, it has 1"},
       {[](auto& a) { a.collisions.clear(); }, "finish_step: collisions must hold at least one canvas"},
       {[](auto& a) { a.history = 0; }, "finish_step: history must hold at least one step"},
       {[](auto& a) { a.factors = 1; }, "finish_step: factors must have 2 elements, it has 1"},
       {[](auto& a) { a.settings.beta1 = 1; }, "finish_step: beta1 is 1, expected 0 to 1, 1 excluded"}});
}

}  // namespace
}  // namespace gridspot
