#pragma once
// A fixed set of labelled canvases on the host.
#include <cstdint>
#include <string>
#include <vector>

#include "data/glyph_set.h"
#include "data/labelled_box.h"
#include "device/stream.h"

namespace gridspot {

inline constexpr int max_canvas_side = 16384;
/// Each canvas takes the place of as many labels as the fullest of its set.
inline constexpr int max_canvas_labels = 4096;

struct CanvasSet {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;              ///< [count, height, width], grey
  std::vector<std::vector<LabelledBox>> labels;  ///< [count]; a canvas may have none
  std::vector<std::string> class_names;          ///< at least one
  std::string source;                            ///< where the canvases come from, for messages and reports

  [[nodiscard]] int count() const { return static_cast<int>(labels.size()); }
  [[nodiscard]] int classes() const { return static_cast<int>(class_names.size()); }
};

/// Throws InvalidInput (the message starts with `source`) when a side is 0 or above max_canvas_side, there is no canvas
/// or more than an int counts, there is no class, the number of pixels disagrees with the sizes, a canvas has more than
/// max_canvas_labels, a label is outside the classes, or a box is not as parse_yolo_line wants it.
void validate(const CanvasSet& canvases);

/// SHA-256 of the sizes, the pixels and each canvas's labels with their boxes, bit for bit; names and source are left
/// out.
std::string canvas_digest(const CanvasSet& canvases);

/// Canvases 0 ... count - 1 of (protocol, split, seed), the pixels and labels that `gridspot data render` writes.
/// Synchronises. Throws InvalidInput unless count is positive, and what CanvasSource and GlyphBank throw.
CanvasSet render_canvases(Stream& stream, const Protocol& protocol, const GlyphSet& glyphs, Split split,
                          std::uint64_t seed, int count);

}  // namespace gridspot
