#pragma once
// The codecs behind data/image.h, on bytes in memory. `name` starts every message.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image.h"

namespace gridspot {

/// Throws InvalidInput unless both sides and the area are within the limits of data/image.h.
void check_image_size(const std::string& name, std::uint64_t width, std::uint64_t height);

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name);
Image decode_pnm(std::span<const std::uint8_t> bytes, const std::string& name);
std::vector<std::uint8_t> encode_png(const Image& image);

}  // namespace gridspot
