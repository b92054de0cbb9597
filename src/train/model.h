#pragma once
// A trained model as a safetensors file: PyTorch's tensor names and layouts, and in the metadata what is needed to use
// it.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "nn/network.h"
#include "train/run_config.h"

namespace gridspot {

/// Metadata keys: "format" ("pt"), "gridspot" (version), "network" (JSON), "classes" (JSON list), "protocol" (name),
/// "step", "config" (the run's config.json), "sha256" (see digest_key; a file without it must not have "gridspot"
/// either).
struct Model {
  NetworkSpec network;
  std::vector<float> weights;  ///< the network's flat buffer
  std::vector<std::string> classes;
  std::string protocol;  ///< it was trained on
  std::uint64_t step = 0;
  std::string config;
};

/// Atomic: temporary file, fsync, rename, fsync of the folder. The same model gives the same bytes. Throws IoError.
void save_model(const std::filesystem::path& path, const Model& model, FileSystem& file_system);
void save_model(const std::filesystem::path& path, const Model& model);

/// Throws IoError when the file cannot be read, CheckpointError when it is damaged or its tensors are not the
/// network's.
Model load_model(const std::filesystem::path& path);

/// The configuration of the run that trained the model. Throws CheckpointError where the metadata hold none.
RunConfig config_of(const Model& model);

}  // namespace gridspot
