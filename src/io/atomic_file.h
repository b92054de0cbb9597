#pragma once
// Whole files read with a bound, whole files written so that a crash leaves the old one or the new one, and line logs.
#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace gridspot {

/// The system calls behind writing. Each behaves as the POSIX call of its name (-1 and errno on failure); the base
/// class makes that call. Tests derive from it to fail or shorten the k-th call.
class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t write(int file, const void* data, std::size_t bytes);
  virtual int fsync(int file);
  virtual int close(int file);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int symlink(const char* target, const char* path);
};

/// Replaces `path` by a file that holds `pieces` one after the other: a temporary in the same folder is written,
/// synchronised and renamed, then the folder is synchronised. A reader sees the old file or the new one, never a part.
/// Throws IoError with the file, the operation and the system's reason. Then the temporary is gone and the old file as
/// it was, with one exception that the message states: when only the folder cannot be synchronised, the new file is in
/// place, but may not outlast a loss of power. A symbolic link at `path` is replaced, not followed.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces);
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces,
                           FileSystem& file_system);
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Removes the temporaries that killed processes left in a folder; those of living processes remain. What cannot be
/// removed is left.
void remove_abandoned_temporaries(const std::filesystem::path& folder, FileSystem& file_system);

/// Makes `path` a symbolic link to `target` (as it is written, relative to the link's folder), replacing what was there
/// in one step. Throws IoError; then `path` is as it was.
void link_atomically(const std::filesystem::path& target, const std::filesystem::path& path, FileSystem& file_system);

/// The content of a file. Throws IoError when it cannot be read, InvalidInput when it holds more than `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);

/// A log of lines, such as metrics.jsonl: opened for appending, each line is with the operating system when `write`
/// returns. A last line that an earlier crash left without its end is closed first, so that it spoils no other.
class LineWriter {
 public:
  explicit LineWriter(std::filesystem::path path);
  LineWriter(std::filesystem::path path, FileSystem& file_system);
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  ~LineWriter();

  /// Appends `line` (which holds no line end) and a line end. Throws IoError.
  void write(std::string_view line);
  /// Waits until all lines have reached the disk. Throws IoError.
  void synchronize();

 private:
  FileSystem own_file_system_;
  FileSystem& file_system_;
  std::filesystem::path path_;
  int file_;
};

}  // namespace gridspot
