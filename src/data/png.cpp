#include <spng.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "data/image_codecs.h"
#include "gridspot/error.h"

namespace gridspot {
namespace {

using Context = std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)>;

constexpr std::array<std::uint8_t, 8> signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::size_t max_chunk_bytes = std::size_t(1) << 22, max_chunk_cache = std::size_t(1) << 24;

[[noreturn]] void fail(const std::string& name, std::size_t offset, const std::string& rule) {
  throw InvalidInput(name + ", byte " + std::to_string(offset) + ": " + rule);
}

void check(int result, const std::string& name) {
  if (result == SPNG_EMEM) throw OutOfMemory(name + ": no memory to decode it");
  if (result != 0) throw InvalidInput(name + ": the PNG is damaged (" + spng_strerror(result) + ")");
}

Context make_context(int flags) {
  Context context(spng_ctx_new(flags), &spng_ctx_free);
  if (!context) throw OutOfMemory("no memory for the PNG library");
  return context;
}

/// The file must be whole chunks up to IEND and nothing more; the library itself stops reading earlier.
void check_chunks(std::span<const std::uint8_t> bytes, const std::string& name) {
  if (bytes.size() < signature.size() || !std::equal(signature.begin(), signature.end(), bytes.begin()))
    fail(name, 0, "no PNG file: the signature is wrong");
  constexpr std::size_t overhead = 12;  // length, type and CRC
  for (std::size_t offset = signature.size();;) {
    if (bytes.size() - offset < overhead) fail(name, offset, "the PNG ends early");
    const std::uint8_t* chunk = bytes.data() + offset;
    const std::size_t length =
        std::size_t(chunk[0]) << 24 | std::size_t(chunk[1]) << 16 | std::size_t(chunk[2]) << 8 | chunk[3];
    if (length > bytes.size() - offset - overhead) fail(name, offset, "the PNG ends inside a chunk");
    const bool is_end = std::equal(chunk + 4, chunk + 8, "IEND");
    offset += overhead + length;
    if (is_end && offset != bytes.size()) fail(name, offset, "bytes follow the end of the PNG");
    if (is_end) return;
  }
}

/// Refuses a small file that announces a large picture before memory is taken for it.
void check_plausible(const spng_ihdr& header, std::size_t file_bytes, const std::string& name) {
  constexpr std::uint64_t best_deflate_ratio = 1032;
  const std::uint64_t least_bits = std::uint64_t(header.width) * header.height * header.bit_depth;
  if (least_bits / 8 > file_bytes * best_deflate_ratio)
    throw InvalidInput(name + ": " + std::to_string(file_bytes) + " bytes cannot hold " + std::to_string(header.width) +
                       "x" + std::to_string(header.height) + " pixels");
}

std::uint8_t narrow(std::uint32_t sample, std::uint32_t largest) {
  return static_cast<std::uint8_t>((sample * std::uint64_t(255) + largest / 2) / largest);
}

/// From RGBA samples of 8 or 16 bits.
template <class Sample>
Image composite_over_black(const std::vector<Sample>& rgba, int height, int width, int channels) {
  constexpr std::uint32_t largest = static_cast<Sample>(-1);
  Image image(height, width, channels);
  std::uint8_t* to = image.pixels.data();
  for (std::size_t i = 0; i < rgba.size(); i += 4)
    for (int channel = 0; channel < channels; ++channel)
      *to++ = narrow((std::uint64_t(rgba[i + channel]) * rgba[i + 3] + largest / 2) / largest, largest);
  return image;
}

template <class Sample>
Image decode(spng_ctx* context, const spng_ihdr& header, const std::string& name) {
  const int format = sizeof(Sample) == 2 ? SPNG_FMT_RGBA16 : SPNG_FMT_RGBA8;
  std::vector<Sample> rgba(std::size_t(header.height) * header.width * 4);
  check(spng_decode_image(context, rgba.data(), rgba.size() * sizeof(Sample), format, SPNG_DECODE_TRNS), name);
  check(spng_decode_chunks(context), name);
  const bool grey =
      header.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  return composite_over_black(rgba, static_cast<int>(header.height), static_cast<int>(header.width), grey ? 1 : 3);
}

}  // namespace

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  check_chunks(bytes, name);
  const Context context = make_context(0);
  spng_set_image_limits(context.get(), 0x7fffffff, 0x7fffffff);  // ours, below, has the better message
  spng_set_chunk_limits(context.get(), max_chunk_bytes, max_chunk_cache);
  check(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()), name);
  spng_ihdr header;
  check(spng_get_ihdr(context.get(), &header), name);
  check_image_size(name, header.width, header.height);
  check_plausible(header, bytes.size(), name);
  return header.bit_depth == 16 ? decode<std::uint16_t>(context.get(), header, name)
                                : decode<std::uint8_t>(context.get(), header, name);
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  const std::string name = "PNG";
  const Context context = make_context(SPNG_CTX_ENCODER);
  check(spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1), name);
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(image.width);
  header.height = static_cast<std::uint32_t>(image.height);
  header.bit_depth = 8;
  header.color_type = image.channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
  check(spng_set_ihdr(context.get(), &header), name);
  check(spng_encode_image(context.get(), image.pixels.data(), image.pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE),
        name);
  std::size_t size = 0;
  int result = 0;
  const std::unique_ptr<void, decltype(&std::free)> buffer(spng_get_png_buffer(context.get(), &size, &result),
                                                           &std::free);
  check(result, name);
  const auto* begin = static_cast<const std::uint8_t*>(buffer.get());
  return {begin, begin + size};
}

}  // namespace gridspot
