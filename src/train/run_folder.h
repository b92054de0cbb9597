#pragma once
// The files of a run.
#include <filesystem>
#include <optional>
#include <string>

#include "io/atomic_file.h"
#include "io/folder_lock.h"
#include "io/json.h"
#include "kernels/step_metrics.h"
#include "train/run_config.h"

namespace gridspot {

struct NewRun {
  bool overwrite = false;  ///< a run that is there is removed first
};
struct ResumedRun {
  std::uint64_t step = 0;  ///< the last one that is kept
};

/// Throws InvalidInput when the folder holds a run.
void require_no_run(const std::filesystem::path& folder);

/// metrics.jsonl (a line each step), results.csv (a line each epoch: means over its steps) and validation.jsonl (a line
/// each validation). One thread at a time, and one process: a folder that another run holds is InvalidInput.
class RunFolder {
 public:
  /// Creates the folder and writes config.json. Throws InvalidInput when it already holds a run, unless `overwrite`.
  RunFolder(std::filesystem::path folder, const RunConfig& config, NewRun run, FileSystem& file_system);
  /// Cuts the files back to the step, so that going on leaves neither a gap nor a line twice. Throws CheckpointError
  /// when lines before it are missing or damaged.
  RunFolder(std::filesystem::path folder, const RunConfig& config, ResumedRun run, FileSystem& file_system);

  /// `step` counts from 1; `seconds` of training so far. Throws IoError, as all that follow.
  void add(std::uint64_t step, const StepMetrics& metrics, double seconds);
  /// `measures`: an object of numbers.
  void add_validation(std::uint64_t step, const Json& measures);
  /// Writes the results of an epoch that was not finished.
  void finish(double seconds);
  /// Waits until all lines have reached the disk.
  void synchronize();

  /// Of training before this run was resumed, as results.csv has them.
  [[nodiscard]] double seconds_before() const { return seconds_before_; }
  /// The validations that are kept.
  [[nodiscard]] const std::vector<Json>& validations() const { return validations_; }

  [[nodiscard]] std::filesystem::path model_path() const { return folder_ / "model.safetensors"; }
  [[nodiscard]] std::filesystem::path best_path() const { return folder_ / "best.safetensors"; }
  [[nodiscard]] std::filesystem::path checkpoints() const { return folder_ / "checkpoints"; }

 private:
  void count(std::uint64_t step, const StepMetrics& metrics);
  [[nodiscard]] bool ends_epoch() const { return step_ * config_.batch / config_.epoch_canvases > epoch_; }
  void write_epoch(double seconds);
  /// Keeps the lines up to the step; returns the last step that they tell of.
  std::uint64_t cut_results(std::uint64_t step);
  /// Whether a validation that was due before the step is not among those that are kept.
  [[nodiscard]] bool misses_validation(std::uint64_t step) const;
  void open();

  std::filesystem::path folder_;
  const RunConfig& config_;
  FileSystem& file_system_;
  std::optional<FolderLock> lock_;
  std::optional<LineWriter> metrics_, results_, validation_;
  std::vector<Json> validations_;
  StepMetrics sum_{};
  std::uint64_t step_ = 0, steps_in_epoch_ = 0, epoch_ = 0;
  double seconds_before_ = 0;
};

/// The configuration of the run in a folder. Throws InvalidInput when there is none.
RunConfig read_run_config(const std::filesystem::path& folder);

}  // namespace gridspot
