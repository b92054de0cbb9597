#pragma once
// Pen strokes with random variation, and their antialiased picture. Used by builtin_glyphs.cpp.
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

namespace gridspot {

/// Random numbers that are a function of a key and of how many were drawn before (SplitMix64's output function; Steele,
/// Lea and Flood 2014). Different keys below 2^64 give different sequences: the function is a bijection.
class KeyedDraws {
 public:
  explicit KeyedDraws(std::uint64_t key);
  float uniform(float low, float high);
  bool chance(float probability);
  /// In [-limit, limit], small values more often.
  float around_zero(float limit);
  int below(int count);

 private:
  std::uint64_t next();
  std::uint64_t state_;
};

struct Point {
  float x = 0, y = 0;
};

using Polyline = std::vector<Point>;

/// Draws a figure in a frame of its own: y down, the figure about 1 high. Every point it is given is displaced a
/// little.
class Pen {
 public:
  Pen(KeyedDraws& draws, float jitter) : draws_(draws), jitter_(jitter) {}

  /// Lifts the pen and sets it down.
  void begin(Point point);
  /// A nearly straight line.
  void line_to(Point point);
  /// A smooth curve (Catmull-Rom) from where the pen is through all the points.
  void curve_to(std::initializer_list<Point> points);
  /// A stroke along an ellipse. Turns count clockwise from the top; the figure is closed when they differ by 1.
  void arc(Point centre, float radius_x, float radius_y, float from_turn, float to_turn);

  [[nodiscard]] std::vector<Polyline>& strokes() { return strokes_; }

 private:
  Point displaced(Point point);

  KeyedDraws& draws_;
  float jitter_;
  std::vector<Polyline> strokes_;
};

struct PenTip {
  float radius = 1;    ///< pixels
  float softness = 1;  ///< width of the edge's ramp from ink to background, pixels
  float taper = 0;     ///< the radius changes by this share, linearly, from the start of a stroke to its end
};

/// Draws strokes given in pixels on a side x side picture: 255 inside the ink, 0 outside, a ramp between.
void draw_strokes(const std::vector<Polyline>& strokes, PenTip tip, int side, std::span<std::uint8_t> pixels);

}  // namespace gridspot
