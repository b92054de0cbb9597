#include "train/study.h"

#include <algorithm>
#include <functional>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/enum_name.h"
#include "io/folder_lock.h"
#include "io/object_reader.h"
#include "train/model_evaluation.h"
#include "train/run_folder.h"
#include "train/trainer.h"
#include "train/training_run.h"

namespace gridspot {

namespace {

namespace fs = std::filesystem;

constexpr std::array recipe_names{EnumName{std::string_view("original"), StudyRecipe::original},
                                  EnumName{std::string_view("best"), StudyRecipe::best}};

/// One of the models, and how its backbone is pre-trained.
struct ModelKind {
  std::string_view name;
  std::string_view backbone;  ///< its name; empty: fresh weights
  Task task = Task::detection;
  bool fresh = false;  ///< canvases at every step, whatever pretrain_images says
  int epochs_factor = 1;
};
constexpr std::array model_kinds{ModelKind{"A", "canvases", Task::canvases},
                                 ModelKind{"B", "digits", Task::digits},
                                 ModelKind{"C", ""},
                                 ModelKind{"A-fresh", "canvases-fresh", Task::canvases, true},
                                 ModelKind{"A-long", "canvases-long", Task::canvases, false, 5},
                                 ModelKind{"A-cells", "cells", Task::cells},
                                 ModelKind{"A-all", "cells-fresh-long", Task::cells, true, 5}};

const ModelKind& kind_of(const std::string& name) {
  const auto found =
      std::find_if(model_kinds.begin(), model_kinds.end(), [&](const auto& kind) { return kind.name == name; });
  require(found != model_kinds.end(), "there is no model '" + name + "' in a study");
  return *found;
}

int pretrain_images(const ModelKind& kind, const StudySettings& settings) {
  return kind.fresh ? 0 : settings.pretrain_images;
}

std::string description(const ModelKind& kind, const StudySettings& settings) {
  if (kind.task == Task::detection) return "fresh";
  if (kind.task == Task::digits)
    return "pre-trained on single glyphs, " + std::to_string(settings.digit_epochs) + " epochs";
  const std::string epochs = std::to_string(kind.epochs_factor * settings.pretrain_epochs) + " epochs";
  const int images = pretrain_images(kind, settings);
  return "pre-trained on " +
         (images > 0 ? std::to_string(images) + " canvases, " + epochs : epochs + " of fresh canvases") +
         (kind.task == Task::cells ? ", multi-label in each cell" : ", multi-label");
}

std::string backbone_folder(const ModelKind& kind) { return "backbone-" + std::string(kind.backbone); }

RunConfig model_config(const StudySettings& settings) {
  const RunConfig usual = default_config(settings.preset);
  const std::string protocol = settings.protocol.empty() ? usual.protocol.name : settings.protocol;
  RunConfig config = study_config(settings.recipe, settings.preset, protocol, settings.milestones.back(),
                                  settings.images, settings.epoch_canvases);
  config.data = settings.data;
  config.device = settings.device;
  config.seed = settings.seed;
  config.evaluation.count = settings.evaluation_count;
  return config;
}

RunConfig backbone_config(const StudySettings& settings, const ModelKind& kind, int glyphs) {
  RunConfig config = pretrain_config(kind.task, settings.preset);
  const RunConfig models = model_config(settings);
  config.data = settings.data;
  config.device = settings.device;
  config.seed = settings.seed;
  config.evaluation.count = settings.evaluation_count;
  config.validation.held_out = 0;  // nothing is chosen by validations
  int epochs = settings.digit_epochs;
  if (kind.task == Task::digits) {
    config.epoch_canvases = glyphs;
  } else {
    config.protocol = find_protocol(models.protocol.name);
    config.batch = models.batch;
    config.optimizer = models.optimizer;
    config.training_set.images = pretrain_images(kind, settings);
    // Of fresh canvases as many as there are fixed ones, so that what differs is only that.
    config.epoch_canvases = settings.pretrain_images > 0 ? settings.pretrain_images : settings.epoch_canvases;
    epochs = kind.epochs_factor * settings.pretrain_epochs;
  }
  config.steps = (std::uint64_t(epochs) * config.epoch_canvases + config.batch - 1) / config.batch;
  return config;
}

/// One study at work: each step looks whether it was done before.
class Study {
 public:
  Study(const StudySettings& settings, const StudyOptions& options)
      : settings_(settings),
        options_(options),
        device_(parse_device(settings.device)),
        train_(to_training_data({}, load_glyphs(settings.data, Split::train))),
        test_(load_glyphs(settings.data, Split::test)) {
    const RunConfig config = model_config(settings);
    require_fit(config.network, config.protocol);
  }

  [[nodiscard]] const std::string& data_source() const { return train_.source(); }

