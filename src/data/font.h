#pragma once
// A small bitmap font for printable ASCII. Used by draw.cpp.
#include <array>
#include <cstdint>

namespace gridspot {

inline constexpr int font_width = 5, font_height = 7;

/// The rows of a character from the top; bit 4 is the leftmost pixel. Characters outside 0x20 ... 0x7e show as a box.
/// Look-alikes differ: 0 is slashed, 1 has a base, I two short serifs, l a hook.
const std::array<std::uint8_t, font_height>& font_rows(char character);

}  // namespace gridspot
