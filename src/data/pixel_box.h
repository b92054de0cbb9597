#pragma once
// Boxes in pixels, and the way back from a network's input to the image that was fitted into it.
#include "gridspot/box.h"
#include "kernels/letterbox.h"

namespace gridspot {

/// The left upper corner and the size, in pixels: what COCO's files hold and its evaluation computes with.
struct PixelBox {
  double x = 0, y = 0, width = 0, height = 0;
  [[nodiscard]] double right() const { return x + width; }
  [[nodiscard]] double bottom() const { return y + height; }
  [[nodiscard]] double area() const { return width * height; }
};

/// From a box normalised to an image: width = w * image width, x = (cx - w / 2) * image width, in double precision.
PixelBox to_pixels(const Box& box, int image_height, int image_width);

/// A box found in a network's input, in the image that letterbox_image fitted into it; clipped to the image.
PixelBox to_image(const Box& box, int input_height, int input_width, int image_height, int image_width);

}  // namespace gridspot
