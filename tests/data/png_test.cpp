#include <gmock/gmock.h>
#include <zlib.h>

#include "data/files.h"
#include "data/image.h"
#include "tests/data/file_support.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::big_endian;
using test::message_of;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<std::uint32_t>(data.size())) + body + big_endian(static_cast<std::uint32_t>(crc));
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  packed.resize(size);
  return packed;
}

const std::string signature = "\x89PNG\r\n\x1a\n";

std::string header(std::uint32_t width, std::uint32_t height, int depth, int colour_type) {
  return chunk("IHDR",
               big_endian(width) + big_endian(height) + std::string{char(depth), char(colour_type), '\0', '\0', '\0'});
}

/// `rows` are the filtered rows: each begins with its filter type (0: none). `extra` are chunks before the data.
std::string png(std::uint32_t width, std::uint32_t height, int depth, int colour_type, const std::string& rows,
                const std::string& extra = "") {
  return signature + header(width, height, depth, colour_type) + extra + chunk("IDAT", deflated(rows)) +
         chunk("IEND", "");
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += char(value);
  return text;
}

enum ColourType { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 };

TEST(Png, ReadsEveryColourType) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& content) { return read_png(folder.write("image.png", content)); };

  EXPECT_THAT(read(png(2, 2, 8, grey, bytes({0, 1, 2, 0, 3, 255}))).pixels, ElementsAre(1, 2, 3, 255));
  // One bit a pixel: 1 0 1 1.
  EXPECT_THAT(read(png(4, 1, 1, grey, bytes({0, 0xb0}))).pixels, ElementsAre(255, 0, 255, 255));
  // Four bits: 15 and 1 are 255 and 17.
  EXPECT_THAT(read(png(2, 1, 4, grey, bytes({0, 0xf1}))).pixels, ElementsAre(255, 17));
  // 16 bits round to the nearest of 257 steps: 0x0080 is 128 / 257 of a step, 0x0081 129 / 257.
  EXPECT_THAT(read(png(3, 1, 16, grey, bytes({0, 0x00, 0x80, 0x00, 0x81, 0xff, 0xff}))).pixels, ElementsAre(0, 1, 255));
  const Image colour = read(png(2, 1, 8, rgb, bytes({0, 1, 2, 3, 4, 5, 6})));
  EXPECT_EQ(colour.channels, 3);
  EXPECT_THAT(colour.pixels, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(read(png(1, 1, 16, rgb, bytes({0, 0x10, 0x10, 0x20, 0x20, 0x30, 0x30}))).pixels,
              ElementsAre(0x10, 0x20, 0x30));
  const Image indexed = read(png(2, 1, 8, palette, bytes({0, 1, 0}), chunk("PLTE", bytes({1, 2, 3, 4, 5, 6}))));
  EXPECT_EQ(indexed.channels, 3);
  EXPECT_THAT(indexed.pixels, ElementsAre(4, 5, 6, 1, 2, 3));
}

TEST(Png, CompositesAlphaOverBlack) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& content) { return read_png(folder.write("image.png", content)); };

  const Image image = read(png(3, 1, 8, grey_alpha, bytes({0, 200, 255, 200, 128, 200, 0})));
  EXPECT_EQ(image.channels, 1);
  EXPECT_THAT(image.pixels, ElementsAre(200, 100, 0));  // 200 * 128 / 255 = 100.4
  EXPECT_THAT(read(png(1, 1, 8, rgb_alpha, bytes({0, 100, 150, 200, 51}))).pixels, ElementsAre(20, 30, 40));
  EXPECT_THAT(read(png(1, 1, 16, grey_alpha, bytes({0, 0x80, 0x80, 0x80, 0x00}))).pixels, ElementsAre(64));
  // The transparent entry of a palette and the transparent grey value (tRNS).
  EXPECT_THAT(read(png(2, 1, 8, palette, bytes({0, 0, 1}),
                       chunk("PLTE", bytes({10, 20, 30, 40, 50, 60})) + chunk("tRNS", bytes({0}))))
                  .pixels,
              ElementsAre(0, 0, 0, 40, 50, 60));
  EXPECT_THAT(read(png(2, 1, 8, grey, bytes({0, 7, 8}), chunk("tRNS", bytes({0, 7})))).pixels, ElementsAre(0, 8));
}

TEST(Png, ReadsWhatItWrites) {
  const test::TemporaryFolder folder;
  test::Random random(5);
  for (const int channels : {1, 3})
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 300}, {300, 1}, {31, 33}, {224, 224}}) {
      Image image(height, width, channels);
      for (auto& value : image.pixels) value = static_cast<std::uint8_t>(random.integer(0, 255));
      write_png(folder.path() / "image.png", image);
      EXPECT_EQ(read_image(folder.path() / "image.png"), image) << height << "x" << width << "x" << channels;
    }
}

TEST(Png, RefusesFilesThatAreCutAtAnyByte) {
  const test::TemporaryFolder folder;
  const std::string whole = png(2, 1, 8, palette, bytes({0, 1, 0}), chunk("PLTE", bytes({1, 2, 3, 4, 5, 6})));
  ASSERT_NO_THROW(read_png(folder.write("whole.png", whole)));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto path = folder.write("cut.png", whole.substr(0, length));
    EXPECT_THAT(message_of<InvalidInput>([&] { read_png(path); }),
                AnyOf(HasSubstr("cut.png, byte "), HasSubstr("the PNG ends")))
        << length;
    EXPECT_THAT(message_of<InvalidInput>([&] { read_image(path); }), HasSubstr("cut.png, byte ")) << length;
  }
}

