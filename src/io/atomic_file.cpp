#include "io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <system_error>
#include <utility>

#include "gridspot/error.h"

namespace gridspot {

int FileSystem::open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
ssize_t FileSystem::write(int file, const void* data, std::size_t bytes) { return ::write(file, data, bytes); }
int FileSystem::fsync(int file) { return ::fsync(file); }
int FileSystem::close(int file) { return ::close(file); }
int FileSystem::rename(const char* from, const char* to) { return ::rename(from, to); }
int FileSystem::unlink(const char* path) { return ::unlink(path); }
int FileSystem::symlink(const char* target, const char* path) { return ::symlink(target, path); }

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view operation, int error) {
  throw IoError(path.string() + ": cannot " + std::string(operation) + ": " + std::generic_category().message(error));
}

int open_retrying(FileSystem& file_system, const std::filesystem::path& path, int flags) {
  int file;
  do file = file_system.open(path.c_str(), flags | O_CLOEXEC, 0666);
  while (file < 0 && errno == EINTR);
  return file;
}

/// Closes a file descriptor on every way out; `close` reports the failure that the destructor cannot.
class Descriptor {
 public:
  Descriptor(FileSystem& file_system, int file) : file_system_(file_system), file_(file) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  [[nodiscard]] int get() const { return file_; }
  int close() { return file_ < 0 ? 0 : file_system_.close(std::exchange(file_, -1)); }
  void release() { file_ = -1; }

 private:
  FileSystem& file_system_;
  int file_;
};

constexpr std::string_view temporary_stem = ".gridspot-", temporary_suffix = ".tmp";

/// A new file beside `path`, removed on every way out but after `rename_to`.
class Temporary {
 public:
  Temporary(FileSystem& file_system, const std::filesystem::path& folder, const std::filesystem::path& target)
      : file_system_(file_system) {
    // O_EXCL: a name left by a crash or in use by another thread is passed over, never written to.
    for (int attempt = 0; attempt < 1000; ++attempt) {
      path_ = folder / (std::string(temporary_stem) + std::to_string(::getpid()) + "-" + std::to_string(attempt) +
                        std::string(temporary_suffix));
      file_ = open_retrying(file_system, path_, O_WRONLY | O_CREAT | O_EXCL);
      if (file_ >= 0 || errno != EEXIST) break;
    }
    if (file_ < 0) fail(target, "create a temporary file in its folder", errno);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!renamed_) file_system_.unlink(path_.c_str());
  }
  [[nodiscard]] int file() const { return file_; }
  void rename_to(const std::filesystem::path& target) {
    if (file_system_.rename(path_.c_str(), target.c_str()) != 0) fail(target, "put the new file in place", errno);
    renamed_ = true;
  }

 private:
  FileSystem& file_system_;
  std::filesystem::path path_;
  int file_ = -1;
  bool renamed_ = false;
};

void write_all(FileSystem& file_system, int file, std::string_view data, const std::filesystem::path& path) {
  constexpr std::size_t largest_write = std::size_t{1} << 30;  // Linux takes at most 2 GiB a call
  while (!data.empty()) {
    const ssize_t written = file_system.write(file, data.data(), std::min(data.size(), largest_write));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "write", errno);
    if (written == 0) fail(path, "write", ENOSPC);
    data.remove_prefix(static_cast<std::size_t>(written));
  }
}

void sync_folder(FileSystem& file_system, int folder, const std::filesystem::path& path) {
  if (file_system.fsync(folder) == 0) return;
  // Some network and user-space file systems have no such operation for folders.
  if (errno == EINVAL || errno == ENOTSUP) return;
  fail(path, "synchronise its folder (the new file is in place, but may not outlast a loss of power)", errno);
}

}  // namespace

