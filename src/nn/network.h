#pragma once
// A network's parameters: where each lies in the flat buffer, their first values, and their form in checkpoints.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/network_spec.h"

namespace gridspot {

/// A tensor in the flat buffer. In memory a convolution's weight is [filters, size, size, channels] and a fully
/// connected layer's columns follow the channels-last order of the layer before; `shape` is PyTorch's ([filters,
/// channels, size, size], [outputs, inputs], [filters]).
struct Parameter {
  std::string name;  ///< "backbone.conv1.weight", "head.fc2.bias"
  std::vector<std::int64_t> shape;
  std::size_t offset = 0, size = 0;
  bool decays = false;  ///< weight decay applies; to biases it does not
};

class Network {
 public:
  explicit Network(NetworkSpec spec);

  [[nodiscard]] const NetworkSpec& spec() const { return spec_; }
  [[nodiscard]] const std::vector<NetworkLayer>& layers() const { return layers_; }
  /// In the order of the flat buffer: weight and bias of each layer that has them.
  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Elements of the flat buffer. Each parameter starts at a multiple of 8; the gaps are zero in weights and in
  /// gradients.
  [[nodiscard]] std::size_t buffer_size() const { return buffer_size_; }
  /// Where the head's parameters begin in the flat buffer; before it lie those of the backbone.
  [[nodiscard]] std::size_t head_offset() const { return head_offset_; }
  [[nodiscard]] ImageShape output() const { return layers_.back().output; }

  /// The flat buffer's first values: weights normal with variance gain^2 / fan-in (He et al. 2015; each value a
  /// function of the seed, the parameter and the index alone), biases zero, the objectness bias such that its sigmoid
  /// is `objectness_prior` (0.5 leaves it zero). Throws InvalidInput for a prior outside (0, 1).
  [[nodiscard]] std::vector<float> initial_weights(std::uint64_t seed, float objectness_prior = 0.02f) const;

  /// One parameter's values between the flat buffer and PyTorch's order. `flat` has buffer_size() elements, `values`
  /// the parameter's.
  [[nodiscard]] std::vector<float> to_torch(const Parameter& parameter, std::span<const float> flat) const;
  void from_torch(const Parameter& parameter, std::span<const float> values, std::span<float> flat) const;

 private:
  [[nodiscard]] const NetworkLayer& layer_of(const Parameter& parameter) const;

  NetworkSpec spec_;
  std::vector<NetworkLayer> layers_;
  std::vector<Parameter> parameters_;
  std::vector<std::size_t> parameter_layers_;  ///< the layer of each parameter
  std::size_t buffer_size_ = 0, head_offset_ = 0;
};

}  // namespace gridspot
