// The optimiser's launchers refuse what breaks their contract.
#include <limits>

#include "tests/kernels/optimizer_state.h"
#include "tests/kernels/refusals.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::OptimizerState;

class OptimizerContract : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(OptimizerContract);

TEST_P(OptimizerContract, RefusesWhatBreaksTheContract) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  Stream stream(device());
  OptimizerState state(stream, {1, 2, 3, 4, 5}, {0, 0, 0, 0, 0}, 2);
  struct Arguments {
    OptimizerSettings settings;
    OptimizerBuffers buffers;
  };
  const Arguments good{{.ema_decay = 0.5f, .schedule = {.steps = 15}}, state.buffers()};
  const auto step = [&](const Arguments& a) { optimizer_step(stream, a.settings, state.factors.data(), a.buffers); };
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
       {[](auto& a) { a.buffers.decay_mask.size = 6; }, "optimizer_step: decay_mask must have 5 elements, it has 6"}});
}

TEST_P(OptimizerContract, RefusesShardsThatDoNotFit) {
  Stream stream(device());
  OptimizerState state(stream, {1, 2, 3, 4, 5}, {0, 0, 0, 0, 0}, 2);
  struct Arguments {
    int shards;
    DeviceSpan<float> partials;
  };
  const auto reduce = [&](const Arguments& a) {
    reduce_gradients(stream, a.shards, state.shard_gradients, state.gradient, a.partials);
  };
  test::expect_refusals(
      Arguments{2, state.partial_norms}, reduce,
      {{[](auto& a) { a.shards = 0; }, "reduce_gradients: shards is 0, expected at least 1"},
       {[](auto& a) { a.shards = 3; }, "reduce_gradients: shard_gradients must have 15 elements, it has 10"},
       {[](auto& a) { a.partials.size = 0; }, "reduce_gradients: partial_norms must have 1 elements, it has 0"}});
}

}  // namespace
}  // namespace gridspot
