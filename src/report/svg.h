#pragma once
// Charts as SVG elements for the pages of html.h. They carry classes (s0 ... s7 for the strokes of series, t0 ... t7
// for their texts, and those named in style.cpp) instead of colours, so that one page style serves light and dark
// screens.
#include <cstddef>
#include <string>
#include <vector>

namespace gridspot::report {

/// Series beyond these take the first colours again, with dashed lines.
inline constexpr std::size_t series_colours = 8;

struct Point {
  double x = 0, y = 0;
};

struct Line {
  std::string name;
  std::vector<Point> points;  ///< by rising x; y > 0 on a logarithmic axis
  std::size_t colour = 0;
  bool faint = false;  ///< thin and grey, without a label
};

/// A vertical rule at x with a text at its top.
struct Mark {
  double x = 0;
  std::string text;
};

struct Axis {
  std::string name;
  double from = 0, to = 1;
  bool logarithmic = false;  ///< 0 < from
};

/// "Round" values (1, 2 or 5 times a power of ten apart) from `from` to `to`, about `wanted` of them; on a logarithmic
/// axis 1, 2 and 5 times the powers of ten, or those powers alone where these would be more than twice as many as
/// wanted.
std::vector<double> ticks(const Axis& axis, int wanted);

/// A range that holds [low, high] and begins and ends with a round value.
Axis rounded_axis(const std::string& name, double low, double high);

/// The number as an axis shows it: as short as possible with the digits that `step` apart values need.
std::string tick_text(double value, double step);

struct LineChart {
  std::string description;  ///< for those who cannot see it
  Axis x, y;
  std::vector<Line> lines;
  std::vector<Mark> marks;
};

/// The lines with their names at their right ends. Lines of up to 30 points show the points too.
std::string line_chart(const LineChart& chart);

struct Bar {
  std::vector<std::string> labels;  ///< lines below the bar; the last one is muted
  std::string value_text;           ///< above it
  double value = 0;
};

struct BarChart {
  std::string description;
  Axis y;
  std::string x_name;
  std::vector<Bar> bars;
};

std::string bar_chart(const BarChart& chart);

struct HeatMap {
  std::string description, row_title, column_title;
  std::vector<std::string> rows, columns;
  std::vector<std::vector<double>> shares;  ///< [row][column], 0 ... 1: how dark
  std::vector<std::vector<std::string>> texts;
};

std::string heat_map(const HeatMap& map);

/// A number for an attribute: at most two decimals, none where it is whole.
std::string coordinate(double value);

/// <text class=... x=... y=... extra>escaped text</text>.
std::string svg_text(double x, double y, const std::string& classes, const std::string& text,
                     const std::string& extra = "");

/// The <svg> element of class `classes` around `content`, `width` x `height` units, as wide as its place.
std::string svg_frame(double width, double height, const std::string& classes, const std::string& description,
                      const std::string& content);

}  // namespace gridspot::report
