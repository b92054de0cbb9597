#pragma once
// A network's forward pass in double precision, layer by layer from the definitions.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>
#include <variant>
#include <vector>

#include "nn/network.h"
#include "tests/reference/convolution.h"

namespace gridspot::reference {

inline std::vector<double> slice(const std::vector<double>& flat, const Parameter& parameter) {
  const auto first = flat.begin() + static_cast<std::ptrdiff_t>(parameter.offset);
  return {first, first + static_cast<std::ptrdiff_t>(parameter.size)};
}

struct NetworkOutput {
  std::vector<double> values;
  /// How far the nearest activation is from its kink, and the nearest maximum of a pool from the runner-up: changes
  /// that are smaller leave the network the same smooth function.
  double margin = std::numeric_limits<double>::infinity();
};

inline void apply_activation(Activation activation, Tensor& tensor, double& margin) {
  if (activation == Activation::none) return;
  for (double& value : tensor.values) {
    margin = std::min(margin, std::abs(value));
    value = activate(value, activation);
  }
}

/// The distance between the largest and the next smaller value of a window.
inline double pool_margin(const PoolShape& shape, const Tensor& input) {
  double margin = std::numeric_limits<double>::infinity();
  for_each_element(max_pool(shape, input).output, [&](int image, int y, int x, int c) {
    std::set<double> values;
    for (int i = 0; i < shape.size; ++i)
      for (int j = 0; j < shape.size; ++j)
        values.insert(input.at(image, y * shape.stride + i, x * shape.stride + j, c));
    if (values.size() > 1) margin = std::min(margin, *values.rbegin() - *std::next(values.rbegin()));
  });
  return margin;
}

/// `weights` is laid out as the network's flat buffer, `input` is [batch, height, width, channels].
inline NetworkOutput network_forward(const Network& network, int batch, const std::vector<double>& weights,
                                     const std::vector<double>& input) {
  const ImageShape& shape = network.spec().input;
  NetworkOutput result;
  Tensor at(batch, shape.height, shape.width, shape.channels);
  at.values = input;
  auto parameter = network.parameters().begin();
  const auto next = [&] { return slice(weights, *parameter++); };
  for (const auto& layer : network.layers()) {
    const ImageShape &in = layer.input, &out = layer.output;
    if (const auto* c = std::get_if<ConvolutionLayer>(&layer.spec)) {
      const auto weight = next(), bias = next();
      at = convolution({batch, in.height, in.width, in.channels, c->filters, c->size, c->stride, c->padding},
                       Activation::none, at, weight, bias);
      apply_activation(c->activation, at, result.margin);
    } else if (const auto* p = std::get_if<MaxPoolLayer>(&layer.spec)) {
      const PoolShape pool{batch, in.height, in.width, in.channels, p->size, p->stride};
      result.margin = std::min(result.margin, pool_margin(pool, at));
      at = max_pool(pool, at).output;
    } else if (std::holds_alternative<AveragePoolLayer>(layer.spec)) {
      at = adaptive_average_pool(at, out.height, out.width);
    } else {
      const auto weight = next(), bias = next();
      const int inputs = static_cast<int>(in.size());
      Tensor flat(batch, 1, 1, inputs);
      flat.values = at.values;
      at = convolution(as_convolution({batch, inputs, out.channels}), Activation::none, flat, weight, bias);
      apply_activation(std::get<FullyConnectedLayer>(layer.spec).activation, at, result.margin);
    }
  }
  result.values = at.values;
  return result;
}

}  // namespace gridspot::reference
