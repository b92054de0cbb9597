// A training step that is captured once and replayed computes what a step computes that is enqueued anew each time. On
// the CPU this proves, without a GPU, that the step can be captured: no value of the host enters it.
#include <gmock/gmock.h>

#include <cmath>
#include <thread>

#include "data/canvas_set.h"
#include "device/enqueue_only.h"
#include "gridspot/error.h"
#include "nn/network_spec.h"
#include "tests/support/device_test.h"
#include "tests/train/tiny_run.h"

namespace gridspot {
namespace {

using StepNumbers = std::vector<std::array<float, 6>>;

StepNumbers numbers(const std::vector<StepMetrics>& metrics) {
  StepNumbers result;
  for (const StepMetrics& m : metrics)
    result.push_back({m.objectness, m.box, m.classes, m.gradient_norm, m.collisions, m.unplaced});
  return result;
}

struct Ended {
  TrainerState state;
  StepNumbers metrics;
};

class CapturedStep : public test::DeviceTest {
 protected:
  void SetUp() override {
    test::DeviceTest::SetUp();
    if (!IsSkipped()) config_ = test::tiny_config(to_string(device()));
  }

  static Ended train(Trainer& trainer, std::uint64_t steps) {
    Ended ended;
    while (trainer.steps_done() < steps) {
      trainer.advance(steps - trainer.steps_done());
      const auto taken = numbers(trainer.take_finished_metrics());
      ended.metrics.insert(ended.metrics.end(), taken.begin(), taken.end());
    }
    const auto rest = numbers(trainer.take_metrics());
    ended.metrics.insert(ended.metrics.end(), rest.begin(), rest.end());
    ended.state = trainer.state();
    return ended;
  }

  template <class Data>
  void expect_equal_to_eager(const Data& data) {
    Trainer eager(config_, data, {.graphs = false});
    const Ended expected = train(eager, config_.steps);
    ASSERT_EQ(expected.metrics.size(), config_.steps);
    EXPECT_NE(expected.metrics.front(), expected.metrics.back());
    for (const std::uint64_t steps : {1, 3, 5, 64}) {
      SCOPED_TRACE(std::to_string(steps) + " steps a launch");
      Trainer replayed(config_, data, {.steps_per_launch = steps, .graphs = true});
      const Ended actual = train(replayed, config_.steps);
      EXPECT_EQ(actual.metrics, expected.metrics);
      EXPECT_EQ(actual.state.step, expected.state.step);
      EXPECT_EQ(actual.state.weights, expected.state.weights);
      EXPECT_EQ(actual.state.moment1, expected.state.moment1);
      EXPECT_EQ(actual.state.moment2, expected.state.moment2);
      EXPECT_EQ(actual.state.average, expected.state.average);
    }
  }

  CanvasSet fixed_set(int count) {
    Stream stream(device());
    return render_canvases(stream, config_.protocol, glyphs_, Split::train, 1, count);
  }

  GlyphSet glyphs_ = test::tiny_glyphs();
  RunConfig config_;
};
GRIDSPOT_ON_EVERY_DEVICE(CapturedStep);

TEST_P(CapturedStep, OnComposedCanvases) { expect_equal_to_eager(glyphs_); }

TEST_P(CapturedStep, WithEveryKindOfLayer) {
  config_.network = parse_network(R"({
    "name": "all layers", "input": {"height": 64, "width": 64},
    "backbone": [{"type": "conv", "filters": 8}, {"type": "max_pool", "size": 4, "stride": 4},
                 {"type": "conv", "filters": 8, "activation": "leaky"}, {"type": "max_pool", "size": 3, "stride": 2}],
    "head": [{"type": "average_pool", "height": 4, "width": 4}, {"type": "fully_connected", "outputs": 32},
             {"type": "fully_connected", "outputs": 135, "activation": "none"}],
    "detector": {"cells": 3, "predictors": 1, "classes": 10, "size_coding": "linear", "class_loss": "mse"}})",
                                  "all layers");
  config_.loss.box_loss = BoxLoss::mse;
  expect_equal_to_eager(glyphs_);
}

TEST_P(CapturedStep, WithEveryOptimizer) {
  for (const auto kind : {OptimizerKind::adam, OptimizerKind::sgd}) {
    config_.optimizer.kind = kind;
    config_.optimizer.ema_decay = 0;
    expect_equal_to_eager(glyphs_);
  }
}

TEST_P(CapturedStep, InBfloat16) {
  config_.precision = Precision::bf16;
  expect_equal_to_eager(glyphs_);
  config_.optimizer.kind = OptimizerKind::sgd;
  expect_equal_to_eager(fixed_set(10));
}

TEST_P(CapturedStep, OnAFixedSet) {
  expect_equal_to_eager(fixed_set(10));
  config_.training_set.augmentation = {.shift = 4, .overlay = 0.5f};
  expect_equal_to_eager(fixed_set(10));
}

