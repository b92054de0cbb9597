#pragma once
// CRC-32C (Castagnoli), the checksum of iSCSI (RFC 3720) and of TensorBoard's event files.
#include <cstdint>
#include <string_view>

namespace gridspot {

std::uint32_t crc32c(std::string_view bytes);

}  // namespace gridspot
