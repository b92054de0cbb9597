#include "io/object_reader.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "gridspot/error.h"

namespace gridspot {
namespace {

/// Restricted Damerau-Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t exchange = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({exchange, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// A value as it stands in the document, short enough for a message.
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  constexpr std::size_t longest = 60;
  auto text = to_line(value);
  if (text.size() > longest) text = text.substr(0, longest) + "...";
  return text;
}

std::string number_text(double value) { return to_line(Json(value)); }
std::string number_text(float value) { return to_line(json_number(value)); }

std::string quoted_list(std::span<const std::string_view> names) {
  std::string list;
  for (const auto name : names) list += (list.empty() ? "'" : ", '") + std::string(name) + "'";
  return list;
}

std::string suggestion(std::string_view name, std::span<const std::string_view> candidates) {
  const auto nearest = nearest_name(name, candidates);
  return nearest.empty() ? "" : "; did you mean '" + std::string(nearest) + "'?";
}

/// The value as Integer when it is a JSON integer in [min, max].
template <class Integer>
bool to_integer(const Json& value, Integer min, Integer max, Integer& result) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (!std::in_range<Integer>(number)) return false;
    result = static_cast<Integer>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (!std::in_range<Integer>(number)) return false;
    result = static_cast<Integer>(number);
  } else {
    return false;
  }
  return min <= result && result <= max;
}

template <class Integer>
Integer integer_or_fail(const ObjectReader& reader, std::string_view key, const Json& value, Integer min, Integer max) {
  Integer result{};
  if (!to_integer(value, min, max, result))
    reader.fail(key, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max) + ", found " +
                         shown(value));
  return result;
}

template <class Real>
Real real_or_fail(const ObjectReader& reader, std::string_view key, const Json& value, double min, double max) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(min <= number && number <= max))
    reader.fail(key, "must be a number from " + number_text(static_cast<Real>(min)) + " to " +
                         number_text(static_cast<Real>(max)) + ", found " + shown(value));
  return static_cast<Real>(number);
}

const std::string& string_or_fail(const ObjectReader& reader, std::string_view key, const Json& value) {
  if (!value.is_string()) reader.fail(key, "must be a string, found " + shown(value));
  return value.get_ref<const std::string&>();
}

void array_or_fail(const ObjectReader& reader, std::string_view key, const Json& value) {
  if (!value.is_array()) reader.fail(key, "must be an array, found " + shown(value));
}

std::string element(std::string_view key, std::size_t index) {
  return std::string(key) + "[" + std::to_string(index) + "]";
}

}  // namespace

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates) {
  std::string_view nearest;
  std::size_t fewest = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto candidate : candidates) {
    const auto edits = edit_distance(name, candidate);
    // A short name turned into another altogether is no slip of the hand.
    if (edits < fewest && edits < std::max(name.size(), candidate.size())) {
      fewest = edits;
      nearest = candidate;
    }
  }
  return nearest;
}

ObjectReader::ObjectReader(const Json& object, std::string source, std::string path)
    : object_(&object), source_(std::move(source)), path_(std::move(path)) {
  if (!object.is_object())
    throw InvalidInput(source_ + ": " + (path_.empty() ? "the document" : path_) + " must be an object, found " +
                       shown(object));
}

bool ObjectReader::has(std::string_view key) const { return object_->contains(key); }

const Json* ObjectReader::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  const auto found = object_->find(key);
  return found == object_->end() ? nullptr : &*found;
}

bool ObjectReader::read(std::string_view key, bool& value) {
  const Json* found = find(key);
  if (found == nullptr) return false;
  if (!found->is_boolean()) fail(key, "must be true or false, found " + shown(*found));
  value = found->get<bool>();
  return true;
}

bool ObjectReader::read(std::string_view key, int& value, int min, int max) {
  const Json* found = find(key);
  if (found != nullptr) value = integer_or_fail(*this, key, *found, min, max);
  return found != nullptr;
}

