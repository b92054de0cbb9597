#pragma once
// Lists of numbers in JSON.
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

}  // namespace gridspot::eval
