#include "train/network_tensors.h"

namespace gridspot {

namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

void add_tensors(TensorFile& file, const Network& network, std::span<const float> flat, const std::string& prefix) {
  for (const Parameter& parameter : network.parameters())
    file.tensors.push_back({prefix + parameter.name, parameter.shape, network.to_torch(parameter, flat)});
}

TensorIndex::TensorIndex(const TensorFile& file) {
  for (const Tensor& tensor : file.tensors) tensors_[tensor.name] = &tensor;
}

std::string TensorIndex::take(const Network& network, const std::string& prefix, std::span<float> flat,
                              const std::function<bool(const Parameter&)>& wanted) {
  std::string problems;
  for (const Parameter& parameter : network.parameters()) {
    if (!wanted(parameter)) continue;
    const auto found = tensors_.find(prefix + parameter.name);
    if (found == tensors_.end()) {
      problems += "; '" + prefix + parameter.name + "' is missing";
      continue;
    }
    const Tensor& tensor = *found->second;
    tensors_.erase(found);
    if (tensor.shape != parameter.shape)
      problems += "; '" + tensor.name + "' has shape " + shape_text(tensor.shape) + ", the network needs " +
                  shape_text(parameter.shape);
    else
      network.from_torch(parameter, tensor.values, flat);
  }
  return problems;
}

std::string TensorIndex::take(const Network& network, const std::string& prefix, std::span<float> flat) {
  return take(network, prefix, flat, [](const Parameter&) { return true; });
}

std::vector<std::string> TensorIndex::left() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

}  // namespace gridspot
