#pragma once
// A run's whole state as a safetensors file, and the checkpoints of a run folder.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "train/trainer.h"

namespace gridspot {

/// Tensors: "weights.NAME", "moment1.NAME" and, where there are any, "moment2.NAME" and "average.NAME" for each
/// parameter, in PyTorch's layout. Metadata: "format" ("pt"), "gridspot" (version), "step", "config" (the run's
/// config.json, with network, seeds and protocol), "sha256" (see digest_key). Atomic; the same state gives the same
/// bytes. Throws IoError.
void save_checkpoint(const std::filesystem::path& path, const RunConfig& config, const TrainerState& state,
                     FileSystem& file_system);

/// Throws IoError when the file cannot be read, CheckpointError when it is damaged, states no digest, or is not of this
/// configuration.
TrainerState load_checkpoint(const std::filesystem::path& path, const RunConfig& config);

/// The folder of a run's checkpoints: step-000000000500.safetensors and so on, and `latest.safetensors`, a symbolic
/// link to the newest. One thread at a time.
class CheckpointFolder {
 public:
  /// `keep`: how many of the newest checkpoints remain.
  CheckpointFolder(std::filesystem::path folder, int keep, FileSystem& file_system);

  /// Saves, turns `latest` to it, and removes those that are no longer kept.
  void save(const RunConfig& config, const TrainerState& state);

  struct Found {
    std::optional<TrainerState> state;  ///< none: there is no checkpoint that can be read
    std::vector<std::string> refused;   ///< newer ones that could not be, each with its reason
  };
  /// The newest checkpoint whose digest is right.
  [[nodiscard]] Found newest(const RunConfig& config) const;

 private:
  [[nodiscard]] std::vector<std::filesystem::path> files() const;  // the newest first

  std::filesystem::path folder_;
  int keep_;
  FileSystem& file_system_;
};

}  // namespace gridspot
