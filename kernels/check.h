#pragma once
// Checks that the launchers share. The message is put together only where the check fails: a launcher allocates
// nothing.
#include <cstddef>
#include <sstream>

#include "gridspot/error.h"

namespace gridspot {

/// Throws InvalidInput with the parts strung together when `condition` is false.
template <class... Parts>
void require_that(bool condition, const Parts&... parts) {
  if (condition) return;
  std::ostringstream text;
  (text << ... << parts);
  throw InvalidInput(text.str());
}

/// Throws InvalidInput "<who>: <name> must have <expected> elements, it has <found>" when the two differ.
inline void require_elements(const char* who, const char* name, std::size_t found, std::size_t expected) {
  require_that(found == expected, who, ": ", name, " must have ", expected, " elements, it has ", found);
}

}  // namespace gridspot
