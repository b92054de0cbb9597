#include "train/trainer.h"

#include <cmath>

#include "data/builtin_glyphs.h"
#include "gridspot/error.h"
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
