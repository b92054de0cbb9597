// gridspot bench
#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <numeric>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "data/canvas_source.h"
#include "io/json.h"
#include "train/recipes.h"
#include "train/trainer.h"

namespace gridspot::app {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<std::string> presets{"quick"};
  std::string device = "auto", data = "auto";
  std::vector<std::string> settings;
  int batch = 0, steps = 40, warmup = 5, threads = 0;
  std::vector<int> detect_batches{1, 64};
  bool json = false;
};

struct Stopped {};  ///< by a signal

struct Spread {
  double low = 0, median = 0, high = 0;  ///< quartiles
};

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) { return values[static_cast<std::size_t>(share * (values.size() - 1) + 0.5)]; };
  return {at(0.25), at(0.5), at(0.75)};
}

Json to_json(const Spread& spread, double scale = 1) {
  return {{"median", spread.median * scale}, {"quartiles", {spread.low * scale, spread.high * scale}}};
}

/// Seconds of each of `count` calls; each ends with the stream's work done.
template <class Work>
std::vector<double> time_each(int count, const std::atomic<int>& stop, const Work& work) {
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    if (stop != 0) throw Stopped{};
    const auto start = Clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return seconds;
}

Json shares_of(const StageClock& clock, std::initializer_list<Stage> stages) {
  double total = 0;
  for (const Stage stage : stages) total += clock.seconds(stage);
  Json shares;
  for (const Stage stage : stages) shares[stage_names[static_cast<int>(stage)]] = clock.seconds(stage) / total;
  return shares;
}

/// Measured in windows: the steps between two readings of the metrics, which is how `gridspot train` runs.
Json bench_training(const RunConfig& config, const GlyphSet& glyphs, const Options& options,
                    const std::atomic<int>& stop) {
  Trainer trainer(resolve(config), glyphs, options.threads);
  const int window = static_cast<int>(trainer.steps_between_metrics());
  const auto windows_for = [&](int steps) { return (steps + window - 1) / window; };
  const auto run = [&](int steps) {
    for (int i = 0; i < steps; ++i) trainer.step();
    trainer.take_metrics();
  };
  time_each(windows_for(options.warmup), stop, [&] { run(window); });
  const int windows = std::max(windows_for(options.steps), std::min(options.steps, 5));
  const Spread seconds = spread_of(time_each(windows, stop, [&] { run(window); }));
  const double canvases = double(trainer.config().batch) * window;

  std::vector<StageClock> clocks(trainer.threads());
  trainer.set_clocks(&clocks);
  time_each(std::max(1, options.steps / 4), stop, [&] { run(1); });
  StageClock clock;
  for (const StageClock& one : clocks) clock.add(one);

  Json memory;
  std::size_t total = 0;
  for (const auto& entry : trainer.memory_plan()) {
    memory[entry.purpose] = entry.bytes;
    total += entry.bytes;
  }
  return {
      {"batch", trainer.config().batch},
      {"shards", trainer.config().shards},
      {"threads", trainer.threads()},
      {"steps", windows * window},
      {"steps_per_window", window},
      {"canvases_per_second", to_json({canvases / seconds.high, canvases / seconds.median, canvases / seconds.low})},
      {"share_of_time", shares_of(clock, {Stage::scene, Stage::canvas, Stage::targets, Stage::forward, Stage::loss,
                                          Stage::backward, Stage::optimizer})},
      {"planned_bytes", memory},
      {"planned_bytes_total", total}};
}

struct Candidates {
  float score_threshold = 0;
  double per_image = 0;
};

/// Random weights find nothing in particular, so the threshold decides how much suppression has to do: twice as many
/// candidates as there are glyphs.
Candidates choose_candidates(const RunConfig& config, const Network& network, Stream& stream, int batch,
                             DeviceSpan<const float> weights, DeviceSpan<const float> input) {
  const int slots = network.spec().detector.slots();
  Detector all(network, stream.device(), batch,
               {.score_threshold = 0, .nms_threshold = 1, .capacity = slots, .precision = config.precision});
  const DetectionsView found = all.run(stream, weights, input);
  auto scores = download(stream, DeviceSpan<const float>(found.scores, std::size_t(batch) * slots));
  std::sort(scores.begin(), scores.end(), std::greater<>());
  const std::size_t wanted = std::size_t(batch) * (config.protocol.min_glyphs + config.protocol.max_glyphs);
  const float threshold = scores[std::min(wanted, scores.size()) - 1];
  const auto above = std::upper_bound(scores.begin(), scores.end(), threshold, std::greater<>()) - scores.begin();
  return {threshold, static_cast<double>(above) / batch};
}