TEST_P(CapturedStep, WhereTheBackboneIsFrozenAtFirst) {
  config_.backbone = {.file = "a model", .frozen_epochs = 2};
  ASSERT_EQ(frozen_steps(config_), 5u) << "within the run, and no multiple of a launch";
  expect_equal_to_eager(glyphs_);
}

TEST_P(CapturedStep, OfARestoredState) {
  Trainer eager(config_, glyphs_, {.graphs = false}), replayed(config_, glyphs_, {.graphs = true});
  train(eager, 4);
  train(replayed, 9);
  replayed.restore(eager.state());
  const Ended expected = train(eager, 10), actual = train(replayed, 10);
  EXPECT_EQ(actual.state.weights, expected.state.weights);
  EXPECT_EQ(actual.metrics, expected.metrics);
}

TEST_P(CapturedStep, MaySampleTheNextSceneBesideTheOptimizer) {
  config_.shards = 1;
  const auto expect_equal = [&](const auto& data) {
    Trainer plain(config_, data, {.graphs = false});
    const Ended expected = train(plain, config_.steps);
    for (const std::uint64_t steps : {1, 3, 64})
      for (const bool graphs : {false, true}) {
        Trainer overlapping(config_, data, {.steps_per_launch = steps, .graphs = graphs, .overlap = true});
        const Ended actual = train(overlapping, config_.steps);
        EXPECT_EQ(actual.metrics, expected.metrics) << steps << " steps a launch, graphs " << graphs;
        EXPECT_EQ(actual.state.weights, expected.state.weights) << steps << " steps a launch, graphs " << graphs;
      }
  };
  expect_equal(glyphs_);
  expect_equal(fixed_set(10));
  config_.backbone = {.file = "a model", .frozen_epochs = 2};
  expect_equal(glyphs_);
}

TEST_P(CapturedStep, StopsAtAStepThatIsNotFinite) {
  config_.network = load_network("quick");
  config_.optimizer = {.kind = OptimizerKind::sgd,
                       .schedule = {.kind = ScheduleKind::constant, .peak = 1000, .steps = 40}};
  std::vector<Ended> ended;
  for (const std::uint64_t steps : {0, 1, 7}) {
    Trainer trainer(config_, glyphs_, {.steps_per_launch = std::max<std::uint64_t>(steps, 1), .graphs = steps > 0});
    while (trainer.steps_done() < 40) trainer.advance(40 - trainer.steps_done());
    Ended end{.metrics = numbers(trainer.take_metrics())};
    ASSERT_GE(end.metrics.size(), 1u);
    ASSERT_LT(end.metrics.size(), 39u) << "it should have diverged, with steps after that";
    EXPECT_THROW(trainer.take_metrics(), NumericalError);
    EXPECT_EQ(trainer.steps_done(), end.metrics.size());
    end.state = trainer.state();
    ended.push_back(end);
    EXPECT_EQ(end.metrics, ended.front().metrics);
    EXPECT_EQ(end.state.weights, ended.front().state.weights);
  }
}

// Many more steps than may be under way at once, so that the host meets the bound on them. It asks whether it may go on
// instead of waiting.
TEST_P(CapturedStep, TheSteadyStateNeitherAllocatesNorWaits) {
  constexpr int steps = 4 * static_cast<int>(Trainer::launches_ahead);
  config_.steps = 2 + steps;
  for (const bool graphs : {false, true}) {
    Trainer trainer(resolve(config_), glyphs_, {.threads = 1, .graphs = graphs});
    for (int i = 0; i < 2; ++i) trainer.step();
    std::size_t seen = 0;
    {
      const EnqueueOnly guard;
      for (int i = 0; i < steps; ++i) {
        while (!trainer.ready()) std::this_thread::yield();
        trainer.step();
        seen += trainer.take_finished_metrics().size();
      }
    }
    EXPECT_GT(seen, 0u);
    EXPECT_EQ(seen + trainer.take_metrics().size(), std::size_t(2 + steps));
  }
}

TEST_P(CapturedStep, TheHostSeesEveryStepOnceWhenItAsksNowAndThen) {
  config_.steps = 200;
  Trainer trainer(resolve(config_), glyphs_, {.steps_per_launch = 4});
  StepNumbers seen;
  for (int launch = 1; launch <= 50; ++launch) {
    trainer.advance(4);
    if (launch % 7 != 0) continue;
    const auto taken = numbers(trainer.take_finished_metrics());
    seen.insert(seen.end(), taken.begin(), taken.end());
  }
  const auto rest = numbers(trainer.take_metrics());
  seen.insert(seen.end(), rest.begin(), rest.end());
  ASSERT_EQ(seen.size(), 200u);
  EXPECT_TRUE(trainer.take_metrics().empty());
  Trainer again(resolve(config_), glyphs_);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    again.step();
    ASSERT_EQ(numbers(again.take_metrics()), StepNumbers{seen[i]}) << "step " << i + 1;
  }
}

}  // namespace
}  // namespace gridspot
