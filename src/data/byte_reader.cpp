#include "data/byte_reader.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "gridspot/error.h"

namespace gridspot {
namespace {

constexpr int gzip_only = 15 + 16;  // window bits of 15, plus 16 for "a gzip header, nothing else"
constexpr std::size_t largest_piece = std::size_t(1) << 30;  // zlib counts in unsigned int

void end_inflate(z_stream_s* stream) {
  inflateEnd(stream);
  delete stream;
}

}  // namespace

ByteReader::ByteReader(std::span<const std::uint8_t> bytes, std::string name)
    : input_(bytes), name_(std::move(name)), inflate_(nullptr, &end_inflate) {
  if (bytes.size() < 2 || bytes[0] != 0x1f || bytes[1] != 0x8b) return;
  auto stream = std::make_unique<z_stream>();
  if (inflateInit2(stream.get(), gzip_only) != Z_OK) throw OutOfMemory(name_ + ": no memory to unpack it");
  inflate_.reset(stream.release());
}

ByteReader::~ByteReader() = default;

std::size_t ByteReader::read(std::span<std::uint8_t> bytes) {
  const std::size_t count = inflate_ ? read_gzip(bytes) : read_plain(bytes);
  offset_ += count;
  return count;
}

std::size_t ByteReader::read_plain(std::span<std::uint8_t> bytes) {
  const std::size_t count = std::min(bytes.size(), input_.size() - consumed_);
  std::copy_n(input_.data() + consumed_, count, bytes.data());
  consumed_ += count;
  return count;
}

std::size_t ByteReader::read_gzip(std::span<std::uint8_t> bytes) {
  std::size_t count = 0;
  while (count < bytes.size() && !gzip_ended_) {
    const std::size_t available = std::min(input_.size() - consumed_, largest_piece);
    const std::size_t space = std::min(bytes.size() - count, largest_piece);
    inflate_->next_in = const_cast<std::uint8_t*>(input_.data() + consumed_);  // zlib does not write there
    inflate_->avail_in = static_cast<unsigned>(available);
    inflate_->next_out = bytes.data() + count;
    inflate_->avail_out = static_cast<unsigned>(space);
    const int result = inflate(inflate_.get(), Z_NO_FLUSH);
    consumed_ += available - inflate_->avail_in;
    count += space - inflate_->avail_out;
    if (result == Z_MEM_ERROR) throw OutOfMemory(name_ + ": no memory to unpack it");
    if (result == Z_BUF_ERROR) fail_gzip("the gzip stream ends early");
    if (result != Z_OK && result != Z_STREAM_END)
      fail_gzip(std::string("the gzip stream is damaged") +
                (inflate_->msg != nullptr ? " (" + std::string(inflate_->msg) + ")" : ""));
    gzip_ended_ = result == Z_STREAM_END;
  }
  if (gzip_ended_ && consumed_ != input_.size()) fail_gzip("bytes follow the end of the gzip stream");
  return count;
}

void ByteReader::fail(std::uint64_t offset, const std::string& rule) const {
  throw InvalidInput(name_ + ", byte " + std::to_string(offset) + (inflate_ ? " of the unpacked content: " : ": ") +
                     rule);
}

void ByteReader::fail_gzip(const std::string& rule) const {
  throw InvalidInput(name_ + ", byte " + std::to_string(consumed_) + ": " + rule);
}

}  // namespace gridspot
