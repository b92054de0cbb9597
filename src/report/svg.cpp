#include "report/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "report/html.h"

namespace gridspot::report {
namespace {

constexpr double chart_width = 480, chart_height = 300;
constexpr double left = 46, top = 30, bottom = 44;
constexpr double widest_bar = 56;
constexpr double line_height = 14;

/// Where the axes' values lie in the chart.
class Plot {
 public:
  Plot(const Axis& x, const Axis& y, double right) : x_(x), y_(y), right_(right) {}

  [[nodiscard]] double x(double value) const { return left + share(x_, value) * (right_ - left); }
  [[nodiscard]] double y(double value) const {
    return chart_height - bottom - share(y_, value) * (chart_height - bottom - top);
  }
  [[nodiscard]] double right() const { return right_; }

 private:
  static double share(const Axis& axis, double value) {
    const double whole = axis.logarithmic ? std::log(axis.to / axis.from) : axis.to - axis.from;
    const double part = axis.logarithmic ? std::log(value / axis.from) : value - axis.from;
    return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : 0;
  }

  const Axis &x_, &y_;
  double right_;
};

std::string rule(double x1, double y1, double x2, double y2, const std::string& classes) {
  return "<line class=\"" + classes + "\" x1=\"" + coordinate(x1) + "\" y1=\"" + coordinate(y1) + "\" x2=\"" +
         coordinate(x2) + "\" y2=\"" + coordinate(y2) + "\"/>";
}

/// The distance of the ticks, for the digits that they need.
double step_of(const Axis& axis, const std::vector<double>& values, double value) {
  if (axis.logarithmic) return std::pow(10, std::floor(std::log10(value) + 0.001));
  return values.size() > 1 ? values[1] - values[0] : 1;
}

std::string y_axis(const Plot& plot, const Axis& axis) {
  std::string svg = svg_text(4, 14, "axis", axis.name);
  const auto values = ticks(axis, 5);
  for (const double value : values)
    svg += rule(left, plot.y(value), plot.right(), plot.y(value), "gridline") +
           svg_text(left - 6, plot.y(value) + 4, "tick end", tick_text(value, step_of(axis, values, value)));
  return svg;
}

std::string x_axis(const Plot& plot, const Axis& axis) {
  const double base = chart_height - bottom;
  std::string svg = rule(left, base, plot.right(), base, "base");
  const auto values = ticks(axis, 6);
  for (const double value : values)
    svg += svg_text(plot.x(value), base + 17, "tick middle", tick_text(value, step_of(axis, values, value)));
  return svg + svg_text((left + plot.right()) / 2, chart_height - 6, "axis middle", axis.name);
}

std::string draw_marks(const Plot& plot, const std::vector<Mark>& marks) {
  constexpr double half_text = 30;
  std::string svg;
  for (const auto& mark : marks) {
    const double x = plot.x(mark.x);
    svg += rule(x, top - 6, x, chart_height - bottom, "mark") +
           svg_text(x, top - 10, x + half_text > chart_width ? "tick end" : "tick middle", mark.text);
  }
  return svg;
}

std::string series_class(const char* kind, std::size_t colour) {
  return kind + std::to_string(colour % series_colours) + (colour >= series_colours ? " dashed" : "");
}

std::string draw_line(const Plot& plot, const Line& line) {
  constexpr std::size_t most_shown_points = 30;
  const std::string classes = line.faint ? "line faint" : "line " + series_class("s", line.colour);
  std::string points, dots;
  for (const auto& point : line.points) {
    const std::string x = coordinate(plot.x(point.x)), y = coordinate(plot.y(point.y));
    points += (points.empty() ? "" : " ") + x + "," + y;
    dots += "<circle class=\"" + series_class("f", line.colour) + "\" cx=\"" + x + "\" cy=\"" + y + "\" r=\"2.5\"/>";
  }
  const bool shows_points = !line.faint && line.points.size() <= most_shown_points;
  return "<g><title>" + escape(line.name) + "</title><polyline class=\"" + classes + "\" points=\"" + points + "\"/>" +
         (shows_points ? dots : "") + "</g>";
}

/// Heights as near to those wanted as keeps them a line apart, between the top and the base of the plot.
std::vector<double> spread(const std::vector<double>& wanted) {
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });
  std::vector<double> placed(wanted.size());
  double free = top;
  for (const auto i : order) {
    placed[i] = std::max(wanted[i], free);
    free = placed[i] + line_height;
  }
  double limit = chart_height - bottom;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    placed[*i] = std::min(placed[*i], limit);
    limit = placed[*i] - line_height;
  }
  return placed;
}

std::string draw_labels(const Plot& plot, const std::vector<Line>& lines) {
  std::vector<const Line*> labelled;
  std::vector<double> heights;
  for (const auto& line : lines)
    if (!line.faint && !line.points.empty()) {
      labelled.push_back(&line);
      heights.push_back(plot.y(line.points.back().y));
    }
  heights = spread(heights);
  std::string svg;
  for (std::size_t i = 0; i < labelled.size(); ++i)
    svg += svg_text(std::min(plot.x(labelled[i]->points.back().x), plot.right()) + 7, heights[i] + 4,
                    "name " + series_class("t", labelled[i]->colour), labelled[i]->name);
  return svg;
}

