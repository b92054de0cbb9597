#pragma once
// A network's flat buffer as the tensors of a file, with PyTorch's names, shapes and order.
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "nn/network.h"

namespace gridspot {

/// Appends a tensor "<prefix><parameter's name>" for each parameter.
void add_tensors(TensorFile& file, const Network& network, std::span<const float> flat, const std::string& prefix = "");

/// The tensors of a file by name; taking removes them. `file` must outlive it.
class TensorIndex {
 public:
  explicit TensorIndex(const TensorFile& file);

  /// Puts the tensors "<prefix><name>" of the parameters that `wanted` accepts into `flat`. Returns what does not fit:
  /// a clause "; '...' is missing" or "; '...' has shape ..., the network needs ..." for each, "" where all do.
  std::string take(const Network& network, const std::string& prefix, std::span<float> flat,
                   const std::function<bool(const Parameter&)>& wanted);
  std::string take(const Network& network, const std::string& prefix, std::span<float> flat);

  /// The names that nobody took, in alphabetical order.
  [[nodiscard]] std::vector<std::string> left() const;

 private:
  std::map<std::string, const Tensor*> tensors_;
};

}  // namespace gridspot
