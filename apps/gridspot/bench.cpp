// gridspot bench
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "measure/detection_bench.h"
#include "measure/training_bench.h"
#include "nn/precision_names.h"
#include "train/recipes.h"

namespace gridspot::app {

namespace {

using measure::Repetition;

struct Options {
  std::vector<std::string> presets{"quick"}, settings;
  std::string device = "auto", data = "auto";
  ComputeOptions compute;
  std::vector<int> batches, detect_batches{1, 64};
  int steps = 40, warmup = 5;
  double seconds = 0;
  TrainerOptions trainer;
  bool no_training = false, no_detection = false, json = false;
  std::string out;
};

// Linux resets the peak of a process's resident memory on request.
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << 5; }

/// Of the process since the last reset.
long peak_memory_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) / 1024;
  return 0;
}

void print_stages(const Json& stages) {
  std::cout << std::setprecision(1);
  for (const auto& [name, stage] : stages.items())
    std::cout << "  " << name << ' ' << 100 * stage["share_of_time"].get<double>() << "% ("
              << 100 * stage["share_of_floor"].get<double>() << "%)";
  std::cout << '\n';
}

double megabytes(const Json& bytes) { return bytes.get<double>() * 1e-6; }

void print_training(const Json& training) {
  std::cout << "  training, batch " << training["batch"];
  if (training.contains("failure")) {
    std::cout << ": " << training["failure"].get<std::string>() << '\n';
    return;
  }
  const Json& rate = training["canvases_per_second"];
  std::cout << ", " << training["precision"].get<std::string>() << ", " << training["threads"]
            << " threads: " << std::setprecision(1) << rate["median"].get<double>() << " canvases/s (quartiles "
            << rate["quartiles"][0].get<double>() << " to " << rate["quartiles"][1].get<double>() << ")\n  ";
  print_stages(training["stages"]);
  std::cout << "    " << megabytes(training["planned_bytes_total"]) << " MB planned on the device\n";
}

void print_detection(const Json& detection) {
  std::cout << "  detection, batch " << detection["batch"];
  if (detection.contains("failure")) {
    std::cout << ": " << detection["failure"].get<std::string>() << '\n';
    return;
  }
  const Json& time = detection["milliseconds"];
  std::cout << ", " << detection["precision"].get<std::string>() << ": " << std::setprecision(3)
            << time["median"].get<double>() << " ms (quartiles " << time["quartiles"][0].get<double>() << " to "
            << time["quartiles"][1].get<double>() << "), " << std::setprecision(1)
            << detection["images_per_second"].get<double>() << " images/s\n  ";
  print_stages(detection["stages"]);
  std::cout << "    " << detection["candidates_per_image"].get<double>() << " candidates and "
            << detection["detections_per_image"].get<double>() << " detections an image, "
            << megabytes(detection["planned_bytes_total"]) << " MB planned on the device\n";
}

void print(const Json& result) {
  std::cout << std::fixed;
  for (const Json& entry : result["presets"]) {
    std::cout << entry["preset"].get<std::string>() << " on " << entry["protocol"].get<std::string>() << '\n';
    for (const Json& training : entry["training"]) print_training(training);
    for (const Json& detection : entry["detection"]) print_detection(detection);
    if (entry.contains("peak_memory_mb"))
      std::cout << "  peak of the process's memory on the host: " << entry["peak_memory_mb"] << " MB\n";
  }
  for (const auto& [precision, ceilings] : result["ceilings"].items())
    std::cout << "In brackets: the least time for what a stage must move and by definition multiply, as a share of its "
                 "time; at "
              << ceilings["copy_gigabytes_per_second"].get<double>() << " GB/s and " << std::setprecision(3)
              << ceilings["product_teraflops"].get<double>() << " TFLOP/s (" << precision
              << "), measured in this run\n";
  std::cout << "on " << result["device"].get<std::string>() << '\n';
}

/// The protocol's canvases are made in the network's size, so that a network file of any size can be measured.
void fit_canvas(Protocol& protocol, const ImageShape& input) {
  if (protocol.height == input.height && protocol.width == input.width) return;
  protocol.name += " at " + std::to_string(input.width) + "x" + std::to_string(input.height);
  protocol.height = input.height;
  protocol.width = input.width;
}

RunConfig configure(const std::string& preset, Device device, const Options& options) {
  RunConfig config = default_config(preset);
  try {
    for (const std::string& setting : options.settings) set_value(config, setting);
  } catch (const InvalidInput& error) {
    throw CLI::ValidationError(error.what());
  }
  config.device = to_string(device);
  options.compute.apply_to(config.precision, config.engines);
  fit_canvas(config.protocol, config.network.input);
  return config;
}

class Bench {
 public:
  Bench(const Options& options, Device device, const std::atomic<int>& stop)
      : options_(options), device_(device), glyphs_(load_glyphs(options.data, Split::train)), stop_(stop) {
    measured_ = {.measured = {options.steps, options.seconds},
                 .warmup = {options.warmup, device.kind == DeviceKind::cuda ? 0.5 : 0.0},  // to warm its clocks
                 .trainer = options.trainer};
    result_ = {{"gridspot", GRIDSPOT_VERSION},
               {"device", to_string(device_) + " (" + describe(device_) + ")"},
               {"glyphs", glyphs_.source},
               {"settings", options.settings},
               {"autotune", options.compute.autotune},
               {"steps_per_launch", options.trainer.steps_per_launch},
               {"overlap", options.trainer.overlap},
               {"ceilings", Json::object()},
               {"presets", Json::array()},
               {"peak_memory_mb", 0}};
  }

