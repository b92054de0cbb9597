#pragma once
// Lists of numbers in JSON.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/object_reader.h"

namespace gridspot::eval {

/// The array of numbers at `key` of `object`, which `reader` reads and names in messages. Throws InvalidInput.
inline std::vector<double> number_list(const Json& object, std::string_view key, const ObjectReader& reader) {
  const auto list = object.find(key);
  if (list == object.end()) reader.fail(key, "is missing");
  if (!list->is_array()) reader.fail(key, "must be an array of numbers");
  std::vector<double> numbers;
  for (const auto& value : *list) {
    if (!value.is_number())
      reader.fail(std::string(key) + "[" + std::to_string(numbers.size()) + "]", "must be a number");
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

/// The square of counts with `size` rows at `key`; `rule` says in messages what it must be. Throws InvalidInput.
inline std::vector<std::vector<std::int64_t>> count_matrix(const Json& object, std::string_view key, std::size_t size,
                                                           const ObjectReader& reader, const std::string& rule) {
  const auto matrix = object.find(key);
  if (matrix == object.end() || !matrix->is_array() || matrix->size() != size) reader.fail(key, rule);
  std::vector<std::vector<std::int64_t>> counts;
  for (const auto& row : *matrix) {
    if (!row.is_array() || row.size() != size) reader.fail(key, rule);
    counts.emplace_back();
    for (const auto& cell : row) {
      if (!cell.is_number_integer() || cell.get<std::int64_t>() < 0) reader.fail(key, rule);
      counts.back().push_back(cell.get<std::int64_t>());
    }
  }
  return counts;
}

}  // namespace gridspot::eval
