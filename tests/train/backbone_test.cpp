#include "train/backbone.h"

#include <gmock/gmock.h>

#include <cmath>

#include "gridspot/error.h"
#include "io/safetensors.h"
#include "tests/io/temporary_folder.h"
#include "tests/reference/schedule.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/model.h"
#include "train/recipes.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Model model_of(const NetworkSpec& network, std::uint64_t seed) {
  return {.network = network,
          .weights = Network(network).initial_weights(seed),
          .classes = test::tiny_glyphs().class_names,
          .protocol = "quick-64",
          .config = "{}"};
}

/// The values of the parameters whose names begin with `prefix`.
std::vector<float> part_of(const Network& network, const std::vector<float>& flat, std::string_view prefix) {
  std::vector<float> part;
  for (const Parameter& parameter : network.parameters())
    if (parameter.name.starts_with(prefix))
      part.insert(part.end(), flat.begin() + std::ptrdiff_t(parameter.offset),
                  flat.begin() + std::ptrdiff_t(parameter.offset + parameter.size));
  return part;
}

class Backbone : public testing::Test {
 protected:
  /// What load_backbone throws.
  std::string refusal() {
    try {
      std::vector<float> flat(network_.buffer_size());
      load_backbone(path_, network_, flat);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "(it was accepted)";
  }

  const test::TemporaryFolder temporary_;
  const fs::path path_ = temporary_ / "pretrained.safetensors";
  const Network network_{test::tiny_network()};
};

TEST_F(Backbone, IsTakenByNameAndTheHeadIsLeft) {
  const Model classifier = model_of(classifier_of(test::tiny_network(), Task::canvases), 7);
  save_model(path_, classifier);
  const auto before = network_.initial_weights(1);
  auto flat = before;
  const LoadedBackbone loaded = load_backbone(path_, network_, flat);
  EXPECT_THAT(loaded.taken, ElementsAre("backbone.conv1.weight", "backbone.conv1.bias", "backbone.conv2.weight",
                                        "backbone.conv2.bias"));
  EXPECT_THAT(loaded.left, ElementsAre("head.fc1.bias", "head.fc1.weight", "head.fc2.bias", "head.fc2.weight"));
  EXPECT_EQ(part_of(network_, flat, "backbone."),
            part_of(Network(classifier.network), classifier.weights, "backbone."));
  EXPECT_NE(part_of(network_, flat, "backbone."), part_of(network_, before, "backbone."));
  EXPECT_EQ(part_of(network_, flat, "head."), part_of(network_, before, "head."));
}

TEST_F(Backbone, OfPyTorchNeedsNoMetadataAndNoOrder) {
  const auto values = network_.initial_weights(7);
  TensorFile file;
  for (auto parameter = network_.parameters().rbegin(); parameter != network_.parameters().rend(); ++parameter)
    if (parameter->name.starts_with("backbone."))
      file.tensors.push_back({parameter->name, parameter->shape, network_.to_torch(*parameter, values)});
  write_safetensors(path_, file);
  std::vector<float> flat(network_.buffer_size());
  load_backbone(path_, network_, flat);
  EXPECT_EQ(part_of(network_, flat, "backbone."), part_of(network_, values, "backbone."));
}

TEST_F(Backbone, EveryDifferenceIsNamedInOneMessage) {
  NetworkSpec other = test::tiny_network();
  std::get<ConvolutionLayer>(other.backbone[0]).filters = 5;
  other.backbone.push_back(ConvolutionLayer{.filters = 8});
  save_model(path_, model_of(other, 7));
  EXPECT_EQ(refusal(),
            path_.string() +
                ": its backbone is not that of network 'tiny'; 'backbone.conv1.weight' has shape [5, 1, 3, 3], the "
                "network needs [4, 1, 3, 3]; 'backbone.conv1.bias' has shape [5], the network needs [4]; "
                "'backbone.conv2.weight' has shape [8, 5, 3, 3], the network needs [8, 4, 3, 3]; "
                "'backbone.conv3.bias' belongs to no layer; 'backbone.conv3.weight' belongs to no layer");
  other = test::tiny_network();
  other.backbone.pop_back();
  std::get<ConvolutionLayer>(other.backbone[0]).stride = 8;
  save_model(path_, model_of(other, 7));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("; 'backbone.conv2.weight' is missing"),
                               HasSubstr("; 'backbone.conv2.bias' is missing")));
}

