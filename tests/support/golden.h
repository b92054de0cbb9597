#pragma once
// Where the recorded numbers of tests/golden/ are.
#include <cstdlib>
#include <string>

namespace gridspot::test {

/// In $GRIDSPOT_GOLDEN, for programs that were carried away from their source; else in the source folder.
inline std::string golden_path(const std::string& name) {
  const char* folder = std::getenv("GRIDSPOT_GOLDEN");
  return (folder ? folder : GRIDSPOT_SOURCE_DIR "/tests/golden") + ("/" + name);
}

}  // namespace gridspot::test
