#include "train/trainer.h"
#include "train/recipes.h"

#include <gmock/gmock.h>

#include <cmath>

#include "data/builtin_glyphs.h"
#include "data/label_files.h"
#include "gridspot/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/device_test.h"
#include "tests/train/tiny_run.h"

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
    Trainer trainer(small_config(device()), glyphs_, {.threads = threads});
    for (int i = 0; i < 3; ++i) trainer.step();
    weights.push_back(trainer.weights());
    EXPECT_EQ(weights.back(), weights.front()) << threads << " threads";
  }
}

TEST_P(TrainerTest, FiveRunsEndInTheSameBytes) {
  for (const auto precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    RunConfig config = small_config(device());
    config.precision = precision;
    std::vector<float> first;
    for (int i = 0; i < 5; ++i) {
      Trainer trainer(config, glyphs_);
      for (int step = 0; step < 3; ++step) trainer.step();
      const auto weights = trainer.weights();
      if (first.empty()) first = weights;
      EXPECT_TRUE(weights == first) << "run " << i + 1;
    }
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

TEST_P(TrainerTest, LearnsInBfloat16WhatItLearnsInFloat32) {
  std::vector<float> last;
  for (const auto precision : {Precision::fp32, Precision::bf16}) {
    RunConfig config = small_config(device());
    config.precision = precision;
    Trainer trainer(config, glyphs_);
    for (int i = 0; i < 20; ++i) trainer.step();
    const auto metrics = trainer.take_metrics();
    ASSERT_EQ(metrics.size(), 20u);
    for (const StepMetrics& m : {metrics[0], metrics[19]}) last.push_back(m.objectness + m.box + m.classes);
  }
  EXPECT_NE(last[1], last[3]);
  EXPECT_NEAR(last[2] / last[0], 1, 0.01) << "the first step";
  EXPECT_NEAR(last[3] / last[1], 1, 0.05) << "the last step";
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

void expect_equal(const TrainerState& actual, const TrainerState& expected) {
  EXPECT_EQ(actual.step, expected.step);
  EXPECT_EQ(actual.weights, expected.weights);
  EXPECT_EQ(actual.moment1, expected.moment1);
  EXPECT_EQ(actual.moment2, expected.moment2);
  EXPECT_EQ(actual.average, expected.average);
}

TEST_P(TrainerTest, AStateGoesOnWhereItWasTaken) {
  for (const auto kind : {OptimizerKind::adamw, OptimizerKind::sgd})
    for (const float average : {0.0f, 0.9f}) {
      RunConfig config = test::tiny_config(to_string(device()));
      config.optimizer.kind = kind;
      config.optimizer.ema_decay = average;
      Trainer whole(config, glyphs_), resumed(config, glyphs_);
      for (int i = 0; i < 3; ++i) whole.step();
      const TrainerState state = whole.state();
      EXPECT_EQ(state.step, 3u);
      EXPECT_EQ(state.moment2.empty(), kind == OptimizerKind::sgd);
      EXPECT_EQ(state.average.empty(), average == 0);
      resumed.step();  // restore must leave nothing of it
      resumed.restore(state);
      EXPECT_EQ(resumed.steps_done(), 3u);
      expect_equal(resumed.state(), state);
      EXPECT_TRUE(resumed.take_metrics().empty());
      for (int i = 0; i < 4; ++i) {
        whole.step();
        resumed.step();
      }
      expect_equal(resumed.state(), whole.state());
      EXPECT_EQ(resumed.take_metrics().size(), 4u);
    }
}

TEST_P(TrainerTest, AStateOfAnotherSizeIsRefused) {
  const auto expect_refused = [&](OptimizerKind kind, float average, const char* message, auto spoil) {
    RunConfig config = test::tiny_config(to_string(device()));
    config.optimizer.kind = kind;
    config.optimizer.ema_decay = average;
    Trainer trainer(config, glyphs_);
    trainer.step();
    TrainerState state = trainer.state();
    spoil(state);
    EXPECT_THAT([&] { trainer.restore(state); },
                testing::ThrowsMessage<InvalidInput>(testing::StartsWith(std::string("the state's ") + message)));
  };
  const auto adamw = OptimizerKind::adamw, sgd = OptimizerKind::sgd;
  expect_refused(adamw, 0.9f, "weights has ", [](TrainerState& s) { s.weights.push_back(0); });
  expect_refused(adamw, 0.9f, "weights has 0 values", [](TrainerState& s) { s.weights.clear(); });
  expect_refused(adamw, 0.9f, "first moment has ", [](TrainerState& s) { s.moment1.pop_back(); });
  expect_refused(adamw, 0.9f, "second moment has 0 values", [](TrainerState& s) { s.moment2.clear(); });
  expect_refused(adamw, 0.9f, "moving average has 0 values", [](TrainerState& s) { s.average.clear(); });
  expect_refused(adamw, 0, "moving average has ", [](TrainerState& s) { s.average = s.weights; });
  expect_refused(sgd, 0.9f, "second moment has ", [](TrainerState& s) { s.moment2 = s.weights; });
}

/// A trainer of the tiny network whose weights are replaced before the step that fails; the message of that.
class FailingStep {
 public:
  explicit FailingStep(Device device)
      : trainer_(test::tiny_config(to_string(device)), test::tiny_glyphs(), {.threads = 1}), state_(trainer_.state()) {}

  /// All values of a parameter, or its i-th.
  FailingStep& set(const std::string& name, float value, int only = -1) {
    for (const Parameter& parameter : trainer_.network().parameters()) {
      if (parameter.name != name) continue;
      const std::size_t first = parameter.offset + (only < 0 ? 0 : only), count = only < 0 ? parameter.size : 1;
      std::fill_n(state_.weights.begin() + std::ptrdiff_t(first), count, value);
    }
    return *this;
  }
  std::string message() {
    trainer_.restore(state_);
    trainer_.step();
    try {
      trainer_.take_metrics();
    } catch (const NumericalError& error) {
      return error.what();
    }
    return "(the step was finite)";
  }

 private:
  Trainer trainer_;
  TrainerState state_;
};

TEST_P(TrainerTest, AFailureNamesTheLossTerm) {
  // The head's outputs: objectness, x, y, w, h, the classes. Every canvas has an object.
  for (const auto& [output, term] : {std::pair{0, "objectness"}, {1, "box"}, {4, "box"}, {5, "class"}, {14, "class"}})
    EXPECT_EQ(FailingStep(device()).set("head.conv1.bias", NAN, output).message(),
              std::string("step 1: the ") + term + " loss of canvas 0 is not finite")
        << "output " << output;
}

// Where weights shrink a value and enlarge it again, the loss is finite and the gradient at the small end is not.
TEST_P(TrainerTest, AFailureNamesTheTensorWhoseGradientBroke) {
  const auto with = [&](float first, float second, float last) {
    FailingStep step(device());
    step.set("backbone.conv1.weight", first).set("backbone.conv1.bias", 0);
    step.set("backbone.conv2.weight", second).set("backbone.conv2.bias", 0);
    return step.set("head.conv1.weight", 0).set("head.conv1.weight", last, 0).message();
  };
  EXPECT_EQ(with(1e-30f, 1e20f, 1e25f), "step 1: the gradient of 'backbone.conv1.bias' is not finite");
  EXPECT_EQ(with(1e-30f, 1, 1e25f), "step 1: the gradient's norm is beyond the range of float");
}

TEST_P(TrainerTest, AFolderTrainsAsTheCanvasesThatWereWrittenToIt) {
  RunConfig config = test::tiny_config(to_string(device()));
  config.training_set.images = 10;
  Stream stream(device());
  const CanvasSet canvases =
      render_canvases(stream, config.protocol, glyphs_, Split::train, config.seed, config.training_set.images);
  const test::TemporaryFolder folder;
  const auto writer = make_label_writer(LabelFormat::yolo, folder / "set", canvases.class_names);
  const std::size_t pixels = std::size_t(canvases.height) * canvases.width;
  for (int i = 0; i < canvases.count(); ++i) {
    Image image(canvases.height, canvases.width, 1);
    std::copy_n(canvases.pixels.begin() + std::ptrdiff_t(i * pixels), pixels, image.pixels.begin());
    std::vector<Box> boxes;
    std::vector<std::int32_t> labels;
    for (const LabelledBox& object : canvases.labels[i]) {
      boxes.push_back(object.box);
      labels.push_back(object.label);
    }
    writer->add(image, boxes, labels);
  }
  writer->finish();
  const CanvasSet read = read_split(folder / "set", YoloSplit::train, config.network, device(), true, nullptr);
  EXPECT_EQ(canvas_digest(read), canvas_digest(canvases));

  Trainer composed(config, canvases), from_folder(config, read);
  TrainingData data = to_training_data({}, glyphs_);
  const auto from_config = make_trainer(config, data, {.threads = 1});
  for (int i = 0; i < 6; ++i)
    for (Trainer* trainer : {&composed, &from_folder, from_config.get()}) trainer->step();
  expect_equal(from_folder.state(), composed.state());
  expect_equal(from_config->state(), composed.state());
  EXPECT_EQ(composed.glyphs(), nullptr);
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
