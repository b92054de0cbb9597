#include "data/strokes.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gridspot {
namespace {

constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15;
constexpr int points_per_span = 6;
constexpr float points_per_turn = 30;

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

/// Between b (t = 0) and c (t = 1), with the neighbours a and d.
Point catmull_rom(Point a, Point b, Point c, Point d, float t) {
  const auto axis = [t](float p, float q, float r, float s) {
    return q + 0.5f * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)));
  };
  return {axis(a.x, b.x, c.x, d.x), axis(a.y, b.y, c.y, d.y)};
}

float distance_to_segment(Point p, Point a, Point b) {
  const float dx = b.x - a.x, dy = b.y - a.y;
  const float length_squared = dx * dx + dy * dy;
  const float along = length_squared > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length_squared : 0;
  const float t = std::clamp(along, 0.0f, 1.0f);
  const float x = p.x - a.x - t * dx, y = p.y - a.y - t * dy;
  return std::sqrt(x * x + y * y);
}

/// Lowers the signed distance to the ink where this piece of a stroke is near.
void add_segment(Point a, Point b, float radius, float reach, int side, std::vector<float>& distances) {
  const auto clamp_index = [side](float value) { return static_cast<int>(std::clamp(value, 0.0f, float(side))); };
  const int top = clamp_index(std::min(a.y, b.y) - reach), bottom = clamp_index(std::max(a.y, b.y) + reach + 1);
  const int left = clamp_index(std::min(a.x, b.x) - reach), right = clamp_index(std::max(a.x, b.x) + reach + 1);
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x) {
      float& distance = distances[y * side + x];
      distance = std::min(distance, distance_to_segment({x + 0.5f, y + 0.5f}, a, b) - radius);
    }
}

}  // namespace

KeyedDraws::KeyedDraws(std::uint64_t key) : state_(mix(key)) {}

std::uint64_t KeyedDraws::next() { return mix(state_ += golden_ratio); }

float KeyedDraws::uniform(float low, float high) {
  return low + (high - low) * (static_cast<float>(next() >> 40) * 0x1p-24f);
}

bool KeyedDraws::chance(float probability) { return uniform(0, 1) < probability; }

float KeyedDraws::around_zero(float limit) {
  const float first = uniform(-0.5f, 0.5f), second = uniform(-0.5f, 0.5f);
  return limit * (first + second);
}

int KeyedDraws::below(int count) { return static_cast<int>((next() >> 32) * static_cast<std::uint64_t>(count) >> 32); }

Point Pen::displaced(Point point) {
  const float dx = draws_.around_zero(jitter_), dy = draws_.around_zero(jitter_);
  return {point.x + dx, point.y + dy};
}

void Pen::begin(Point point) { strokes_.push_back({displaced(point)}); }

void Pen::line_to(Point point) {
  Polyline& stroke = strokes_.back();
  const Point from = stroke.back(), to = displaced(point);
  const float bow = draws_.around_zero(0.06f);
  for (int i = 1; i <= points_per_span; ++i) {
    const float t = float(i) / points_per_span, sag = 4 * bow * t * (1 - t);
    stroke.push_back(
        {from.x + t * (to.x - from.x) - sag * (to.y - from.y), from.y + t * (to.y - from.y) + sag * (to.x - from.x)});
  }
}

void Pen::curve_to(std::initializer_list<Point> points) {
  Polyline& stroke = strokes_.back();
  Polyline knots{stroke.back()};
  for (const Point point : points) knots.push_back(displaced(point));
  const int last = static_cast<int>(knots.size()) - 1;
  for (int i = 0; i < last; ++i)
    for (int j = 1; j <= points_per_span; ++j)
      stroke.push_back(catmull_rom(knots[std::max(i - 1, 0)], knots[i], knots[i + 1], knots[std::min(i + 2, last)],
                                   float(j) / points_per_span));
}

void Pen::arc(Point centre, float radius_x, float radius_y, float from_turn, float to_turn) {
  const Point middle = displaced(centre);
  const int pieces = std::max(2, static_cast<int>(std::ceil(std::fabs(to_turn - from_turn) * points_per_turn)));
  Polyline stroke;
  for (int i = 0; i <= pieces; ++i) {
    const float angle = 2 * std::numbers::pi_v<float> * (from_turn + (to_turn - from_turn) * i / pieces);
    stroke.push_back({middle.x + radius_x * std::sin(angle), middle.y - radius_y * std::cos(angle)});
  }
  strokes_.push_back(std::move(stroke));
}

void draw_strokes(const std::vector<Polyline>& strokes, PenTip tip, int side, std::span<std::uint8_t> pixels) {
  const float reach = tip.radius * (1 + std::fabs(tip.taper)) + tip.softness;
  std::vector<float> distances(std::size_t(side) * side, reach);
  for (const Polyline& stroke : strokes)
    for (std::size_t i = 1; i < stroke.size(); ++i) {
      const float along = float(i) / stroke.size();
      const float radius = tip.radius * (1 + tip.taper * (along - 0.5f));
      add_segment(stroke[i - 1], stroke[i], radius, reach, side, distances);
    }
  for (std::size_t i = 0; i < distances.size(); ++i) {
    const float ink = std::clamp(0.5f - distances[i] / tip.softness, 0.0f, 1.0f);
    pixels[i] = static_cast<std::uint8_t>(std::lround(255 * ink));
  }
}

}  // namespace gridspot
