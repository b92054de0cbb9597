// JSON to text. nlohmann's own writer is not always the shortest and puts every element of an array on a line.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "io/json.h"

namespace gridspot {
namespace {

std::string number_text(double value) {
  if (!std::isfinite(value)) return "null";
  char digits[32];
  std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string string_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Appends values; `indent` is the number of spaces of a level, -1 for one line without spaces.
class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}

  void append(const Json& value, int level) {
    if (value.is_object())
      append_object(value, level);
    else if (value.is_array())
      append_array(value, level);
    else
      text += value.is_number_float() ? number_text(value.get<double>()) : string_text(value);
  }

  std::string text;

 private:
  void append_object(const Json& object, int level) {
    text += '{';
    bool first = true;
    for (const auto& [key, value] : object.items()) {
      if (!first) text += ',';
      first = false;
      new_line(level + 1);
      text += string_text(Json(key)) + (indent_ < 0 ? ":" : ": ");
      append(value, level + 1);
    }
    if (!first) new_line(level);
    text += '}';
  }

  void append_array(const Json& array, int level) {
    const bool plain =
        std::none_of(array.begin(), array.end(), [](const Json& value) { return value.is_structured(); });
    text += '[';
    for (std::size_t i = 0; i < array.size(); ++i) {
      if (i > 0) text += plain && indent_ >= 0 ? ", " : ",";
      if (!plain) new_line(level + 1);
      append(array[i], level + 1);
    }
    if (!plain) new_line(level);
    text += ']';
  }

  void new_line(int level) {
    if (indent_ >= 0) text += '\n' + std::string(static_cast<std::size_t>(indent_ * level), ' ');
  }

  int indent_;
};

std::string written(const Json& value, int indent) {
  Writer writer(indent);
  writer.append(value, 0);
  return std::move(writer.text);
}

}  // namespace

Json json_number(float value) {
  if (!std::isfinite(value)) return nullptr;
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  // The double nearest to the float's shortest text has that same shortest text.
  double nearest = 0;
  std::from_chars(digits, end, nearest);
  return nearest;
}

std::string to_text(const Json& value) { return written(value, 2) + "\n"; }
std::string to_line(const Json& value) { return written(value, -1); }

}  // namespace gridspot
