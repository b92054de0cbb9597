#pragma once
// The fields of a JSON object, read with their types, ranges and names.
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/json.h"

namespace gridspot {

/// The candidate with the fewest edits (insertion, deletion, exchange, swap of neighbours) from `name`; empty when even
/// that one is unlike it. Of equals the first.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> candidates);

template <class Enum>
struct EnumName {
  std::string_view name;
  Enum value;
};
// Deduced without it by all but clang before version 17.
template <class Enum>
EnumName(std::string_view, Enum) -> EnumName<Enum>;

/// Reads an object field by field; `finish` then refuses every key that was not asked for.
///
///   ObjectReader reader(document, "config.json");
///   reader.read("learning_rate", config.learning_rate, 0, 10);   // absent: stays as it is
///   reader.require("steps", config.steps, 1, 1'000'000);         // absent: an error
///   reader.finish();
///
/// Every message reads "config.json: train.learning_rate must be ..., found ...". Throws InvalidInput. Integers are
/// read from JSON integers only (neither 1.5 nor 1.0). The JSON value must outlive the reader.
class ObjectReader {
 public:
  /// `path` is where `object` stands in the document, "" at its top. Throws unless it is an object.
  ObjectReader(const Json& object, std::string source, std::string path = "");

  [[nodiscard]] bool has(std::string_view key) const;

  // Each returns whether the key was there. Bounds are included.
  bool read(std::string_view key, bool& value);
  bool read(std::string_view key, int& value, int min = std::numeric_limits<int>::min(),
            int max = std::numeric_limits<int>::max());
  bool read(std::string_view key, std::int64_t& value, std::int64_t min = std::numeric_limits<std::int64_t>::min(),
            std::int64_t max = std::numeric_limits<std::int64_t>::max());
  bool read(std::string_view key, std::uint64_t& value, std::uint64_t min = 0,
            std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
  bool read(std::string_view key, float& value, double min = -std::numeric_limits<float>::max(),
            double max = std::numeric_limits<float>::max());
  bool read(std::string_view key, double& value, double min = -std::numeric_limits<double>::max(),
            double max = std::numeric_limits<double>::max());
  bool read(std::string_view key, std::string& value);
  bool read(std::string_view key, std::vector<std::string>& value);
  bool read(std::string_view key, std::vector<int>& value, int min = std::numeric_limits<int>::min(),
            int max = std::numeric_limits<int>::max());

  /// A string that names a value of an enumeration.
  template <class Enum>
  bool read(std::string_view key, Enum& value, std::span<const EnumName<Enum>> names) {
    std::vector<std::string_view> accepted;
    for (const auto& candidate : names) accepted.push_back(candidate.name);
    const int index = read_name(key, accepted);
    if (index >= 0) value = names[static_cast<std::size_t>(index)].value;
    return index >= 0;
  }

  /// As `read`, but the key must be there.
  template <class... Arguments>
  void require(std::string_view key, Arguments&&... arguments) {
    if (!read(key, std::forward<Arguments>(arguments)...)) fail_missing(key);
  }

  /// The object at `key`, which must be there (ask `has` first otherwise).
  ObjectReader object(std::string_view key);
  /// The objects of the array at `key`, which must be there.
  std::vector<ObjectReader> objects(std::string_view key);

  /// Throws for the first key that was not asked for, with the name that was probably meant.
  void finish() const;

  /// "config.json: train.learning_rate <rule>", for rules that only the caller knows.
  [[noreturn]] void fail(std::string_view key, std::string_view rule) const;

 private:
  const Json* find(std::string_view key);
  int read_name(std::string_view key, std::span<const std::string_view> accepted);
  [[noreturn]] void fail_missing(std::string_view key) const;
  [[nodiscard]] std::string path_of(std::string_view key) const;

  const Json* object_;
  std::string source_, path_;
  std::vector<std::string> known_;  ///< the keys that were asked for
};

}  // namespace gridspot
