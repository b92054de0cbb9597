// What the presets are trained on, and the classifiers that their backbones begin as.
#include "train/recipes.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"
#include "nn/network.h"

namespace gridspot {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

/// Name and shape of each parameter of the backbone.
std::vector<std::string> backbone_parameters(const NetworkSpec& spec) {
  std::vector<std::string> result;
  const Network network(spec);
  for (const Parameter& parameter : network.parameters()) {
    if (!parameter.name.starts_with("backbone.")) continue;
    result.push_back(parameter.name);
    for (const auto side : parameter.shape) result.back() += ' ' + std::to_string(side);
  }
  return result;
}

/// A detector whose backbone makes 4 x 3 features, for 5 classes.
NetworkSpec small_network() {
  NetworkSpec spec;
  spec.name = "tiny";
  spec.input = {16, 12, 1};
  spec.mean = 0.25f;
  spec.deviation = 0.5f;
  spec.backbone = {ConvolutionLayer{4, 3, 2, 1}, MaxPoolLayer{}};
  spec.head = {AveragePoolLayer{2, 2}, ConvolutionLayer{10, 1, 1, 0, Activation::none}};
  spec.detector = {.cells = 2, .predictors = 1, .classes = 5, .class_loss = ClassLoss::bce};
  return spec;
}

/// As config.json, and back.
RunConfig reread(const RunConfig& config) { return parse_config(to_json_text(config), "config.json"); }

TEST(Tasks, AreToldByTheHead) {
  for (const auto& preset : network_presets()) {
    const NetworkSpec network = load_network(preset);
    EXPECT_EQ(task_of(network), Task::detection) << preset;
    for (const Task task : {Task::digits, Task::canvases, Task::cells}) {
      const NetworkSpec classifier = classifier_of(network, task);
      EXPECT_EQ(task_of(classifier), task) << preset;
      EXPECT_EQ(task_of(parse_network(to_json(classifier), "text")), task) << preset;
    }
  }
}

TEST(Classifiers, HaveTheDetectorsBackbone) {
  for (const auto& preset : network_presets())
    for (const Task task : {Task::digits, Task::canvases, Task::cells}) {
      SCOPED_TRACE(preset);
      const NetworkSpec network = load_network(preset), classifier = classifier_of(network, task);
      EXPECT_EQ(classifier.backbone, network.backbone);
      EXPECT_FALSE(backbone_parameters(network).empty());
      EXPECT_EQ(backbone_parameters(classifier), backbone_parameters(network));
      EXPECT_EQ(classifier.input.channels, network.input.channels);
      EXPECT_EQ(classifier.mean, network.mean);
      EXPECT_EQ(classifier.deviation, network.deviation);
      const int cells = task == Task::cells ? 7 : 1;
      EXPECT_EQ(layers_of(classifier).back().output, (ImageShape{cells, cells, network.detector.classes}));
    }
}

TEST(Classifiers, OfDigitsTakeTheProtocolsCanvases) {
  const NetworkSpec classifier = classifier_of(load_network("seed"), Task::digits);
  EXPECT_EQ(classifier.name, "seed-digits");
  EXPECT_EQ(classifier.input, (ImageShape{28, 28, 1}));
  EXPECT_EQ(classifier.head, (std::vector<LayerSpec>{FullyConnectedLayer{128, Activation::relu},
                                                     FullyConnectedLayer{10, Activation::none}}));
  EXPECT_EQ(classifier.detector.cells, 1);
  EXPECT_EQ(classifier.detector.predictors, 0);
  EXPECT_EQ(classifier.detector.classes, 10);
  EXPECT_EQ(classifier.detector.class_loss, ClassLoss::cross_entropy);
  EXPECT_EQ(layers_of(classifier)[classifier.backbone.size()].input, (ImageShape{7, 7, 128}));
}

TEST(Classifiers, OfCanvasesPoolTheFeaturesOfTheNetworksInput) {
  const NetworkSpec seed = classifier_of(load_network("seed"), Task::canvases);
  EXPECT_EQ(seed.name, "seed-canvases");
  EXPECT_EQ(seed.input, (ImageShape{224, 224, 1}));
  EXPECT_EQ(seed.head, (std::vector<LayerSpec>{AveragePoolLayer{7, 7}, FullyConnectedLayer{128, Activation::relu},
                                               FullyConnectedLayer{10, Activation::none}}));
  EXPECT_EQ(seed.detector.class_loss, ClassLoss::multi_label);
  EXPECT_EQ(seed.detector.predictors, 0);

  const NetworkSpec tiny = classifier_of(small_network(), Task::canvases);
  EXPECT_EQ(tiny.head.front(), LayerSpec(AveragePoolLayer{4, 3})) << "no more than there is";
  EXPECT_EQ(layers_of(tiny).back().output, (ImageShape{1, 1, 5}));
  EXPECT_EQ(tiny.mean, 0.25f);
  EXPECT_EQ(tiny.deviation, 0.5f);
}

TEST(Classifiers, OfCellsLookAtEachByItself) {
  const NetworkSpec seed = classifier_of(load_network("seed"), Task::cells);
  EXPECT_EQ(seed.name, "seed-cells");
  EXPECT_EQ(seed.head, (std::vector<LayerSpec>{AveragePoolLayer{7, 7}, ConvolutionLayer{128, 1, 1, 0, Activation::relu},
                                               ConvolutionLayer{10, 1, 1, 0, Activation::none}}));
  EXPECT_EQ(seed.detector.cells, 7);
  EXPECT_EQ(seed.detector.predictors, 0);
  EXPECT_EQ(seed.detector.class_loss, ClassLoss::multi_label);
  EXPECT_EQ(classifier_of(small_network(), Task::cells).detector.cells, 3) << "no more than there are features";
}

TEST(Classifiers, RefuseWhatTheyCannotBe) {
  EXPECT_THAT([] { (void)classifier_of(load_network("quick"), Task::detection); },
              ThrowsMessage<InvalidInput>("a classifier learns digits, canvases or cells, not detection"));
  NetworkSpec deep = small_network();  // its backbone makes nothing of 28 x 28
  deep.input = {512, 512, 1};
  for (int i = 0; i < 6; ++i) deep.backbone.emplace_back(MaxPoolLayer{});
  deep.head = {AveragePoolLayer{2, 2}, ConvolutionLayer{10, 1, 1, 0, Activation::none}};
  EXPECT_NO_THROW((void)classifier_of(deep, Task::canvases));
  EXPECT_THAT([&] { (void)classifier_of(deep, Task::digits); },
              ThrowsMessage<InvalidInput>(HasSubstr("does not fit its input")));
}

TEST(PretrainConfig, OfDigitsIsFortyFiveEpochsOfTheTrainingGlyphs) {
  for (const auto& preset : network_presets()) {
    SCOPED_TRACE(preset);
    const RunConfig config = pretrain_config(Task::digits, preset);
    EXPECT_EQ(to_json(config.network), to_json(classifier_of(load_network(preset), Task::digits)));
    EXPECT_EQ(config.protocol.name, "digits-28");
    EXPECT_FALSE(config.protocol.in_order) << "that is for measuring";
    EXPECT_GT(config.protocol.max_shear, 0);
    EXPECT_EQ(config.protocol.height, config.network.input.height);
    EXPECT_EQ(config.batch, 128);
    EXPECT_EQ(config.epoch_canvases, 60000u);
    EXPECT_EQ(config.steps, 21094u) << "45 * 60000 / 128";
    EXPECT_EQ(config.checkpoint_every, 469u) << "an epoch";
    EXPECT_EQ(config.validation.every_epochs, 1u);
    EXPECT_GT(config.validation.held_out, 0) << "all digits would be known by heart";
    EXPECT_LT(config.optimizer.schedule.warmup, config.steps);
    EXPECT_NO_THROW(validate(config.protocol));
    EXPECT_EQ(to_json_text(reread(config)), to_json_text(config));
  }
}

TEST(PretrainConfig, OfCanvasesIsThatOfTheDetector) {
  for (const auto& preset : network_presets()) {
    SCOPED_TRACE(preset);
    RunConfig config = pretrain_config(Task::canvases, preset);
    EXPECT_EQ(to_json(config.network), to_json(classifier_of(load_network(preset), Task::canvases)));
    EXPECT_EQ(config.protocol.height, config.network.input.height);
    EXPECT_EQ(config.protocol.width, config.network.input.width);
    EXPECT_EQ(to_json_text(reread(config)), to_json_text(config));
    const RunConfig detector = default_config(preset);
    config.network = detector.network;
    EXPECT_EQ(to_json_text(config), to_json_text(detector)) << "all but the network";
  }
}

TEST(PretrainConfig, RefusesWhatHasNoBackboneToTrain) {
  EXPECT_THAT([] { (void)pretrain_config(Task::detection, "quick"); },
              ThrowsMessage<InvalidInput>("a classifier learns digits, canvases or cells, not detection"));
  EXPECT_THAT([] { (void)pretrain_config(Task::digits, "quack"); },
              ThrowsMessage<InvalidInput>(HasSubstr("'quack' is neither a file nor a built-in network")));
}

TEST(StudyConfig, CountsInEpochs) {
  for (const StudyRecipe recipe : {StudyRecipe::original, StudyRecipe::best})
    for (const char* preset : {"seed", "seed-fc"}) {
      const RunConfig config = study_config(recipe, preset, "overlap-224", 20, 1001, 7);
      EXPECT_EQ(config.protocol.name, "overlap-224");
      EXPECT_EQ(config.batch, 16);
      EXPECT_EQ(config.epoch_canvases, 1001u);
      EXPECT_EQ(config.training_set.images, 1001);
      EXPECT_EQ(config.steps, 1252u) << "20 * 1001 / 16 = 1251.25";
      EXPECT_EQ(config.checkpoint_every, 63u) << "1001 / 16 = 62.56";
      EXPECT_EQ(config.validation.every_epochs, 1u);
      EXPECT_EQ(config.network.backbone, load_network(preset).backbone);
      EXPECT_EQ(config.network.head, load_network(preset).head);
      EXPECT_EQ(to_json_text(reread(config)), to_json_text(config));
    }
  EXPECT_THROW((void)study_config(StudyRecipe::best, "seed", "seed-225", 1, 1, 1), InvalidInput);
}

TEST(StudyConfig, OfTheOriginalIsTheNotebooks) {
  const RunConfig config = study_config(StudyRecipe::original, "small", "seed-224", 20, 1000, 1);
  EXPECT_EQ(config.network.detector.class_loss, ClassLoss::mse);
  EXPECT_EQ(config.network.detector.size_coding, SizeCoding::linear);
  EXPECT_EQ(config.loss.box_loss, BoxLoss::mse);
  EXPECT_EQ(config.objectness_prior, 0.5f) << "the logits begin at 0";
  EXPECT_EQ(config.optimizer.kind, OptimizerKind::adam) << "decay in the gradient";
  EXPECT_EQ(config.optimizer.clip_norm, 1);
  EXPECT_EQ(config.optimizer.weight_decay, 1e-4f);
  EXPECT_EQ(config.optimizer.ema_decay, 0);
  EXPECT_EQ(config.optimizer.schedule.kind, ScheduleKind::constant);
  EXPECT_EQ(config.optimizer.schedule.peak, 1e-3f);
  EXPECT_EQ(config.optimizer.schedule.warmup, 0u);
}

TEST(StudyConfig, OfTheBestKeepsThePresetsDetector) {
  for (const char* preset : {"small", "seed"}) {
    const RunConfig config = study_config(StudyRecipe::best, preset, "seed-224", 20, 1000, 1);
    EXPECT_EQ(to_json(config.network), to_json(load_network(preset)));
    EXPECT_EQ(config.loss.objectness_weight, preset == std::string("small") ? 98 : 6.125f) << "of 28x28 and 7x7 cells";
    EXPECT_EQ(config.loss.no_object_weight, config.loss.objectness_weight);
    EXPECT_GT(config.optimizer.ema_decay, 0);
    EXPECT_EQ(config.optimizer.schedule.kind, ScheduleKind::cosine);
    EXPECT_LT(config.optimizer.schedule.warmup, config.steps);
    EXPECT_EQ(config.training_set.max_glyphs, 0);
  }
}

TEST(StudyConfig, OfTheBestCrowdsFreshCanvasesInsteadOfChangingThem) {
  const RunConfig config = study_config(StudyRecipe::best, "small", "seed-224", 20, 0, 300);
  EXPECT_EQ(config.training_set.images, 0);
  EXPECT_TRUE(config.training_set.augmentation.is_none());
  EXPECT_EQ(config.epoch_canvases, 300u);
  EXPECT_EQ(config.steps, 375u);
  EXPECT_EQ(config.training_set.max_glyphs, 30);
  EXPECT_EQ(config.protocol.max_glyphs, 5) << "for validation and evaluation";
  EXPECT_EQ(training_protocol(config).max_glyphs, 30);
  EXPECT_EQ(training_protocol(config).name, "seed-224");
  EXPECT_EQ(study_config(StudyRecipe::best, "seed", "seed-224", 20, 0, 300).training_set.max_glyphs, 9)
      << "more than a 7x7 grid has room for would not be learned";
  EXPECT_EQ(study_config(StudyRecipe::best, "small", "separated-224", 20, 0, 300).training_set.max_glyphs, 0)
      << "apart from one another there is no room for more";
  EXPECT_EQ(study_config(StudyRecipe::original, "small", "seed-224", 20, 0, 300).training_set.max_glyphs, 0);
}

}  // namespace
}  // namespace gridspot
