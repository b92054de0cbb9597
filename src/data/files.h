#pragma once
// Whole files: bounded reading, and writing that never leaves half a file under the final name.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace gridspot {

/// All bytes of a file. Throws IoError when it cannot be read and InvalidInput when it is larger than `max_bytes`.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::size_t max_bytes);

/// Creates or replaces a file. Throws IoError. A crash can leave it half written.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// A file that appears under its name only when it is complete and on the disk: a temporary file in the same folder,
/// fsync, rename, fsync of the folder. Destroyed before commit(), it leaves nothing.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  /// Throws IoError; nothing may be written afterwards.
  void commit();
  /// Where the bytes lie until commit().
  [[nodiscard]] const std::filesystem::path& temporary_path() const { return temporary_path_; }

 private:
  std::filesystem::path path_, temporary_path_;
  int descriptor_ = -1;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// The bytes as the writers above take them.
inline std::string_view as_text(const std::vector<std::uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace gridspot