TEST_F(Backbone, ADamagedOrMissingFileIsRefused) {
  save_model(path_, model_of(test::tiny_network(), 7));
  fs::resize_file(path_, fs::file_size(path_) - 1);
  EXPECT_THAT(refusal(), StartsWith(path_.string()));
  fs::remove(path_);
  std::vector<float> flat(network_.buffer_size());
  EXPECT_THROW(load_backbone(path_, network_, flat), IoError);
}

TEST_F(Backbone, TheDigestIsThatOfTheTensorsTaken) {
  std::vector<float> flat(network_.buffer_size());
  const auto digest_of = [&](const Model& model) {
    save_model(path_, model);
    return load_backbone(path_, network_, flat).digest;
  };
  Model model = model_of(test::tiny_network(), 7);
  const std::string digest = digest_of(model);
  EXPECT_EQ(digest.size(), 64u);
  for (const Parameter& parameter : network_.parameters()) {
    Model changed = model;
    changed.weights[parameter.offset] += 1;
    EXPECT_EQ(digest_of(changed) == digest, parameter.name.starts_with("head.")) << parameter.name;
  }
  model.step = 9;
  EXPECT_EQ(digest_of(model), digest) << "the metadata do not count";
}

TEST_F(Backbone, ARunThatIsRepeatedRefusesAnother) {
  const GlyphSet glyphs = test::tiny_glyphs();
  RunConfig config = test::tiny_config();
  config.steps = 1;
  config.backbone.file = path_;
  save_model(path_, model_of(config.network, 7));
  test::quick_run(config, glyphs, {.folder = temporary_ / "first"});
  const RunConfig stated = read_run_config(temporary_ / "first");
  EXPECT_EQ(stated.backbone.digest.size(), 64u);
  test::quick_run(stated, glyphs, {.folder = temporary_ / "again"});
  EXPECT_EQ(test::difference(test::outcome_of(temporary_ / "again"), test::outcome_of(temporary_ / "first")), "");

  save_model(path_, model_of(config.network, 8));
  EXPECT_THAT([&] { test::quick_run(stated, glyphs, {.folder = temporary_ / "other"}); },
              testing::ThrowsMessage<InvalidInput>(AllOf(HasSubstr(path_.string()), HasSubstr(stated.backbone.digest),
                                                         HasSubstr("not those of the configuration"),
                                                         HasSubstr("--set backbone.digest="))));
  EXPECT_FALSE(fs::exists(temporary_ / "other"));
}

TEST_F(Backbone, IsWhereTheTrainingAndTheAverageBegin) {
  RunConfig config = test::tiny_config();
  config.steps = 1;
  config.backbone.file = path_;
  const Model model = model_of(config.network, 7);
  save_model(path_, model);
  const auto run = temporary_ / "run";
  test::quick_run(config, test::tiny_glyphs(), {.folder = run});
  const TrainerState first = load_checkpoint(test::checkpoints_in(run).at(0), read_run_config(run));
  EXPECT_EQ(first.step, 0u);
  EXPECT_EQ(part_of(network_, first.weights, "backbone."), part_of(network_, model.weights, "backbone."));
  EXPECT_EQ(part_of(network_, first.weights, "head."),
            part_of(network_, network_.initial_weights(config.seed, config.objectness_prior), "head."));
  EXPECT_EQ(first.average, first.weights);
}

class FrozenBackbone : public test::DeviceTest {
 protected:
  static constexpr std::uint64_t frozen = 5;

