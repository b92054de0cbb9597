#include "kernels/optimizer.h"

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "gridspot/error.h"
#include "tests/golden/optimizer.h"
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

  void update(const OptimizerSettings& settings, const std::vector<float>& gradients) {
    copy_to_device(stream, shard_gradients.data(), gradients.data(), gradients.size() * sizeof(float));
    reduce_gradients(stream, shards, buffers());
    optimizer_step(stream, settings, step.data(), buffers());
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
constexpr std::size_t sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 255, 256, 257, 2047, 2049, 8191, 8192, 8193};

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

TEST_P(Optimizer, RefusesWhatBreaksTheContract) {
  struct Case {
    std::string message;
    std::function<void(OptimizerSettings&, OptimizerBuffers&)> spoil;
  };
  const auto longer = [](auto& span) { ++span.size; };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Case> cases{
      {"beta1 is 1, expected 0 to 1, 1 excluded", [](auto& s, auto&) { s.beta1 = 1; }},
      {"beta1 is nan", [](auto& s, auto&) { s.beta1 = nan; }},
      {"beta2 is -1, expected 0 to 1", [](auto& s, auto&) { s.beta2 = -1; }},
      {"epsilon is 0, expected more than 0", [](auto& s, auto&) { s.epsilon = 0; }},
      {"momentum is 1, expected 0 to 1", [](auto& s, auto&) { s.momentum = 1; }},
      {"weight_decay is -1, expected at least 0", [](auto& s, auto&) { s.weight_decay = -1; }},
      {"clip_norm is -1, expected at least 0", [](auto& s, auto&) { s.clip_norm = -1; }},
      {"ema_decay is 1, expected 0 to 1", [](auto& s, auto&) { s.ema_decay = 1; }},
      {"schedule.peak is -1, expected at least 0", [](auto& s, auto&) { s.schedule.peak = -1; }},
      {"schedule.steps is 0, expected at least 1", [](auto& s, auto&) { s.schedule.steps = 0; }},
      {"weights must have 5 elements, it has 6", [&](auto&, auto& b) { longer(b.weights); }},
      {"moment1 must have 5 elements, it has 6", [&](auto&, auto& b) { longer(b.moment1); }},
      {"moment2 must have 5 elements, it has 6", [&](auto&, auto& b) { longer(b.moment2); }},
      {"ema must have 5 elements, it has 6", [&](auto&, auto& b) { longer(b.ema); }},
      {"decay_mask must have 5 elements, it has 6", [&](auto&, auto& b) { longer(b.decay_mask); }},
      {"norm must have 1 elements, it has 2", [&](auto&, auto& b) { longer(b.norm); }},
      {"partial_norms must have", [&](auto&, auto& b) { longer(b.partial_norms); }},
  };
  Stream stream(device());
  State state(stream, {1, 2, 3, 4, 5}, {0, 0, 0, 0, 0}, 2);
  for (const Case& c : cases) {
    OptimizerSettings settings = adamw();
    OptimizerBuffers buffers = state.buffers();
    c.spoil(settings, buffers);
    EXPECT_THAT([&] { optimizer_step(stream, settings, state.step.data(), buffers); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("optimizer_step: " + c.message)));
  }
  const OptimizerBuffers buffers = state.buffers();
  EXPECT_THAT([&] { reduce_gradients(stream, 0, buffers); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("shards is 0, expected at least 1")));
  EXPECT_THAT([&] { reduce_gradients(stream, 3, buffers); },
              testing::ThrowsMessage<InvalidInput>(
                  testing::HasSubstr("reduce_gradients: shard_gradients must have 15 elements, it has 10")));
}

