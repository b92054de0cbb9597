// gridspot train, gridspot pretrain
#include <unistd.h>

#include <iomanip>
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/evaluation_output.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "io/atomic_file.h"
#include "train/model.h"
#include "train/model_evaluation.h"
#include "train/progress.h"
#include "train/recipes.h"
#include "train/run_folder.h"
#include "train/trainer.h"
#include "train/training_run.h"

namespace gridspot::app {

namespace {

struct Options {
  Task task = Task::detection;
  std::string preset, protocol, data, dataset, device, config, backbone;
  std::uint64_t steps = 0, epochs = 0, seed = 0, frozen_epochs = 0;
  int images = 0;
  std::vector<std::string> settings;
  std::filesystem::path out, resume;
  int threads = 0, devices = 1;
  std::uint64_t steps_per_launch = 1;
  ComputeOptions compute;
  bool overwrite = false, json = false, plan = false, tensorboard = false, strict = false;
};

RunConfig first_config(const Options& options) {
  constexpr std::size_t max_config_bytes = 16 << 20;
  if (!options.config.empty()) return parse_config(read_file(options.config, max_config_bytes), options.config);
  const std::string preset = options.preset.empty() ? "quick" : options.preset;
  return options.task == Task::detection ? default_config(preset) : pretrain_config(options.task, preset);
}

RunConfig configure(const CLI::App& app, const Options& options) {
  RunConfig config = first_config(options);
  if (!options.protocol.empty()) config.protocol = find_protocol(options.protocol);
  if (!options.data.empty()) config.data = options.data;
  if (!options.device.empty()) config.device = options.device;
  if (app.count("--seed") > 0) config.seed = options.seed;
  // Absolute: the run may be resumed from elsewhere.
  const auto absolute = [](const std::string& path) { return std::filesystem::absolute(path).lexically_normal(); };
  if (!options.dataset.empty()) config.training_set.folder = absolute(options.dataset);
  if (options.strict) config.training_set.strict = true;
  if (options.images > 0) config.training_set.images = options.images;
  if (!options.backbone.empty()) config.backbone.file = absolute(options.backbone);
  if (options.frozen_epochs > 0) config.backbone.frozen_epochs = options.frozen_epochs;
  try {
    for (const std::string& setting : options.settings) set_value(config, setting);
  } catch (const InvalidInput& error) {
    throw CLI::ValidationError(error.what());
  }
  options.compute.apply_to(config.precision, config.engines);
  options.compute.apply_to(config.evaluation.detection.precision, config.evaluation.detection.engines);
  if (options.steps > 0) config.steps = options.steps;
  if (options.devices > 1 && config.shards == 0) config.shards = options.devices;
  if (config.backbone.frozen_epochs > 0 && config.backbone.file.empty())
    throw CLI::ValidationError("--freeze-backbone needs --backbone: random weights would stay as they are");
  return config;
}

std::filesystem::path free_folder(const RunConfig& config) {
  const std::string name = config.network.name + "-" + config.protocol.name;
  for (int number = 1;; ++number) {
    const auto folder = std::filesystem::path("runs") / (name + "-" + std::to_string(number));
    if (!std::filesystem::exists(folder)) return folder;
  }
}

void print_plan(const RunConfig& config, const TrainingData& data, const Options& options) {
  const auto trainer = make_trainer(resolve(config), data, {.threads = options.threads, .devices = options.devices});
  Json plan;
  std::size_t total = 0;
  for (const auto& [purpose, bytes] : trainer->memory_plan()) {
    plan[purpose] = bytes;
    total += bytes;
  }
  plan["total"] = total;
  if (options.json) {
    std::cout << to_text(Json{{"planned_bytes", plan}});
    return;
  }
  for (const auto& [purpose, bytes] : plan.items())
    std::cout << std::setw(14) << bytes.get<std::size_t>() << " bytes  " << purpose << '\n';
}

/// A new run's classes are those of its data, and its epochs as long as its fixed set, or as there are glyphs.
void adapt(RunConfig& config, const TrainingData& data, const Options& options) {
  const int classes = static_cast<int>(data.class_names().size());
  if (config.network.detector.classes != classes) config.network = with_classes(config.network, classes);
  if (!data.canvases) config.data = data.source();
  const std::uint64_t usual_epochs = config.steps * config.batch / config.epoch_canvases;
  std::uint64_t epochs = options.epochs;
  const int fixed = data.canvases ? data.canvases->count() : config.training_set.images;
  if (fixed > 0) {
    config.epoch_canvases = std::uint64_t(fixed);
  } else if (options.task == Task::digits) {
    config.epoch_canvases = std::uint64_t(data.glyphs.count());
    if (options.steps == 0 && epochs == 0) epochs = usual_epochs;
  }
  if (epochs > 0) config.steps = (epochs * config.epoch_canvases + config.batch - 1) / config.batch;
}

/// None where no evaluation is asked for or the folder has nothing to test on. Before the training, so that what is
/// wrong with it shows then.
std::optional<TestData> load_test_data(const RunConfig& config, Device device) {
  const TrainingSet& set = config.training_set;
  if (config.evaluation.count == 0) return std::nullopt;
  if (set.folder.empty()) return load_test_glyphs(config.data, config.protocol);
  if (has_test_split(set.folder)) return load_test_folder(set.folder, config.network, device, set.strict, &std::cerr);
  std::cerr << "gridspot: " << set.folder << " has no val or test split of its own: no evaluation\n";
  return std::nullopt;
}

int evaluate(const RunConfig& config, const Options& options, const std::filesystem::path& folder, Device device,
             const TestData& data, const StopSignals& signals) {
  const Model model = load_model(folder / "model.safetensors");
  const ModelEvaluation evaluation = evaluate_model(model, device, data,
                                                    {.settings = config.evaluation,
                                                     .threads = options.threads,
                                                     .stop_signal = &signals.flag(),
                                                     .folder = folder / "evaluation" / "final" / data.name});
  if (evaluation.stopped()) {
    std::cerr << "Stopped before the evaluation was done\n";
    return signals.exit_code();
  }
  warn_of_truncation(evaluation);
  if (options.json)
    std::cout << to_text(to_json(evaluation));
  else
    print(std::cout, evaluation);
  return 0;
}

int train(const CLI::App& app, const Options& options) {
  const bool resumes = !options.resume.empty();
  if (!options.out.empty() && !options.overwrite && !options.plan) require_no_run(options.out);
  RunConfig config = resumes ? read_run_config(options.resume) : configure(app, options);
  if (config.gridspot != GRIDSPOT_VERSION)
    std::cerr << (resumes ? options.resume.string() : options.config) << " is of gridspot '" << config.gridspot
              << "', this is '" GRIDSPOT_VERSION "': the run may not repeat to the last bit\n";
  const TrainingData data = load_training_data(config, &std::cerr);
  if (!resumes) adapt(config, data, options);
  if (options.plan) {
    print_plan(config, data, options);
    return 0;
  }
  const auto folder = resumes ? options.resume : options.out.empty() ? free_folder(config) : options.out;
  const Device device = parse_device(config.device);
  std::cerr << (resumes ? "Going on with '" : "Training '") << config.network.name << "' on "
            << (data.canvases ? "the canvases of " + data.source()
                              : config.protocol.name + " canvases of " + std::to_string(data.glyphs.count()) +
                                    " glyphs from " + data.source())
            << ", " << config.steps << " steps of " << config.batch << ", on " << to_string(device) << " ("
            << describe(device) << "); the run is in " << folder.string() << '\n';

  const std::optional<TestData> test = load_test_data(config, device);
  const StopSignals signals;
  const RunSummary summary = run_training(config, data,
                                          {.folder = folder,
                                           .overwrite = options.overwrite,
                                           .resume = resumes,
                                           .tensorboard = options.tensorboard,
                                           .threads = options.threads,
                                           .devices = options.devices,
                                           .steps_per_launch = options.steps_per_launch,
                                           .log = &std::cerr,
                                           .terminal = isatty(STDERR_FILENO) == 1,
                                           .stop_signal = &signals.flag()});
  const std::uint64_t canvases = (summary.steps - summary.first_step) * config.batch;
  std::cerr << (summary.stopped ? "Stopped after step " : "Trained to step ") << summary.steps << ", " << canvases
            << " canvases in " << format_duration(summary.seconds) << ": "
            << static_cast<long>(static_cast<double>(canvases) / summary.seconds)
            << " canvases/s. Model: " << summary.model.string() << '\n';
  if (summary.stopped) {
    std::cerr << "Go on with: gridspot train --resume " << folder.string() << '\n';
    return signals.exit_code();
  }
  return test ? evaluate(config, options, folder, device, *test, signals) : 0;
}

void add_common_options(CLI::App& app, Options& options) {
  app.add_option("--protocol", options.protocol,
                 "the canvases: quick-64, seed-224, separated-224, overlap-224, crowd-300, digits-28")
      ->check(accepted_by(find_protocol));
  app.add_option("--data", options.data, "glyphs: auto (default), builtin, mnist, fashion-mnist or a folder");
  app.add_option("--dataset", options.dataset, "or the canvases of a folder in YOLO's layout, or its data.yaml");
  app.add_flag("--strict", options.strict, "a bad image or label in --dataset is an error")->needs("--dataset");
  app.add_option("--images", options.images, "train on that many fixed canvases instead of fresh ones at every step")
      ->check(CLI::PositiveNumber)
      ->excludes("--dataset");
  app.add_option("--steps", options.steps, "how many steps")->check(CLI::PositiveNumber);
  app.add_option("--epochs", options.epochs, "or how many epochs of epoch_canvases canvases")
      ->check(CLI::PositiveNumber)
      ->excludes("--steps");
  app.add_option("--seed", options.seed, "of weights and canvases")->check(CLI::Range(std::uint64_t{0}, max_seed));
  app.add_option("--device", options.device, "auto (default), cpu, cuda, cuda:N")->check(accepted_by(parse_device));
  app.add_option("--set", options.settings, "one setting of config.json, e.g. optimizer.schedule.peak=0.002")
      ->allow_extra_args(false);
  app.add_option("--out", options.out, "the run's folder (default: a new one in runs/)");
  app.add_option("--threads", options.threads, "processors to use (does not change the result)");
  add_compute_options(app, options.compute);
  app.add_option("--devices", options.devices,
                 "train on so many GPUs, --device and those that follow it; the number of shards must be a multiple "
                 "(does not change the result)")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--steps-per-launch", options.steps_per_launch,
                 "how many steps one launch of a CUDA graph holds (does not change the result)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1024}))
      ->capture_default_str();
  app.add_flag("--plan", options.plan, "print what memory the training takes, buffer by buffer, and end");
  app.add_flag("--overwrite", options.overwrite, "replace the run in --out");
  app.add_flag("--tensorboard", options.tensorboard, "write TensorBoard's event files into the run's folder");
  app.add_flag("--json", options.json, "print the evaluation as JSON");
}

}  // namespace

Command add_train(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--preset", options->preset, "quick (default), small, medium, seed, seed-fc, or a network's JSON file")
      ->check(accepted_by(check_network_name));
  add_common_options(app, *options);
  app.add_option("--backbone", options->backbone, "begin with the backbone of this model file")
      ->check(CLI::ExistingFile);
  app.add_option("--freeze-backbone", options->frozen_epochs, "train only the head for so many epochs at first")
      ->check(CLI::PositiveNumber);
  app.add_option("--config", options->config, "repeat the run of this config.json")->excludes("--preset");
  auto* resume =
      app.add_option("--resume", options->resume, "go on with the run in this folder, from its newest checkpoint");
  for (CLI::Option* other : app.get_options())
    if (other != resume && !other->check_lname("threads") && !other->check_lname("devices") &&
        !other->check_lname("steps-per-launch") && !other->check_lname("json") && !other->check_lname("tensorboard") &&
        !other->check_lname("help"))
      resume->excludes(other);
  return [&app, options] { return train(app, *options); };
}

Command add_pretrain(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  add_choice<Task>(app, "--task", options->task,
                   {{"digits", Task::digits}, {"canvases", Task::canvases}, {"cells", Task::cells}},
                   "digits: which glyph is shown; canvases: which classes are on a canvas (multi-label); cells: which "
                   "are in each of its 7x7 cells")
      ->required();
  app.add_option("--preset", options->preset,
                 "whose backbone: quick (default), small, medium, seed, seed-fc, or a JSON file")
      ->check(accepted_by(check_network_name));
  add_common_options(app, *options);
  return [&app, options] { return train(app, *options); };
}

}  // namespace gridspot::app
