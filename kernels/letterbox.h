#pragma once
// A caller's image to a network's input.
#include <cstdint>

#include "kernels/canvas.h"

namespace gridspot {

/// How an image was fitted into the network's input: image pixel = (input pixel - offset) / scale.
struct Letterbox {
  float scale = 1, offset_x = 0, offset_y = 0;
};

/// The largest scale at which the image fits, centred.
Letterbox fit_letterbox(int image_height, int image_width, int input_height, int input_width);

/// image: u8 [height, width, channels], 1 (grey) or 3 (RGB, to grey by ITU-R BT.601 luma) channels, device memory.
/// output: [input_height, input_width], normalised; what the image does not cover is value 0 (black), normalised. An image that
/// shrinks is averaged over the pixels it covers, as compose_canvases does. Enqueues on the stream.
void letterbox_image(Stream& stream, DeviceSpan<const std::uint8_t> image, int height, int width, int channels,
                     int input_height, int input_width, Normalization normalization, DeviceSpan<float> output);

}  // namespace gridspot
