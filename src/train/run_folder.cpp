#include "train/run_folder.h"

#include <cstdio>

#include "gridspot/error.h"
#include "io/json.h"

namespace gridspot {

namespace {
constexpr const char* results_header =
    "epoch,step,canvases,seconds,loss,objectness,box,class,gradient_norm,learning_rate,collisions,unplaced";

// Shortest text that reads back as the same float.
std::string text(float value) { return json_number(value).dump(); }
}  // namespace

RunFolder::RunFolder(std::filesystem::path folder, const RunConfig& config, bool overwrite)
    : folder_(std::move(folder)), config_(config) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError("the run folder " + folder_.string() + " cannot be created: " + error.message());
  const auto config_path = folder_ / "config.json";
  require(overwrite || !std::filesystem::exists(config_path),
          folder_.string() + " already holds a run; choose another folder or pass --overwrite");
  for (const char* name : {"metrics.jsonl", "results.csv", "evaluation.json", "model.safetensors"})
    std::filesystem::remove(folder_ / name, error);
  write_file_atomically(config_path, to_json_text(config));
  metrics_.emplace(folder_ / "metrics.jsonl");
  results_.emplace(folder_ / "results.csv");
  results_->write(results_header);
}

void RunFolder::add(std::uint64_t step, const StepMetrics& m, double seconds) {
  const Json line{{"step", step},
                  {"canvases", step * config_.batch},
                  {"loss", json_number(m.objectness + m.box + m.classes)},
                  {"objectness", json_number(m.objectness)},
                  {"box", json_number(m.box)},
                  {"class", json_number(m.classes)},
                  {"gradient_norm", json_number(m.gradient_norm)},
                  {"learning_rate", json_number(learning_rate(config_.optimizer.schedule, step - 1))},
                  {"collisions", m.collisions},
                  {"unplaced", m.unplaced}};
  metrics_->write(to_line(line));
  step_ = step;
  ++steps_in_epoch_;
  sum_.objectness += m.objectness;
  sum_.box += m.box;
  sum_.classes += m.classes;
  sum_.gradient_norm += m.gradient_norm;
  sum_.collisions += m.collisions;
  sum_.unplaced += m.unplaced;
  if (step * config_.batch / config_.epoch_canvases > epoch_) write_epoch(seconds);
}

void RunFolder::finish(double seconds) {
  if (steps_in_epoch_ > 0) write_epoch(seconds);
}

void RunFolder::write_epoch(double seconds) {
  epoch_ = std::max<std::uint64_t>(epoch_ + 1, step_ * config_.batch / config_.epoch_canvases);
  const float share = 1.0f / static_cast<float>(steps_in_epoch_);
  char time[32];
  std::snprintf(time, sizeof time, "%.3f", seconds);
  std::string line =
      std::to_string(epoch_) + ',' + std::to_string(step_) + ',' + std::to_string(step_ * config_.batch) + ',' + time;
  for (const float value : {(sum_.objectness + sum_.box + sum_.classes) * share, sum_.objectness * share,
                            sum_.box * share, sum_.classes * share, sum_.gradient_norm * share,
                            learning_rate(config_.optimizer.schedule, step_ - 1), sum_.collisions, sum_.unplaced})
    line += ',' + text(value);
  results_->write(line);
  sum_ = {};
  steps_in_epoch_ = 0;
}

}  // namespace gridspot
