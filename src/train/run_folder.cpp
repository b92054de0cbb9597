#include "train/run_folder.h"

#include <cstdio>

#include "gridspot/error.h"

namespace gridspot {

namespace {

namespace fs = std::filesystem;

constexpr const char* results_header =
    "epoch,step,canvases,seconds,loss,objectness,box,class,gradient_norm,learning_rate,collisions,unplaced";
constexpr std::size_t max_log_bytes = std::size_t{1} << 34;

// Shortest text that reads back as the same float.
std::string text(float value) { return json_number(value).dump(); }

float number(const Json& value) {
  return value.is_null() ? std::numeric_limits<float>::quiet_NaN() : value.get<float>();
}

StepMetrics metrics_of(const Json& line) {
  return {.objectness = number(line.at("objectness")),
          .box = number(line.at("box")),
          .classes = number(line.at("class")),
          .gradient_norm = number(line.at("gradient_norm")),
          .collisions = number(line.at("collisions")),
          .unplaced = number(line.at("unplaced"))};
}

/// The whole lines at the beginning of `content` for which `keep` holds; the rest, a last line without its end above
/// all, is cut off the file.
template <class Keep>
void cut_lines(const fs::path& path, FileSystem& file_system, const Keep& keep) {
  const std::string content = fs::exists(path) ? read_file(path, max_log_bytes) : "";
  std::size_t kept = 0;
  for (std::size_t end; (end = content.find('\n', kept)) != std::string::npos; kept = end + 1)
    if (!keep(std::string_view(content).substr(kept, end - kept))) break;
  const std::string_view rest = std::string_view(content).substr(0, kept);
  if (kept != content.size()) write_file_atomically(path, {&rest, 1}, file_system);
}

bool is_milestone(const fs::path& path) {
  return path.filename().string().starts_with("epoch-") && path.extension() == ".safetensors";
}

bool is_event_file(const fs::path& path) { return path.filename().string().starts_with("events.out.tfevents."); }

/// What `read` makes of a line's JSON; what is wrong with it is a CheckpointError that names the place.
template <class Read>
auto read_line(std::string_view line, const std::string& place, const Read& read) {
  try {
    return read(parse_json(line, place));
  } catch (const Json::exception& error) {
    throw CheckpointError(place + ": " + error.what());
  } catch (const InvalidInput& error) {
    throw CheckpointError(error.what());
  }
}

}  // namespace

void require_no_run(const fs::path& folder) {
  require(!fs::exists(folder / "config.json"),
          folder.string() + " already holds a run; choose another folder, pass --overwrite, or go on with --resume");
}

RunFolder::RunFolder(fs::path folder, const RunConfig& config, NewRun run, FileSystem& file_system)
    : folder_(std::move(folder)), config_(config), file_system_(file_system) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw IoError("the run folder " + folder_.string() + " cannot be created: " + error.message());
  lock_.emplace(folder_);
  const auto config_path = folder_ / "config.json";
  if (!run.overwrite) require_no_run(folder_);
  for (const auto& entry : fs::directory_iterator(folder_))
    if (is_milestone(entry.path()) || is_event_file(entry.path())) fs::remove(entry.path(), error);
  for (const char* name : {"checkpoints", "evaluation", "metrics.jsonl", "results.csv", "validation.jsonl",
                           "model.safetensors", "best.safetensors", "report.html"})
    fs::remove_all(folder_ / name, error);
  const std::string config_text = to_json_text(config);
  const std::string_view piece = config_text;
  write_file_atomically(config_path, {&piece, 1}, file_system);
  open();
}

