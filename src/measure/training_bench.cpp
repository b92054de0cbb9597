#include "measure/training_bench.h"

#include "nn/precision_names.h"
#include "train/recipes.h"

namespace gridspot::measure {

namespace {

/// A window is long enough that the host's wait at its end does not count.
int steps_of_window(const Trainer& trainer) {
  return trainer.config().device == "cpu" ? 1
                                          : static_cast<int>(std::max<std::uint64_t>(32, trainer.steps_per_launch()));
}

void run_steps(Trainer& trainer, int steps) {
  const std::uint64_t end = trainer.steps_done() + std::uint64_t(steps);
  while (trainer.steps_done() < end) {
    trainer.advance(end - trainer.steps_done());
    trainer.take_finished_metrics();
  }
  trainer.take_metrics();
}

Workload workload_of(const Trainer& trainer) {
  const RunConfig& config = trainer.config();
  return {.network = &trainer.network(),
          .batch = config.batch,
          .precision = config.precision,
          .glyphs = training_protocol(config).max_glyphs,
          .shards = config.shards,
          .averages = config.optimizer.ema_decay > 0,
          .second_moment = has_second_moment(config.optimizer.kind)};
}

}  // namespace

Json stages_json(const StageClock& clock, std::initializer_list<Stage> stages, double batches,
                 const std::function<Floor(Stage)>& floor) {
  double total = 0;
  for (const Stage stage : stages) total += clock.seconds(stage);
  Json result;
  for (const Stage stage : stages) {
    const double seconds = clock.seconds(stage) / batches;
    const auto& [work, least] = floor(stage);
    result[stage_names[static_cast<int>(stage)]] = {{"share_of_time", clock.seconds(stage) / total},
                                                    {"milliseconds", seconds * 1e3},
                                                    {"floor_milliseconds", least * 1e3},
                                                    {"share_of_floor", least / seconds},
                                                    {"bytes", work.bytes},
                                                    {"operations", work.operations}};
  }
  return result;
}

Json bench_training(const RunConfig& config, const GlyphSet& glyphs, const Ceilings& ceilings,
                    const BenchOptions& options, const std::atomic<int>& stop) {
  std::vector<StageClock> clocks;  // outlives the graphs that they measure
  Trainer trainer(resolve(config), glyphs, options.trainer);
  const int window = steps_of_window(trainer);
  const auto windows_of = [window](const Repetition& steps) {
    return Repetition{(steps.least + window - 1) / window, steps.seconds};
  };
  time_each(windows_of(options.warmup), stop, [&] { run_steps(trainer, window); });
  Repetition measured = windows_of(options.measured);
  measured.least = std::max(measured.least, std::min(options.measured.least, 5));
  const auto seconds = time_each(measured, stop, [&] { run_steps(trainer, window); });
  const Spread spread = spread_of(seconds);
  const double canvases = double(trainer.config().batch) * window;

  clocks = std::vector<StageClock>(trainer.threads());
  trainer.set_clocks(&clocks);
  const auto timed_step = [&] {
    run_steps(trainer, 1);
    for (StageClock& one : clocks) one.take();
  };
  time_each({2}, stop, timed_step);  // captures
  for (StageClock& one : clocks) one.reset();
  const Repetition timed_steps{std::max(1, options.measured.least / 4)};
  const auto timed = time_each(timed_steps, stop, timed_step);
  StageClock clock;
  for (const StageClock& one : clocks) clock.add(one);
  const Workload workload = workload_of(trainer);

  Json memory;
  std::size_t total = 0;
  for (const auto& entry : trainer.memory_plan()) {
    memory[entry.purpose] = entry.bytes;
    total += entry.bytes;
  }
  return {{"batch", trainer.config().batch},
          {"shards", trainer.config().shards},
          {"threads", trainer.threads()},
          {"devices", options.trainer.devices},
          {"precision", name_of(precision_names, trainer.config().precision)},
          {"steps", seconds.size() * window},
          {"steps_per_window", window},
          {"canvases_per_second", to_json({canvases / spread.high, canvases / spread.median, canvases / spread.low})},
          {"stages", stages_json(clock,
                                 {Stage::scene, Stage::canvas, Stage::targets, Stage::forward, Stage::loss,
                                  Stage::backward, Stage::optimizer},
                                 double(timed.size()) * trainer.threads(),
                                 [&](Stage stage) { return floor_of(stage, workload, ceilings); })},
          {"planned_bytes", memory},
          {"planned_bytes_total", total}};
}

}  // namespace gridspot::measure
