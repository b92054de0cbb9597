#include "data/byte_reader.h"

#include <gmock/gmock.h>

#include <numeric>
#include <vector>

#include "data/files.h"
#include "tests/data/file_support.h"

namespace gridspot {
namespace {

using test::gzip;
using test::message_of;
using testing::HasSubstr;

std::string read_all(std::string_view bytes, std::size_t piece) {
  ByteReader reader(as_bytes(bytes), "file");
  std::string content;
  std::vector<std::uint8_t> buffer(piece);
  for (std::size_t read = piece; read == piece;) {
    read = reader.read(buffer);
    content += as_text(std::span(buffer).first(read));
  }
  EXPECT_EQ(reader.offset(), content.size());
  return content;
}

TEST(ByteReaderTest, ReadsPlainAndPackedContentInPiecesOfAnySize) {
  std::string text(5000, '\0');
  std::iota(text.begin(), text.end(), '\0');
  for (const std::string& content : {std::string(), std::string("a"), text})
    for (const std::size_t piece : {1, 2, 7, 4096, 5000, 5001}) {
      EXPECT_EQ(read_all(content, piece), content);
      EXPECT_EQ(read_all(gzip(content), piece), content);
    }
}

TEST(ByteReaderTest, RefusesPackedContentThatIsCutAtAnyByte) {
  const std::string packed = gzip("some text, some text");
  for (std::size_t length = 2; length < packed.size(); ++length)
    EXPECT_THAT(message_of<InvalidInput>([&] { read_all(packed.substr(0, length), 100); }), HasSubstr("ends early"))
        << "cut to " << length << " bytes";
}

TEST(ByteReaderTest, FindsDamage) {
  const std::string packed = gzip("some text, some text, and some that differs");
  const auto damaged = [&](std::size_t at) {
    std::string bytes = packed;
    bytes[at] = char(bytes[at] ^ 0x55);
    return message_of<InvalidInput>([&] { read_all(bytes, 100); });
  };
  EXPECT_THAT(damaged(2), HasSubstr("damaged (unknown compression method)"));
  EXPECT_THAT(damaged(packed.size() - 8), HasSubstr("damaged (incorrect data check)"));
  EXPECT_THAT(damaged(packed.size() - 4), HasSubstr("damaged (incorrect length check)"));
}

TEST(ByteReaderTest, RefusesWhateverFollows) {
  const std::string packed = gzip("text");
  for (const std::string& extra : {std::string("x"), std::string(1, '\0'), packed})
    EXPECT_EQ(message_of<InvalidInput>([&] { read_all(packed + extra, 100); }),
              "file, byte " + std::to_string(packed.size()) + ": bytes follow the end of the gzip stream");
}

TEST(ByteReaderTest, UnpacksNoMoreThanIsAskedFor) {
  const std::string bomb = gzip(std::string(10000000, '\0'));
  ASSERT_LT(bomb.size(), 20000u);
  ByteReader reader(as_bytes(bomb), "bomb");
  std::vector<std::uint8_t> start(10);
  EXPECT_EQ(reader.read(start), 10u);
  EXPECT_EQ(reader.offset(), 10u);
}

}  // namespace
}  // namespace gridspot