  Json run(const std::vector<RunConfig>& configs) {
    keep();
    for (std::size_t i = 0; i < configs.size(); ++i) run_preset(options_.presets[i], configs[i]);
    return result_;
  }

  /// Of the first measurement that failed for another reason than memory.
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  void run_preset(const std::string& preset, RunConfig config) {
    config.network = with_classes(config.network, glyphs_.classes());
    const measure::Ceilings& ceilings = ceilings_for(config.precision);
    reset_peak_memory();
    std::cerr << "Measuring " << preset << '\n';
    result_["presets"].push_back({{"preset", preset},
                                  {"protocol", config.protocol.name},
                                  {"training", Json::array()},
                                  {"detection", Json::array()}});
    std::vector<int> batches = options_.batches.empty() ? std::vector{config.batch} : options_.batches;
    if (options_.no_training) batches.clear();
    for (const int batch : batches) {
      config.batch = batch;
      add("training", batch, [&] { return bench_training(config, glyphs_, ceilings, measured_, stop_); });
    }
    if (options_.no_detection) return;
    for (const int batch : options_.detect_batches)
      add("detection", batch, [&] { return bench_detection(config, glyphs_, batch, ceilings, measured_, stop_); });
  }

  const measure::Ceilings& ceilings_for(Precision precision) {
    const auto found = ceilings_.find(precision);
    if (found != ceilings_.end()) return found->second;
    const int threads = options_.trainer.threads > 0 ? options_.trainer.threads : available_processors();
    const measure::Ceilings measured = measure::measure_ceilings(device_, precision, threads, stop_);
    result_["ceilings"][name_of(precision_names, precision)] = to_json(measured);
    return ceilings_[precision] = measured;
  }

  /// To the last preset's list `kind`: what `work` measures, or why it could not; the others are measured all the same.
  template <class Work>
  void add(const char* kind, int batch, const Work& work) {
    Json measured;
    try {
      measured = work();
    } catch (const Error& error) {
      measured = {{"batch", batch}, {"failure", error.what()}};
      if (exit_code_ == 0 && error.exit_code() != ExitCode::out_of_memory)
        exit_code_ = static_cast<int>(error.exit_code());
    }
    Json& preset = result_["presets"].back();
    preset[kind].push_back(measured);
    preset["peak_memory_mb"] = peak_memory_mb();
    result_["peak_memory_mb"] = std::max(result_["peak_memory_mb"].get<long>(), preset["peak_memory_mb"].get<long>());
    keep();
  }

  /// So that a process that is killed leaves what it has measured.
  void keep() const {
    if (!options_.out.empty()) write_file_atomically(options_.out, to_text(result_));
  }

  const Options& options_;
  Device device_;
  GlyphSet glyphs_;
  const std::atomic<int>& stop_;
  measure::BenchOptions measured_;
  std::map<Precision, measure::Ceilings> ceilings_;
  Json result_;
  int exit_code_ = 0;
};

int run(const Options& options) {
  const StopSignals signals;
  const Device device = parse_device(options.device);
  std::vector<RunConfig> configs;
  for (const std::string& preset : options.presets) configs.push_back(configure(preset, device, options));
  Bench bench(options, device, signals.flag());
  Json result;
  try {
    result = bench.run(configs);
  } catch (const measure::Stopped&) {
    std::cerr << "Stopped before everything was measured\n";
    return signals.exit_code();
  }
  if (options.json)
    std::cout << to_text(result);
  else
    print(result);
  return bench.exit_code();
}

}  // namespace

Command add_bench(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--preset", options->presets, "what to measure: presets or networks' JSON files (may be repeated)")
      ->check(accepted_by(check_network_name))
      ->capture_default_str();
  app.add_option("--batch", options->batches, "training batches (default: the preset's)")->check(CLI::PositiveNumber);
  app.add_option("--detect-batch", options->detect_batches, "batches of detection")->check(CLI::PositiveNumber);
  add_compute_options(app, options->compute);
  app.add_option("--set", options->settings,
                 "one setting of config.json of each preset, e.g. training_set.max_glyphs=20 (may be repeated)")
      ->allow_extra_args(false);
  app.add_option("--steps", options->steps, "measured steps, at least")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", options->seconds, "measure for so long, at least")->check(CLI::NonNegativeNumber);
  app.add_option("--warmup", options->warmup, "steps before")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options->trainer.threads, "processors to use");
  app.add_option("--devices", options->trainer.devices, "train on so many GPUs")->check(CLI::Range(1, 64));
  app.add_option("--steps-per-launch", options->trainer.steps_per_launch, "steps of one launch of a CUDA graph")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1024}));
  app.add_flag("--overlap", options->trainer.overlap,
               "sample the next step's scenes beside the optimiser, within a launch of several steps");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  app.add_option("--data", options->data, "glyphs")->capture_default_str();
  app.add_flag("--no-training", options->no_training, "measure detection alone");
  app.add_flag("--no-detection", options->no_detection, "measure training alone");
  app.add_flag("--json", options->json, "print one JSON object");
  app.add_option("--out", options->out, "a file for that JSON too, written anew after every batch");
  return [options] { return run(*options); };
}

}  // namespace gridspot::app
