#include "io/json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include "gridspot/error.h"

namespace gridspot {
namespace {

/// Walks the text and tells how far the parser has read, which its callbacks do not.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* position = nullptr;
  const char** furthest = nullptr;

  const char& operator*() const { return *position; }
  CountingIterator& operator++() {
    ++position;
    if (furthest != nullptr) *furthest = position;
    return *this;
  }
  CountingIterator operator++(int) {
    const auto before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) { return a.position == b.position; }
  friend bool operator!=(const CountingIterator& a, const CountingIterator& b) { return !(a == b); }
};

[[noreturn]] void fail_at(std::string_view text, std::size_t offset, std::string_view source, const std::string& rule) {
  const auto before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  throw InvalidInput(std::string(source) + ":" + std::to_string(line) + ":" +
                     std::to_string(before.size() - line_start + 1) + ": " + rule);
}

/// "[json.exception.parse_error.101] parse error at line 1, column 2: <reason>" -> "<reason>".
std::string reason_of(const nlohmann::json::exception& error) {
  std::string reason = error.what();
  if (const auto bracket = reason.find("] "); bracket != std::string::npos) reason.erase(0, bracket + 2);
  if (reason.starts_with("parse error"))
    if (const auto colon = reason.find(": "); colon != std::string::npos) reason.erase(0, colon + 2);
  return reason;
}

/// Builds the document; refuses what nlohmann's own builder lets pass (duplicate keys, any depth).
class StrictBuilder : public nlohmann::json_sax<Json> {
 public:
  StrictBuilder(std::string_view text, std::string_view source)
      : text_(text), source_(source), furthest_(text.data()) {}

  const char** furthest() { return &furthest_; }
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(Json::number_integer_t value) override { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) override { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object(), "object"); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::array(), "array"); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (!open_.back().keys.insert(name).second)
      fail_at(text_, text_.find('"', token_end_), source_, "duplicate key '" + name + "'");
    key_ = name;
    token_end_ = read_so_far();
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
    fail_at(text_, position == 0 ? 0 : position - 1, source_, reason_of(error));
  }

 private:
  struct OpenValue {
    Json* value;
    std::unordered_set<std::string> keys;
  };

  [[nodiscard]] std::size_t read_so_far() const { return static_cast<std::size_t>(furthest_ - text_.data()); }

  Json* attach(Json value) {
    token_end_ = read_so_far();
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // The key is known to be new; the object's own insertion would search all earlier ones again.
    auto& members = parent.get_ref<Json::object_t&>();
    members.push_back({std::move(key_), std::move(value)});
    return &members.back().second;
  }
  bool add(Json value) {
    attach(std::move(value));
    return true;
  }
  bool open(Json value, const char* what) {
    if (open_.size() == max_json_depth)
      fail_at(text_, read_so_far() - 1, source_,
              std::string(what) + " nested deeper than " + std::to_string(max_json_depth) + " levels");
    open_.push_back({attach(std::move(value)), {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    token_end_ = read_so_far();
    return true;
  }

  std::string_view text_, source_;
  const char* furthest_;
  std::size_t token_end_ = 0;  ///< how far the parser had read after the token before this one
  Json root_;
  std::vector<OpenValue> open_;
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  StrictBuilder builder(text, source);
  const CountingIterator begin{text.data(), builder.furthest()};
  const CountingIterator end{text.data() + text.size(), nullptr};
  Json::sax_parse(begin, end, &builder);
  return builder.take();
}

}  // namespace gridspot
