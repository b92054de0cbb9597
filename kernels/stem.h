#pragma once
// A network's first layer ("stem") for images of one channel: 3x3 convolution with bias and (leaky) ReLU, and the max
// pool behind it if there is one. Its gradients are those of weights and bias: nobody needs that of an image.
#include <cstdint>
#include <type_traits>

#include "device/buffer.h"
#include "kernels/bfloat16.h"

namespace gridspot {

/// Zeros pad the image by one pixel. With `pools`, windows of 2x2 at multiples of 2 follow, without padding.
struct StemShape {
  int n = 0, height = 0, width = 0, filters = 0;
  int stride = 1;  ///< of the convolution: 1 or 2
  bool pools = false;

  [[nodiscard]] constexpr int output_height() const { return side_of(height); }
  [[nodiscard]] constexpr int output_width() const { return side_of(width); }
  [[nodiscard]] constexpr std::size_t input_size() const { return std::size_t(n) * height * width; }
  [[nodiscard]] constexpr std::size_t output_size() const {
    return std::size_t(n) * output_height() * output_width() * filters;
  }

 private:
  [[nodiscard]] constexpr int side_of(int side) const { return ((side - 1) / stride + 1) / (pools ? 2 : 1); }
};

/// Whether the functions below take the shape: sides of at least 1 (pooled: that hold a window), filters in whole packs
/// of eight and at most 128, stride 1 or 2, and no more than 2^31 - 1 packs of output.
bool stem_fits(const StemShape& shape);

// For all three: input [n, height, width], weights [filters, 3, 3] and output [n, output_height, output_width, filters]
// are T, float or bfloat16; bias [filters] is float, arithmetic too. Forward also takes an input of float, which counts
// as rounded to T. f(z) = z where z > 0, else slope * z; slope in [0, 1]. Tensors with filters are aligned to 16 bytes.
// Each enqueues on the stream and throws InvalidInput for what breaks this contract.

/// output = f(convolution + bias). The shape does not pool.
template <class T, class In = T>
void stem_forward(Stream& stream, const StemShape& shape, std::type_identity_t<DeviceSpan<const In>> input,
                  DeviceSpan<const T> weights, DeviceSpan<const float> bias, float slope, DeviceSpan<T> output);

/// The same and the maximum of each window, in one pass. choice (of the output's shape, u8) is the window's first
/// position, row by row, that holds the maximum; a NaN wins. Values are compared as float, before they are rounded to T
/// and before f where f keeps their order: ReLU's zeros are equal. The shape pools.
template <class T, class In = T>
void stem_pool_forward(Stream& stream, const StemShape& shape, std::type_identity_t<DeviceSpan<const In>> input,
                       DeviceSpan<const T> weights, DeviceSpan<const float> bias, float slope, DeviceSpan<T> output,
                       DeviceSpan<std::uint8_t> choice);

/// Writes every element of weight_gradient [filters, 3, 3] and bias_gradient [filters]. f's derivative is read off the
/// output (1 where output > 0, else slope), which may be empty when slope is 1; its product with the gradient is
/// rounded to T. Where the shape pools, `choice` says where each gradient goes; else it is empty. The order of the sums
/// depends on the shape alone. partials: workspace of stem_partials(shape) floats.
template <class T>
void stem_backward(Stream& stream, const StemShape& shape, DeviceSpan<const T> input, DeviceSpan<const T> output,
                   DeviceSpan<const std::uint8_t> choice, float slope, DeviceSpan<const T> output_gradient,
                   DeviceSpan<float> weight_gradient, DeviceSpan<float> bias_gradient, DeviceSpan<float> partials);

std::size_t stem_partials(const StemShape& shape);

}  // namespace gridspot
