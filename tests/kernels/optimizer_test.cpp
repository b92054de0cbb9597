#include "kernels/optimizer.h"

#include <limits>

#include "tests/golden/optimizer.h"
#include "tests/kernels/refusals.h"
#include "tests/reference/optimizer.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

/// Everything that the optimiser works on, on the device.
struct State {
  Stream& stream;
  int shards;
  Buffer<float> weights, moment1, moment2, ema, shard_gradients, gradient, partial_norms, norm;
  Buffer<std::uint8_t> decay_mask;
  Buffer<std::uint64_t> step;

  State(Stream& s, const std::vector<float>& initial, const std::vector<std::uint8_t>& mask, int shard_count)
      : stream(s),
        shards(shard_count),
        weights(upload(s, initial)),
        moment1(zeros(initial.size())),
        moment2(zeros(initial.size())),
        ema(upload(s, initial)),
        shard_gradients(zeros(initial.size() * shard_count)),
        gradient(zeros(initial.size())),
        partial_norms(zeros(norm_partials(initial.size()))),
        norm(zeros(1)),
        decay_mask(upload(s, mask)),
        step(upload(s, std::vector<std::uint64_t>{0})) {}

  [[nodiscard]] Buffer<float> zeros(std::size_t count) const { return upload(stream, std::vector<float>(count)); }
  [[nodiscard]] OptimizerBuffers buffers() const {
    return {weights, moment1, moment2, ema, decay_mask, shard_gradients, gradient, partial_norms, norm};
  }

  void update(const OptimizerSettings& settings, const std::vector<float>& gradients, std::uint64_t first_update = 0) {
    copy_to_device(stream, shard_gradients.data(), gradients.data(), gradients.size() * sizeof(float));
    reduce_gradients(stream, shards, buffers());
    optimizer_step(stream, settings, step.data(), buffers(), first_update);
    advance_step(stream, step.data());
  }

  /// norm, then weights, moments and average.
  [[nodiscard]] std::vector<float> everything() const {
    std::vector<float> all = download(stream, norm);
    for (const Buffer<float>* part : {&weights, &moment1, &moment2, &ema}) {
      const auto values = download(stream, *part);
      all.insert(all.end(), values.begin(), values.end());
    }
    partial_norms.check_red_zone();
    gradient.check_red_zone();
    return all;
  }
};

class Optimizer : public test::DeviceTest {
 protected:
  /// `steps` updates on random gradients of three shards, on the device and by the reference.
  void check_trajectory(const OptimizerSettings& settings, std::size_t count, int steps) {
    constexpr int shards = 3;
    Random random(31);
    const auto initial = random.uniforms(count);
    std::vector<std::uint8_t> mask(count);
    for (auto& m : mask) m = static_cast<std::uint8_t>(random.integer(0, 1));
    std::vector<std::vector<float>> gradients(steps);
    for (auto& g : gradients) g = random.uniforms(count * shards);

    const auto result = run([&](Stream& stream) {
      State state(stream, initial, mask, shards);
      for (const auto& g : gradients) state.update(settings, g);
      return state.everything();
    });

    reference::Optimizer reference(settings, test::to_double(initial), mask);
    for (const auto& g : gradients) {
      std::vector<double> sum(count);
      for (std::size_t i = 0; i < g.size(); ++i) sum[i % count] += g[i];
      reference.update(sum);
    }
    std::vector<double> expected{reference.norm};
    const auto append = [&](const std::vector<double>& part) {
      expected.insert(expected.end(), part.begin(), part.end());
    };
    append(reference.weights);
    append(reference.moment1);
    append(reference.moment2);
    append(settings.ema_decay > 0 ? reference.ema : test::to_double(initial));
    EXPECT_TRUE(test::matches(result, expected, test::float32_tolerance)) << count << " parameters";
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Optimizer);

OptimizerSettings adamw() {
  OptimizerSettings settings;
  settings.weight_decay = 0.05f;
  settings.ema_decay = 0.5f;
  settings.schedule = {.kind = ScheduleKind::cosine, .peak = 1e-2f, .steps = 15, .warmup = 4};
  return settings;
}

OptimizerSettings sgd() {
  OptimizerSettings settings = adamw();
  settings.kind = OptimizerKind::sgd;
  settings.schedule.kind = ScheduleKind::one_cycle;
  return settings;
}

// Around a pack, a warp, a block of the update, and a block of the reduction.
constexpr std::size_t sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 255, 256, 257, 2047, 2048, 2049, 8191, 8192, 8193};

TEST_P(Optimizer, AdamWFollowsItsReference) {
  for (const std::size_t count : sizes) check_trajectory(adamw(), count, 20);
  check_trajectory(adamw(), 100003, 3);
}

TEST_P(Optimizer, SgdFollowsItsReference) {
  for (const std::size_t count : sizes) check_trajectory(sgd(), count, 20);
  check_trajectory(sgd(), 100003, 3);
}

TEST_P(Optimizer, ClippingFollowsItsReference) {
  for (OptimizerSettings settings : {adamw(), sgd()})
    for (const float clip : {0.01f, 1.0f, 1e6f}) {
      settings.clip_norm = clip;
      check_trajectory(settings, 1000, 5);
    }
}

