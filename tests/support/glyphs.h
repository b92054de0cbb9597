#pragma once
// Small glyph banks for tests.
#include <cstdint>
#include <vector>

#include "device/buffer.h"
#include "kernels/glyph_bank.h"
#include "tests/support/device_test.h"

namespace gridspot::test {

/// Glyph images on the host.
struct Glyphs {
  int count, height, width;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;

  [[nodiscard]] std::uint8_t pixel(int glyph, int row, int column) const {
    return pixels[(std::size_t(glyph) * height + row) * width + column];
  }
  /// As GlyphBankView::row_extents.
  [[nodiscard]] std::vector<std::int16_t> row_extents() const {
    std::vector<std::int16_t> extents;
    for (int glyph = 0; glyph < count; ++glyph)
      for (int row = 0; row < height; ++row) {
        int first = 0, end = 0;
        for (int column = width - 1; column >= 0; --column)
          if (pixel(glyph, row, column) >= ink_threshold) first = column;
        for (int column = 0; column < width; ++column)
          if (pixel(glyph, row, column) >= ink_threshold) end = column + 1;
        extents.push_back(std::int16_t(first));
        extents.push_back(std::int16_t(end));
      }
    return extents;
  }
};

/// Blobs of random size and place with pixels of any value, a margin of background around them; labels 0 to 9.
inline Glyphs random_glyphs(Random& random, int count, int height, int width) {
  Glyphs glyphs{count, height, width, std::vector<std::uint8_t>(std::size_t(count) * height * width), {}};
  for (int glyph = 0; glyph < count; ++glyph) {
    glyphs.labels.push_back(glyph % 10);
    const int top = random.integer(0, height / 3), bottom = random.integer(height - height / 3, height);
    const int left = random.integer(0, width / 3), right = random.integer(width - width / 3, width);
    for (int row = top; row < bottom; ++row)
      for (int column = left; column < right; ++column)
        glyphs.pixels[(std::size_t(glyph) * height + row) * width + column] = std::uint8_t(random.integer(0, 255));
  }
  return glyphs;
}

class DeviceGlyphs {
 public:
  DeviceGlyphs(Stream& stream, const Glyphs& glyphs)
      : view_{nullptr, nullptr, nullptr, glyphs.count, glyphs.height, glyphs.width, 10},
        pixels_(upload(stream, glyphs.pixels)),
        labels_(upload(stream, glyphs.labels)),
        row_extents_(upload(stream, glyphs.row_extents())) {
    view_.pixels = pixels_.data();
    view_.labels = labels_.data();
    view_.row_extents = row_extents_.data();
  }
  [[nodiscard]] const GlyphBankView& view() const { return view_; }

 private:
  GlyphBankView view_;
  Buffer<std::uint8_t> pixels_;
  Buffer<std::int32_t> labels_;
  Buffer<std::int16_t> row_extents_;
};

}  // namespace gridspot::test
