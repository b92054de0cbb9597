#include "io/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <system_error>

#include "gridspot/error.h"
#include "io/crc32c.h"

namespace gridspot {
namespace {

static_assert(std::endian::native == std::endian::little, "records and messages store little-endian values");

constexpr std::string_view file_prefix = "events.out.tfevents.";
constexpr std::size_t most_pending = std::size_t(1) << 16;

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view operation, int error) {
  throw IoError(path.string() + ": cannot " + std::string(operation) + ": " + std::generic_category().message(error));
}

template <class Value>
void append_fixed(std::string& bytes, Value value) {
  const auto raw = std::bit_cast<std::array<char, sizeof value>>(value);
  bytes.append(raw.data(), raw.size());
}

/// A protocol buffer, written field by field.
class Message {
 public:
  Message& integer(int field, std::uint64_t value) {
    key(field, 0);
    varint(value);
    return *this;
  }
  Message& real(int field, double value) {
    key(field, 1);
    append_fixed(bytes_, value);
    return *this;
  }
  Message& real(int field, float value) {
    key(field, 5);
    append_fixed(bytes_, value);
    return *this;
  }
  /// A string, or a message within this one.
  Message& text(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) { varint(static_cast<std::uint64_t>(field << 3 | wire_type)); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

// The fields of tensorflow's event.proto and summary.proto that are written here.
namespace event {
constexpr int wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace session_log {
constexpr int status = 1;
constexpr std::uint64_t start = 1;
}  // namespace session_log
namespace summary {
constexpr int value = 1;
}
namespace summary_value {
constexpr int tag = 1, simple_value = 2;
}

Message event_now() {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  Message message;
  message.real(event::wall_time, now.count());
  return message;
}

/// A CRC of data that holds CRCs is weak, so the format turns and shifts it.
std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8; }

void append_record(std::string& file, const Message& message) {
  const std::size_t begin = file.size();
  append_fixed(file, std::uint64_t(message.bytes().size()));
  append_fixed(file, masked_crc(std::string_view(file).substr(begin)));
  file += message.bytes();
  append_fixed(file, masked_crc(message.bytes()));
}

/// The seconds in an event file's name, 0 in any other.
std::uint64_t seconds_in(std::string_view name) {
  std::uint64_t seconds = 0;
  if (name.starts_with(file_prefix))
    std::from_chars(name.data() + file_prefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

/// The present time, or the second after that of the latest event file.
std::uint64_t next_seconds(const std::filesystem::path& folder) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  auto seconds = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder, error); !error && entry != end(entry);
       entry.increment(error))
    seconds = std::max(seconds, seconds_in(entry->path().filename().string()) + 1);
  if (error) fail(folder, "list the folder", error.value());
  return seconds;
}

std::string file_name(std::uint64_t seconds, int attempt) {
  char digits[24], host[256] = "";
  std::snprintf(digits, sizeof digits, "%010llu", static_cast<unsigned long long>(seconds));
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') std::snprintf(host, sizeof host, "localhost");
  return std::string(file_prefix) + digits + "." + host + "." + std::to_string(::getpid()) + "." +
         std::to_string(attempt);
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& folder, std::uint64_t first_step)
    : EventWriter(folder, first_step, own_file_system_) {}

EventWriter::EventWriter(const std::filesystem::path& folder, std::uint64_t first_step, FileSystem& file_system)
    : file_system_(file_system) {
  const std::uint64_t seconds = next_seconds(folder);
  // O_EXCL: another process may write to the same folder in the same second.
  for (int attempt = 0; file_ < 0 && attempt < 1000;) {
    path_ = folder / file_name(seconds, attempt);
    file_ = file_system_.open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (file_ < 0 && errno == EEXIST)
      ++attempt;
    else if (file_ < 0 && errno != EINTR)
      break;
  }
  if (file_ < 0) fail(path_, "create", errno);

  append_record(pending_, event_now().text(event::file_version, "brain.Event:2"));
  append_record(pending_,
                event_now()
                    .integer(event::step, first_step)
                    .text(event::session_log, Message().integer(session_log::status, session_log::start).bytes()));
  try {
    flush();
  } catch (const IoError&) {
    file_system_.close(file_);
    file_system_.unlink(path_.c_str());
    throw;
  }
}

EventWriter::~EventWriter() {
  try {
    flush();
  } catch (const IoError&) {  // a destructor has nobody to tell
  }
  file_system_.close(file_);
}

void EventWriter::scalar(std::uint64_t step, std::string_view tag, float value) {
  const Message point = Message().text(summary_value::tag, tag).real(summary_value::simple_value, value);
  append_record(pending_, event_now()
                              .integer(event::step, step)
                              .text(event::summary, Message().text(summary::value, point.bytes()).bytes()));
  if (pending_.size() >= most_pending) flush();
}

void EventWriter::flush() {
  std::size_t written = 0;
  while (written < pending_.size()) {
    const ssize_t count = file_system_.write(file_, pending_.data() + written, pending_.size() - written);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      const int error = count == 0 ? ENOSPC : errno;
      pending_.erase(0, written);
      fail(path_, "write", error);
    }
  }
  pending_.clear();
}

}  // namespace gridspot
