#include "train/recipes.h"

#include <algorithm>
#include <map>

#include "gridspot/error.h"

namespace gridspot {

namespace {

struct Recipe {
  std::string_view protocol;
  int batch;
  std::uint64_t steps, warmup;
  float peak;
  std::uint64_t checkpoint_every;
};

const Recipe& recipe_of(std::string_view preset) {
  static const std::map<std::string_view, Recipe> recipes{{"quick", {"quick-64", 64, 1000, 100, 6e-3f, 500}},
                                                          {"small", {"seed-224", 32, 5000, 200, 2e-3f, 500}},
                                                          {"medium", {"seed-224", 32, 5000, 200, 2e-3f, 500}},
                                                          {"seed", {"seed-224", 16, 1250, 60, 1e-3f, 50}},
                                                          {"seed-fc", {"seed-224", 16, 1250, 60, 1e-3f, 50}}};
  const auto found = recipes.find(preset);
  return found != recipes.end() ? found->second : recipes.at("small");
}

std::uint64_t steps_for(std::uint64_t canvases, int batch) { return (canvases + batch - 1) / batch; }

/// What a study's recipe adds to the preset's own.
void make_best(RunConfig& config) {
  const int cells = config.network.detector.cells * config.network.detector.cells;
  // The loss takes the mean of the objectness over the cells: of a fine grid little of it is left beside box and class.
  constexpr float cells_of_unit_weight = 8;
  config.loss.objectness_weight = config.loss.no_object_weight =
      std::max(1.0f, static_cast<float>(cells) / cells_of_unit_weight);
  if (config.training_set.is_fixed()) {
    config.training_set.augmentation = {.scale = 0.1f, .shift = float(config.protocol.width / 14), .overlay = 0.5f};
  } else if (config.protocol.placing == Placing::anywhere) {
    // More to learn from each canvas, and glyphs that overlap; but a cell holds one object.
    constexpr int crowding = 6, cells_per_glyph = 5;
    config.training_set.max_glyphs =
        std::max(config.protocol.max_glyphs, std::min(crowding * config.protocol.max_glyphs, cells / cells_per_glyph));
  }
}

}  // namespace

Task task_of(const NetworkSpec& network) {
  if (!network.detector.classifies_only()) return Task::detection;
  if (network.detector.class_loss != ClassLoss::multi_label) return Task::digits;
  return network.detector.cells == 1 ? Task::canvases : Task::cells;
}

RunConfig default_config(std::string_view preset) {
  RunConfig config;
  config.gridspot = GRIDSPOT_VERSION;
  config.network = load_network(std::string(preset));
  const Recipe& recipe = recipe_of(preset);
  config.protocol = find_protocol(recipe.protocol);
  config.batch = recipe.batch;
  config.steps = recipe.steps;
  config.checkpoint_every = recipe.checkpoint_every;
  config.optimizer.weight_decay = 1e-4f;
  config.optimizer.clip_norm = 5;
  config.optimizer.ema_decay = 0.998f;
  config.optimizer.schedule = {.kind = ScheduleKind::cosine, .peak = recipe.peak, .warmup = recipe.warmup};
  return config;
}

NetworkSpec classifier_of(const NetworkSpec& network, Task task) {
  require(task != Task::detection, "a classifier learns digits, canvases or cells, not detection");
  constexpr int pooled = 7, hidden = 128;
  NetworkSpec classifier = network;
  const int classes = network.detector.classes;
  classifier.head = {FullyConnectedLayer{hidden}, FullyConnectedLayer{classes, Activation::none}};
  classifier.detector = {.cells = 1, .predictors = 0, .classes = classes};
  if (task == Task::digits) {
    const Protocol digits = find_protocol("digits-28");
    classifier.name += "-digits";
    classifier.input.height = digits.height;
    classifier.input.width = digits.width;
  } else {
    const ImageShape features = layers_of(network).at(network.backbone.size() - 1).output;
    AveragePoolLayer pool{std::min(pooled, features.height), std::min(pooled, features.width)};
    classifier.detector.class_loss = ClassLoss::multi_label;
    if (task == Task::canvases) {
      classifier.name += "-canvases";
    } else {
      classifier.name += "-cells";
      pool.height = pool.width = classifier.detector.cells = std::min(pool.height, pool.width);
      classifier.head = {ConvolutionLayer{.filters = hidden, .size = 1, .padding = 0},
                         ConvolutionLayer{.filters = classes, .size = 1, .padding = 0, .activation = Activation::none}};
    }
    classifier.head.insert(classifier.head.begin(), pool);
  }
  layers_of(classifier);
  return classifier;
}

RunConfig pretrain_config(Task task, std::string_view preset) {
  RunConfig config = default_config(preset);
  require(!config.network.backbone.empty(), "network '" + config.network.name + "' has no backbone to be trained");
  config.network = classifier_of(config.network, task);
  if (task == Task::digits) {
    config.protocol = find_protocol("digits-28");
    config.protocol.max_shear = 0.15f;
    config.batch = 128;
    config.epoch_canvases = 60000;
    config.optimizer.weight_decay = 5e-4f;
    config.optimizer.schedule.peak = 3e-3f;
    config.optimizer.schedule.warmup = 200;
    config.steps = steps_for(45 * config.epoch_canvases, config.batch);
    config.checkpoint_every = steps_for(config.epoch_canvases, config.batch);
    config.validation.every_epochs = 1;
    config.validation.held_out = 0.05f;
  }
  return config;
}

RunConfig study_config(StudyRecipe recipe, std::string_view preset, std::string_view protocol, int epochs, int images,
                       int epoch_canvases) {
  RunConfig config = default_config(preset);
  config.protocol = find_protocol(protocol);
  config.training_set.images = images;
  config.epoch_canvases = images > 0 ? images : epoch_canvases;
  config.batch = 16;
  config.steps = steps_for(std::uint64_t(epochs) * config.epoch_canvases, config.batch);
  config.checkpoint_every = steps_for(config.epoch_canvases, config.batch);
  config.validation.every_epochs = 1;
  config.optimizer.schedule.warmup = 30;
  if (recipe == StudyRecipe::best) make_best(config);
  if (recipe == StudyRecipe::original) {
    config.network.detector.class_loss = ClassLoss::mse;
    config.network.detector.size_coding = SizeCoding::linear;
    config.objectness_prior = 0.5f;
    config.loss = {.box_loss = BoxLoss::mse};
    config.evaluation.detection.score_threshold = 0;
    config.optimizer.kind = OptimizerKind::adam;
    config.optimizer.clip_norm = 1;
    config.optimizer.ema_decay = 0;
    config.optimizer.schedule = {.kind = ScheduleKind::constant, .peak = 1e-3f};
  }
  return config;
}

}  // namespace gridspot
