// A run that is stopped at any step and resumed ends in the same bytes as one that was never stopped.
#include <gmock/gmock.h>

#include "gridspot/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/device_test.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/model.h"

namespace gridspot {
namespace {

using test::difference;
using test::outcome_of;
using testing::HasSubstr;

class Resume : public test::DeviceTest {
 protected:
  void SetUp() override {
    test::DeviceTest::SetUp();
    if (!IsSkipped()) config_ = test::tiny_config(to_string(device()));
  }

  /// From the backbone of a model, at first without training it.
  void freeze_backbone() {
    const Network network(config_.network);
    save_model(temporary_ / "other.safetensors", {.network = config_.network,
                                                  .weights = network.initial_weights(99),
                                                  .classes = glyphs_.class_names,
                                                  .protocol = config_.protocol.name,
                                                  .config = "{}"});
    config_.backbone = {.file = temporary_ / "other.safetensors", .digest = "", .frozen_epochs = 2};
    ASSERT_EQ(frozen_steps(config_), 5u) << "within the run";
  }

  test::Outcome uninterrupted() {
    test::quick_run(config_, glyphs_, {.folder = temporary_ / "whole"});
    const auto outcome = outcome_of(temporary_ / "whole");
    EXPECT_EQ(outcome.size(), 7u) << "every file of a run must be there";
    return outcome;
  }

  RunSummary pause(const std::filesystem::path& run, std::uint64_t step, bool resume) {
    const RunConfig config = resume ? read_run_config(run) : config_;
    return test::quick_run(config, glyphs_, {.folder = run, .resume = resume, .until = step});
  }

  /// Of the run that stops after each step alone, and of the run that stops after all of them.
  void expect_equal_ends() {
    const auto expected = uninterrupted();
    for (std::uint64_t step = 1; step <= config_.steps; ++step) {
      SCOPED_TRACE("stopped after step " + std::to_string(step));
      const auto run = temporary_ / std::to_string(step);
      ASSERT_EQ(pause(run, step, false).steps, step);
      const RunSummary summary = test::resume(run, glyphs_, 2);
      EXPECT_EQ(summary.first_step, step);
      EXPECT_EQ(summary.steps, config_.steps);
      ASSERT_EQ(difference(outcome_of(run), expected), "");
    }
    const auto run = temporary_ / "every";
    for (std::uint64_t step = 1; step <= config_.steps; ++step) pause(run, step, step > 1);
    EXPECT_EQ(difference(outcome_of(run), expected), "") << "stopped after every step";
  }

  const test::TemporaryFolder temporary_;
  const GlyphSet glyphs_ = test::tiny_glyphs();
  RunConfig config_;
};
GRIDSPOT_ON_EVERY_DEVICE(Resume);

TEST_P(Resume, EndsTheSameOnFreshCanvases) { expect_equal_ends(); }

TEST_P(Resume, EndsTheSameOnFixedCanvases) {
  config_.training_set.images = 10;
  expect_equal_ends();
  config_.training_set.shuffle = false;
  config_.training_set.augmentation = {.scale = 0.2f, .shift = 3, .overlay = 0.5f};
  std::filesystem::remove_all(temporary_.path());
  expect_equal_ends();
}

TEST_P(Resume, EndsTheSameWithAFrozenBackbone) {
  freeze_backbone();
  expect_equal_ends();
}

TEST_P(Resume, EndsTheSameWithSgdAndWithoutAnAverage) {
  config_.optimizer.kind = OptimizerKind::sgd;
  config_.optimizer.ema_decay = 0;
  expect_equal_ends();
}

TEST_P(Resume, EndsTheSameWithOneCheckpointAtATime) {
  config_.keep_checkpoints = 1;
  config_.checkpoint_every = 0;
  expect_equal_ends();
}

// A line is written after each step and each validation, so the signal comes before, between and after them.
TEST_P(Resume, EndsTheSameAfterASignalAtAnyLine) {
  const auto expected = uninterrupted();
  int k = 1, stops = 0;
  for (bool reached = true; reached; ++k) {
    SCOPED_TRACE("signal when line " + std::to_string(k) + " is written");
    const auto run = temporary_ / std::to_string(k);
    std::atomic<int> signal = 0;
    test::LineWatch watch(k, [&] { signal = 15; });
    const RunSummary first =
        run_training(config_, glyphs_, {.folder = run, .threads = 1, .stop_signal = &signal, .file_system = &watch});
    reached = watch.reached;
    EXPECT_EQ(load_checkpoint(run / "checkpoints" / "latest.safetensors", read_run_config(run)).step, first.steps);
    EXPECT_EQ(load_model(run / "model.safetensors").step, first.steps);
    if (first.stopped) ++stops;
    EXPECT_EQ(test::resume(run, glyphs_).first_step, first.steps);
    ASSERT_EQ(difference(outcome_of(run), expected), "");
  }
  EXPECT_GT(k, 20) << "14 steps, 6 epochs with a header, 3 validations";
  EXPECT_GT(stops, 14);
}

TEST_P(Resume, AStoppedValidationIsMadeUpFor) {
  const auto expected = uninterrupted();
  const auto run = temporary_ / "run";
  pause(run, 4, false);
  // The signal comes with the line of step 5, before the validation.
  std::atomic<int> signal = 0;
  test::LineWatch watch(1, [&] { signal = 2; });
  const RunSummary stopped =
      run_training(read_run_config(run), glyphs_,
                   {.folder = run, .resume = true, .threads = 1, .stop_signal = &signal, .file_system = &watch});
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.steps, 5u);
  EXPECT_EQ(test::content(run / "validation.jsonl"), "");
  EXPECT_FALSE(std::filesystem::exists(run / "best.safetensors"));
  test::resume(run, glyphs_);
  EXPECT_EQ(difference(outcome_of(run), expected), "");
}

TEST_P(Resume, ChangesNothingInAFinishedRun) {
  test::quick_run(config_, glyphs_, {.folder = temporary_ / "run"});
  const auto every_file = [&] {
    test::Outcome files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(temporary_ / "run"))
      if (entry.is_regular_file()) files[entry.path().string()] = test::content(entry.path());
    return files;
  };
  const auto before = every_file();
  for (int i = 0; i < 2; ++i) {
    const RunSummary summary = test::resume(temporary_ / "run", glyphs_);
    EXPECT_EQ(summary.first_step, config_.steps);
    EXPECT_FALSE(summary.stopped);
    EXPECT_EQ(difference(every_file(), before), "");
  }
}

