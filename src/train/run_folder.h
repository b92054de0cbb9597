#pragma once
// The files of a run.
#include <filesystem>
#include <optional>
#include <string>

#include "io/atomic_file.h"
#include "kernels/step_metrics.h"
#include "train/run_config.h"

namespace gridspot {

/// metrics.jsonl (a line each step) and results.csv (a line each epoch: means over its steps).
class RunFolder {
 public:
  /// Creates the folder and writes config.json. Throws InvalidInput when it already holds a run, unless `overwrite`:
  /// then that run's files are removed first.
  RunFolder(std::filesystem::path folder, const RunConfig& config, bool overwrite);

  /// `step` counts from 1. Throws IoError.
  void add(std::uint64_t step, const StepMetrics& metrics, double seconds);
  /// Writes the results of an epoch that was not finished.
  void finish(double seconds);

  [[nodiscard]] std::filesystem::path model_path() const { return folder_ / "model.safetensors"; }

 private:
  void write_epoch(double seconds);

  std::filesystem::path folder_;
  const RunConfig& config_;
  std::optional<LineWriter> metrics_, results_;
  StepMetrics sum_{};
  std::uint64_t step_ = 0, steps_in_epoch_ = 0, epoch_ = 0;
};

}  // namespace gridspot
