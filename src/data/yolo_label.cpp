#include <algorithm>
#include <charconv>
#include <cmath>

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

std::string shortest_decimal(float value) {
  char text[64];  // a sign and 46 places behind the point at most, or 39 before it
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
  return {text, end};
}

/// Along one axis.
bool inside(double centre, double size) {
  return centre - size / 2 >= -rounding_slack && centre + size / 2 <= 1 + rounding_slack;
}

}  // namespace

const char* broken_box_rule(const Box& box) {
  if (!(box.w > 0 && box.w <= 1 && box.h > 0 && box.h <= 1)) return "w and h must be above 0 and at most 1";
  if (!inside(box.cx, box.w) || !inside(box.cy, box.h)) return "the box leaves the canvas";
  return nullptr;
}

std::string format_yolo_line(const YoloLabel& label) {
  const Box& box = label.box;
  std::string line = std::to_string(label.class_id);
  for (const float value : {box.cx, box.cy, box.w, box.h}) line += " " + shortest_decimal(value);
  return line;
}

YoloLabel parse_yolo_line(std::string_view line, int classes, const std::string& place) {
  const auto fields = split_fields(line);
  require(fields.size() == 5, place + ": expected 5 numbers (class cx cy w h), found " + std::to_string(fields.size()));
  const int class_id = parse_number<int>(fields[0], "the class", place);
  require(class_id >= 0 && class_id < classes,
          place + ": class " + std::to_string(class_id) + ", but there are " + std::to_string(classes) + " classes");
  // As float at once: by way of double a number would be rounded twice, and not always be the float that was written.
  const float cx = parse_number<float>(fields[1], "cx", place), cy = parse_number<float>(fields[2], "cy", place);
  const float w = parse_number<float>(fields[3], "w", place), h = parse_number<float>(fields[4], "h", place);
  const Box box{cx, cy, w, h};
  if (const char* rule = broken_box_rule(box)) throw InvalidInput(place + ": " + rule);
  return {class_id, box};
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
