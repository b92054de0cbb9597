#pragma once
// What the fuzz targets share. A target is one function that libFuzzer calls with bytes of its making; it ends the
// process where a reader breaks its contract.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "gridspot/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace gridspot::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline void expect(bool condition, const std::string& rule) {
  if (condition) return;
  std::fprintf(stderr, "The contract is broken: %s\n", rule.c_str());
  std::abort();
}

/// What `read` returns; nothing where it refuses the input with one of `Refusals`, which must name `source`. libFuzzer
/// ends the process for any other exception.
template <class... Refusals, class Read>
auto read_or_refuse(std::string_view source, Read read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const Error& error) {
    if ((... || (dynamic_cast<const Refusals*>(&error) != nullptr))) {
      expect(std::string_view(error.what()).find(source) != std::string_view::npos,
             "a message names its source; this one does not: " + std::string(error.what()));
      return std::nullopt;
    }
    throw;
  }
}

}  // namespace gridspot::fuzz