TEST(Png, RefusesAFlippedBitAnywhere) {
  const test::TemporaryFolder folder;
  const std::string whole = png(2, 1, 8, palette, bytes({0, 1, 0}), chunk("PLTE", bytes({1, 2, 3, 4, 5, 6})));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ 4);
    const auto path = folder.write("damaged.png", damaged);
    EXPECT_THAT(message_of<InvalidInput>([&] { read_png(path); }), HasSubstr("damaged.png")) << "byte " << at;
  }
}

TEST(Png, RefusesWhatBreaksARule) {
  const std::string good = png(2, 1, 8, grey, bytes({0, 1, 2}));
  const struct {
    const char* what;
    std::string content, message;
  } rows[] = {
      {"signature", "\x89PNX" + good.substr(4), ", byte 0: no PNG file: the signature is wrong"},
      {"bytes after the end", good + "x",
       ", byte " + std::to_string(good.size()) + ": bytes follow the end of the PNG"},
      {"no end", good.substr(0, good.size() - 12),
       ", byte " + std::to_string(good.size() - 12) + ": the PNG ends early"},
      {"length of a chunk", good.substr(0, 8) + big_endian(0xffffffff) + good.substr(12),
       ", byte 8: the PNG ends inside a chunk"},
      {"checksum", good.substr(0, good.size() - 1) + "x", ": the PNG is damaged (invalid chunk checksum)"},
      {"no width", png(0, 1, 8, grey, bytes({0})), ": the PNG is damaged (invalid image width)"},
      {"wide", png(40000, 1, 8, grey, bytes({0})), ": 40000x1 pixels; a side must be 1 to 32768"},
      {"large", png(20000, 20000, 8, grey, bytes({0})), ": 20000x20000 pixels; a side must be 1 to 32768"},
      {"overflow", png(0x7fffffff, 0x7fffffff, 16, rgb, bytes({0})), ": the PNG is damaged (arithmetic overflow)"},
      {"more than the file can hold", png(8000, 8000, 8, grey, bytes({0})), " bytes cannot hold 8000x8000 pixels"},
      {"too few rows", png(2, 2, 8, grey, bytes({0, 1, 2})), ": the PNG is damaged"},
      {"filter", png(2, 1, 8, grey, bytes({9, 1, 2})), ": the PNG is damaged (invalid scanline filter)"},
      {"depth", png(2, 1, 3, grey, bytes({0, 1})), ": the PNG is damaged"},
      {"colour type", png(2, 1, 8, 5, bytes({0, 1, 2})), ": the PNG is damaged"},
      {"no palette", png(2, 1, 8, palette, bytes({0, 1, 2})), ": the PNG is damaged"},
      {"no image data", signature + header(1, 1, 8, grey) + chunk("IEND", ""), ": the PNG is damaged"},
  };
  const test::TemporaryFolder folder;
  for (const auto& row : rows) {
    const auto path = folder.write("image.png", row.content);
    EXPECT_THAT(message_of<InvalidInput>([&] { read_png(path); }), HasSubstr(path.string())) << row.what;
    EXPECT_THAT(message_of<InvalidInput>([&] { read_png(path); }), HasSubstr(row.message)) << row.what;
  }
}

TEST(Png, LetsThroughWhatDoesNotConcernThePicture) {
  const test::TemporaryFolder folder;
  const auto read = [&](const std::string& content) { return read_png(folder.write("image.png", content)); };
  // A row too many, and an index beyond the palette, which is black.
  EXPECT_THAT(read(png(2, 1, 8, grey, bytes({0, 1, 2, 0, 3, 4}))).pixels, ElementsAre(1, 2));
  EXPECT_THAT(read(png(2, 1, 8, palette, bytes({0, 0, 5}), chunk("PLTE", bytes({1, 2, 3})))).pixels,
              ElementsAre(1, 2, 3, 0, 0, 0));
}

TEST(Png, RefusesImagesThatAreNone) {
  Image image(2, 2, 1);
  image.pixels.pop_back();
  EXPECT_EQ(message_of<InvalidInput>([&] { write_png("/nowhere/image.png", image); }),
            "image: expected 4 samples, found 3");
  EXPECT_THAT(message_of<InvalidInput>([] { write_png("/nowhere/image.png", Image()); }), HasSubstr("0x0 pixels"));
  EXPECT_EQ(message_of<InvalidInput>([] { write_png("/nowhere/image.png", Image(1, 1, 2)); }),
            "image: expected 1 or 3 channels, found 2");
  EXPECT_THAT(message_of<IoError>([] { write_png("/nowhere/image.png", Image(1, 1, 1)); }),
              HasSubstr("/nowhere/image.png: cannot create"));
}

TEST(ReadImage, DecidesByTheFirstBytes) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(read_image(folder.write("really.pgm", png(1, 1, 8, grey, bytes({0, 9})))).pixels, ElementsAre(9));
  EXPECT_THAT(read_image(folder.write("really.png", "P5 1 1 255\nA")).pixels, ElementsAre('A'));
  for (const std::string& content : {std::string(), std::string("GIF89a"), std::string("P"), std::string("\x89", 1)})
    EXPECT_THAT(message_of<InvalidInput>([&] { read_image(folder.write("other", content)); }),
                HasSubstr("other, byte 0: neither a PNG nor a PGM or PPM file"));
  EXPECT_THAT(message_of<IoError>([&] { read_image(folder.path() / "missing.png"); }), HasSubstr("missing.png: "));
}

}  // namespace
}  // namespace gridspot
