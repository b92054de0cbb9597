#pragma once
// Images of 8 bits a sample, and their files.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace gridspot {

/// Larger images are refused before their pixels are unpacked.
inline constexpr int max_image_side = 32768;
inline constexpr std::size_t max_image_pixels = std::size_t(1) << 26;

struct Image {
  int height = 0, width = 0, channels = 1;  ///< 1 (grey) or 3 (red, green, blue)
  std::vector<std::uint8_t> pixels;         ///< [height, width, channels]

  Image() = default;
  /// Filled with `value`.
  Image(int rows, int columns, int samples, std::uint8_t value = 0);
  [[nodiscard]] std::uint8_t* at(int row, int column) {
    return pixels.data() + (std::size_t(row) * width + column) * channels;
  }
  [[nodiscard]] const std::uint8_t* at(int row, int column) const {
    return pixels.data() + (std::size_t(row) * width + column) * channels;
  }
  bool operator==(const Image&) const = default;
};

/// Throws InvalidInput unless the sides are within the limits above, there are 1 or 3 channels, and as many samples.
void validate(const Image& image);

/// Reads a PNG, PGM or PPM, as its first bytes say. Throws IoError when the file cannot be read, and InvalidInput with
/// file and rule when it is damaged, incomplete, followed by anything, or beyond the limits above.
Image read_image(const std::filesystem::path& path);

/// PNG of every colour type and depth. Grey stays grey; palettes become RGB. 16-bit samples are rounded to 8. Alpha is
/// composited over black (sample * alpha), and gamma and colour profiles are ignored: samples are taken as they stand.
/// Two faults are let through, as by other readers: rows beyond the last, and indices beyond the palette (black).
Image read_png(const std::filesystem::path& path);

/// Netpbm grey (P2, P5) and colour (P6), with comments; samples are scaled from 0...maxval (up to 65535) to 0...255.
Image read_pnm(const std::filesystem::path& path);

/// 8 bits a sample, grey or RGB. Throws IoError.
void write_png(const std::filesystem::path& path, const Image& image);

/// Binary PGM (P5); grey only, throws InvalidInput for RGB.
void write_pgm(const std::filesystem::path& path, const Image& image);

}  // namespace gridspot
