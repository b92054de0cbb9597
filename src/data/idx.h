#pragma once
// The IDX format of MNIST and its kin: two zero bytes, a type byte, the number of dimensions, the dimensions as
// big-endian 32-bit integers, the values with the last dimension fastest.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace gridspot {

/// Files that hold more (unpacked) are refused.
inline constexpr std::size_t max_idx_bytes = std::size_t(1) << 30;

struct IdxImages {
  int count = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  ///< [count, height, width]
};

/// Reads unsigned bytes of three dimensions, plain or gzip. Exactly the announced values must be there. Throws IoError
/// when the file cannot be read, and InvalidInput with file, byte and rule when it is not such a file.
IdxImages read_idx_images(const std::filesystem::path& path);

/// The same for one dimension.
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

}  // namespace gridspot
