#include "data/glyph_bank.h"

namespace gridspot {
namespace {

const GlyphSet& validated(const GlyphSet& glyphs) {
  validate(glyphs);
  return glyphs;
}

}  // namespace

GlyphBank::GlyphBank(Stream& stream, const GlyphSet& glyphs)
    : pixels_(upload(stream, validated(glyphs).pixels)),
      labels_(upload(stream, glyphs.labels)),
      row_extents_(upload(stream, row_extents(glyphs))),
      height_(glyphs.height),
      width_(glyphs.width),
      class_names_(glyphs.class_names),
      source_(glyphs.source) {}

GlyphBankView GlyphBank::view() const {
  return {.pixels = pixels_.data(),
          .labels = labels_.data(),
          .row_extents = row_extents_.data(),
          .count = static_cast<int>(labels_.size()),
          .height = height_,
          .width = width_,
          .classes = static_cast<int>(class_names_.size())};
}

std::size_t GlyphBank::bytes() const {
  return pixels_.size() + labels_.size() * sizeof(std::int32_t) + row_extents_.size() * sizeof(std::int16_t);
}

std::vector<std::int16_t> row_extents(const GlyphSet& glyphs) {
  const std::size_t rows = glyphs.labels.size() * glyphs.height;
  std::vector<std::int16_t> extents(2 * rows, 0);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint8_t* pixels = glyphs.pixels.data() + row * glyphs.width;
    int first = 0, last = glyphs.width;
    while (first < last && pixels[first] < ink_threshold) ++first;
    while (last > first && pixels[last - 1] < ink_threshold) --last;
    if (first == last) continue;
    extents[2 * row] = static_cast<std::int16_t>(first);
    extents[2 * row + 1] = static_cast<std::int16_t>(last);
  }
  return extents;
}

}  // namespace gridspot
