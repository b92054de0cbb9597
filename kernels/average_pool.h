#pragma once
// Adaptive average pooling, NHWC.
#include "device/buffer.h"
#include "kernels/bfloat16.h"

namespace gridspot {

/// To [n, output_height, output_width, channels]; output (y, x) is the mean over rows floor(y H / h) ... ceil((y + 1) H
/// / h) - 1 and the columns likewise, as torch.nn.AdaptiveAvgPool2d. Sums in a fixed order. Enqueues on the stream.
template <class T>
void adaptive_average_pool(Stream& stream, int n, int height, int width, int channels, int output_height,
                           int output_width, DeviceSpan<const T> input, DeviceSpan<T> output);

template <class T>
void adaptive_average_pool_backward(Stream& stream, int n, int height, int width, int channels, int output_height,
                                    int output_width, DeviceSpan<const T> output_gradient,
                                    DeviceSpan<T> input_gradient);

}  // namespace gridspot
