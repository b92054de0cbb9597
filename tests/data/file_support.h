#pragma once
// Files and messages for the tests of src/data.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "gridspot/error.h"

namespace gridspot::test {

/// A new folder, removed with all it holds at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Writes a file (and the folders above it); returns its path.
  std::filesystem::path write(const std::string& name, std::string_view bytes) const;

 private:
  std::filesystem::path path_;
};

std::string gzip(std::string_view bytes);

/// Four bytes, the highest first.
std::string big_endian(std::uint32_t value);

/// An IDX file of unsigned bytes.
std::string idx(std::initializer_list<std::uint32_t> sizes, std::string_view values);

/// The message of the Exception that `action` throws, or a text that says what happened instead.
template <class Exception, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Exception& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("[another exception: ") + error.what() + "]";
  }
  return "[no exception]";
}

}  // namespace gridspot::test
