#pragma once
// Sequential reading of bytes that may be packed with gzip.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct z_stream_s;

namespace gridspot {

/// The content of a file in memory; one that starts with gzip's magic bytes (1f 8b) is unpacked on the way. Nothing is
/// unpacked before it is asked for, so the caller's own limit is what a decompression bomb meets.
class ByteReader {
 public:
  /// `name` starts every message. The bytes must outlive the reader.
  ByteReader(std::span<const std::uint8_t> bytes, std::string name);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// Fills `bytes`; returns how many, fewer than asked for only at the end of the content. Throws InvalidInput when the
  /// gzip stream is damaged, ends early, or is followed by anything.
  std::size_t read(std::span<std::uint8_t> bytes);

  /// How much of the (unpacked) content has been read.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

  /// Throws InvalidInput: "NAME, byte OFFSET [of the unpacked content]: RULE".
  [[noreturn]] void fail(std::uint64_t offset, const std::string& rule) const;

 private:
  std::size_t read_plain(std::span<std::uint8_t> bytes);
  std::size_t read_gzip(std::span<std::uint8_t> bytes);
  [[noreturn]] void fail_gzip(const std::string& rule) const;

  std::span<const std::uint8_t> input_;
  std::string name_;
  std::size_t consumed_ = 0;  ///< of the input
  std::uint64_t offset_ = 0;
  std::unique_ptr<z_stream_s, void (*)(z_stream_s*)> inflate_;
  bool gzip_ended_ = false;
};

}  // namespace gridspot