TEST_P(Optimizer, SettingsOffAndAtTheirEnds) {
  for (OptimizerSettings settings : {adamw(), sgd()}) {
    settings.weight_decay = settings.ema_decay = 0;
    check_trajectory(settings, 100, 5);
    settings.beta1 = settings.beta2 = settings.momentum = 0;
    check_trajectory(settings, 100, 5);
    settings.beta2 = 0.99999f;
    settings.ema_decay = 0.9999f;
    check_trajectory(settings, 100, 20);
    settings.schedule.peak = 0;
    check_trajectory(settings, 100, 2);
  }
}

// Parameters that were frozen: the bias correction counts their own updates, the schedule all steps.
TEST_P(Optimizer, AFirstUpdateAfterOtherStepsFollowsTheReference) {
  constexpr std::size_t count = 1000;
  constexpr int updates = 6;
  Random random(33);
  const auto initial = random.uniforms(count);
  std::vector<std::vector<float>> gradients(updates);
  for (auto& g : gradients) g = random.uniforms(count);
  for (OptimizerSettings settings : {adamw(), sgd()})
    for (const std::uint64_t first : {std::uint64_t{1}, std::uint64_t{5}, std::uint64_t{1} << 40}) {
      settings.clip_norm = 1;
      settings.ema_decay = 0.05f;  // below what limits it at first, whichever steps that would count
      const auto result = run([&](Stream& stream) {
        State state(stream, initial, std::vector<std::uint8_t>(count, 1), 1);
        state.step = upload(stream, std::vector<std::uint64_t>{first});
        for (const auto& g : gradients) state.update(settings, g, first);
        return state.everything();
      });
      reference::Optimizer reference(settings, test::to_double(initial), std::vector<std::uint8_t>(count, 1));
      for (int i = 0; i < updates; ++i) {
        const double rate = reference::learning_rate(settings.schedule, static_cast<double>(first) + i);
        reference.settings.schedule = {.kind = ScheduleKind::constant, .peak = static_cast<float>(rate)};
        reference.update(test::to_double(gradients[i]));
      }
      std::vector<double> expected{reference.norm};
      for (const auto* part : {&reference.weights, &reference.moment1, &reference.moment2, &reference.ema})
        expected.insert(expected.end(), part->begin(), part->end());
      EXPECT_TRUE(test::matches(result, expected, test::float32_tolerance)) << "first update in step " << first;
    }
}

TEST_P(Optimizer, AgreesWithTorch) {
  const std::vector<float> initial{0.5f, -0.25f, 0.125f, 1.0f};
  for (const auto kind : {OptimizerKind::adamw, OptimizerKind::sgd}) {
    const OptimizerSettings settings{.kind = kind,
                                     .beta1 = 0.875f,
                                     .beta2 = 0.96875f,
                                     .epsilon = 0x1p-20f,
                                     .momentum = 0.875f,
                                     .weight_decay = 0.0625f,
                                     .clip_norm = 0.75f,
                                     .schedule = {.kind = ScheduleKind::constant, .peak = 0.03125f}};
    const auto weights = run([&](Stream& stream) {
      State state(stream, initial, {1, 1, 1, 1}, 1);
      for (int step = 0; step < 20; ++step) {
        std::vector<float> gradient(4);
        for (int i = 0; i < 4; ++i) gradient[i] = static_cast<float>((step * 7 + i * 5) % 17 - 8) / 8;
        state.update(settings, gradient);
      }
      return download(stream, state.weights);
    });
    const auto& golden = kind == OptimizerKind::adamw ? golden::adamw_weights : golden::sgd_weights;
    EXPECT_TRUE(test::matches(weights, golden, test::float32_tolerance))
        << (kind == OptimizerKind::adamw ? "AdamW" : "SGD");
  }
}

TEST_P(Optimizer, AddsShardsInTheOrderOfTheirNumbers) {
  // (1e8 - 1e8) + 1 is 1, every other order of a float32 sum gives 0 or loses the 1.
  const auto gradient = run([&](Stream& stream) {
    State state(stream, {0, 0}, {0, 0}, 3);
    copy_to_device(stream, state.shard_gradients.data(), std::vector<float>{1e8f, 1, -1e8f, 1e8f, 1, -1e8f}.data(), 24);
    reduce_gradients(stream, 3, state.buffers());
    return download(stream, state.gradient);
  });
  EXPECT_EQ(gradient, (std::vector<float>{1, 0}));
}

TEST_P(Optimizer, NothingChangesWhereTheNormIsNotFinite) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  Random random(32);
  const auto initial = random.uniforms(300);
  // The last one is finite itself, its square is not.
  for (const float bad : {nan, infinity, -infinity, 1e30f})
    for (OptimizerSettings settings : {adamw(), sgd()}) {
      settings.clip_norm = 1;
      std::vector<float> before, gradients = random.uniforms(300);
      const auto after = run([&](Stream& stream) {
        State state(stream, initial, std::vector<std::uint8_t>(300, 1), 1);
        state.update(settings, gradients);  // so that the moments are not 0
        before = state.everything();
        auto broken = gradients;
        broken[123] = bad;
        state.update(settings, broken);
        return state.everything();
      });
      EXPECT_FALSE(std::isfinite(after[0])) << bad;
      EXPECT_EQ(std::vector(after.begin() + 1, after.end()), std::vector(before.begin() + 1, before.end())) << bad;
    }
}

