#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "data/label_files.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"

namespace gridspot {
namespace {

constexpr std::size_t max_label_file = std::size_t(1) << 24;
constexpr double rounding_slack = 1e-5;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::vector<std::string_view> split_fields(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t i = 0; i < line.size();) {
    if (is_blank(line[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < line.size() && !is_blank(line[end])) ++end;
    fields.push_back(line.substr(i, end - i));
    i = end;
  }
  return fields;
}

template <class Number>
Number parse_number(std::string_view text, const char* what, const std::string& place) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(double(number)))
    throw InvalidInput(place + ": " + what + " must be a number, found \"" + std::string(text) + "\"");
  return number;
}

}  // namespace

std::string format_yolo_line(const YoloLabel& label) {
  const Box& box = label.box;
  char line[128];
  std::snprintf(line, sizeof line, "%d %.6f %.6f %.6f %.6f", label.class_id, box.cx, box.cy, box.w, box.h);
  return line;
}

YoloLabel parse_yolo_line(std::string_view line, int classes, const std::string& place) {
  const auto fields = split_fields(line);
  require(fields.size() == 5, place + ": expected 5 numbers (class cx cy w h), found " + std::to_string(fields.size()));
  const int class_id = parse_number<int>(fields[0], "the class", place);
  require(class_id >= 0 && class_id < classes,
          place + ": class " + std::to_string(class_id) + ", but there are " + std::to_string(classes) + " classes");
  const double cx = parse_number<double>(fields[1], "cx", place), cy = parse_number<double>(fields[2], "cy", place);
  const double w = parse_number<double>(fields[3], "w", place), h = parse_number<double>(fields[4], "h", place);
  require(w > 0 && w <= 1 && h > 0 && h <= 1, place + ": w and h must be above 0 and at most 1");
  const auto inside = [](double centre, double size) {
    return centre - size / 2 >= -rounding_slack && centre + size / 2 <= 1 + rounding_slack;
  };
  require(inside(cx, w) && inside(cy, h), place + ": the box leaves the canvas");
  return {class_id, {float(cx), float(cy), float(w), float(h)}};
}

std::vector<YoloLabel> read_yolo_labels(const std::filesystem::path& path, int classes) {
  const std::string content = read_file(path, max_label_file);
  std::string_view text = content;
  std::vector<YoloLabel> labels;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    labels.push_back(parse_yolo_line(line, classes, path.string() + ", line " + std::to_string(number)));
  }
  return labels;
}

}  // namespace gridspot
