#pragma once
#include <string>
#include <utility>
#include <vector>

namespace gridspot::app {

/// Name and version of each vendor library in this build, as loaded.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace gridspot::app
