#pragma once
// Bias and (leaky) ReLU, forward and backward.
#include "device/buffer.h"
#include "kernels/bfloat16.h"

namespace gridspot {

/// values[row, c] = f(values[row, c] + bias[c]) with f(z) = z where z > 0, else slope * z. values: [rows, channels], in
/// place; slope 0 is ReLU, slope 1 the identity. T is float or bfloat16. Enqueues on the stream.
template <class T>
void bias_activation(Stream& stream, std::size_t rows, int channels, DeviceSpan<const float> bias, float slope,
                     DeviceSpan<T> values);

/// In one pass: gradient[row, c] *= f'(z), read off the activation's output (z > 0 exactly where output > 0; slope in
/// [0, 1]), and bias_gradient[c] = sum over rows of the result, in a fixed order. output may be empty when slope is 1.
/// gradient, output: [rows, channels]; bias_gradient: [channels]; partials: workspace of
/// activation_partials(rows, channels) floats. Enqueues on the stream.
template <class T>
void activation_backward(Stream& stream, std::size_t rows, int channels, DeviceSpan<const T> output, float slope,
                         DeviceSpan<T> gradient, DeviceSpan<float> bias_gradient, DeviceSpan<float> partials);

std::size_t activation_partials(std::size_t rows, int channels);

}  // namespace gridspot