Json bench_detection(RunConfig config, const GlyphSet& glyphs, Device device, int batch, const Options& options,
                     const std::atomic<int>& stop) {
  config.protocol.noise = 0.1f;  // so that no two cells have the same score
  const Network network(config.network);
  Stream stream(device);
  const GlyphBank bank(stream, glyphs);
  CanvasSource source(device, config.protocol, bank, Split::test, 1, batch);
  const auto weights = upload(stream, network.initial_weights(1));
  const auto input = source.compose(stream, 0, {config.network.mean, config.network.deviation});
  const Candidates candidates = choose_candidates(config, network, stream, batch, weights, input);
  Detector detector(network, device, batch,
                    {.score_threshold = candidates.score_threshold, .precision = config.precision});
  StageClock clock;
  const auto run = [&](StageClock* measured) {
    detector.run(stream, weights, input, measured);
    stream.synchronize();
  };
  time_each(options.warmup, stop, [&] { run(nullptr); });
  const Spread seconds = spread_of(time_each(options.steps, stop, [&] { run(nullptr); }));
  time_each(std::max(1, options.steps / 4), stop, [&] { run(&clock); });
  const DetectionsView found = detector.run(stream, weights, input);
  const auto counts = download(stream, DeviceSpan<const std::int32_t>(found.counts, batch));
  return {{"batch", batch},
          {"milliseconds", to_json(seconds, 1e3)},
          {"images_per_second", batch / seconds.median},
          {"candidates_per_image", candidates.per_image},
          {"detections_per_image", std::accumulate(counts.begin(), counts.end(), 0.0) / batch},
          {"planned_bytes_total", detector.bytes()},
          {"share_of_time", shares_of(clock, {Stage::forward, Stage::decode, Stage::nms})}};
}

// Linux resets the peak of a process's resident memory on request.
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << 5; }

/// Of the process since the last reset.
long peak_memory_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) / 1024;
  return 0;
}

void print_shares(const Json& shares) {
  for (const auto& [name, share] : shares.items())
    std::cout << "  " << name << ' ' << std::fixed << std::setprecision(1) << 100 * share.get<double>() << '%';
  std::cout << '\n';
}

void print(const Json& result) {
  std::cout << std::fixed << std::setprecision(1);
  for (const Json& entry : result["presets"]) {
    const Json& training = entry["training"];
    const Json& rate = training["canvases_per_second"];
    std::cout << entry["preset"].get<std::string>() << " on " << entry["protocol"].get<std::string>()
              << "\n  training, batch " << training["batch"] << ", " << training["threads"]
              << " threads: " << rate["median"].get<double>() << " canvases/s (quartiles "
              << rate["quartiles"][0].get<double>() << " to " << rate["quartiles"][1].get<double>() << ")\n  ";
    print_shares(training["share_of_time"]);
    std::cout << "    " << training["planned_bytes_total"].get<double>() * 1e-6 << " MB planned on the device\n";
    for (const Json& detection : entry["detection"]) {
      std::cout << "  detection, batch " << detection["batch"] << ": " << std::setprecision(3)
                << detection["milliseconds"]["median"].get<double>() << " ms (quartiles "
                << detection["milliseconds"]["quartiles"][0].get<double>() << " to "
                << detection["milliseconds"]["quartiles"][1].get<double>() << "), " << std::setprecision(1)
                << detection["images_per_second"].get<double>() << " images/s\n  ";
      print_shares(detection["share_of_time"]);
      std::cout << "    " << detection["candidates_per_image"].get<double>() << " candidates and "
                << detection["detections_per_image"].get<double>() << " detections an image, "
                << detection["planned_bytes_total"].get<double>() * 1e-6 << " MB planned on the device\n";
    }
    std::cout << "  peak of the process's memory on the host: " << entry["peak_memory_mb"] << " MB\n";
  }
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
  if (options.batch > 0) config.batch = options.batch;
  fit_canvas(config.protocol, config.network.input);
  return config;
}

Json bench_preset(const std::string& preset, RunConfig config, const GlyphSet& glyphs, Device device,
                  const Options& options, const std::atomic<int>& stop) {
  reset_peak_memory();
  config.network = with_classes(config.network, glyphs.classes());
  std::cerr << "Measuring " << preset << '\n';
  Json entry{{"preset", preset},
             {"protocol", config.protocol.name},
             {"training", bench_training(config, glyphs, options, stop)},
             {"detection", Json::array()}};
  for (const int batch : options.detect_batches)
    entry["detection"].push_back(bench_detection(config, glyphs, device, batch, options, stop));
  entry["peak_memory_mb"] = peak_memory_mb();
  return entry;
}

int bench(const Options& options) {
  const StopSignals signals;
  const Device device = parse_device(options.device);
  std::vector<RunConfig> configs;
  for (const std::string& preset : options.presets) configs.push_back(configure(preset, device, options));
  const GlyphSet glyphs = load_glyphs(options.data, Split::train);
  Json presets = Json::array();
  long peak = 0;
  try {
    for (std::size_t i = 0; i < configs.size(); ++i) {
      presets.push_back(bench_preset(options.presets[i], configs[i], glyphs, device, options, signals.flag()));
      peak = std::max(peak, presets.back()["peak_memory_mb"].get<long>());
    }
  } catch (const Stopped&) {
    std::cerr << "Stopped before everything was measured\n";
    return signals.exit_code();
  }
  const Json result{{"gridspot", GRIDSPOT_VERSION}, {"device", to_string(device) + " (" + describe(device) + ")"},
                    {"glyphs", glyphs.source},      {"settings", options.settings},
                    {"presets", presets},           {"peak_memory_mb", peak}};
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
  app.add_option("--batch", options->batch, "training batch (default: the preset's)")->check(CLI::PositiveNumber);
  app.add_option("--detect-batch", options->detect_batches, "batches of detection")->check(CLI::PositiveNumber);
  app.add_option("--set", options->settings,
                 "one setting of config.json of each preset, e.g. training_set.max_glyphs=20 (may be repeated)")
      ->allow_extra_args(false);
  app.add_option("--steps", options->steps, "measured steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warmup", options->warmup, "steps before")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options->threads, "processors to use");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  app.add_option("--data", options->data, "glyphs")->capture_default_str();
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return bench(*options); };
}

}  // namespace gridspot::app
