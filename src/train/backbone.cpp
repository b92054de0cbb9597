#include "train/backbone.h"

#include "gridspot/error.h"
#include "io/sha256.h"
#include "train/network_tensors.h"

namespace gridspot {

namespace {
constexpr std::string_view section = "backbone.";

std::string digest_of(const TensorFile& file) {
  Sha256 digest;
  for (const Tensor& tensor : file.tensors) {
    if (!tensor.name.starts_with(section)) continue;
    digest.update({reinterpret_cast<const std::uint8_t*>(tensor.name.data()), tensor.name.size()});
    digest.update({reinterpret_cast<const std::uint8_t*>(tensor.values.data()), tensor.values.size() * sizeof(float)});
  }
  return digest.finish();
}
}  // namespace

LoadedBackbone load_backbone(const std::filesystem::path& path, const Network& network, std::span<float> flat) {
  const TensorFile file = read_safetensors(path);
  TensorIndex tensors(file);
  LoadedBackbone loaded;
  const auto wanted = [&](const Parameter& parameter) {
    const bool is_backbone = parameter.name.starts_with(section);
    if (is_backbone) loaded.taken.push_back(parameter.name);
    return is_backbone;
  };
  std::string problems = tensors.take(network, "", flat, wanted);
  for (const std::string& name : tensors.left())
    if (name.starts_with(section))
      problems += "; '" + name + "' belongs to no layer";
    else
      loaded.left.push_back(name);
  if (!problems.empty())
    throw CheckpointError(path.string() + ": its backbone is not that of network '" + network.spec().name + "'" +
                          problems);
  loaded.digest = digest_of(file);
  return loaded;
}

}  // namespace gridspot
