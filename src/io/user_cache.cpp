#include "io/user_cache.h"

#include <cstdlib>

namespace gridspot {

std::filesystem::path user_cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && std::filesystem::path(cache).is_absolute()) return std::filesystem::path(cache) / "gridspot";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != 0) return std::filesystem::path(home) / ".cache" / "gridspot";
  return {};
}

}  // namespace gridspot
