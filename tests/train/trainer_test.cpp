#include "train/recipes.h"
#include "train/trainer.h"

#include <gmock/gmock.h>

#include <cmath>

#include "data/builtin_glyphs.h"
#include "gridspot/error.h"
#include "kernels/metrics.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

RunConfig small_config(Device device) {
  RunConfig config = default_config("quick");
  config.batch = 8;
  config.shards = 4;
  config.steps = 20;
  config.device = to_string(device);
  return resolve(config);
}

class TrainerTest : public test::DeviceTest {
 protected:
  const GlyphSet glyphs_ = load_glyphs("builtin", Split::train);
};
GRIDSPOT_ON_EVERY_DEVICE(TrainerTest);

TEST_P(TrainerTest, TheResultDoesNotDependOnTheNumberOfThreads) {
  std::vector<std::vector<float>> weights;
  for (const int threads : {1, 2, 4, 9}) {
    Trainer trainer(small_config(device()), glyphs_, threads);
    for (int i = 0; i < 3; ++i) trainer.step();
    weights.push_back(trainer.weights());
    EXPECT_EQ(weights.back(), weights.front()) << threads << " threads";
  }
}

TEST_P(TrainerTest, LearnsSomethingInTwentySteps) {
  Trainer trainer(small_config(device()), glyphs_);
  for (int i = 0; i < 20; ++i) trainer.step();
  const auto metrics = trainer.take_metrics();
  ASSERT_EQ(metrics.size(), 20u);
  const auto loss = [](const StepMetrics& m) { return m.objectness + m.box + m.classes; };
  EXPECT_LT(loss(metrics[18]) + loss(metrics[19]), 0.9f * (loss(metrics[0]) + loss(metrics[1])));
  for (const StepMetrics& m : metrics) EXPECT_GT(m.gradient_norm, 0);
}

TEST_P(TrainerTest, InferenceUsesTheMovingAverage) {
  RunConfig config = small_config(device());
  Trainer averaged(config, glyphs_);
  config.optimizer.ema_decay = 0;
  Trainer plain(config, glyphs_);
  for (int i = 0; i < 2; ++i) {
    averaged.step();
    plain.step();
  }
  EXPECT_EQ(averaged.weights(), plain.weights()) << "the average must not change the training";
  EXPECT_NE(averaged.inference_weights(), averaged.weights());
  EXPECT_EQ(plain.inference_weights(), plain.weights());
}

TEST_P(TrainerTest, ALossThatIsNotFiniteLeavesTheWeights) {
  RunConfig config = small_config(device());
  config.loss.class_weight = 3e38f;
  Trainer trainer(config, glyphs_);
  const auto before = trainer.weights();
  trainer.step();
  EXPECT_EQ(trainer.weights(), before);
  EXPECT_THROW(trainer.take_metrics(), NumericalError);
}

TEST_P(TrainerTest, NothingChangesAfterAStepThatIsNotFinite) {
  RunConfig config = small_config(device());
  config.optimizer = {.kind = OptimizerKind::sgd,
                      .ema_decay = 0.9f,
                      .schedule = {.kind = ScheduleKind::constant, .peak = 1000, .steps = 40}};
  Trainer diverging(config, glyphs_), stopped_in_time(config, glyphs_);
  for (int i = 0; i < 40; ++i) diverging.step();
  const auto good = diverging.take_metrics();
  ASSERT_GE(good.size(), 1u);
  ASSERT_LT(good.size(), 39u) << "it should have diverged, with steps after that";
  EXPECT_THAT([&] { diverging.take_metrics(); }, testing::ThrowsMessage<NumericalError>(testing::StartsWith(
                                                     "step " + std::to_string(good.size() + 1) + ": the ")));
  EXPECT_EQ(diverging.steps_done(), good.size());

  for (std::size_t i = 0; i < good.size(); ++i) stopped_in_time.step();
  EXPECT_EQ(diverging.weights(), stopped_in_time.weights());
  EXPECT_EQ(diverging.inference_weights(), stopped_in_time.inference_weights());
  for (const float weight : diverging.weights()) ASSERT_TRUE(std::isfinite(weight));
}

// The gradient may be finite where the loss is not.
TEST_P(TrainerTest, ALossThatIsNotFiniteIsEnoughToLeaveOutAStep) {
  const auto step_after = [&](float loss) {
    return run([&](Stream& stream) {
      const auto step = upload(stream, std::vector<std::uint64_t>{7});
      const auto norm = upload(stream, std::vector<float>{0.5f}),
                 terms = upload(stream, std::vector<float>{1, loss, 1});
      const auto counts = upload(stream, std::vector<std::int32_t>{0});
      const auto history = upload(stream, std::vector<StepMetrics>(8));
      record_step(stream, step.data(), terms, norm, counts, counts, history);
      advance_step(stream, step.data(), norm.data());
      EXPECT_EQ(download(stream, history)[7].gradient_norm, 0.5f);
      return download(stream, step);
    })[0];
  };
  EXPECT_EQ(step_after(1), 8u);
  EXPECT_EQ(step_after(INFINITY), 7u);
  EXPECT_EQ(step_after(NAN), 7u);
}

TEST_P(TrainerTest, ConfigurationsThatDoNotFitAreRefused) {
  const auto expect_refused = [&](const char* what, auto change) {
    RunConfig config = small_config(device());
    change(config);
    EXPECT_THROW(Trainer(config, glyphs_), InvalidInput) << what;
  };
  expect_refused("batch not divisible by shards", [](RunConfig& c) { c.batch = 9; });
  expect_refused("canvases of another size", [](RunConfig& c) { c.protocol = find_protocol("seed-224"); });
  expect_refused("another number of classes", [](RunConfig& c) { c.network = with_classes(c.network, 3); });
}

}  // namespace
}  // namespace gridspot
