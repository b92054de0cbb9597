#pragma once
// How the ten digits are written. Used by builtin_glyphs.cpp.
#include "data/strokes.h"

namespace gridspot {

/// Draws a digit from 0 to 9, about 0.7 wide and 1 high, in one of its usual forms: the 1 with or without flag and
/// base, the 2 with or without loop, the 3 with a round or a flat top, the 4 open or closed, the 7 with or without bar
/// and serif, ...
void draw_digit(int digit, Pen& pen, KeyedDraws& draws);

}  // namespace gridspot
