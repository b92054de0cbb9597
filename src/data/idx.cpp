#include "data/idx.h"

#include <algorithm>
#include <limits>
#include <string>

#include "data/byte_reader.h"
#include "data/files.h"
#include "io/atomic_file.h"

namespace gridspot {
namespace {

constexpr std::uint8_t unsigned_byte_type = 0x08;
constexpr std::size_t max_header_bytes = 16;

std::uint32_t read_big_endian(ByteReader& reader, const char* what) {
  std::uint8_t bytes[4];
  const std::uint64_t offset = reader.offset();
  if (reader.read(bytes) != sizeof bytes) reader.fail(offset, std::string("the file ends inside ") + what);
  return std::uint32_t(bytes[0]) << 24 | std::uint32_t(bytes[1]) << 16 | std::uint32_t(bytes[2]) << 8 | bytes[3];
}

void read_magic(ByteReader& reader, int dimensions) {
  const std::uint32_t magic = read_big_endian(reader, "the magic number");
  if (magic >> 16 != 0) reader.fail(0, "no IDX file: the first two bytes must be zero");
  if ((magic >> 8 & 0xff) != unsigned_byte_type)
    reader.fail(2, "the values must be unsigned bytes (type 8), found type " + std::to_string(magic >> 8 & 0xff));
  if ((magic & 0xff) != std::uint32_t(dimensions))
    reader.fail(3, "expected " + std::to_string(dimensions) + " dimension(s), found " + std::to_string(magic & 0xff));
}

/// The dimensions; their product is at most max_idx_bytes.
std::vector<int> read_dimensions(ByteReader& reader, int dimensions) {
  std::vector<int> sizes;
  bool empty = false;
  std::uint64_t product = 1;
  for (int i = 0; i < dimensions; ++i) {
    const std::uint64_t offset = reader.offset();
    const std::uint32_t size = read_big_endian(reader, "the dimensions");
    if (size > std::uint32_t(std::numeric_limits<int>::max()))
      reader.fail(offset, "dimension " + std::to_string(i) + " is too large: " + std::to_string(size));
    // The product stays below 2^30 * 2^31, so it cannot overflow before it is compared.
    if (size == 0)
      empty = true;
    else
      product *= size;
    if (product > max_idx_bytes)
      reader.fail(offset, "the dimensions announce more than the limit of " + std::to_string(max_idx_bytes) + " bytes");
    sizes.push_back(static_cast<int>(size));
  }
  if (empty) reader.fail(4, "a dimension is zero, so the file holds nothing");
  return sizes;
}

/// Memory grows with what arrives, so a short file that announces much costs little.
std::vector<std::uint8_t> read_values(ByteReader& reader, std::uint64_t count) {
  constexpr std::uint64_t piece = std::uint64_t(1) << 22;
  std::vector<std::uint8_t> values;
  while (values.size() < count) {
    const std::size_t begin = values.size();
    values.resize(static_cast<std::size_t>(std::min(count, begin + piece)));
    const std::size_t read = reader.read(std::span(values).subspan(begin));
    if (begin + read < values.size())
      reader.fail(reader.offset(),
                  "the file ends after " + std::to_string(begin + read) + " of " + std::to_string(count) + " values");
  }
  std::uint8_t extra;
  if (reader.read({&extra, 1}) != 0) reader.fail(reader.offset() - 1, "bytes follow the last value");
  return values;
}

}  // namespace

IdxImages read_idx_images(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, max_idx_bytes + max_header_bytes);
  ByteReader reader(as_bytes(bytes), path.string());
  read_magic(reader, 3);
  const auto sizes = read_dimensions(reader, 3);
  return {sizes[0], sizes[1], sizes[2], read_values(reader, std::uint64_t(sizes[0]) * sizes[1] * sizes[2])};
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, max_idx_bytes + max_header_bytes);
  ByteReader reader(as_bytes(bytes), path.string());
  read_magic(reader, 1);
  const auto sizes = read_dimensions(reader, 1);
  return read_values(reader, sizes[0]);
}

}  // namespace gridspot
