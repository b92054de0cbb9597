#include <cctype>

#include "data/image_codecs.h"
#include "gridspot/error.h"

namespace gridspot {
namespace {

constexpr std::uint32_t max_maxval = 65535;

bool is_space(std::uint8_t byte) { return std::isspace(byte) != 0; }
bool is_digit(std::uint8_t byte) { return byte >= '0' && byte <= '9'; }

class PnmReader {
 public:
  PnmReader(std::span<const std::uint8_t> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Image read() {
    const char kind = read_magic();
    const std::uint32_t width = read_number("the width"), height = read_number("the height");
    check_image_size(name_, width, height);
    const std::size_t at = offset_;
    maxval_ = read_number("maxval");
    if (maxval_ < 1 || maxval_ > max_maxval) fail(at, "maxval must be 1 to 65535, found " + std::to_string(maxval_));
    const int channels = kind == '6' ? 3 : 1;
    const std::size_t samples = std::size_t(width) * height * channels;
    // Checked before anything is allocated: a sample takes at least one byte.
    if (samples > bytes_.size() - offset_) fail(bytes_.size(), "the file ends before the last sample");
    Image image(static_cast<int>(height), static_cast<int>(width), channels);
    if (kind == '2')
      read_text_samples(image);
    else
      read_binary_samples(image);
    return image;
  }

 private:
  [[noreturn]] void fail(std::size_t offset, const std::string& rule) const {
    throw InvalidInput(name_ + ", byte " + std::to_string(offset) + ": " + rule);
  }

  char read_magic() {
    if (bytes_.size() < 2 || bytes_[0] != 'P') fail(0, "no PGM or PPM file: it must start with P2, P5 or P6");
    const char kind = static_cast<char>(bytes_[1]);
    if (kind != '2' && kind != '5' && kind != '6')
      fail(1, std::string("only P2, P5 and P6 are read, found P") + (std::isprint(bytes_[1]) ? kind : '?'));
    offset_ = 2;
    return kind;
  }

  /// White space and comments, of which there must be some.
  void skip_space() {
    const std::size_t begin = offset_;
    while (offset_ < bytes_.size() && (is_space(bytes_[offset_]) || bytes_[offset_] == '#')) {
      if (bytes_[offset_] == '#')
        while (offset_ < bytes_.size() && bytes_[offset_] != '\n' && bytes_[offset_] != '\r') ++offset_;
      else
        ++offset_;
    }
    if (offset_ == bytes_.size()) fail(offset_, "the file ends early");
    if (offset_ == begin) fail(offset_, "expected white space");
  }

  std::uint32_t read_number(const char* what) {
    skip_space();
    const std::size_t begin = offset_;
    std::uint64_t number = 0;
    while (offset_ < bytes_.size() && is_digit(bytes_[offset_])) {
      number = 10 * number + (bytes_[offset_++] - '0');
      if (number > 0x7fffffff) fail(begin, std::string(what) + " is too large");
    }
    if (offset_ == begin) fail(begin, std::string("expected ") + what + ", a decimal number");
    return static_cast<std::uint32_t>(number);
  }

  std::uint8_t scaled(std::uint32_t sample, std::size_t offset) const {
    if (sample > maxval_)
      fail(offset, "the sample " + std::to_string(sample) + " is above maxval " + std::to_string(maxval_));
    return static_cast<std::uint8_t>((sample * 255 + maxval_ / 2) / maxval_);
  }

  void read_text_samples(Image& image) {
    for (std::uint8_t& pixel : image.pixels) {
      const std::uint32_t sample = read_number("a sample");
      pixel = scaled(sample, offset_);
    }
    while (offset_ < bytes_.size())
      if (!is_space(bytes_[offset_++])) fail(offset_ - 1, "something follows the last sample");
  }

  void read_binary_samples(Image& image) {
    if (!is_space(bytes_[offset_])) fail(offset_, "expected one white space after maxval");
    ++offset_;
    const std::size_t width = maxval_ > 255 ? 2 : 1, expected = image.pixels.size() * width;
    const std::size_t found = bytes_.size() - offset_;
    if (found < expected) fail(bytes_.size(), "the file ends before the last sample");
    if (found > expected) fail(offset_ + expected, "bytes follow the last sample");
    for (std::uint8_t& pixel : image.pixels) {
      std::uint32_t sample = bytes_[offset_];
      if (width == 2) sample = sample << 8 | bytes_[offset_ + 1];
      pixel = scaled(sample, offset_);
      offset_ += width;
    }
  }

  std::span<const std::uint8_t> bytes_;
  const std::string& name_;
  std::size_t offset_ = 0;
  std::uint32_t maxval_ = 255;
};

}  // namespace

Image decode_pnm(std::span<const std::uint8_t> bytes, const std::string& name) { return PnmReader(bytes, name).read(); }

}  // namespace gridspot
