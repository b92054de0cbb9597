#pragma once
// A caller's image to a network's input.
#include <cstdint>

#include "kernels/canvas.h"

namespace gridspot {

/// How an image was fitted into the network's input: image pixel = (input pixel - offset) / scale.
struct Letterbox {
  float scale = 1, offset_x = 0, offset_y = 0;
};

/// The largest scale at which the image fits, centred. Throws InvalidInput unless all sizes are in [1, 65536].
Letterbox fit_letterbox(int image_height, int image_width, int input_height, int input_width);

/// image: u8 [height, width, channels], 1 (grey) or 3 (RGB, to grey by ITU-R BT.601 luma) channels, device memory.
/// output: [input_height, input_width], normalised. An input pixel is the mean of the image's bilinear interpolation
/// (the outermost pixels carried on to the image's edge) over the part of the image that it covers, times the share of
/// the pixel that is covered: what the image does not cover is value 0 (black), normalised. The mean is that of evenly
/// spread points, along each side one for each image pixel in an input pixel, rounded up, as in compose_canvases.
/// Enqueues on the stream. Throws InvalidInput for sizes that do not fit, another number of channels, or a deviation
/// that is not positive and finite.
void letterbox_image(Stream& stream, DeviceSpan<const std::uint8_t> image, int height, int width, int channels,
                     int input_height, int input_width, Normalization normalization, DeviceSpan<float> output);

}  // namespace gridspot