/// Room for the longest name at the right, as wide as an average letter is.
double room_for_names(const std::vector<Line>& lines) {
  std::size_t longest = 0;
  for (const auto& line : lines)
    if (!line.faint) longest = std::max(longest, line.name.size());
  return std::min(14 + 7.5 * static_cast<double>(longest), chart_width / 3);
}

}  // namespace

std::string coordinate(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  std::string shortest = text;
  shortest.erase(shortest.find_last_not_of('0') + 1);
  if (shortest.back() == '.') shortest.pop_back();
  return shortest == "-0" ? "0" : shortest;
}

std::string svg_text(double x, double y, const std::string& classes, const std::string& text,
                     const std::string& extra) {
  return "<text class=\"" + classes + "\" x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\"" +
         (extra.empty() ? "" : " " + extra) + ">" + escape(text) + "</text>";
}

std::string svg_frame(double width, double height, const std::string& classes, const std::string& description,
                      const std::string& content) {
  return "<svg class=\"" + classes + "\" viewBox=\"0 0 " + coordinate(width) + " " + coordinate(height) +
         "\" role=\"img\" aria-label=\"" + escape(description) + "\">" + content + "</svg>\n";
}

std::string line_chart(const LineChart& chart) {
  const Plot plot(chart.x, chart.y, chart_width - room_for_names(chart.lines));
  std::string svg = y_axis(plot, chart.y) + x_axis(plot, chart.x) + draw_marks(plot, chart.marks);
  for (const auto& line : chart.lines)
    if (line.faint) svg += draw_line(plot, line);
  for (const auto& line : chart.lines)
    if (!line.faint) svg += draw_line(plot, line);
  return svg_frame(chart_width, chart_height, "chart", chart.description, svg + draw_labels(plot, chart.lines));
}

std::string bar_chart(const BarChart& chart) {
  const Axis x{"", 0, static_cast<double>(std::max<std::size_t>(1, chart.bars.size()))};
  const Plot plot(x, chart.y, chart_width - 8);
  const double base = chart_height - bottom, slot = plot.x(1) - plot.x(0), width = std::min(0.76 * slot, widest_bar);
  std::string svg = y_axis(plot, chart.y) + rule(left, base, plot.right(), base, "base");
  std::size_t lines = 0;
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    const auto& bar = chart.bars[i];
    const double middle = plot.x(static_cast<double>(i) + 0.5), height = std::max(0.0, base - plot.y(bar.value));
    svg += "<rect class=\"bar\" x=\"" + coordinate(middle - width / 2) + "\" y=\"" + coordinate(base - height) +
           "\" width=\"" + coordinate(width) + "\" height=\"" + coordinate(height) + "\"/>" +
           svg_text(middle, base - height - 4, "small strong middle", bar.value_text);
    for (std::size_t line = 0; line < bar.labels.size(); ++line)
      svg += svg_text(middle, base + 14 + 13 * static_cast<double>(line),
                      line + 1 < bar.labels.size() ? "small middle" : "small muted middle", bar.labels[line]);
    lines = std::max(lines, bar.labels.size());
  }
  const double name_at = base + 20 + 13 * static_cast<double>(lines);
  return svg_frame(chart_width, name_at + 6, "chart", chart.description,
                   svg + svg_text((left + plot.right()) / 2, name_at, "axis middle", chart.x_name));
}

std::string heat_map(const HeatMap& map) {
  constexpr double width = 480, head = 52, side = 66;
  const double cell = (width - side - 4) / static_cast<double>(std::max<std::size_t>(1, map.columns.size()));
  const double height = head + cell * static_cast<double>(map.rows.size()) + 6;
  const bool has_room = cell >= 22;  // for the texts
  std::string svg = svg_text(side + (width - side) / 2, 16, "axis middle", map.column_title) +
                    svg_text(4, head - 10, "axis", map.row_title);
  for (std::size_t c = 0; c < map.columns.size(); ++c)
    svg += svg_text(side + cell * (static_cast<double>(c) + 0.5), head - 10, "tick middle", map.columns[c]);
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    const double y = head + cell * static_cast<double>(r);
    svg += svg_text(side - 6, y + cell / 2 + 4, "tick end", map.rows[r]);
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const double x = side + cell * static_cast<double>(c), share = std::clamp(map.shares[r][c], 0.0, 1.0);
      svg += "<rect class=\"cell\" x=\"" + coordinate(x + 0.5) + "\" y=\"" + coordinate(y + 0.5) + "\" width=\"" +
             coordinate(cell - 1) + "\" height=\"" + coordinate(cell - 1) + "\" fill-opacity=\"" +
             coordinate(std::sqrt(share)) + "\"/>";
      if (has_room)
        svg += svg_text(x + cell / 2, y + cell / 2 + 4, share > 0.35 ? "small middle on" : "small middle",
                        map.texts[r][c]);
    }
  }
  return svg_frame(width, height, "chart", map.description, svg);
}

}  // namespace gridspot::report
