#include "data/draw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "data/font.h"
#include "gridspot/error.h"

namespace gridspot {
namespace {

constexpr std::array<Colour, 12> palette{{{255, 90, 90},
                                          {80, 210, 90},
                                          {90, 150, 255},
                                          {255, 205, 40},
                                          {225, 100, 255},
                                          {60, 225, 225},
                                          {255, 150, 50},
                                          {185, 235, 60},
                                          {255, 130, 190},
                                          {170, 140, 255},
                                          {215, 175, 130},
                                          {225, 225, 225}}};
constexpr std::uint8_t montage_ground = 48;
constexpr int advance = font_width + 1;

/// Rec. 601 luma.
std::uint8_t brightness(Colour colour) {
  return static_cast<std::uint8_t>((299 * colour.red + 587 * colour.green + 114 * colour.blue + 500) / 1000);
}

Colour from_hue(float hue) {
  const auto channel = [hue](float offset) {
    const float distance = std::fabs(std::fmod(hue + offset, 1.0f) * 6 - 3) - 1;  // 0 ... 1 is the ramp
    return static_cast<std::uint8_t>(80 + 175 * std::clamp(distance, 0.0f, 1.0f));
  };
  return {channel(0), channel(2.0f / 3), channel(1.0f / 3)};
}

/// A coordinate as an index of a pixel edge; far outside (or not a number) it stays representable.
int round_to_edge(double value, int limit) {
  if (std::isnan(value)) return 0;
  return static_cast<int>(std::lround(std::clamp(value, -1.0, double(limit) + 1)));
}

void paste(Image& image, const Image& part, int top, int left) {
  for (int row = 0; row < part.height; ++row)
    std::copy_n(part.at(row, 0), std::size_t(part.width) * part.channels, image.at(top + row, left));
}

}  // namespace

Colour class_colour(int class_index) {
  const auto index = static_cast<std::size_t>(std::max(class_index, 0));
  if (index < palette.size()) return palette[index];
  constexpr float golden_ratio = 0.61803399f;
  return from_hue(std::fmod(float(index % 100000) * golden_ratio, 1.0f));
}

void fill_rectangle(Image& image, int left, int top, int right, int bottom, Colour colour) {
  left = std::max(left, 0), top = std::max(top, 0);
  right = std::min(right, image.width), bottom = std::min(bottom, image.height);
  for (int row = top; row < bottom; ++row)
    for (int column = left; column < right; ++column) {
      std::uint8_t* pixel = image.at(row, column);
      if (image.channels == 1) {
        pixel[0] = brightness(colour);
      } else {
        pixel[0] = colour.red, pixel[1] = colour.green, pixel[2] = colour.blue;
      }
    }
}

void draw_rectangle(Image& image, const PixelBox& box, Colour colour, int thickness) {
  if (!(box.x < image.width && box.right() > 0 && box.y < image.height && box.bottom() > 0)) return;
  const int left = std::max(round_to_edge(box.x, image.width) - thickness, 0);
  const int top = std::max(round_to_edge(box.y, image.height) - thickness, 0);
  const int right = std::min(round_to_edge(box.right(), image.width) + thickness, image.width);
  const int bottom = std::min(round_to_edge(box.bottom(), image.height) + thickness, image.height);
  fill_rectangle(image, left, top, right, std::min(top + thickness, bottom), colour);
  fill_rectangle(image, left, std::max(bottom - thickness, top), right, bottom, colour);
  fill_rectangle(image, left, top, std::min(left + thickness, right), bottom, colour);
  fill_rectangle(image, std::max(right - thickness, left), top, right, bottom, colour);
}

int text_width(std::string_view text, int scale) { return (static_cast<int>(text.size()) * advance + 1) * scale; }

int text_height(int scale) { return (font_height + 2) * scale; }

void draw_text(Image& image, int left, int top, std::string_view text, Colour ink, Colour background, int scale) {
  fill_rectangle(image, left, top, left + text_width(text, scale), top + text_height(scale), background);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto& rows = font_rows(text[i]);
    for (int row = 0; row < font_height; ++row)
      for (int column = 0; column < font_width; ++column) {
        if ((rows[row] >> (font_width - 1 - column) & 1) == 0) continue;
        const int x = left + (static_cast<int>(i) * advance + 1 + column) * scale, y = top + (1 + row) * scale;
        fill_rectangle(image, x, y, x + scale, y + scale, ink);
      }
  }
}

void draw_detection(Image& image, const PixelBox& box, std::string_view label, Colour colour, int scale) {
  draw_rectangle(image, box, colour, scale);
  if (label.empty()) return;
  const Colour ink = brightness(colour) > 128 ? Colour{0, 0, 0} : Colour{255, 255, 255};
  const int height = text_height(scale), width = text_width(label, scale);
  const int box_left = round_to_edge(box.x, image.width) - scale;
  const int box_top = round_to_edge(box.y, image.height) - scale;
  const int left = std::max(std::min(box_left, image.width - width), 0);
  const int top = box_top >= height ? box_top - height : std::max(box_top, 0);
  draw_text(image, left, top, label, ink, colour, scale);
}

Image to_rgb(const Image& image) {
  if (image.channels == 3) return image;
  Image rgb(image.height, image.width, 3);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) std::fill_n(rgb.pixels.data() + 3 * i, 3, image.pixels[i]);
  return rgb;
}

Image enlarge(const Image& image, int factor) {
  require(factor >= 1, "an image is enlarged by a whole number from 1, found " + std::to_string(factor));
  Image large(image.height * factor, image.width * factor, image.channels);
  for (int row = 0; row < large.height; ++row)
    for (int column = 0; column < large.width; ++column)
      std::copy_n(image.at(row / factor, column / factor), image.channels, large.at(row, column));
  return large;
}

Image montage(std::span<const Image> images, int columns, int gap) {
  require(!images.empty(), "a montage needs at least one image");
  require(columns >= 1, "a montage needs at least one column, found " + std::to_string(columns));
  require(gap >= 0, "the gap of a montage must not be negative, found " + std::to_string(gap));
  int height = 0, width = 0, channels = 1;
  for (const Image& image : images) {
    height = std::max(height, image.height), width = std::max(width, image.width);
    channels = std::max(channels, image.channels);
  }
  const int count = static_cast<int>(images.size());
  columns = std::min(columns, count);
  const int rows = (count + columns - 1) / columns;
  Image sheet(rows * (height + gap) + gap, columns * (width + gap) + gap, channels, montage_ground);
  for (int i = 0; i < count; ++i)
    paste(sheet, channels == 3 ? to_rgb(images[i]) : images[i], gap + i / columns * (height + gap),
          gap + i % columns * (width + gap));
  return sheet;
}

}  // namespace gridspot
