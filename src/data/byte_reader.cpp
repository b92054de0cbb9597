#include "data/byte_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "gridspot/error.h"

namespace gridspot {
namespace {

constexpr std::size_t input_size = std::size_t(1) << 16;
constexpr int gzip_only = 15 + 16;  // window bits of 15, plus 16 for "a gzip header, nothing else"

void end_inflate(z_stream_s* stream) {
  inflateEnd(stream);
  delete stream;
}

}  // namespace

ByteReader::ByteReader(std::filesystem::path path)
    : path_(std::move(path)),
      file_(std::fopen(path_.c_str(), "rb"), &std::fclose),
      input_(input_size),
      inflate_(nullptr, &end_inflate) {
  if (!file_) throw IoError(path_.string() + ": cannot open: " + std::strerror(errno));
  refill();
  if (input_end_ >= 2 && input_[0] == 0x1f && input_[1] == 0x8b) {
    auto stream = std::make_unique<z_stream>();
    if (inflateInit2(stream.get(), gzip_only) != Z_OK) throw OutOfMemory(path_.string() + ": no memory to unpack it");
    inflate_.reset(stream.release());
  }
}

ByteReader::~ByteReader() = default;

std::size_t ByteReader::read(std::span<std::uint8_t> bytes) {
  const std::size_t count = inflate_ ? read_gzip(bytes) : read_plain(bytes);
  offset_ += count;
  return count;
}

void ByteReader::refill() {
  input_begin_ = 0;
  input_end_ = std::fread(input_.data(), 1, input_.size(), file_.get());
  file_offset_ += input_end_;
  if (std::ferror(file_.get())) throw IoError(path_.string() + ": cannot read: " + std::strerror(errno));
}

std::size_t ByteReader::read_plain(std::span<std::uint8_t> bytes) {
  std::size_t count = 0;
  while (count < bytes.size()) {
    if (input_begin_ == input_end_) refill();
    if (input_end_ == 0) break;
    const std::size_t piece = std::min(bytes.size() - count, input_end_ - input_begin_);
    std::copy_n(input_.data() + input_begin_, piece, bytes.data() + count);
    input_begin_ += piece;
    count += piece;
  }
  return count;
}

std::size_t ByteReader::read_gzip(std::span<std::uint8_t> bytes) {
  std::size_t count = 0;
  while (count < bytes.size() && !gzip_ended_) {
    if (input_begin_ == input_end_) refill();
    if (input_end_ == 0) fail_gzip("the gzip stream ends early");
    // zlib counts in unsigned int.
    const std::size_t space = std::min(bytes.size() - count, std::size_t(1) << 30);
    inflate_->next_in = input_.data() + input_begin_;
    inflate_->avail_in = static_cast<unsigned>(input_end_ - input_begin_);
    inflate_->next_out = bytes.data() + count;
    inflate_->avail_out = static_cast<unsigned>(space);
    const int result = inflate(inflate_.get(), Z_NO_FLUSH);
    input_begin_ = input_end_ - inflate_->avail_in;
    count += space - inflate_->avail_out;
    if (result == Z_MEM_ERROR) throw OutOfMemory(path_.string() + ": no memory to unpack it");
    if (result != Z_OK && result != Z_STREAM_END)
      fail_gzip(std::string("the gzip stream is damaged (") + (inflate_->msg ? inflate_->msg : "no progress") + ")");
    gzip_ended_ = result == Z_STREAM_END;
  }
  if (gzip_ended_) {
    if (input_begin_ == input_end_) refill();
    if (input_begin_ != input_end_) fail_gzip("bytes follow the end of the gzip stream");
  }
  return count;
}

void ByteReader::fail(std::uint64_t offset, const std::string& rule) const {
  throw InvalidInput(path_.string() + ", byte " + std::to_string(offset) +
                     (is_gzip() ? " of the unpacked content: " : ": ") + rule);
}

void ByteReader::fail_gzip(const std::string& rule) const {
  throw InvalidInput(path_.string() + ", byte " + std::to_string(file_offset_ - (input_end_ - input_begin_)) + ": " +
                     rule);
}

}  // namespace gridspot
