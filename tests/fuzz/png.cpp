// decode_png: what is accepted is an image, and survives being written and read again.
#include <zlib.h>

#include <span>

#include "data/image_codecs.h"
#include "tests/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace gridspot {
namespace {

constexpr std::size_t signature_bytes = 8, chunk_head = 8, checksum_bytes = 4;

void put_big_endian(std::uint8_t* to, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<std::uint8_t>(value >> shift);
}

std::uint32_t big_endian(const std::uint8_t* from) {
  return std::uint32_t(from[0]) << 24 | std::uint32_t(from[1]) << 16 | std::uint32_t(from[2]) << 8 | from[3];
}

void repair_checksums(std::span<std::uint8_t> png) {
  std::size_t at = signature_bytes;
  while (at + chunk_head + checksum_bytes <= png.size()) {
    std::uint8_t* chunk = png.data() + at;
    const std::size_t length = big_endian(chunk);
    if (length > png.size() - at - chunk_head - checksum_bytes) return;
    const auto type_and_data = static_cast<unsigned>(length + 4);
    put_big_endian(chunk + chunk_head + length, static_cast<std::uint32_t>(crc32(0, chunk + 4, type_and_data)));
    at += chunk_head + length + checksum_bytes;
  }
}

}  // namespace
}  // namespace gridspot

/// Without right checksums nearly every mutation would end at the first of them.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 != 0) gridspot::repair_checksums({data, size});
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto image = fuzz::read_or_refuse<InvalidInput>("input", [&] { return decode_png({data, size}, "input"); });
  if (!image) return 0;
  validate(*image);
  constexpr std::size_t small = 1 << 14;  // packing larger ones would take most of the time
  if (image->pixels.size() <= small)
    fuzz::expect(decode_png(encode_png(*image), "written") == *image, "an image survives being written");
  return 0;
}