TEST_P(Resume, FailsAgainWhereTheLossWasNotFinite) {
  // Without anything that bounds them, weights and gradients drive each other up.
  for (LayerSpec& layer : config_.network.backbone) std::get<ConvolutionLayer>(layer).activation = Activation::none;
  config_.steps = 60;
  config_.optimizer = {.kind = OptimizerKind::sgd,
                       .schedule = {.kind = ScheduleKind::constant, .peak = 1000, .steps = config_.steps}};
  const auto run = temporary_ / "run";
  const auto failure = [&](bool resume) {
    try {
      pause(run, config_.steps, resume);
    } catch (const NumericalError& error) {
      return std::string(error.what());
    }
    return std::string("(the run ended well)");
  };
  const std::string first = failure(false);
  ASSERT_THAT(first, testing::StartsWith("step "));
  EXPECT_THAT(first, testing::Not(testing::StartsWith("step 1:"))) << "there must be steps before";
  const auto before = outcome_of(run);
  EXPECT_EQ(failure(true), first);
  EXPECT_EQ(difference(outcome_of(run), before), "") << "logs, model and checkpoints are those of the last good steps";
}

TEST_P(Resume, GoesOnFromTheConfigurationAlone) {
  const auto expected = uninterrupted();
  const auto run = temporary_ / "run";
  pause(run, 4, false);
  std::filesystem::remove_all(run / "checkpoints");
  EXPECT_EQ(test::resume(run, glyphs_).first_step, 0u);
  EXPECT_EQ(difference(outcome_of(run), expected), "");
}

TEST_P(Resume, RefusesWhatIsNotTheRun) {
  const auto run = temporary_ / "run";
  const auto resume_with = [&](const RunConfig& config, const GlyphSet& glyphs) {
    test::quick_run(config, glyphs, {.folder = run, .resume = true});
  };
  EXPECT_THAT([&] { resume_with(config_, glyphs_); },
              testing::ThrowsMessage<InvalidInput>(HasSubstr(run.string() + " holds no run")));
  EXPECT_FALSE(std::filesystem::exists(run));
  pause(run, 4, false);
  const auto before = outcome_of(run);
  RunConfig other = read_run_config(run);
  other.seed = 2;
  EXPECT_THAT([&] { resume_with(other, glyphs_); },
              testing::ThrowsMessage<CheckpointError>(HasSubstr("a run with another configuration")));
  GlyphSet other_glyphs = glyphs_;
  other_glyphs.pixels[0] ^= 1;
  EXPECT_THAT([&] { resume_with(read_run_config(run), other_glyphs); },
              testing::ThrowsMessage<InvalidInput>(HasSubstr("are not those of the configuration")));
  EXPECT_EQ(difference(outcome_of(run), before), "");
}

}  // namespace
}  // namespace gridspot
