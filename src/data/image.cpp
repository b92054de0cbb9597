#include "data/image.h"

#include <string>

#include "data/files.h"
#include "data/image_codecs.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"

namespace gridspot {
namespace {

constexpr std::size_t max_file_bytes = std::size_t(1) << 29;

bool is_png(std::string_view bytes) { return bytes.starts_with("\x89P"); }

bool is_pnm(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7';
}

}  // namespace

Image::Image(int rows, int columns, int samples, std::uint8_t value)
    : height(rows), width(columns), channels(samples), pixels(std::size_t(rows) * columns * samples, value) {}

void validate(const Image& image) {
  check_image_size("image", image.width, image.height);
  require(image.channels == 1 || image.channels == 3,
          "image: expected 1 or 3 channels, found " + std::to_string(image.channels));
  const std::size_t expected = std::size_t(image.height) * image.width * image.channels;
  require(image.pixels.size() == expected,
          "image: expected " + std::to_string(expected) + " samples, found " + std::to_string(image.pixels.size()));
}

void check_image_size(const std::string& name, std::uint64_t width, std::uint64_t height) {
  const auto valid_side = [](std::uint64_t side) { return side >= 1 && side <= std::uint64_t(max_image_side); };
  if (!valid_side(width) || !valid_side(height) || width * height > max_image_pixels)
    throw InvalidInput(name + ": " + std::to_string(width) + "x" + std::to_string(height) +
                       " pixels; a side must be 1 to " + std::to_string(max_image_side) + " and the area at most " +
                       std::to_string(max_image_pixels));
}

Image read_image(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, max_file_bytes);
  if (is_png(bytes)) return decode_png(as_bytes(bytes), path.string());
  if (is_pnm(bytes)) return decode_pnm(as_bytes(bytes), path.string());
  throw InvalidInput(path.string() + ", byte 0: neither a PNG nor a PGM or PPM file");
}

Image read_png(const std::filesystem::path& path) {
  return decode_png(as_bytes(read_file(path, max_file_bytes)), path.string());
}

Image read_pnm(const std::filesystem::path& path) {
  return decode_pnm(as_bytes(read_file(path, max_file_bytes)), path.string());
}

void write_png(const std::filesystem::path& path, const Image& image) {
  validate(image);
  write_file(path, as_text(encode_png(image)));
}

void write_pgm(const std::filesystem::path& path, const Image& image) {
  validate(image);
  require(image.channels == 1, path.string() + ": a PGM file is grey, but the image has 3 channels");
  std::string bytes = "P5\n" + std::to_string(image.width) + " " + std::to_string(image.height) + "\n255\n";
  bytes += as_text(image.pixels);
  write_file(path, bytes);
}

}  // namespace gridspot
