#pragma once
// Runs of a tiny network that take milliseconds, and what two of them must have in common.
#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "data/builtin_glyphs.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "train/run_folder.h"
#include "train/trainer.h"
#include "train/training_run.h"

namespace gridspot::test {

inline NetworkSpec tiny_network() {
  return parse_network(R"({
    "name": "tiny", "input": {"height": 64, "width": 64},
    "backbone": [{"type": "conv", "filters": 4, "stride": 4}, {"type": "conv", "filters": 8, "stride": 2}],
    "head": [{"type": "conv", "filters": 15, "size": 1, "activation": "none"}],
    "detector": {"cells": 8, "predictors": 1, "classes": 10, "size_coding": "exponential", "prior_width": 0.25,
                 "prior_height": 0.25, "class_loss": "cross_entropy"}})",
                       "tiny network");
}

/// 14 steps of 4 canvases in epochs of 10, which end with the steps 3, 5, 8, 10 and 13; the last one is broken off.
/// Validations after the steps 5 and 10 and at the end, checkpoints every 3 steps.
inline RunConfig tiny_config(const std::string& device = "cpu") {
  RunConfig config;
  config.network = tiny_network();
  config.protocol = find_protocol("quick-64");
  config.data = "builtin";
  config.device = device;
  config.steps = 14;
  config.epoch_canvases = 10;
  config.batch = 4;
  config.shards = 2;
  config.checkpoint_every = 3;
  config.validation = {.every_epochs = 2, .count = 8, .seed = 5};
  config.optimizer.weight_decay = 1e-2f;
  config.optimizer.clip_norm = 5;
  config.optimizer.ema_decay = 0.9f;
  config.optimizer.schedule = {.kind = ScheduleKind::cosine, .peak = 2e-2f, .warmup = 3};
  return resolve(config);
}

/// 5 steps with few tensors: for tests of every call that writes.
inline RunConfig shortest_config() {
  RunConfig config = tiny_config();
  config.network = parse_network(R"({
    "name": "tiny", "input": {"height": 64, "width": 64},
    "backbone": [{"type": "conv", "filters": 4, "stride": 8}],
    "head": [{"type": "conv", "filters": 15, "size": 1, "activation": "none"}],
    "detector": {"cells": 8, "predictors": 1, "classes": 10, "size_coding": "exponential", "prior_width": 0.25,
                 "prior_height": 0.25, "class_loss": "cross_entropy"}})",
                                 "tiny network");
  config.steps = 5;
  config.checkpoint_every = 2;
  config.validation.every_epochs = 1;
  config.optimizer.kind = OptimizerKind::sgd;
  config.optimizer.ema_decay = 0;
  config.optimizer.schedule = {.kind = ScheduleKind::constant, .peak = 1e-2f};
  return resolve(config);
}

inline GlyphSet tiny_glyphs() { return draw_builtin_glyphs(Split::train, 20); }

inline std::string content(const std::filesystem::path& path) { return read_file(path, 64 << 20); }

/// results.csv without its column of seconds, the only one that a repeated run need not repeat.
inline std::string without_seconds(const std::string& results) {
  std::string kept, field;
  std::istringstream lines(results);
  for (std::string line; std::getline(lines, line); kept += '\n') {
    std::istringstream fields(line);
    for (int column = 0; std::getline(fields, field, ','); ++column)
      if (column != 3) kept += field + ',';
  }
  return kept;
}

/// The bytes of a run's files by their names.
using Outcome = std::map<std::string, std::string>;

/// What a run ends in.
inline Outcome outcome_of(const std::filesystem::path& folder) {
  Outcome outcome;
  for (const char* name : {"config.json", "metrics.jsonl", "results.csv", "validation.jsonl", "model.safetensors",
                           "best.safetensors", "checkpoints/latest.safetensors"})
    if (std::filesystem::exists(folder / name)) outcome[name] = content(folder / name);
  if (outcome.contains("results.csv")) outcome["results.csv"] = without_seconds(outcome["results.csv"]);
  return outcome;
}

/// "" where two outcomes are equal; else each file that differs, with the place.
inline std::string difference(const Outcome& actual, const Outcome& expected) {
  std::string text;
  for (const auto& [name, bytes] : expected) {
    const auto found = actual.find(name);
    if (found == actual.end()) {
      text += name + " is missing; ";
    } else if (found->second != bytes) {
      const auto& other = found->second;
      const auto place = std::mismatch(bytes.begin(), bytes.end(), other.begin(), other.end()).first - bytes.begin();
      text += name + " differs from byte " + std::to_string(place) + " of " + std::to_string(bytes.size()) + " on (" +
              std::to_string(other.size()) + " bytes); ";
    }
  }
  for (const auto& [name, bytes] : actual)
    if (!expected.contains(name)) text += name + " should not be there; ";
  return text;
}

/// Does not wait for the disk: what a process has written is there for the next one all the same.
class QuickFileSystem : public FileSystem {
 public:
  int fsync(int) override { return 0; }
};

/// Calls `action` when the k-th line is written to a log.
class LineWatch : public QuickFileSystem {
 public:
  LineWatch(int k, std::function<void()> action) : k_(k), action_(std::move(action)) {}
  bool reached = false;

  int open(const char* path, int flags, mode_t mode) override {
    const int file = FileSystem::open(path, flags, mode);
    if (file >= 0 && (flags & O_APPEND) != 0) logs_.insert(file);
    return file;
  }
  int close(int file) override {
    logs_.erase(file);
    return FileSystem::close(file);
  }
  ssize_t write(int file, const void* data, std::size_t bytes) override {
    if (logs_.contains(file) && ++lines_ == k_) {
      reached = true;
      action_();
    }
    return FileSystem::write(file, data, bytes);
  }

 private:
  int k_, lines_ = 0;
  std::function<void()> action_;
  std::set<int> logs_;
};

/// A run with a file system of its own.
inline RunSummary quick_run(const RunConfig& config, const GlyphSet& glyphs, RunOptions options) {
  QuickFileSystem file_system;
  options.file_system = &file_system;
  if (options.threads == 0) options.threads = 1;
  return run_training(config, glyphs, options);
}

/// The run in the folder goes on to its end, with the configuration in its config.json.
inline RunSummary resume(const std::filesystem::path& folder, const GlyphSet& glyphs, int threads = 1) {
  return quick_run(read_run_config(folder), glyphs, {.folder = folder, .resume = true, .threads = threads});
}

/// The checkpoints that have their final name, sorted by step.
inline std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& run) {
  std::vector<std::filesystem::path> found;
  if (!std::filesystem::exists(run / "checkpoints")) return found;
  for (const auto& entry : std::filesystem::directory_iterator(run / "checkpoints"))
    if (entry.path().filename().string().starts_with("step-")) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

/// The message of the CheckpointError that `load` throws; else what happened instead.
template <class Load>
std::string refusal(const Load& load) {
  try {
    load();
  } catch (const CheckpointError& error) {
    return error.exit_code() == ExitCode::checkpoint ? error.what() : "(another exit code)";
  } catch (const std::exception& error) {
    return std::string("(another exception) ") + error.what();
  }
  return "(it was accepted)";
}

}  // namespace gridspot::test
