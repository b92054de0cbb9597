#pragma once
// Glyph images with labels on the host, and where they come from.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gridspot/protocol.h"

namespace gridspot {

inline constexpr int max_glyph_side = 256;

struct GlyphSet {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;      ///< [count, height, width], 0 is background
  std::vector<std::int32_t> labels;      ///< [count], each in [0, class_names.size())
  std::vector<std::string> class_names;  ///< at least one
  std::string source;                    ///< "builtin" or the folder; load_glyphs takes it

  [[nodiscard]] int count() const { return static_cast<int>(labels.size()); }
  [[nodiscard]] int classes() const { return static_cast<int>(class_names.size()); }
};

/// Throws InvalidInput (the message starts with `source`) when the sizes disagree, a side is 0 or above max_glyph_side,
/// there is no glyph, or a label is outside the classes.
void validate(const GlyphSet& glyphs);

/// The glyphs without, and then alone, the last `share` (in [0, 1), rounded down) of each class: neighbours in a set
/// are often of one writer, so that they should not be torn apart. Throws InvalidInput where either would be empty.
std::pair<GlyphSet, GlyphSet> hold_out(const GlyphSet& glyphs, double share);

/// The glyphs of one split of `source`:
///   "builtin"                   digits drawn by code (data/builtin_glyphs.h);
///   "mnist", "fashion-mnist"    that data set, from the first folder of data_folders() that holds it;
///   "auto"                      MNIST where it is found, else builtin;
///   anything else               a folder: it, its `mnist` or its `fashion-mnist`.
/// A folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k, each with `.gz` or without,
/// and with "-" or "." before "idx". An optional classes.txt names the classes, one a line; without it they are the ten
/// of Fashion-MNIST in a folder of that name, ten digits in one named `mnist`, else the numbers up to the largest label
/// of both splits. Throws IoError that lists where it looked, and InvalidInput for data that break a rule.
GlyphSet load_glyphs(const std::string& source, Split split);

/// Where data sets are looked for, in this order: $GRIDSPOT_DATA, ./data, user_cache_folder(), /usr/share/datasets. In
/// each of them X, a data set is `X/<name>` or X itself.
std::vector<std::filesystem::path> data_folders();

}  // namespace gridspot
