#include "io/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/support/device_test.h"

namespace gridspot {
namespace {

std::string counting(int first, int step) {
  std::string bytes;
  for (int i = 0; i < 32; ++i) bytes += static_cast<char>(first + i * step);
  return bytes;
}

/// Division of polynomials, bit by bit, the bits of each byte from the lowest.
std::uint32_t by_definition(const std::string& bytes) {
  std::uint32_t remainder = 0xffffffff;
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool odd = ((remainder ^ static_cast<unsigned char>(byte) >> bit) & 1) != 0;
      remainder = remainder >> 1 ^ (odd ? 0x82f63b78u : 0);
    }
  return ~remainder;
}

// RFC 3720, section B.4, which lists the bytes of each checksum from the lowest.
TEST(Crc32c, GivesTheExamplesOfTheStandard) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(counting(0, 1)), 0x46dd794eu);
  EXPECT_EQ(crc32c(counting(31, -1)), 0x113fdb5cu);
  std::string read_command(48, '\0');  // an iSCSI SCSI Read (10) command
  for (const auto& [at, byte] :
       {std::pair{0, 0x01}, {1, 0xc0}, {16, 0x14}, {22, 0x04}, {27, 0x14}, {31, 0x18}, {32, 0x28}, {40, 0x02}})
    read_command[static_cast<std::size_t>(at)] = static_cast<char>(byte);
  EXPECT_EQ(crc32c(read_command), 0xd9963a56u);
}

TEST(Crc32c, GivesTheCheckValueOfTheCatalogues) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Crc32c, EqualsTheDivisionOfPolynomials) {
  test::Random random(1);
  for (std::size_t length = 0; length < 300; ++length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.integer(0, 255));
    ASSERT_EQ(crc32c(bytes), by_definition(bytes)) << length << " bytes";
  }
}

}  // namespace
}  // namespace gridspot
