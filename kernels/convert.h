#pragma once
// Conversion of dtype and layout.
#include "device/buffer.h"
#include "kernels/bfloat16.h"

namespace gridspot {

/// output[i] = input[i] in the other dtype (float32 to bfloat16 rounds to nearest even). Equal sizes; may not overlap.
/// Enqueues on the stream; throws InvalidInput when the sizes differ.
void convert(Stream& stream, DeviceSpan<const float> input, DeviceSpan<bfloat16> output);
void convert(Stream& stream, DeviceSpan<const bfloat16> input, DeviceSpan<float> output);

/// From [n, channels, pixels] to [n, pixels, channels] (NCHW to NHWC), and back with the roles of the two exchanged.
/// input and output have n * channels * pixels elements and may not overlap. Enqueues on the stream.
void transpose_channels(Stream& stream, DeviceSpan<const float> input, DeviceSpan<float> output, int n, int channels,
                        int pixels);

}  // namespace gridspot
