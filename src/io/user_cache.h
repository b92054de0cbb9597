#pragma once
// Where gridspot keeps what it can get again.
#include <filesystem>

namespace gridspot {

/// gridspot's folder in $XDG_CACHE_HOME or ~/.cache, which need not be there; empty when neither variable is set.
std::filesystem::path user_cache_folder();

}  // namespace gridspot
