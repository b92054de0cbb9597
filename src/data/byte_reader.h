#pragma once
// Sequential reading of a file that may be packed with gzip.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct z_stream_s;

namespace gridspot {

/// The content of a file; a file that starts with gzip's magic bytes (1f 8b) is unpacked on the way. Nothing is
/// unpacked before it is asked for, so the caller's own limit is what a decompression bomb meets.
class ByteReader {
 public:
  /// Throws IoError when the file cannot be opened.
  explicit ByteReader(std::filesystem::path path);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// Fills `bytes`; returns how many, fewer than asked for only at the end of the content. Throws InvalidInput when the
  /// gzip stream is damaged, ends early, or is followed by anything.
  std::size_t read(std::span<std::uint8_t> bytes);

  /// How much of the (unpacked) content has been read.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] bool is_gzip() const { return inflate_ != nullptr; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Throws InvalidInput: "PATH, byte OFFSET [of the unpacked content]: RULE".
  [[noreturn]] void fail(std::uint64_t offset, const std::string& rule) const;

 private:
  void refill();
  std::size_t read_plain(std::span<std::uint8_t> bytes);
  std::size_t read_gzip(std::span<std::uint8_t> bytes);
  [[noreturn]] void fail_gzip(const std::string& rule) const;

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::vector<std::uint8_t> input_;  ///< packed bytes of the file
  std::size_t input_begin_ = 0, input_end_ = 0;
  std::uint64_t file_offset_ = 0;  ///< of input_end_ in the file
  std::uint64_t offset_ = 0;
  std::unique_ptr<z_stream_s, void (*)(z_stream_s*)> inflate_;
  bool gzip_ended_ = false;
};

}  // namespace gridspot
