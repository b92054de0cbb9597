#pragma once
// Convolution and matrix product with bias and activation from the definitions in nn/block.h, in double precision,
// channels-last.
#include <vector>

#include "nn/block.h"
#include "tests/reference/pool.h"

namespace gridspot::reference {

inline double activate(double z, Activation activation) { return z > 0 ? z : negative_slope(activation) * z; }

/// visit(image, oy, ox, filter, y, x, channel, index of the weight) for every product of a convolution.
template <class Visit>
void for_each_product(const ConvolutionShape& s, Visit visit) {
  for (int image = 0; image < s.batch; ++image)
    for (int oy = 0; oy < s.output_height(); ++oy)
      for (int ox = 0; ox < s.output_width(); ++ox)
        for (int filter = 0; filter < s.filters; ++filter)
          for (int ky = 0; ky < s.size; ++ky)
            for (int kx = 0; kx < s.size; ++kx) {
              const int y = oy * s.stride - s.padding + ky, x = ox * s.stride - s.padding + kx;
              if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
              for (int channel = 0; channel < s.input_channels; ++channel)
                visit(image, oy, ox, filter, y, x, channel,
                      ((std::size_t(filter) * s.size + ky) * s.size + kx) * s.input_channels + channel);
            }
}

inline Tensor convolution(const ConvolutionShape& s, Activation activation, const Tensor& input,
                          const std::vector<double>& weights, const std::vector<double>& bias) {
  Tensor output(s.batch, s.output_height(), s.output_width(), s.filters);
  for_each_product(s, [&](int image, int oy, int ox, int filter, int y, int x, int channel, std::size_t weight) {
    output.at(image, oy, ox, filter) += input.at(image, y, x, channel) * weights[weight];
  });
  for (std::size_t i = 0; i < output.values.size(); ++i)
    output.values[i] = activate(output.values[i] + bias[i % bias.size()], activation);
  return output;
}

struct ConvolutionGradients {
  Tensor input;
  std::vector<double> weights, bias;
};

inline ConvolutionGradients convolution_backward(const ConvolutionShape& s, Activation activation, const Tensor& input,
                                                 const Tensor& output, const std::vector<double>& weights,
                                                 Tensor output_gradient) {
  ConvolutionGradients result{Tensor(s.batch, s.height, s.width, s.input_channels), std::vector<double>(weights.size()),
                              std::vector<double>(s.filters)};
  for (std::size_t i = 0; i < output.values.size(); ++i) {
    if (!(output.values[i] > 0)) output_gradient.values[i] *= negative_slope(activation);
    result.bias[i % result.bias.size()] += output_gradient.values[i];
  }
  for_each_product(s, [&](int image, int oy, int ox, int filter, int y, int x, int channel, std::size_t weight) {
    const double gradient = output_gradient.at(image, oy, ox, filter);
    result.input.at(image, y, x, channel) += gradient * weights[weight];
    result.weights[weight] += gradient * input.at(image, y, x, channel);
  });
  return result;
}

/// A product is the convolution of one pixel.
inline ConvolutionShape as_convolution(const ProductShape& s) { return {s.batch, 1, 1, s.inputs, s.outputs, 1, 1, 0}; }

}  // namespace gridspot::reference
