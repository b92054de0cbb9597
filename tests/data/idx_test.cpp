#include "data/idx.h"

#include <gmock/gmock.h>

#include "tests/data/file_support.h"

namespace gridspot {
namespace {

using test::gzip;
using test::idx;
using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(IdxTest, ReadsImagesAndLabels) {
  const test::TemporaryFolder folder;
  const std::string images = idx({2, 1, 3}, "abcdef"), labels = idx({3}, {"\x00\x09\xff", 3});
  for (const bool packed : {false, true}) {
    const auto read = read_idx_images(folder.write("images", packed ? gzip(images) : images));
    EXPECT_EQ(read.count, 2);
    EXPECT_EQ(read.height, 1);
    EXPECT_EQ(read.width, 3);
    EXPECT_THAT(read.pixels, ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
    EXPECT_THAT(read_idx_labels(folder.write("labels", packed ? gzip(labels) : labels)), ElementsAre(0, 9, 255));
  }
}

TEST(IdxTest, ReadsMoreThanOnePieceOfMemory) {
  const test::TemporaryFolder folder;
  std::string pixels(5 << 20, 'x');
  pixels.back() = 'y';
  const auto path = folder.write("images", gzip(idx({5, 1024, 1024}, pixels)));
  const auto images = read_idx_images(path);
  ASSERT_EQ(images.pixels.size(), pixels.size());
  EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), images.pixels.begin()));
}

TEST(IdxTest, RefusesFilesThatAreCutAtAnyByte) {
  const test::TemporaryFolder folder;
  const std::string whole = idx({2, 1, 3}, "abcdef"), packed = gzip(whole);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto path = folder.write("cut", whole.substr(0, length));
    EXPECT_THAT(message_of<InvalidInput>([&] { read_idx_images(path); }), HasSubstr("cut, byte ")) << length;
  }
  for (std::size_t length = 0; length < packed.size(); ++length) {
    const auto path = folder.write("cut", packed.substr(0, length));
    EXPECT_THAT(message_of<InvalidInput>([&] { read_idx_images(path); }), HasSubstr("cut, byte ")) << length;
  }
}

struct BadFile {
  const char* what;
  std::string bytes;
  std::string message;
};

TEST(IdxTest, RefusesImagesThatBreakARule) {
  const std::string good = idx({2, 1, 3}, "abcdef");
  const auto with_byte = [&](std::size_t at, char byte) {
    std::string bytes = good;
    bytes[at] = byte;
    return bytes;
  };
  const BadFile rows[] = {
      {"empty", "", ", byte 0: the file ends inside the magic number"},
      {"first byte", with_byte(0, 1), ", byte 0: no IDX file: the first two bytes must be zero"},
      {"second byte", with_byte(1, 1), ", byte 0: no IDX file: the first two bytes must be zero"},
      {"type", with_byte(2, 0x0d), ", byte 2: the values must be unsigned bytes (type 8), found type 13"},
      {"labels", idx({3}, "abc"), ", byte 3: expected 3 dimension(s), found 1"},
      {"header only", good.substr(0, 10), ", byte 8: the file ends inside the dimensions"},
      {"no image", idx({0, 1, 3}, ""), ", byte 4: a dimension is zero, so the file holds nothing"},
      {"no width", idx({2, 1, 0}, ""), ", byte 4: a dimension is zero, so the file holds nothing"},
      {"zero hides nothing", idx({0, 0x7fffffff, 0x7fffffff}, ""),
       ", byte 8: the dimensions announce more than the limit of 1073741824 bytes"},
      {"overflow of 64 bits", idx({0x7fffffff, 0x7fffffff, 0x7fffffff}, "abc"),
       ", byte 4: the dimensions announce more than the limit of 1073741824 bytes"},
      {"overflow to a small size", idx({0x10000, 0x10000, 0x10000}, "abc"),
       ", byte 8: the dimensions announce more than the limit of 1073741824 bytes"},
      {"a dimension above int", idx({0x80000000, 1, 1}, "abc"), ", byte 4: dimension 0 is too large: 2147483648"},
      {"a value missing", idx({2, 1, 3}, "abcde"), ", byte 21: the file ends after 5 of 6 values"},
      {"much is announced", idx({1000, 1000, 1000}, "abc"), ", byte 19: the file ends after 3 of 1000000000 values"},
      {"a value too many", good + "g", ", byte 22: bytes follow the last value"},
  };
  const test::TemporaryFolder folder;
  for (const auto& row : rows) {
    const auto plain = folder.write("images", row.bytes);
    EXPECT_EQ(message_of<InvalidInput>([&] { read_idx_images(plain); }), plain.string() + row.message) << row.what;
    const auto packed = folder.write("images", gzip(row.bytes));
    const std::string place = row.message.substr(0, row.message.find(':'));
    EXPECT_EQ(message_of<InvalidInput>([&] { read_idx_images(packed); }),
              packed.string() + place + " of the unpacked content" + row.message.substr(place.size()))
        << row.what << ", packed";
  }
}

TEST(IdxTest, RefusesLabelsThatBreakARule) {
  const BadFile rows[] = {
      {"images", idx({2, 1, 3}, "abcdef"), ", byte 3: expected 1 dimension(s), found 3"},
      {"no label", idx({0}, ""), ", byte 4: a dimension is zero, so the file holds nothing"},
      {"too many announced", idx({0x40000001}, "ab"),
       ", byte 4: the dimensions announce more than the limit of 1073741824 bytes"},
      {"one missing", idx({3}, "ab"), ", byte 10: the file ends after 2 of 3 values"},
      {"one too many", idx({3}, "abcd"), ", byte 11: bytes follow the last value"},
  };
  const test::TemporaryFolder folder;
  for (const auto& row : rows) {
    const auto path = folder.write("labels", row.bytes);
    EXPECT_EQ(message_of<InvalidInput>([&] { read_idx_labels(path); }), path.string() + row.message) << row.what;
  }
}

TEST(IdxTest, NamesAFileThatIsMissing) {
  EXPECT_THAT(message_of<IoError>([] { read_idx_images("/nowhere/images"); }), HasSubstr("/nowhere/images: "));
}

}  // namespace
}  // namespace gridspot