TEST_P(Optimizer, CountsSteps) {
  const auto step = run([&](Stream& stream) {
    const auto counter = upload(stream, std::vector<std::uint64_t>{0xffffffffu});
    advance_step(stream, counter.data());
    advance_step(stream, counter.data());
    return download(stream, counter);
  });
  EXPECT_EQ(step[0], 0x100000001u);
}

TEST_P(Optimizer, DoesNotCountAStepWhoseNormIsNotFinite) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, 3e38f, nan, infinity, -infinity}) {
    const auto step = run([&](Stream& stream) {
      const auto counter = upload(stream, std::vector<std::uint64_t>{7});
      const auto norm = upload(stream, std::vector<float>{value});
      advance_step(stream, counter.data(), norm.data());
      return download(stream, counter);
    });
    EXPECT_EQ(step[0], std::isfinite(value) ? 8u : 7u) << value;
  }
}

TEST_P(Optimizer, RefusesWhatBreaksTheContract) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  Stream stream(device());
  State state(stream, {1, 2, 3, 4, 5}, {0, 0, 0, 0, 0}, 2);
  struct Arguments {
    OptimizerSettings settings;
    OptimizerBuffers buffers;
    int shards = 2;
  };
  const Arguments good{adamw(), state.buffers()};
  const std::string wrong_partials =
      "partial_norms must have " + std::to_string(norm_partials(5)) + " elements, it has 0";
  const auto step = [&](const Arguments& a) { optimizer_step(stream, a.settings, state.step.data(), a.buffers); };
  test::expect_refusals(
      good, step,
      {{[](auto& a) { a.settings.beta1 = 1; }, "optimizer_step: beta1 is 1, expected 0 to 1, 1 excluded"},
       {[](auto& a) { a.settings.beta1 = nan; }, "optimizer_step: beta1 is nan, expected 0 to 1, 1 excluded"},
       {[](auto& a) { a.settings.beta2 = -1; }, "optimizer_step: beta2 is -1, expected 0 to 1, 1 excluded"},
       {[](auto& a) { a.settings.epsilon = 0; }, "optimizer_step: epsilon is 0, expected more than 0"},
       {[](auto& a) { a.settings.momentum = 1; }, "optimizer_step: momentum is 1, expected 0 to 1, 1 excluded"},
       {[](auto& a) { a.settings.weight_decay = -1; }, "optimizer_step: weight_decay is -1, expected at least 0"},
       {[](auto& a) { a.settings.clip_norm = -1; }, "optimizer_step: clip_norm is -1, expected at least 0"},
       {[](auto& a) { a.settings.ema_decay = 1; }, "optimizer_step: ema_decay is 1, expected 0 to 1, 1 excluded"},
       {[](auto& a) { a.settings.schedule.peak = -1; }, "optimizer_step: schedule.peak is -1, expected at least 0"},
       {[](auto& a) { a.settings.schedule.steps = 0; }, "optimizer_step: schedule.steps is 0, expected at least 1"},
       {[](auto& a) { a.buffers.weights.size = 6; }, "optimizer_step: weights must have 5 elements, it has 6"},
       {[](auto& a) { a.buffers.moment1.size = 6; }, "optimizer_step: moment1 must have 5 elements, it has 6"},
       {[](auto& a) { a.buffers.moment2.size = 6; }, "optimizer_step: moment2 must have 5 elements, it has 6"},
       {[](auto& a) { a.buffers.ema.size = 6; }, "optimizer_step: ema must have 5 elements, it has 6"},
       {[](auto& a) { a.buffers.decay_mask.size = 6; }, "optimizer_step: decay_mask must have 5 elements, it has 6"},
       {[](auto& a) { a.buffers.norm.size = 2; }, "optimizer_step: norm must have 1 elements, it has 2"},
       {[](auto& a) { a.buffers.partial_norms.size = 0; }, "optimizer_step: " + wrong_partials}});
  const auto reduce = [&](const Arguments& a) { reduce_gradients(stream, a.shards, a.buffers); };
  test::expect_refusals(
      good, reduce,
      {{[](auto& a) { a.shards = 0; }, "reduce_gradients: shards is 0, expected at least 1"},
       {[](auto& a) { a.shards = 3; }, "reduce_gradients: shard_gradients must have 15 elements, it has 10"},
       {[](auto& a) { a.buffers.norm.size = 0; }, "reduce_gradients: norm must have 1 elements, it has 0"},
       {[](auto& a) { a.buffers.partial_norms.size = 0; }, "reduce_gradients: " + wrong_partials}});
}

}  // namespace
}  // namespace gridspot
