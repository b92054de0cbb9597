#pragma once
// A network under Precision::bf16 from the contract in nn/block.h: in double precision, rounded where the contract says
// that a tensor is bfloat16.
#include <cmath>

#include "tests/reference/network.h"

namespace gridspot::reference {

/// The nearest value with eight binary digits; of two, the one with the even last digit.
inline double to_bfloat16(double value) {
  if (value == 0) return value;
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}
inline std::vector<double> to_bfloat16(std::vector<double> values) {
  for (double& value : values) value = to_bfloat16(value);
  return values;
}

/// The gradient before a block's activation, which its products take.
inline std::vector<double> masked_bfloat16(Activation activation, const std::vector<double>& output,
                                           std::vector<double> gradient) {
  for (std::size_t i = 0; i < gradient.size(); ++i)
    gradient[i] = to_bfloat16(output[i] > 0 ? gradient[i] : negative_slope(activation) * gradient[i]);
  return gradient;
}

class Bfloat16Network {
 public:
  /// `weights` is laid out as the network's flat buffer.
  Bfloat16Network(const Network& network, int batch, const std::vector<double>& weights)
      : network_(network), batch_(batch), weights_(weights) {}

  /// [batch, cells, cells, channels].
  std::vector<double> forward(const std::vector<double>& input) {
    const ImageShape& shape = network_.spec().input;
    tensors_.assign(1, Tensor(batch_, shape.height, shape.width, shape.channels));
    tensors_[0].values = to_bfloat16(input);
    auto parameter = network_.parameters().begin();
    for (const auto& layer : network_.layers()) {
      Tensor output = layer_forward(layer, tensors_.back(), parameter);
      if (tensors_.size() < network_.layers().size()) output.values = to_bfloat16(output.values);
      tensors_.push_back(output);
    }
    return tensors_.back().values;
  }

  /// The gradient of every parameter, laid out as the flat buffer; after forward.
  std::vector<double> backward(const std::vector<double>& output_gradient) {
    std::vector<double> result(weights_.size());
    auto parameter = network_.parameters().end();
    std::vector<double> gradient = to_bfloat16(output_gradient);
    for (std::size_t i = network_.layers().size(); i-- > 0;) {
      const NetworkLayer& layer = network_.layers()[i];
      const Tensor &input = tensors_[i], &output = tensors_[i + 1];
      Tensor at(output.n, output.height, output.width, output.channels);
      at.values = gradient;
      if (const auto* pool = std::get_if<MaxPoolLayer>(&layer.spec)) {
        const PoolShape shape = pool_shape(*pool, input);
        gradient = max_pool_backward(shape, max_pool(shape, input).choice, at).values;
        // The pool takes the derivative of an activation before it along, so nothing is rounded between the two.
        if (i == 0 || is_pool(network_.layers()[i - 1])) gradient = to_bfloat16(gradient);
      } else if (is_pool(layer)) {
        gradient = to_bfloat16(adaptive_average_pool_backward(at, input.height, input.width).values);
      } else {
        const Parameter &bias = *--parameter, &weight = *--parameter;
        at.values = masked_bfloat16(activation_of(layer), output.values, gradient);
        const auto shape = convolution_shape(layer);
        const auto gradients = convolution_backward(shape, Activation::none, flattened(shape, input), at,
                                                    to_bfloat16(slice(weights_, weight)), flattened_output(shape, at));
        std::copy(gradients.weights.begin(), gradients.weights.end(), result.begin() + std::ptrdiff_t(weight.offset));
        std::copy(gradients.bias.begin(), gradients.bias.end(), result.begin() + std::ptrdiff_t(bias.offset));
        gradient = to_bfloat16(gradients.input.values);
      }
    }
    return result;
  }

 private:
  using ParameterIterator = std::vector<Parameter>::const_iterator;

  static bool is_pool(const NetworkLayer& layer) {
    return std::holds_alternative<MaxPoolLayer>(layer.spec) || std::holds_alternative<AveragePoolLayer>(layer.spec);
  }
  static Activation activation_of(const NetworkLayer& layer) {
    if (const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec)) return convolution->activation;
    return std::get<FullyConnectedLayer>(layer.spec).activation;
  }
  static PoolShape pool_shape(const MaxPoolLayer& pool, const Tensor& input) {
    return {input.n, input.height, input.width, input.channels, pool.size, pool.stride};
  }
  [[nodiscard]] ConvolutionShape convolution_shape(const NetworkLayer& layer) const {
    const ImageShape& in = layer.input;
    if (const auto* c = std::get_if<ConvolutionLayer>(&layer.spec))
      return {batch_, in.height, in.width, in.channels, c->filters, c->size, c->stride, c->padding};
    return as_convolution({batch_, static_cast<int>(in.size()), layer.output.channels});
  }
  static Tensor reshaped(int n, int height, int width, int channels, const std::vector<double>& values) {
    Tensor result(n, height, width, channels);
    result.values = values;
    return result;
  }
  static Tensor flattened(const ConvolutionShape& s, const Tensor& input) {
    return reshaped(s.batch, s.height, s.width, s.input_channels, input.values);
  }
  static Tensor flattened_output(const ConvolutionShape& s, const Tensor& output) {
    return reshaped(s.batch, s.output_height(), s.output_width(), s.filters, output.values);
  }

  Tensor layer_forward(const NetworkLayer& layer, const Tensor& input, ParameterIterator& parameter) const {
    if (const auto* pool = std::get_if<MaxPoolLayer>(&layer.spec))
      return max_pool(pool_shape(*pool, input), input).output;
    if (is_pool(layer)) return adaptive_average_pool(input, layer.output.height, layer.output.width);
    const auto weights = to_bfloat16(slice(weights_, *parameter++)), bias = slice(weights_, *parameter++);
    const auto shape = convolution_shape(layer);
    return convolution(shape, activation_of(layer), flattened(shape, input), weights, bias);
  }

  const Network& network_;
  int batch_;
  std::vector<double> weights_;
  std::vector<Tensor> tensors_;  ///< the input and every layer's output
};

}  // namespace gridspot::reference
