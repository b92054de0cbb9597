#pragma once
// A glyph set on a device.
#include <cstdint>
#include <string>
#include <vector>

#include "data/glyph_set.h"
#include "device/buffer.h"
#include "kernels/glyph_bank.h"

namespace gridspot {

/// Owns the memory of a GlyphBankView.
class GlyphBank {
 public:
  /// Uploads; returns when the data have arrived. Throws what validate(GlyphSet) throws, and OutOfMemory.
  GlyphBank(Stream& stream, const GlyphSet& glyphs);

  /// Valid as long as the bank.
  [[nodiscard]] GlyphBankView view() const;
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] const std::vector<std::string>& class_names() const { return class_names_; }
  [[nodiscard]] const std::string& source() const { return source_; }

 private:
  Buffer<std::uint8_t> pixels_;
  Buffer<std::int32_t> labels_;
  Buffer<std::int16_t> row_extents_;
  int height_, width_;
  std::vector<std::string> class_names_;
  std::string source_;
};

/// For each row of each glyph the first column with ink (see ink_threshold) and one past the last; 0, 0 where there is
/// none. [count, height, 2].
std::vector<std::int16_t> row_extents(const GlyphSet& glyphs);

}  // namespace gridspot
