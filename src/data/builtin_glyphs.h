#pragma once
// Digits drawn by code, for machines that have neither a data set nor a network.
#include <cstdint>

#include "data/glyph_set.h"

namespace gridspot {

inline constexpr int builtin_glyph_side = 28;
inline constexpr int builtin_train_count = 20000, builtin_test_count = 4000;
/// Pixels along every edge of a builtin glyph that hold no ink at all.
inline constexpr int builtin_margin = 2;

/// Glyphs 0 ... count - 1 of the split. Glyph i shows the digit i mod 10, in one of several ways of writing it, with
/// its own slant, proportions, curvature and pen; it is a function of (split, i) alone, so train and test share no
/// glyph.
GlyphSet draw_builtin_glyphs(Split split, int count);

/// builtin_train_count or builtin_test_count of them.
GlyphSet draw_builtin_glyphs(Split split);

}  // namespace gridspot
