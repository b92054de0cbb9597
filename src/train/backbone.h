#pragma once
// A backbone's weights from a model that was trained before.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "nn/network.h"

namespace gridspot {

struct LoadedBackbone {
  std::vector<std::string> taken;  ///< tensor names
  std::vector<std::string> left;   ///< of the file: its head
  std::string digest;              ///< SHA-256 of the names and values that were taken
};

/// Puts the tensors "backbone.*" of a safetensors file (of gridspot or of PyTorch) into the network's flat buffer; the
/// rest of `flat` stays as it is. Throws IoError when the file cannot be read, CheckpointError when it is damaged or
/// its backbone differs from the network's: one message with every name and shape.
LoadedBackbone load_backbone(const std::filesystem::path& path, const Network& network, std::span<float> flat);

}  // namespace gridspot