  void SetUp() override {
    test::DeviceTest::SetUp();
    if (IsSkipped()) return;
    config_ = test::tiny_config(to_string(device()));
    config_.backbone.frozen_epochs = 2;
    ASSERT_EQ(frozen_steps(config_), frozen) << "20 canvases, 4 a step";
  }
  RunConfig config_;
};
GRIDSPOT_ON_EVERY_DEVICE(FrozenBackbone);

TEST_P(FrozenBackbone, StaysAsItIsToTheBitUntilItIsTrained) {
  for (const auto kind : {OptimizerKind::adamw, OptimizerKind::sgd}) {
    config_.optimizer.kind = kind;
    Trainer trainer(config_, test::tiny_glyphs(), {.threads = 1});
    const Network& network = trainer.network();
    const TrainerState first = trainer.state();
    for (std::uint64_t step = 1; step <= frozen + 2; ++step) {
      SCOPED_TRACE("after step " + std::to_string(step));
      const TrainerState before = trainer.state();
      trainer.step();
      const TrainerState after = trainer.state();
      const auto is_unchanged = [&](std::vector<float> TrainerState::*part, const TrainerState& since,
                                    const char* section) {
        return part_of(network, after.*part, section) == part_of(network, since.*part, section);
      };
      for (const auto part : {&TrainerState::weights, &TrainerState::average, &TrainerState::moment1}) {
        EXPECT_EQ(is_unchanged(part, first, "backbone."), step <= frozen);
        EXPECT_FALSE(is_unchanged(part, before, "head."));
      }
      EXPECT_EQ(trainer.take_metrics().size(), 1u);
    }
  }
}

// The norm that clips the gradient is the head's alone while the backbone is frozen, so the head learns as if there
// were nothing else.
TEST_P(FrozenBackbone, TheHeadsFirstStepIsThatOfAWholeNetworkWithoutClipping) {
  config_.optimizer.clip_norm = 0;
  Trainer frozen_trainer(config_, test::tiny_glyphs(), {.threads = 1});
  config_.backbone.frozen_epochs = 0;
  Trainer whole_trainer(config_, test::tiny_glyphs(), {.threads = 1});
  frozen_trainer.step();
  whole_trainer.step();
  const Network& network = whole_trainer.network();
  EXPECT_EQ(part_of(network, frozen_trainer.weights(), "head."), part_of(network, whole_trainer.weights(), "head."));
  EXPECT_NE(part_of(network, frozen_trainer.weights(), "backbone."),
            part_of(network, whole_trainer.weights(), "backbone."));
}

// AdamW as it is published, each part of the network counting from its own first update.
TEST_P(FrozenBackbone, BiasCorrectionCountsFromTheFirstUpdate) {
  Trainer trainer(config_, test::tiny_glyphs(), {.threads = 1});
  const OptimizerSettings& adamw = config_.optimizer;
  for (std::uint64_t step = 0; step < config_.steps; ++step) {
    const TrainerState before = trainer.state();
    trainer.step();
    const TrainerState after = trainer.state();
    for (const Parameter& parameter : trainer.network().parameters()) {
      const bool is_backbone = parameter.name.starts_with("backbone.");
      if (is_backbone && step < frozen) continue;
      const double updates = static_cast<double>(step - (is_backbone ? frozen : 0) + 1);
      const double rate = reference::learning_rate(adamw.schedule, static_cast<double>(step));
      std::vector<float> values;
      std::vector<double> expected;
      for (std::size_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
        const double mean = after.moment1[i] / (1 - std::pow(double(adamw.beta1), updates));
        const double square = after.moment2[i] / (1 - std::pow(double(adamw.beta2), updates));
        const double weight = before.weights[i], decay = parameter.decays ? adamw.weight_decay : 0;
        expected.push_back(weight - rate * (mean / (std::sqrt(square) + adamw.epsilon) + decay * weight));
        values.push_back(after.weights[i]);
      }
      EXPECT_TRUE(test::matches(values, expected, test::float32_tolerance))
          << parameter.name << " in step " << step + 1;
    }
  }
}

}  // namespace
}  // namespace gridspot
