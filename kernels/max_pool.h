#pragma once
// Max pooling, NHWC.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/bfloat16.h"

namespace gridspot {

/// Windows of size x size at multiples of stride, without padding: output side = (side - size) / stride + 1.
struct PoolShape {
  int n = 0, height = 0, width = 0, channels = 0;
  int size = 2, stride = 2;
  [[nodiscard]] constexpr int output_height() const { return (height - size) / stride + 1; }
  [[nodiscard]] constexpr int output_width() const { return (width - size) / stride + 1; }
};

/// output[n, y, x, c] = the largest of its window; choice (same shape, u8) = the window's first position (row by row)
/// that holds it. A NaN wins. T is float or bfloat16. size <= 15, 1 <= stride. Enqueues on the stream.
template <class T>
void max_pool(Stream& stream, const PoolShape& shape, DeviceSpan<const T> input, DeviceSpan<T> output,
              DeviceSpan<std::uint8_t> choice);

/// Writes every element of input_gradient: the sum of the gradients of the outputs that chose it, each times
/// (output > 0 ? 1 : slope). With a slope below 1 this is the gradient before a (leaky) ReLU that made the input; with
/// slope 1 it is that of the input, and `output` may be empty. slope in [0, 1]. Enqueues on the stream.
template <class T>
void max_pool_backward(Stream& stream, const PoolShape& shape, DeviceSpan<const std::uint8_t> choice,
                       DeviceSpan<const T> output, float slope, DeviceSpan<const T> output_gradient,
                       DeviceSpan<T> input_gradient);

}  // namespace gridspot
