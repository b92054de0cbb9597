#pragma once
// Tables of an enumeration's names, for both directions.
#include <array>

#include "gridspot/error.h"
#include "io/object_reader.h"

namespace gridspot {

/// As ObjectReader::read takes it.
template <class Enum, std::size_t count>
std::span<const EnumName<Enum>> all(const std::array<EnumName<Enum>, count>& names) {
  return names;
}

template <class Enum, std::size_t count>
std::string name_of(const std::array<EnumName<Enum>, count>& names, Enum value) {
  for (const auto& candidate : names)
    if (candidate.value == value) return std::string(candidate.name);
  throw Error("an enumeration's value has no name");
}

}  // namespace gridspot
