#include "data/pixel_box.h"

#include <algorithm>

namespace gridspot {

PixelBox to_pixels(const Box& box, int image_height, int image_width) {
  const double cx = box.cx, cy = box.cy, w = box.w, h = box.h;
  return {(cx - w / 2) * image_width, (cy - h / 2) * image_height, w * image_width, h * image_height};
}

PixelBox to_image(const Box& box, int input_height, int input_width, int image_height, int image_width) {
  const Letterbox fit = fit_letterbox(image_height, image_width, input_height, input_width);
  const PixelBox found = to_pixels(box, input_height, input_width);
  const auto place = [&](double position, double offset, int side) {
    return std::clamp((position - offset) / fit.scale, 0.0, double(side));
  };
  const double left = place(found.x, fit.offset_x, image_width),
               right = place(found.right(), fit.offset_x, image_width);
  const double top = place(found.y, fit.offset_y, image_height),
               bottom = place(found.bottom(), fit.offset_y, image_height);
  return {left, top, right - left, bottom - top};
}

}  // namespace gridspot
