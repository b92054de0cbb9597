#pragma once
// Drawing boxes and text on images, for people to look at.
#include <cstdint>
#include <span>
#include <string_view>

#include "data/image.h"
#include "data/pixel_box.h"

namespace gridspot {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Colour&) const = default;
};

/// A colour of its own for each class; bright enough to be seen on black. Never fails: after the first twelve, hues
/// follow that differ from their neighbours but may come near those of other classes.
Colour class_colour(int class_index);

// What follows draws on grey images too, with the colour's brightness, and leaves out what lies beyond the image's
// edges.

void fill_rectangle(Image& image, int left, int top, int right, int bottom, Colour colour);

/// A frame of `thickness` pixels whose inner edge is the box rounded to pixels; where it would leave the image it is
/// drawn along the image's edge instead. A box that lies outside the image altogether draws nothing.
void draw_rectangle(Image& image, const PixelBox& box, Colour colour, int thickness = 1);

/// Pixels that a text takes, with one pixel (times scale) of background on each side.
int text_width(std::string_view text, int scale = 1);
int text_height(int scale = 1);

/// ASCII text in a 5x7 font enlarged `scale` times, on a filled background, with its upper left corner at (left, top).
void draw_text(Image& image, int left, int top, std::string_view text, Colour ink, Colour background, int scale = 1);

/// The box and, above it (inside it where there is no room above), the label on a ground of the same colour.
void draw_detection(Image& image, const PixelBox& box, std::string_view label, Colour colour, int scale = 1);

/// Three equal channels from grey; an RGB image as it is.
Image to_rgb(const Image& image);

/// Each pixel repeated factor x factor times.
Image enlarge(const Image& image, int factor);

/// The images row by row in `columns` columns with `gap` dark pixels between and around them. Cells are as large as the
/// largest image; RGB if one of the images is. Throws InvalidInput when there is no image, columns < 1 or gap < 0.
Image montage(std::span<const Image> images, int columns, int gap = 2);

}  // namespace gridspot