bool ObjectReader::read(std::string_view key, std::int64_t& value, std::int64_t min, std::int64_t max) {
  const Json* found = find(key);
  if (found != nullptr) value = integer_or_fail(*this, key, *found, min, max);
  return found != nullptr;
}

bool ObjectReader::read(std::string_view key, std::uint64_t& value, std::uint64_t min, std::uint64_t max) {
  const Json* found = find(key);
  if (found != nullptr) value = integer_or_fail(*this, key, *found, min, max);
  return found != nullptr;
}

bool ObjectReader::read(std::string_view key, float& value, double min, double max) {
  const Json* found = find(key);
  if (found != nullptr) value = real_or_fail<float>(*this, key, *found, min, max);
  return found != nullptr;
}

bool ObjectReader::read(std::string_view key, double& value, double min, double max) {
  const Json* found = find(key);
  if (found != nullptr) value = real_or_fail<double>(*this, key, *found, min, max);
  return found != nullptr;
}

bool ObjectReader::read(std::string_view key, std::string& value) {
  const Json* found = find(key);
  if (found != nullptr) value = string_or_fail(*this, key, *found);
  return found != nullptr;
}

bool ObjectReader::read(std::string_view key, std::vector<std::string>& value) {
  const Json* found = find(key);
  if (found == nullptr) return false;
  array_or_fail(*this, key, *found);
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < found->size(); ++i)
    strings.push_back(string_or_fail(*this, element(key, i), (*found)[i]));
  value = std::move(strings);
  return true;
}

bool ObjectReader::read(std::string_view key, std::vector<int>& value, int min, int max) {
  const Json* found = find(key);
  if (found == nullptr) return false;
  array_or_fail(*this, key, *found);
  std::vector<int> integers;
  for (std::size_t i = 0; i < found->size(); ++i)
    integers.push_back(integer_or_fail(*this, element(key, i), (*found)[i], min, max));
  value = std::move(integers);
  return true;
}

int ObjectReader::read_name(std::string_view key, std::span<const std::string_view> accepted) {
  const Json* found = find(key);
  if (found == nullptr) return -1;
  const auto match = found->is_string()
                         ? std::find(accepted.begin(), accepted.end(), found->get_ref<const std::string&>())
                         : accepted.end();
  if (match == accepted.end())
    fail(key, "must be one of " + quoted_list(accepted) + ", found " + shown(*found) +
                  (found->is_string() ? suggestion(found->get_ref<const std::string&>(), accepted) : ""));
  return static_cast<int>(match - accepted.begin());
}

ObjectReader ObjectReader::object(std::string_view key) {
  const Json* found = find(key);
  if (found == nullptr) fail_missing(key);
  return ObjectReader(*found, source_, path_of(key));
}

std::vector<ObjectReader> ObjectReader::objects(std::string_view key) {
  const Json* found = find(key);
  if (found == nullptr) fail_missing(key);
  array_or_fail(*this, key, *found);
  std::vector<ObjectReader> readers;
  for (std::size_t i = 0; i < found->size(); ++i) readers.emplace_back((*found)[i], source_, path_of(element(key, i)));
  return readers;
}

void ObjectReader::finish() const {
  for (const auto& member : object_->items())
    if (std::find(known_.begin(), known_.end(), member.key()) == known_.end())
      throw InvalidInput(source_ + ": unknown key '" + member.key() + "'" + (path_.empty() ? "" : " in " + path_) +
                         suggestion(member.key(), std::vector<std::string_view>(known_.begin(), known_.end())));
}

void ObjectReader::fail(std::string_view key, std::string_view rule) const {
  throw InvalidInput(source_ + ": " + path_of(key) + " " + std::string(rule));
}

void ObjectReader::fail_missing(std::string_view key) const { fail(key, "is missing"); }

std::string ObjectReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

}  // namespace gridspot
