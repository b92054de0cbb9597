// gridspot bench
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "gridspot/error.h"
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
  bool json = false;
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
    std::cout << "  peak of the process's memory on the host: " << entry["peak_memory_mb"] << " MB\n";
  }
  for (const auto& [precision, ceilings] : result["ceilings"].items())
    std::cout << "In brackets: the least time for what a stage must move and multiply, as a share of its time; at "
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
  }

  Json run(const std::vector<RunConfig>& configs) {
    Json presets = Json::array();
    long peak = 0;
    for (std::size_t i = 0; i < configs.size(); ++i) {
      presets.push_back(run_preset(options_.presets[i], configs[i]));
      peak = std::max(peak, presets.back()["peak_memory_mb"].get<long>());
    }
    Json ceilings;
    for (const auto& [precision, measured] : ceilings_)
      ceilings[name_of(precision_names, precision)] = to_json(measured);
    return {{"gridspot", GRIDSPOT_VERSION},
            {"device", to_string(device_) + " (" + describe(device_) + ")"},
            {"glyphs", glyphs_.source},
            {"settings", options_.settings},
            {"autotune", options_.compute.autotune},
            {"ceilings", ceilings},
            {"presets", presets},
            {"peak_memory_mb", peak}};
  }

 private:
  Json run_preset(const std::string& preset, RunConfig config) {
    config.network = with_classes(config.network, glyphs_.classes());
    const measure::Ceilings& ceilings = ceilings_for(config.precision);
    reset_peak_memory();
    std::cerr << "Measuring " << preset << '\n';
    Json entry{{"preset", preset},
               {"protocol", config.protocol.name},
               {"training", Json::array()},
               {"detection", Json::array()}};
    const std::vector<int> batches = options_.batches.empty() ? std::vector{config.batch} : options_.batches;
    for (const int batch : batches) {
      config.batch = batch;
      entry["training"].push_back(
          unless_memory_ends(batch, [&] { return bench_training(config, glyphs_, ceilings, measured_, stop_); }));
    }
    for (const int batch : options_.detect_batches)
      entry["detection"].push_back(unless_memory_ends(
          batch, [&] { return bench_detection(config, glyphs_, batch, ceilings, measured_, stop_); }));
    entry["peak_memory_mb"] = peak_memory_mb();
    return entry;
  }

  const measure::Ceilings& ceilings_for(Precision precision) {
    const auto found = ceilings_.find(precision);
    if (found != ceilings_.end()) return found->second;
    const int threads = options_.trainer.threads > 0 ? options_.trainer.threads : available_processors();
    return ceilings_[precision] = measure::measure_ceilings(device_, precision, threads, stop_);
  }

  /// A batch that the device has no memory for is reported as such, and the others are measured.
  template <class Work>
  static Json unless_memory_ends(int batch, const Work& work) {
    try {
      return work();
    } catch (const OutOfMemory& error) {
      return {{"batch", batch}, {"failure", error.what()}};
    }
  }

  const Options& options_;
  Device device_;
  GlyphSet glyphs_;
  const std::atomic<int>& stop_;
  measure::BenchOptions measured_;
  std::map<Precision, measure::Ceilings> ceilings_;
};

int bench(const Options& options) {
  const StopSignals signals;
  const Device device = parse_device(options.device);
  std::vector<RunConfig> configs;
  for (const std::string& preset : options.presets) configs.push_back(configure(preset, device, options));
  Json result;
  try {
    result = Bench(options, device, signals.flag()).run(configs);
  } catch (const measure::Stopped&) {
    std::cerr << "Stopped before everything was measured\n";
    return signals.exit_code();
  }
  if (options.json)
    std::cout << to_text(result);
  else
    print(result);
  return 0;
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
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  app.add_option("--data", options->data, "glyphs")->capture_default_str();
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return bench(*options); };
}

}  // namespace gridspot::app
