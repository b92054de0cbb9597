// What the optimiser's launchers promise beside the update: they count steps, and refuse what breaks their contract.
#include <cmath>
#include <limits>

#include "tests/kernels/optimizer_state.h"
#include "tests/kernels/refusals.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::OptimizerState;

class OptimizerContract : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(OptimizerContract);

TEST_P(OptimizerContract, CountsSteps) {
  const auto step = run([&](Stream& stream) {
    const auto counter = upload(stream, std::vector<std::uint64_t>{0xffffffffu});
    advance_step(stream, counter.data());
    advance_step(stream, counter.data());
    return download(stream, counter);
  });
  EXPECT_EQ(step[0], 0x100000001u);
}

TEST_P(OptimizerContract, DoesNotCountAStepWhoseNormIsNotFinite) {
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

TEST_P(OptimizerContract, RefusesWhatBreaksTheContract) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  Stream stream(device());
  OptimizerState state(stream, {1, 2, 3, 4, 5}, {0, 0, 0, 0, 0}, 2);
  struct Arguments {
    OptimizerSettings settings;
    OptimizerBuffers buffers;
    int shards = 2;
  };
  const Arguments good{{.ema_decay = 0.5f, .schedule = {.steps = 15}}, state.buffers()};
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
       {[](auto& a) { a.buffers.rounded.size = 6; }, "optimizer_step: rounded must have 5 elements, it has 6"},
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