  bool run() {
    for (const std::string& model : settings_.models)
      if (!make_backbone(kind_of(model))) return false;
    for (const int milestone : settings_.milestones)
      for (const std::string& model : settings_.models)
        if (!reach(kind_of(model), milestone)) return false;
    return true;
  }

 private:
  [[nodiscard]] bool stopped() const { return options_.stop_signal && *options_.stop_signal != 0; }
  void say(const std::string& text) const {
    if (options_.log) *options_.log << text << '\n';
  }

  /// Begins the run in a folder of the study, or goes on with it. False: stopped.
  bool train(const fs::path& folder, RunConfig config, std::uint64_t until) {
    const bool resumes = fs::exists(folder / "config.json");
    if (resumes)
      config = read_run_config(folder);
    else if (config.network.detector.classes != train_.glyphs.classes())
      config.network = with_classes(config.network, train_.glyphs.classes());
    const RunSummary summary = run_training(config, train_,
                                            {.folder = folder,
                                             .resume = resumes,
                                             .until = until,
                                             .tensorboard = options_.tensorboard,
                                             .threads = options_.threads,
                                             .log = options_.log,
                                             .terminal = options_.terminal,
                                             .stop_signal = options_.stop_signal});
    return !summary.stopped && !stopped();
  }

  bool evaluate(const fs::path& model_path, const fs::path& folder, const Protocol& protocol,
                const EvaluationSettings& settings) {
    if (fs::exists(folder / "evaluation.json")) return true;
    const Model model = load_model(model_path);
    const auto evaluation = evaluate_model(
        model, device_, {protocol.name, protocol, test_, std::nullopt},
        {.settings = settings, .threads = options_.threads, .stop_signal = options_.stop_signal, .folder = folder});
    return !evaluation.stopped();
  }

  bool make_backbone(const ModelKind& model) {
    if (model.task == Task::detection) return true;
    const fs::path folder = options_.folder / backbone_folder(model);
    const RunConfig config = backbone_config(settings_, model, train_.glyphs.count());
    const fs::path result = folder / "evaluation" / "final" / config.protocol.name;
    if (fs::exists(result / "evaluation.json")) return true;
    say("Backbone of " + std::string(model.name) + ": " + description(model, settings_));
    return train(folder, config, 0) &&
           evaluate(folder / "model.safetensors", result, config.protocol, config.evaluation);
  }

  bool reach(const ModelKind& model, int milestone) {
    const fs::path folder = options_.folder / model.name;
    RunConfig config = model_config(settings_);
    const std::string name = "epoch-" + std::to_string(milestone);
    const fs::path saved = folder / (name + ".safetensors"), results = folder / "evaluation" / name;
    if (!fs::exists(saved)) {
      say("Model " + std::string(model.name) + " (" + description(model, settings_) + ") to epoch " +
          std::to_string(milestone));
      if (model.task != Task::detection)
        config.backbone.file =
            fs::absolute(options_.folder / backbone_folder(model) / "model.safetensors").lexically_normal();
      const std::uint64_t until = (std::uint64_t(milestone) * config.epoch_canvases + config.batch - 1) / config.batch;
      if (!train(folder, config, until)) return false;
      require(load_model(folder / "model.safetensors").step == until,
              saved.string() + " is missing, but its run has gone beyond; remove " + folder.string());
      constexpr std::size_t max_model_bytes = std::size_t{1} << 34;
      write_file_atomically(saved, read_file(folder / "model.safetensors", max_model_bytes));
    }
    for (const std::string& protocol : study_protocols(config))
      if (!evaluate(saved, results / protocol, find_protocol(protocol), config.evaluation)) return false;
    return true;
  }

