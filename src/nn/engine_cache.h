#pragma once
// Which of a library's engines is the fastest for a task: measured once, then read from a file.
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/block.h"

namespace gridspot {

/// The fastest engines of one library on one kind of device, in a JSON file that processes and threads share:
/// {"NVIDIA H100 80GB HBM3, cuDNN 91900": {"bf16 forward of the 3x3 convolution ...": "engine", ...}, ...}
class EngineCache {
 public:
  /// `machine` names device, library and version. A file that is not there is an empty one.
  EngineCache(std::filesystem::path file, std::string machine);
  /// engines.json in user_cache_folder(). Throws InvalidInput where there is no such folder: devices that train
  /// together must choose alike.
  static EngineCache of_user(std::string machine);

  /// The place in `engines` of the one kept for the task; none where nothing is kept, or what is no longer proposed.
  /// Throws InvalidInput for a file that is none of this class's.
  [[nodiscard]] std::optional<std::size_t> find(const std::string& task, std::span<const std::string> engines) const;

  /// find(); where it has none, what `measure` returns, which is kept. Whoever else chooses meanwhile waits, and then
  /// finds it. Throws IoError where the file cannot be written, and what `measure` throws.
  std::size_t choose(const std::string& task, std::span<const std::string> engines,
                     const std::function<std::size_t()>& measure);

 private:
  std::filesystem::path file_;
  std::string machine_;
};

/// What an engine is chosen for: "bf16 deterministic backward weights of the 3x3 convolution ...".
std::string engine_task(Precision precision, const EngineSettings& engines, const std::string& pass,
                        const std::string& object);

}  // namespace gridspot
