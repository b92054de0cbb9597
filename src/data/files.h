#pragma once
// Writing of files that may be lost in a crash, such as pictures; io/atomic_file.h has the other kind.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace gridspot {

/// Creates or replaces a file. Throws IoError. A crash can leave it half written.
void write_file(const std::filesystem::path& path, std::string_view bytes);

inline std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace gridspot
