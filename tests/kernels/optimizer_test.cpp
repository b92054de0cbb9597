#include "kernels/optimizer.h"

#include <limits>

#include "tests/golden/optimizer.h"
#include "tests/kernels/optimizer_state.h"
#include "tests/reference/optimizer.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot {
namespace {

using test::OptimizerState;
using test::Random;

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
      OptimizerState state(stream, initial, mask, shards);
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

OptimizerSettings adam() {
  OptimizerSettings settings = adamw();
  settings.kind = OptimizerKind::adam;
  return settings;
}

OptimizerSettings sgd() {
  OptimizerSettings settings = adamw();
  settings.kind = OptimizerKind::sgd;
  settings.schedule.kind = ScheduleKind::one_cycle;
  return settings;
}

std::vector<OptimizerSettings> all_kinds() { return {adamw(), adam(), sgd()}; }

// Around a pack, a warp, a block of the update, and a block of the reduction.
constexpr std::size_t sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 255, 256, 257, 2047, 2048, 2049, 8191, 8192, 8193};

TEST_P(Optimizer, FollowsItsReference) {
  for (const OptimizerSettings& settings : all_kinds()) {
    SCOPED_TRACE("kind " + std::to_string(static_cast<int>(settings.kind)));
    for (const std::size_t count : sizes) check_trajectory(settings, count, 20);
    check_trajectory(settings, 100003, 3);
  }
}

TEST_P(Optimizer, ClippingFollowsItsReference) {
  for (OptimizerSettings settings : all_kinds())
    for (const float clip : {0.01f, 1.0f, 1e6f}) {
      settings.clip_norm = clip;
      check_trajectory(settings, 1000, 5);
    }
}

TEST_P(Optimizer, SettingsOffAndAtTheirEnds) {
  for (OptimizerSettings settings : all_kinds()) {
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
  for (OptimizerSettings settings : all_kinds())
    for (const std::uint64_t first : {std::uint64_t{1}, std::uint64_t{5}, std::uint64_t{1} << 40}) {
      settings.clip_norm = 1;
      settings.ema_decay = 0.05f;  // below what limits it at first, whichever steps that would count
      const auto result = run([&](Stream& stream) {
        OptimizerState state(stream, initial, std::vector<std::uint8_t>(count, 1), 1);
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
  struct Row {
    OptimizerKind kind;
    const char* name;
    std::array<double, 4> weights;
  };
  for (const auto& [kind, name, golden] :
       {Row{OptimizerKind::adamw, "AdamW", golden::adamw_weights},
        Row{OptimizerKind::adam, "Adam", golden::adam_weights}, Row{OptimizerKind::sgd, "SGD", golden::sgd_weights}}) {
    const OptimizerSettings settings{.kind = kind,
                                     .beta1 = 0.875f,
                                     .beta2 = 0.96875f,
                                     .epsilon = 0x1p-20f,
                                     .momentum = 0.875f,
                                     .weight_decay = 0.0625f,
                                     .clip_norm = 0.75f,
                                     .schedule = {.kind = ScheduleKind::constant, .peak = 0.03125f}};
    const auto weights = run([&](Stream& stream) {
      OptimizerState state(stream, initial, {1, 1, 1, 1}, 1);
      for (int step = 0; step < 20; ++step) {
        std::vector<float> gradient(4);
        for (int i = 0; i < 4; ++i) gradient[i] = static_cast<float>((step * 7 + i * 5) % 17 - 8) / 8;
        state.update(settings, gradient);
      }
      return download(stream, state.weights);
    });
    EXPECT_TRUE(test::matches(weights, golden, test::float32_tolerance)) << name;
  }
}

TEST_P(Optimizer, AddsShardsInTheOrderOfTheirNumbers) {
  // (1e8 - 1e8) + 1 is 1, every other order of a float32 sum gives 0 or loses the 1.
  const auto gradient = run([&](Stream& stream) {
    OptimizerState state(stream, {0, 0}, {0, 0}, 3);
    copy_to_device(stream, state.shard_gradients.data(), std::vector<float>{1e8f, 1, -1e8f, 1e8f, 1, -1e8f}.data(), 24);
    reduce_gradients(stream, 3, state.shard_gradients, state.gradient, state.partial_norms);
    return download(stream, state.gradient);
  });
  EXPECT_EQ(gradient, (std::vector<float>{1, 0}));
}

// One shard is its own sum: nothing is copied.
TEST_P(Optimizer, TheOnlyShardMayBeTheSum) {
  Random random(34);
  for (const std::size_t count : sizes) {
    const auto initial = random.uniforms(count), gradients = random.uniforms(count);
    const auto result = [&](bool in_place) {
      return run([&](Stream& stream) {
        OptimizerState state(stream, initial, std::vector<std::uint8_t>(count, 1), 1);
        if (in_place) state.gradient = std::move(state.shard_gradients);
        const auto& shard = in_place ? state.gradient : state.shard_gradients;
        copy_to_device(stream, shard.data(), gradients.data(), gradients.size() * sizeof(float));
        reduce_gradients(stream, 1, shard, state.gradient, state.partial_norms);
        finish_step(stream, adamw(), state.step_buffers());
        optimizer_step(stream, adamw(), state.factors.data(), state.buffers());
        return state.everything();
      });
    };
    EXPECT_EQ(result(true), result(false)) << count << " parameters";
  }
}

TEST_P(Optimizer, WritesTheWeightsRoundedToo) {
  Random random(33);
  const auto initial = random.uniforms(301), gradients = random.uniforms(301);
  for (const OptimizerSettings& settings : all_kinds()) {
    std::vector<float> weights;
    const auto rounded = run([&](Stream& stream) {
      OptimizerState state(stream, initial, std::vector<std::uint8_t>(301, 1), 1);
      state.update(settings, gradients);
      weights = download(stream, state.weights);
      return test::to_floats(download(stream, state.rounded));
    });
    EXPECT_EQ(rounded, test::to_floats(test::to_dtype<bfloat16>(weights)));
    EXPECT_NE(rounded, test::to_floats(test::to_dtype<bfloat16>(initial)));
  }
}

TEST_P(Optimizer, NothingChangesWhereTheNormIsNotFinite) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  Random random(32);
  const auto initial = random.uniforms(300);
  // The last one is finite itself, its square is not.
  for (const float bad : {nan, infinity, -infinity, 1e30f})
    for (OptimizerSettings settings : all_kinds()) {
      settings.clip_norm = 1;
      std::vector<float> before, gradients = random.uniforms(300);
      const auto after = run([&](Stream& stream) {
        OptimizerState state(stream, initial, std::vector<std::uint8_t>(300, 1), 1);
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

}  // namespace
}  // namespace gridspot