// The table is worked out by hand from the definition in kernels/schedule.h; cos(pi / 3) = 1/2.
TEST(Schedule, AtItsCorners) {
  struct Case {
    Schedule schedule;
    std::uint64_t step;
    double rate;
  };
  constexpr auto constant = ScheduleKind::constant, cosine = ScheduleKind::cosine, one_cycle = ScheduleKind::one_cycle;
  constexpr std::uint64_t far = ~0ull;
  const std::vector<Case> cases{
      {{constant, 2, 10, 0, 0.5f}, 0, 2},
      {{constant, 2, 10, 0, 0.5f}, far, 2},
      {{constant, 2, 10, 4, 0.5f}, 0, 0.5},
      {{constant, 2, 10, 4, 0.5f}, 3, 2},
      {{constant, 2, 10, 4, 0.5f}, 4, 2},
      {{constant, 2, 2, 4, 0.5f}, far, 1},
      {{constant, 2, 1, 0, 0.5f}, 0, 2},
      {{cosine, 2, 1, 0, 0.5f}, 0, 2},
      {{cosine, 2, 1, 0, 0.5f}, far, 2},
      {{cosine, 2, 1, 1, 0.5f}, 0, 2},
      {{cosine, 2, 2, 0, 0.5f}, 0, 2},
      {{cosine, 2, 2, 0, 0.5f}, 1, 1},
      {{cosine, 2, 4, 0, 0.5f}, 1, 1.75},
      {{cosine, 2, 4, 0, 0.5f}, 2, 1.25},
      {{cosine, 2, 4, 0, 0.5f}, 3, 1},
      {{cosine, 2, 4, 0, 0.5f}, 4, 1},
      {{cosine, 2, 4, 0, 0}, 3, 0},
      {{cosine, 2, 4, 0, 0.5f}, far, 1},
      {{cosine, 2, 6, 2, 0.5f}, 0, 1},
      {{cosine, 2, 6, 2, 0.5f}, 1, 2},
      {{cosine, 2, 6, 2, 0.5f}, 2, 2},
      {{cosine, 2, 6, 2, 0.5f}, 3, 1.75},
      {{cosine, 2, 6, 2, 0.5f}, 5, 1},
      {{cosine, 2, 4, 4, 0.5f}, 3, 2},
      {{cosine, 2, 4, 8, 0.5f}, far, 1},
      {{one_cycle, 2, 1, 0, 0.5f}, 0, 2},
      {{one_cycle, 2, 1, 1, 0.5f}, 0, 0.08},
      {{one_cycle, 2, 6, 2, 0.5f}, 0, 0.08},
      {{one_cycle, 2, 6, 2, 0.5f}, 1, 1.04},
      {{one_cycle, 2, 6, 2, 0.5f}, 2, 2},
      {{one_cycle, 2, 6, 2, 0.5f}, 4, 1.25},
      {{one_cycle, 2, 6, 2, 0.5f}, 5, 1},
      {{one_cycle, 2, 6, 2, 0.5f}, far, 1},
      {{one_cycle, 2, 7, 3, 0.5f}, 1, 0.08 + 1.92 / 4},
      {{one_cycle, 2, 3, 6, 0.5f}, far, 0.08 + 1.92 / 4},
  };
  for (const Case& c : cases)
    EXPECT_NEAR(learning_rate(c.schedule, c.step), c.rate, 1e-6)
        << "kind " << int(c.schedule.kind) << ", " << c.schedule.steps << " steps, warm-up " << c.schedule.warmup
        << ", step " << c.step;
}

TEST(Schedule, FollowsItsReference) {
  Random random(33);
  for (int i = 0; i < 300; ++i) {
    const Schedule schedule{.kind = ScheduleKind(random.integer(0, 2)),
                            .peak = random.uniform(1e-5f, 1),
                            .steps = std::uint64_t(random.integer(1, 40)),
                            .warmup = std::uint64_t(random.integer(0, 20)),
                            .final_fraction = random.uniform()};
    for (std::uint64_t step = 0; step < 45; ++step)
      ASSERT_NEAR(learning_rate(schedule, step), reference::learning_rate(schedule, double(step)), 1e-6 * schedule.peak)
          << "kind " << int(schedule.kind) << ", " << schedule.steps << " steps, warm-up " << schedule.warmup
          << ", step " << step;
  }
}

}  // namespace
}  // namespace gridspot