  const StudySettings& settings_;
  const StudyOptions& options_;
  Device device_;
  TrainingData train_;
  GlyphSet test_;
};

std::vector<std::string> joined(std::vector<std::string> names, const std::vector<std::string>& others) {
  for (const std::string& name : others)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

/// ": seed 1 instead of 2, images ..."; `there` and `asked` have the same keys.
std::string differences(const Json& there, const Json& asked) {
  std::string text;
  for (const auto& [key, value] : there.items())
    if (value != asked.at(key))
      text += (text.empty() ? ": " : ", ") + key + " " + to_line(value) + " instead of " + to_line(asked.at(key));
  return text;
}

void check(const StudySettings& settings) {
  require(!settings.milestones.empty() && settings.milestones.front() > 0 &&
              std::adjacent_find(settings.milestones.begin(), settings.milestones.end(), std::greater_equal<>()) ==
                  settings.milestones.end(),
          "a study's milestones must be epochs in rising order");
  require(!settings.models.empty(), "a study has at least one model");
  for (std::size_t i = 0; i < settings.models.size(); ++i) {
    kind_of(settings.models[i]);
    require(std::count(settings.models.begin(), settings.models.end(), settings.models[i]) == 1,
            "a study's model '" + settings.models[i] + "' is named twice");
  }
}

}  // namespace

std::vector<std::string> study_models() {
  std::vector<std::string> names;
  for (const ModelKind& kind : model_kinds) names.emplace_back(kind.name);
  return names;
}

std::vector<std::string> study_protocols(const RunConfig& config) {
  std::vector<std::string> names{config.protocol.name};
  const Protocol overlap = find_protocol("overlap-224");
  if (overlap.name != config.protocol.name && overlap.height == config.network.input.height &&
      overlap.width == config.network.input.width)
    names.push_back(overlap.name);
  return names;
}

Json study_json(const StudySettings& settings) {
  const RunConfig config = model_config(settings);
  Json models = Json::array(), backbones = Json::array();
  for (const std::string& model : settings.models) {
    const ModelKind& kind = kind_of(model);
    models.push_back({{"name", model}, {"folder", model}, {"backbone", description(kind, settings)}});
    if (kind.task == Task::detection) continue;
    models.back()["backbone_folder"] = backbone_folder(kind);
    backbones.push_back({{"name", kind.backbone}, {"folder", backbone_folder(kind)}});
  }
  return {{"gridspot", GRIDSPOT_VERSION},
          {"preset", settings.preset},
          {"protocol", config.protocol.name},
          {"recipe", name_of(recipe_names, settings.recipe)},
          {"data", settings.data},
          {"device", settings.device},
          {"seed", settings.seed},
          {"images", settings.images},
          {"epoch_canvases", settings.epoch_canvases},
          {"max_glyphs", training_protocol(config).max_glyphs},
          {"milestones", settings.milestones},
          {"evaluation_count", settings.evaluation_count},
          {"pretrain_images", settings.pretrain_images},
          {"pretrain_epochs", settings.pretrain_epochs},
          {"digit_epochs", settings.digit_epochs},
          {"evaluations", study_protocols(config)},
          {"models", models},
          {"backbones", backbones}};
}

StudySettings read_study(const fs::path& folder) {
  constexpr std::size_t max_bytes = 1 << 20;
  const fs::path path = folder / "study.json";
  const Json json = parse_json(read_file(path, max_bytes), path.string());
  ObjectReader reader(json, path.string());
  StudySettings settings;
  std::string version;
  int max_glyphs = 0;  // the recipe's
  std::vector<std::string> evaluations;
  reader.require("gridspot", version);
  reader.require("preset", settings.preset);
  reader.require("protocol", settings.protocol);
  reader.require("recipe", settings.recipe, all(recipe_names));
  reader.require("data", settings.data);
  reader.require("device", settings.device);
  reader.require("seed", settings.seed, 0, max_seed);
  reader.require("images", settings.images, 0);
  reader.require("epoch_canvases", settings.epoch_canvases, 1);
  reader.require("max_glyphs", max_glyphs);
  reader.require("milestones", settings.milestones, 1);
  reader.require("evaluation_count", settings.evaluation_count, 1);
  reader.require("pretrain_images", settings.pretrain_images, 0);
  reader.require("pretrain_epochs", settings.pretrain_epochs, 1);
  reader.require("digit_epochs", settings.digit_epochs, 1);
  reader.read("evaluations", evaluations);
  settings.models.clear();
  for (ObjectReader& model : reader.objects("models")) {
    std::string name, rest;
    model.require("name", name);
    model.read("folder", rest);
    model.read("backbone", rest);
    model.read("backbone_folder", rest);
    model.finish();
    settings.models.push_back(name);
  }
  reader.objects("backbones");
  reader.finish();
  check(settings);
  return settings;
}

bool run_study(const StudySettings& asked, const StudyOptions& options) {
  check(asked);
  StudySettings settings = asked;
  settings.protocol = model_config(asked).protocol.name;
  settings.device = to_string(parse_device(asked.device));
  Study study(settings, options);       // before anything is written: throws where the data or the protocol do not fit
  settings.data = study.data_source();  // "auto" may be something else the next time
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) throw IoError("the study's folder " + options.folder.string() + " cannot be created: " + error.message());
  const FolderLock lock(options.folder);
  const fs::path path = options.folder / "study.json";
  if (fs::exists(path)) {
    StudySettings before = read_study(options.folder);
    settings.models = joined(before.models, settings.models);
    before.models = settings.models;
    require(before == settings, options.folder.string() + " holds a study with other settings" +
                                    differences(study_json(before), study_json(settings)) + "; choose another folder");
  }
  write_file_atomically(path, to_text(study_json(settings)));
  return study.run();
}

}  // namespace gridspot
