// gridspot train
#include <unistd.h>

#include <iomanip>
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/evaluation_output.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "io/atomic_file.h"
#include "train/checkpoint.h"
#include "train/progress.h"
#include "train/trainer.h"
#include "train/training_run.h"

namespace gridspot::app {

namespace {

struct Options {
  std::string preset, protocol, data, device, config;
  std::uint64_t steps = 0, epochs = 0, seed = 0;
  std::vector<std::string> settings;
  std::filesystem::path out;
  int threads = 0;
  bool overwrite = false, json = false, plan = false;
};

RunConfig configure(const CLI::App& app, const Options& options) {
  constexpr std::size_t max_config_bytes = 16 << 20;
  RunConfig config = options.config.empty() ? default_config(options.preset.empty() ? "quick" : options.preset)
                                            : parse_config(read_file(options.config, max_config_bytes), options.config);
  if (!options.protocol.empty()) config.protocol = find_protocol(options.protocol);
  if (!options.data.empty()) config.data = options.data;
  if (!options.device.empty()) config.device = options.device;
  if (app.count("--seed") > 0) config.seed = options.seed;
  try {
    for (const std::string& setting : options.settings) set_value(config, setting);
  } catch (const InvalidInput& error) {
    throw CLI::ValidationError(error.what());
  }
  if (options.steps > 0) config.steps = options.steps;
  if (options.epochs > 0) config.steps = (options.epochs * config.epoch_canvases + config.batch - 1) / config.batch;
  return config;
}

std::filesystem::path free_folder(const RunConfig& config) {
  const std::string name = config.network.name + "-" + config.protocol.name;
  for (int number = 1;; ++number) {
    const auto folder = std::filesystem::path("runs") / (name + "-" + std::to_string(number));
    if (!std::filesystem::exists(folder)) return folder;
  }
}

void print_plan(const RunConfig& config, const GlyphSet& glyphs, const Options& options) {
  const Trainer trainer(resolve(config), glyphs, options.threads);
  Json plan;
  std::size_t total = 0;
  for (const auto& [purpose, bytes] : trainer.memory_plan()) {
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

int train(const CLI::App& app, const Options& options) {
  RunConfig config = configure(app, options);
  if (config.gridspot != GRIDSPOT_VERSION)
    std::cerr << options.config << " is of gridspot '" << config.gridspot
              << "', this is '" GRIDSPOT_VERSION "': the run may not repeat to the last bit\n";
  const GlyphSet glyphs = load_glyphs(config.data, Split::train);
  config.data = glyphs.source;
  if (config.network.detector.classes != glyphs.classes())
    config.network = with_classes(config.network, glyphs.classes());
  if (options.plan) {
    print_plan(config, glyphs, options);
    return 0;
  }
  const auto folder = options.out.empty() ? free_folder(config) : options.out;
  const Device device = parse_device(config.device);
  std::cerr << "Training '" << config.network.name << "' on " << config.protocol.name << " canvases of "
            << glyphs.count() << " glyphs from " << glyphs.source << ", " << config.steps << " steps of "
            << config.batch << ", on " << to_string(device) << " (" << describe(device) << "); the run is in "
            << folder.string() << '\n';

  const StopSignals signals;
  const RunSummary summary = run_training(config, glyphs,
                                          {.folder = folder,
                                           .overwrite = options.overwrite,
                                           .threads = options.threads,
                                           .log = &std::cerr,
                                           .terminal = isatty(STDERR_FILENO) == 1,
                                           .stop_signal = &signals.flag()});
  std::cerr << (summary.stopped ? "Stopped after " : "Trained ") << summary.steps << " steps, " << summary.canvases
            << " canvases in " << format_duration(summary.seconds) << ": "
            << static_cast<long>(static_cast<double>(summary.canvases) / summary.seconds)
            << " canvases/s. Model: " << summary.model.string() << '\n';
  if (summary.stopped) return signals.exit_code();
  if (config.evaluation.count == 0) return 0;

  const Model model = load_model(summary.model);
  const ProtocolEvaluation result =
      evaluate_on_protocol(model.network, model.weights, device, load_glyphs(config.data, Split::test), config.protocol,
                           config.evaluation, options.threads, &signals.flag());
  if (result.stopped) {
    std::cerr << "Stopped before the evaluation was done\n";
    return signals.exit_code();
  }
  warn_of_truncation(result);
  const Json json = evaluation_json(result, config.protocol.name);
  write_file_atomically(folder / "evaluation.json", to_text(json));
  if (options.json)
    std::cout << to_text(json);
  else
    print_evaluation(std::cout, result, config.protocol.name);
  return 0;
}

}  // namespace

Command add_train(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--preset", options->preset, "quick (default), small, seed, seed-fc, or a network's JSON file")
      ->check(accepted_by(check_network_name));
  app.add_option("--protocol", options->protocol,
                 "the canvases: quick-64, seed-224, separated-224, overlap-224, crowd-300")
      ->check(accepted_by(find_protocol));
  app.add_option("--data", options->data, "glyphs: auto (default), builtin, mnist, fashion-mnist or a folder");
  app.add_option("--steps", options->steps, "how many steps")->check(CLI::PositiveNumber);
  app.add_option("--epochs", options->epochs, "or how many epochs of epoch_canvases canvases")
      ->check(CLI::PositiveNumber)
      ->excludes("--steps");
  app.add_option("--seed", options->seed, "of weights and canvases")->check(CLI::Range(std::uint64_t{0}, max_seed));
  app.add_option("--device", options->device, "auto (default), cpu, cuda, cuda:N")->check(accepted_by(parse_device));
  app.add_option("--set", options->settings, "one setting of config.json, e.g. optimizer.schedule.peak=0.002")
      ->allow_extra_args(false);
  app.add_option("--config", options->config, "repeat the run of this config.json")->excludes("--preset");
  app.add_option("--out", options->out, "the run's folder (default: a new one in runs/)");
  app.add_option("--threads", options->threads, "processors to use (does not change the result)");
  app.add_flag("--plan", options->plan, "print what memory the training takes, buffer by buffer, and end");
  app.add_flag("--overwrite", options->overwrite, "replace the run in --out");
  app.add_flag("--json", options->json, "print the evaluation as JSON");
  return [&app, options] { return train(app, *options); };
}

}  // namespace gridspot::app
