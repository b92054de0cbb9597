// gridspot bench
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>

#include "apps/gridspot/commands.h"
#include "data/canvas_source.h"
#include "gridspot/error.h"
#include "io/json.h"
#include "nn/detector.h"
#include "train/trainer.h"

namespace gridspot::app {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<std::string> presets{"quick"};
  std::string device = "auto", data = "auto";
  int batch = 0, steps = 40, warmup = 5, threads = 0;
  std::vector<int> detect_batches{1, 64};
  bool json = false;
};

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
std::vector<double> time_each(int count, const Work& work) {
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
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

Json bench_training(RunConfig config, const GlyphSet& glyphs, const Options& options) {
  if (options.batch > 0) config.batch = options.batch;
  Trainer trainer(resolve(config), glyphs, options.threads);
  const auto step = [&] {
    trainer.step();
    trainer.take_metrics();
  };
  time_each(options.warmup, step);
  const Spread seconds = spread_of(time_each(options.steps, step));
  const double batch = trainer.config().batch;

  std::vector<StageClock> clocks(trainer.threads());
  trainer.set_clocks(&clocks);
  time_each(std::max(1, options.steps / 4), step);
  StageClock clock;
  for (const StageClock& one : clocks) clock.add(one);

  Json memory;
  for (const auto& entry : trainer.memory_plan()) memory[entry.purpose] = entry.bytes;
  return {{"batch", trainer.config().batch},
          {"shards", trainer.config().shards},
          {"threads", trainer.threads()},
          {"steps", options.steps},
          {"canvases_per_second", to_json({batch / seconds.high, batch / seconds.median, batch / seconds.low})},
          {"share_of_time", shares_of(clock, {Stage::scene, Stage::canvas, Stage::targets, Stage::forward, Stage::loss,
                                              Stage::backward, Stage::optimizer})},
          {"planned_bytes", memory}};
}

Json bench_detection(const RunConfig& config, const GlyphSet& glyphs, Device device, int batch,
                     const Options& options) {
  const Network network(config.network);
  Stream stream(device);
  const GlyphBank bank(stream, glyphs);
  CanvasSource source(device, config.protocol, bank, Split::test, 1, batch);
  Detector detector(network, device, batch, {});
  const auto weights = upload(stream, network.initial_weights(1));
  const auto input = source.compose(stream, 0, {config.network.mean, config.network.deviation});
  StageClock clock;
  const auto run = [&](StageClock* measured) {
    detector.run(stream, weights, input, measured);
    stream.synchronize();
  };
  time_each(options.warmup, [&] { run(nullptr); });
  const Spread seconds = spread_of(time_each(options.steps, [&] { run(nullptr); }));
  time_each(std::max(1, options.steps / 4), [&] { run(&clock); });
  return {{"batch", batch},
          {"milliseconds", to_json(seconds, 1e3)},
          {"images_per_second", batch / seconds.median},
          {"share_of_time", shares_of(clock, {Stage::forward, Stage::decode, Stage::nms})}};
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
    for (const Json& detection : entry["detection"]) {
      std::cout << "  detection, batch " << detection["batch"] << ": " << std::setprecision(3)
                << detection["milliseconds"]["median"].get<double>() << " ms (quartiles "
                << detection["milliseconds"]["quartiles"][0].get<double>() << " to "
                << detection["milliseconds"]["quartiles"][1].get<double>() << "), " << std::setprecision(1)
                << detection["images_per_second"].get<double>() << " images/s\n  ";
      print_shares(detection["share_of_time"]);
    }
  }
  std::cout << "peak memory " << result["peak_memory_mb"] << " MB on " << result["device"].get<std::string>() << '\n';
}

int bench(const Options& options) {
  const Device device = parse_device(options.device);
  const GlyphSet glyphs = load_glyphs(options.data, Split::train);
  Json presets = Json::array();
  for (const std::string& preset : options.presets) {
    RunConfig config = default_config(preset);
    config.device = to_string(device);
    config.network = with_classes(config.network, glyphs.classes());
    std::cerr << "Measuring " << preset << '\n';
    Json entry{{"preset", preset},
               {"protocol", config.protocol.name},
               {"training", bench_training(config, glyphs, options)},
               {"detection", Json::array()}};
    for (const int batch : options.detect_batches)
      entry["detection"].push_back(bench_detection(config, glyphs, device, batch, options));
    presets.push_back(entry);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const Json result{{"gridspot", GRIDSPOT_VERSION},
                    {"device", to_string(device) + " (" + describe(device) + ")"},
                    {"glyphs", glyphs.source},
                    {"presets", presets},
                    {"peak_memory_mb", usage.ru_maxrss / 1024}};
  if (options.json)
    std::cout << to_text(result);
  else
    print(result);
  return 0;
}

}  // namespace

Command add_bench(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--preset", options->presets, "what to measure (may be repeated)")->capture_default_str();
  app.add_option("--batch", options->batch, "training batch (default: the preset's)")->check(CLI::PositiveNumber);
  app.add_option("--detect-batch", options->detect_batches, "batches of detection")->check(CLI::PositiveNumber);
  app.add_option("--steps", options->steps, "measured steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warmup", options->warmup, "steps before")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", options->threads, "processors to use");
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")->capture_default_str();
  app.add_option("--data", options->data, "glyphs")->capture_default_str();
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return bench(*options); };
}

}  // namespace gridspot::app