void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces,
                           FileSystem& file_system) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  // Opened before anything is written: what can fail shall fail while the old file is still there.
  Descriptor folder_file(file_system, open_retrying(file_system, folder, O_RDONLY | O_DIRECTORY));
  if (folder_file.get() < 0) fail(path, "open its folder", errno);

  Temporary temporary(file_system, folder, path);
  Descriptor file(file_system, temporary.file());
  for (const auto piece : pieces) write_all(file_system, file.get(), piece, path);
  if (file_system.fsync(file.get()) != 0) fail(path, "synchronise", errno);
  if (file.close() != 0) fail(path, "close", errno);
  temporary.rename_to(path);
  sync_folder(file_system, folder_file.get(), path);
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces) {
  FileSystem file_system;
  write_file_atomically(path, pieces, file_system);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  write_file_atomically(path, {&content, 1});
}

void remove_abandoned_temporaries(const std::filesystem::path& folder, FileSystem& file_system) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(temporary_stem) || !name.ends_with(temporary_suffix)) continue;
    pid_t process = 0;
    const char* number = name.data() + temporary_stem.size();
    const auto [end, failure] = std::from_chars(number, name.data() + name.size(), process);
    if (failure != std::errc{} || *end != '-' || process <= 0) continue;
    if (::kill(process, 0) != 0 && errno == ESRCH) file_system.unlink(entry.path().c_str());
  }
}

void link_atomically(const std::filesystem::path& target, const std::filesystem::path& path, FileSystem& file_system) {
  auto temporary = path;
  temporary += ".tmp";
  if (file_system.unlink(temporary.c_str()) != 0 && errno != ENOENT) fail(path, "remove an old temporary link", errno);
  if (file_system.symlink(target.c_str(), temporary.c_str()) != 0) fail(path, "create a link", errno);
  if (file_system.rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    file_system.unlink(temporary.c_str());
    fail(path, "put the new link in place", error);
  }
}

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  FileSystem file_system;
  const Descriptor file(file_system, open_retrying(file_system, path, O_RDONLY));
  if (file.get() < 0) fail(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(path, "read its size", errno);
  const auto refuse_beyond = [&](std::size_t bytes) {
    if (bytes > max_bytes)
      throw InvalidInput(path.string() + ": the file holds more than the " + std::to_string(max_bytes) +
                         " bytes that are accepted here");
  };
  const bool size_known = S_ISREG(status.st_mode);
  if (size_known) refuse_beyond(static_cast<std::size_t>(status.st_size));

  std::string content;
  std::size_t filled = 0;
  // One byte more than the size lets the end of the file show without growing.
  content.resize(size_known ? static_cast<std::size_t>(status.st_size) + 1 : 4096);
  while (true) {
    if (filled == content.size()) content.resize(filled * 2);
    const ssize_t count = ::read(file.get(), content.data() + filled, content.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path, "read", errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
    refuse_beyond(filled);
  }
  content.resize(filled);
  return content;
}

LineWriter::LineWriter(std::filesystem::path path) : LineWriter(std::move(path), own_file_system_) {}

LineWriter::LineWriter(std::filesystem::path path, FileSystem& file_system)
    : file_system_(file_system), path_(std::move(path)) {
  file_ = open_retrying(file_system_, path_, O_RDWR | O_CREAT | O_APPEND);
  if (file_ < 0) fail(path_, "open for appending", errno);
  Descriptor guard(file_system_, file_);
  struct stat status {};
  if (::fstat(file_, &status) != 0) fail(path_, "read its size", errno);
  char last = '\n';
  if (status.st_size > 0 && ::pread(file_, &last, 1, status.st_size - 1) != 1) fail(path_, "read its last byte", errno);
  if (last != '\n') write_all(file_system_, file_, "\n", path_);
  guard.release();
}

LineWriter::~LineWriter() { file_system_.close(file_); }

void LineWriter::synchronize() {
  if (file_system_.fsync(file_) != 0) fail(path_, "synchronise", errno);
}

void LineWriter::write(std::string_view line) {
  ensure(line.find('\n') == std::string_view::npos, "a log line must not hold a line end");
  write_all(file_system_, file_, std::string(line) + "\n", path_);
}

}  // namespace gridspot
