#include "data/builtin_glyphs.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "data/digit_strokes.h"
#include "gridspot/error.h"

namespace gridspot {
namespace {

/// Proportions, slant, a small rotation, and a gentle wave for the irregularity of a hand.
void distort(std::vector<Polyline>& strokes, KeyedDraws& draws) {
  const float stretch = draws.uniform(0.8f, 1.25f), slant = draws.uniform(-0.15f, 0.45f);
  const float angle = draws.around_zero(0.18f), cosine = std::cos(angle), sine = std::sin(angle);
  const float wave_x = draws.around_zero(0.05f), wave_y = draws.around_zero(0.05f);
  const float phase = draws.uniform(0, 2 * std::numbers::pi_v<float>), frequency = draws.uniform(2, 5);
  for (Polyline& stroke : strokes)
    for (Point& p : stroke) {
      const float wavy_x = p.x + wave_x * std::sin(frequency * p.y + phase);
      const float wavy_y = p.y + wave_y * std::sin(frequency * p.x + phase);
      const float x = stretch * wavy_x - slant * (wavy_y - 0.5f), y = wavy_y - 0.5f;
      p = {cosine * x - sine * y, sine * x + cosine * y};
    }
}

struct Bounds {
  Point low{1e9f, 1e9f}, high{-1e9f, -1e9f};
};

Bounds bounds_of(const std::vector<Polyline>& strokes) {
  Bounds bounds;
  for (const Polyline& stroke : strokes)
    for (const Point p : stroke) {
      bounds.low = {std::min(bounds.low.x, p.x), std::min(bounds.low.y, p.y)};
      bounds.high = {std::max(bounds.high.x, p.x), std::max(bounds.high.y, p.y)};
    }
  return bounds;
}

/// As MNIST does: the figure fills a square of about 20 pixels, and its mass stands in the middle of the picture; but
/// the margin stays free of ink. `reach` is how far ink extends from the middle of a stroke.
void place(std::vector<Polyline>& strokes, float size, float reach) {
  const Bounds bounds = bounds_of(strokes);
  const float extent = std::max(bounds.high.x - bounds.low.x, bounds.high.y - bounds.low.y);
  const float scale = (size - 2 * reach) / extent;
  double mass = 0, mass_x = 0, mass_y = 0;
  for (const Polyline& stroke : strokes)
    for (std::size_t i = 1; i < stroke.size(); ++i) {
      const Point a = stroke[i - 1], b = stroke[i];
      const double length = std::hypot(b.x - a.x, b.y - a.y);
      mass += length;
      mass_x += length * 0.5 * (a.x + b.x);
      mass_y += length * 0.5 * (a.y + b.y);
    }
  const auto offset = [&](double centre, float low, float high) {
    const float margin = builtin_margin + reach, middle = 0.5f * builtin_glyph_side;
    return std::clamp(middle - scale * static_cast<float>(centre), margin - scale * low,
                      builtin_glyph_side - margin - scale * high);
  };
  const float x = offset(mass_x / mass, bounds.low.x, bounds.high.x);
  const float y = offset(mass_y / mass, bounds.low.y, bounds.high.y);
  for (Polyline& stroke : strokes)
    for (Point& p : stroke) p = {scale * p.x + x, scale * p.y + y};
}

void draw_glyph(Split split, int index, std::span<std::uint8_t> pixels) {
  // Bit 32 keeps the splits apart.
  KeyedDraws draws(static_cast<std::uint64_t>(split == Split::test) << 32 | static_cast<std::uint32_t>(index));
  Pen pen(draws, draws.uniform(0.01f, 0.07f));
  draw_digit(index % 10, pen, draws);
  distort(pen.strokes(), draws);
  const float thin = draws.uniform(0, 1);
  const PenTip tip{
      .radius = 0.75f + 1.25f * thin * thin, .softness = draws.uniform(1.0f, 1.7f), .taper = draws.around_zero(0.5f)};
  const float reach = tip.radius * (1 + 0.5f * std::fabs(tip.taper)) + 0.5f * tip.softness;
  place(pen.strokes(), draws.uniform(18.5f, 21.5f), reach);
  draw_strokes(pen.strokes(), tip, builtin_glyph_side, pixels);
}

}  // namespace

GlyphSet draw_builtin_glyphs(Split split, int count) {
  require(count >= 0, "the number of builtin glyphs must not be negative, found " + std::to_string(count));
  constexpr std::size_t area = std::size_t(builtin_glyph_side) * builtin_glyph_side;
  GlyphSet glyphs{.height = builtin_glyph_side,
                  .width = builtin_glyph_side,
                  .pixels = {},
                  .labels = {},
                  .class_names = {},
                  .source = "builtin"};
  glyphs.pixels.resize(count * area);
  for (int i = 0; i < count; ++i) {
    draw_glyph(split, i, std::span(glyphs.pixels).subspan(i * area, area));
    glyphs.labels.push_back(i % 10);
  }
  for (int digit = 0; digit < 10; ++digit) glyphs.class_names.push_back(std::to_string(digit));
  return glyphs;
}

GlyphSet draw_builtin_glyphs(Split split) {
  return draw_builtin_glyphs(split, split == Split::test ? builtin_test_count : builtin_train_count);
}

}  // namespace gridspot