RunFolder::RunFolder(fs::path folder, const RunConfig& config, ResumedRun run, FileSystem& file_system)
    : folder_(std::move(folder)), config_(config), file_system_(file_system) {
  lock_.emplace(folder_);
  const auto metrics_path = folder_ / "metrics.jsonl";
  cut_lines(metrics_path, file_system_, [&](std::string_view line) {
    if (step_ == run.step) return false;
    const std::string place = metrics_path.string() + ", line " + std::to_string(step_ + 1);
    const StepMetrics metrics = read_line(line, place, [&](const Json& json) {
      require(json.at("step") == step_ + 1, place + ": this is not step " + std::to_string(step_ + 1));
      return metrics_of(json);
    });
    count(step_ + 1, metrics);
    if (ends_epoch()) {
      epoch_ = step_ * config_.batch / config_.epoch_canvases;
      sum_ = {};
      steps_in_epoch_ = 0;
    }
    return true;
  });
  if (step_ != run.step)
    throw CheckpointError(metrics_path.string() + " ends with step " + std::to_string(step_) +
                          ", before the checkpoint of step " + std::to_string(run.step));
  if (cut_results(run.step) == step_) {  // of a finished run: the epoch that its end broke off has its line already
    sum_ = {};
    steps_in_epoch_ = 0;
  }
  const auto validation_path = folder_ / "validation.jsonl";
  cut_lines(validation_path, file_system_, [&](std::string_view line) {
    const std::string place = validation_path.string() + ", line " + std::to_string(validations_.size() + 1);
    try {
      const Json validation = read_line(line, place, [&](const Json& json) {
        return json.at("step").get<std::uint64_t>() <= run.step ? json : Json();
      });
      if (validation.is_null()) return false;
      validations_.push_back(validation);
      return true;
    } catch (const CheckpointError&) {
      // What was written after the checkpoint may be anything, what was written before it must be there.
      if (misses_validation(run.step)) throw;
      return false;
    }
  });
  open();
}

bool RunFolder::misses_validation(std::uint64_t step) const {
  const std::uint64_t last = validations_.empty() ? 0 : validations_.back().at("step").get<std::uint64_t>();
  for (std::uint64_t before = last + 1; before < step; ++before)
    if (validation_is_due(config_, before)) return true;
  return false;
}

std::uint64_t RunFolder::cut_results(std::uint64_t step) {
  const auto path = folder_ / "results.csv";
  bool header = true;
  std::uint64_t last_kept = 0;
  cut_lines(path, file_system_, [&](std::string_view line) {
    if (std::exchange(header, false)) return line == results_header;
    unsigned long long epoch = 0, last = 0, canvases = 0;
    double seconds = 0;
    const bool whole =
        std::sscanf(std::string(line).c_str(), "%llu,%llu,%llu,%lf", &epoch, &last, &canvases, &seconds) == 4;
    if (!whole || last > step) return false;
    seconds_before_ = seconds;
    last_kept = last;
    return true;
  });
  return last_kept;
}

void RunFolder::open() {
  for (const fs::path& written : {folder_, checkpoints()}) remove_abandoned_temporaries(written, file_system_);
  metrics_.emplace(folder_ / "metrics.jsonl", file_system_);
  results_.emplace(folder_ / "results.csv", file_system_);
  validation_.emplace(folder_ / "validation.jsonl", file_system_);
  if (fs::is_empty(folder_ / "results.csv")) results_->write(results_header);
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
                  {"collisions", json_number(m.collisions)},
                  {"unplaced", json_number(m.unplaced)}};
  metrics_->write(to_line(line));
  count(step, m);
  if (ends_epoch()) write_epoch(seconds);
}

void RunFolder::count(std::uint64_t step, const StepMetrics& m) {
  step_ = step;
  ++steps_in_epoch_;
  sum_.objectness += m.objectness;
  sum_.box += m.box;
  sum_.classes += m.classes;
  sum_.gradient_norm += m.gradient_norm;
  sum_.collisions += m.collisions;
  sum_.unplaced += m.unplaced;
}

void RunFolder::add_validation(std::uint64_t step, const Json& measures) {
  Json line{{"step", step}, {"epoch", double(step * config_.batch) / double(config_.epoch_canvases)}};
  line.update(measures);
  validation_->write(to_line(line));
  validations_.push_back(line);
}

void RunFolder::finish(double seconds) {
  if (steps_in_epoch_ > 0) write_epoch(seconds);
}

void RunFolder::synchronize() {
  for (auto* file : {&metrics_, &results_, &validation_}) (*file)->synchronize();
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

RunConfig read_run_config(const fs::path& folder) {
  constexpr std::size_t max_bytes = 16 << 20;
  const auto path = folder / "config.json";
  require(fs::exists(path), folder.string() + " holds no run: there is no config.json in it");
  return parse_config(read_file(path, max_bytes), path.string());
}

}  // namespace gridspot
