#include "data/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "gridspot/error.h"

namespace gridspot {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& action) {
  throw IoError(path.string() + ": cannot " + action + ": " + std::strerror(errno));
}

void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

int open_for_writing(const std::filesystem::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (descriptor < 0) fail(path, "create");
  return descriptor;
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(folder, "open");
  const int result = ::fsync(descriptor);
  ::close(descriptor);
  // Some file systems cannot fsync a folder; the rename is then as durable as they make it.
  if (result != 0 && errno != EINVAL) fail(folder, "fsync");
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  if (std::filesystem::is_directory(path)) throw IoError(path.string() + ": cannot read: it is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, "open");
  std::vector<std::uint8_t> bytes;
  constexpr std::size_t chunk = std::size_t(1) << 20;
  while (file) {
    const std::size_t size = bytes.size();
    bytes.resize(size + chunk);
    file.read(reinterpret_cast<char*>(bytes.data() + size), chunk);
    bytes.resize(size + static_cast<std::size_t>(file.gcount()));
    if (bytes.size() > max_bytes)
      throw InvalidInput(path.string() + ": larger than the limit of " + std::to_string(max_bytes) + " bytes");
  }
  if (file.bad()) fail(path, "read");
  return bytes;
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  const int descriptor = open_for_writing(path, O_TRUNC);
  try {
    write_all(descriptor, bytes, path);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  if (::close(descriptor) != 0) fail(path, "close");
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  // The process id keeps two processes that write the same file apart; O_EXCL finds a second writer in this one.
  temporary_path_ = folder_of(path_) / ("." + path_.filename().string() + ".part-" + std::to_string(::getpid()));
  descriptor_ = open_for_writing(temporary_path_, O_EXCL);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::string_view bytes) { write_all(descriptor_, bytes, temporary_path_); }

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail(temporary_path_, "fsync");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) fail(path_, "rename to");
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(folder_of(path_));
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace gridspot
