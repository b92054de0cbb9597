#include <gmock/gmock.h>

#include "data/image.h"
#include "tests/data/file_support.h"

namespace gridspot {
namespace {

using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;

class Pnm : public testing::Test {
 protected:
  [[nodiscard]] Image read(const std::string& content) const { return read_pnm(folder_.write("image.pnm", content)); }
  test::TemporaryFolder folder_;
};

TEST_F(Pnm, ReadsBinaryAndTextFiles) {
  const Image binary = read("P5\n2 1\n255\n" + std::string("\x00\xff", 2));
  EXPECT_EQ(binary.height, 1);
  EXPECT_EQ(binary.width, 2);
  EXPECT_EQ(binary.channels, 1);
  EXPECT_THAT(binary.pixels, ElementsAre(0, 255));
  const Image colour = read("P6 1 2 255\nabcdef");
  EXPECT_EQ(colour.height, 2);
  EXPECT_EQ(colour.channels, 3);
  EXPECT_THAT(colour.pixels, ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
  EXPECT_THAT(read("P2 3 1 255\n0 17\t255\n").pixels, ElementsAre(0, 17, 255));
}

TEST_F(Pnm, ScalesSamplesToEightBits) {
  EXPECT_THAT(read("P2 3 1 2\n0 1 2").pixels, ElementsAre(0, 128, 255));  // 127.5 rounds up
  EXPECT_THAT(read("P5 2 1 15\n\x0f\x01").pixels, ElementsAre(255, 17));
  // Two bytes a sample, the higher first, from maxval 256 on.
  EXPECT_THAT(read("P5 2 1 256\n" + std::string("\x01\x00\x00\x80", 4)).pixels, ElementsAre(255, 128));
  EXPECT_THAT(read("P5 2 1 65535\n" + std::string("\xff\xff\x01\x01", 4)).pixels, ElementsAre(255, 1));
  EXPECT_THAT(read("P2 2 1 65535 65535 257").pixels, ElementsAre(255, 1));
}

TEST_F(Pnm, SkipsComments) {
  EXPECT_THAT(read("P5# one\n#two 9 9\n 1# three\r1 #\n255\nA").pixels, ElementsAre('A'));
  EXPECT_THAT(read("P2 2 1 255 # before the samples\n1 # between them\n2 \n").pixels, ElementsAre(1, 2));
  // After maxval comes one white space; a # behind it is a sample.
  EXPECT_THAT(read("P5 1 1 255\n#").pixels, ElementsAre('#'));
}

TEST_F(Pnm, ReadsWhatItWrites) {
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 5}, {64, 64}}) {
    Image image(height, width, 1);
    for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(37 * i);
    write_pgm(folder_.path() / "image.pgm", image);
    EXPECT_EQ(read_image(folder_.path() / "image.pgm"), image);
  }
  EXPECT_THAT(message_of<InvalidInput>([&] { write_pgm(folder_.path() / "rgb.pgm", Image(1, 1, 3)); }),
              HasSubstr("rgb.pgm: a PGM file is grey, but the image has 3 channels"));
}

TEST_F(Pnm, RefusesFilesThatAreCutAtAnyByte) {
  for (const std::string& whole : {std::string("P5 # c\n2 2\n255\nabcd"), std::string("P6\n1 2 300\nabcdefghijkl"),
                                   std::string("P2 2 1 255\n10 7")})
    for (std::size_t length = 0; length < whole.size(); ++length)
      EXPECT_THAT(message_of<InvalidInput>([&] { (void)read(whole.substr(0, length)); }), HasSubstr("image.pnm, byte "))
          << whole << " cut to " << length;
}

TEST_F(Pnm, RefusesWhatBreaksARule) {
  const struct {
    const char* content;
    const char* message;
  } rows[] = {
      {"", ", byte 0: no PGM or PPM file: it must start with P2, P5 or P6"},
      {"X5 1 1 255\nA", ", byte 0: no PGM or PPM file: it must start with P2, P5 or P6"},
      {"P4 1 1\nA", ", byte 1: only P2, P5 and P6 are read, found P4"},
      {"P51 1 255\nA", ", byte 2: expected white space"},
      {"P5 x 1 255\nA", ", byte 3: expected the width, a decimal number"},
      {"P5 -1 1 255\nA", ", byte 3: expected the width, a decimal number"},
      {"P5 1x 1 255\nA", ", byte 4: expected white space"},
      {"P5 1 y 255\nA", ", byte 5: expected the height, a decimal number"},
      {"P5 0 1 255\n", ": 0x1 pixels; a side must be 1 to 32768"},
      {"P5 1 40000 255\nA", ": 1x40000 pixels; a side must be 1 to 32768"},
      {"P5 30000 30000 255\nA", ": 30000x30000 pixels; a side must be 1 to 32768"},
      {"P5 99999999999999999999 1 255\nA", ", byte 3: the width is too large"},
      {"P5 4294967297 1 255\nA", ", byte 3: the width is too large"},
      {"P5 1 1 0\nA", ", byte 6: maxval must be 1 to 65535, found 0"},
      {"P5 1 1 65536\nA", ", byte 6: maxval must be 1 to 65535, found 65536"},
      {"P5 1 1 255A", ", byte 10: expected one white space after maxval"},
      {"P5 2 1 255\nA", ", byte 12: the file ends before the last sample"},
      {"P5 8000 8000 255\nA", ", byte 18: the file ends before the last sample"},
      {"P5 1 1 255\nAB", ", byte 12: bytes follow the last sample"},
      {"P5 1 1 300\nA", ", byte 12: the file ends before the last sample"},
      {"P5 1 1 64\nA", ", byte 10: the sample 65 is above maxval 64"},
      {"P6 1 1 255\nAB", ", byte 13: the file ends before the last sample"},
      {"P2 1 1 255\n256", ", byte 14: the sample 256 is above maxval 255"},
      {"P2 2 1 255\n1 x", ", byte 13: expected a sample, a decimal number"},
      {"P2 2 1 255\n1  ", ", byte 14: the file ends early"},
      {"P2 1 1 255\n1 2", ", byte 13: something follows the last sample"},
  };
  for (const auto& row : rows)
    EXPECT_THAT(message_of<InvalidInput>([&] { (void)read(row.content); }), HasSubstr(row.message)) << row.content;
}

}  // namespace
}  // namespace gridspot
