#pragma once
// Pooling over NHWC from the definitions in kernels/max_pool.h and average_pool.h, in double precision.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/max_pool.h"

namespace gridspot::reference {

struct Tensor {
  int n, height, width, channels;
  std::vector<double> values;

  Tensor(int batch, int rows, int columns, int depth)
      : n(batch), height(rows), width(columns), channels(depth), values(std::size_t(batch) * rows * columns * depth) {}
  [[nodiscard]] std::size_t index(int image, int y, int x, int c) const {
    return ((std::size_t(image) * height + y) * width + x) * channels + c;
  }
  double& at(int image, int y, int x, int c) { return values[index(image, y, x, c)]; }
  [[nodiscard]] double at(int image, int y, int x, int c) const { return values[index(image, y, x, c)]; }
};

/// visit(image, y, x, channel) for every element.
template <class Visit>
void for_each_element(const Tensor& tensor, Visit visit) {
  for (int image = 0; image < tensor.n; ++image)
    for (int y = 0; y < tensor.height; ++y)
      for (int x = 0; x < tensor.width; ++x)
        for (int c = 0; c < tensor.channels; ++c) visit(image, y, x, c);
}

struct MaxPoolResult {
  Tensor output;
  std::vector<std::uint8_t> choice;
};

inline MaxPoolResult max_pool(const PoolShape& shape, const Tensor& input) {
  Tensor output(shape.n, shape.output_height(), shape.output_width(), shape.channels);
  std::vector<std::uint8_t> choice(output.values.size());
  for_each_element(output, [&](int image, int y, int x, int c) {
    std::vector<double> window;
    for (int i = 0; i < shape.size; ++i)
      for (int j = 0; j < shape.size; ++j)
        window.push_back(input.at(image, y * shape.stride + i, x * shape.stride + j, c));
    auto chosen = std::find_if(window.begin(), window.end(), [](double v) { return std::isnan(v); });
    if (chosen == window.end()) chosen = std::max_element(window.begin(), window.end());  // the first of equals
    output.at(image, y, x, c) = *chosen;
    choice[output.index(image, y, x, c)] = static_cast<std::uint8_t>(chosen - window.begin());
  });
  return {output, choice};
}

inline Tensor max_pool_backward(const PoolShape& shape, const std::vector<std::uint8_t>& choice,
                                const Tensor& output_gradient) {
  Tensor input_gradient(shape.n, shape.height, shape.width, shape.channels);
  for_each_element(output_gradient, [&](int image, int y, int x, int c) {
    const std::size_t from = output_gradient.index(image, y, x, c);
    const int i = choice[from] / shape.size, j = choice[from] % shape.size;
    input_gradient.at(image, y * shape.stride + i, x * shape.stride + j, c) += output_gradient.values[from];
  });
  return input_gradient;
}

/// visit(image, oy, ox, c, y, x, share) for every input element of every window; share is 1 / the window's area.
template <class Visit>
void for_each_average(const Tensor& input, const Tensor& output, Visit visit) {
  const auto begin = [](int i, int length, int windows) { return int(std::floor(double(i) * length / windows)); };
  const auto end = [](int i, int length, int windows) { return int(std::ceil((i + 1.0) * length / windows)); };
  for_each_element(output, [&](int image, int oy, int ox, int c) {
    const int top = begin(oy, input.height, output.height), bottom = end(oy, input.height, output.height);
    const int left = begin(ox, input.width, output.width), right = end(ox, input.width, output.width);
    for (int y = top; y < bottom; ++y)
      for (int x = left; x < right; ++x) visit(image, oy, ox, c, y, x, 1.0 / ((bottom - top) * (right - left)));
  });
}

inline Tensor adaptive_average_pool(const Tensor& input, int output_height, int output_width) {
  Tensor output(input.n, output_height, output_width, input.channels);
  for_each_average(input, output, [&](int image, int oy, int ox, int c, int y, int x, double share) {
    output.at(image, oy, ox, c) += share * input.at(image, y, x, c);
  });
  return output;
}

inline Tensor adaptive_average_pool_backward(const Tensor& output_gradient, int height, int width) {
  Tensor input_gradient(output_gradient.n, height, width, output_gradient.channels);
  for_each_average(input_gradient, output_gradient, [&](int image, int oy, int ox, int c, int y, int x, double share) {
    input_gradient.at(image, y, x, c) += share * output_gradient.at(image, oy, ox, c);
  });
  return input_gradient;
}

}  // namespace gridspot::reference
