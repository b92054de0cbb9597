#include "kernels/letterbox.h"

#include "tests/kernels/refusals.h"
#include "tests/reference/letterbox.h"
#include "tests/support/compare.h"

namespace gridspot {
namespace {

using reference::Image;
using test::Random;

class LetterboxTest : public test::DeviceTest {
 protected:
  std::vector<float> letterbox(const Image& image, int input_height, int input_width, Normalization normalization) {
    return run([&](Stream& stream) {
      const auto pixels = upload(stream, image.pixels);
      Buffer<float> output(device(), std::size_t(input_height) * input_width);
      letterbox_image(stream, pixels, image.height, image.width, image.channels, input_height, input_width,
                      normalization, output);
      return download(stream, output);
    });
  }
};
GRIDSPOT_ON_EVERY_DEVICE(LetterboxTest);

Image random_image(Random& random, int height, int width, int channels) {
  Image image{height, width, channels, std::vector<std::uint8_t>(std::size_t(height) * width * channels)};
  for (std::uint8_t& value : image.pixels) value = std::uint8_t(random.integer(0, 255));
  return image;
}

TEST_P(LetterboxTest, MatchesTheReference) {
  struct Row {
    int height, width, input_height, input_width;
  };
  const std::vector<Row> rows{{1, 1, 1, 1},     {1, 1, 64, 64},     {64, 64, 64, 64},   {64, 64, 1, 1},
                              {3, 200, 64, 64}, {1, 2000, 64, 64},  {333, 2, 31, 33},   {28, 28, 224, 224},
                              {65, 63, 64, 64}, {480, 640, 64, 64}, {100, 70, 48, 160}, {700, 1100, 16, 16},
                              {2, 3, 127, 129}, {7, 9, 1, 31},      {7, 9, 1, 32},      {7, 9, 1, 33},
                              {7, 9, 127, 1},   {7, 9, 128, 1},     {7, 9, 129, 1},     {65536, 1, 65536, 1}};
  Random random(1);
  const Normalization normalization{0.2f, 0.4f};
  for (const Row& row : rows)
    for (const int channels : {1, 3}) {
      SCOPED_TRACE(std::to_string(row.height) + " x " + std::to_string(row.width) + " x " + std::to_string(channels) +
                   " to " + std::to_string(row.input_height) + " x " + std::to_string(row.input_width));
      const Image image = random_image(random, row.height, row.width, channels);
      auto expected = reference::letterbox(image, row.input_height, row.input_width);
      for (double& value : expected) value = (value - double(normalization.mean)) / double(normalization.deviation);
      // An image coordinate of 2000 is known to 1e-4 of a pixel; the interpolation's slope is up to 1 a pixel.
      EXPECT_TRUE(
          test::matches(letterbox(image, row.input_height, row.input_width, normalization), expected, {5e-4, 1e-4}));
    }
}

TEST_P(LetterboxTest, LeavesAnImageOfTheInputsSizeAsItIs) {
  Random random(2);
  const Image image = random_image(random, 20, 30, 1);
  const auto values = letterbox(image, 20, 30, {});
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], image.pixels[i] / 255.0, 1e-6) << "pixel " << i;
}

TEST_P(LetterboxTest, KeepsWhiteWhiteAndTheRestBlack) {
  // 10 x 40 into 64 x 64: 16 rows of image, 24 rows of black above and below.
  const Image white{10, 40, 3, std::vector<std::uint8_t>(10 * 40 * 3, 255)};
  const auto values = letterbox(white, 64, 64, {});
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < 64; ++column)
      ASSERT_NEAR(values[std::size_t(row) * 64 + column], row >= 24 && row < 40 ? 1 : 0, 1e-5)
          << "row " << row << ", column " << column;
}

TEST(FitLetterbox, IsTheLargestScaleCentred) {
  const Letterbox wide = fit_letterbox(100, 200, 64, 64);
  EXPECT_FLOAT_EQ(wide.scale, 0.32f);
  EXPECT_FLOAT_EQ(wide.offset_x, 0);
  EXPECT_FLOAT_EQ(wide.offset_y, 16);
  const Letterbox tall = fit_letterbox(50, 10, 100, 300);
  EXPECT_FLOAT_EQ(tall.scale, 2);
  EXPECT_FLOAT_EQ(tall.offset_x, 140);
  EXPECT_FLOAT_EQ(tall.offset_y, 0);
}

TEST_P(LetterboxTest, RefusesWhatBreaksTheContract) {
  struct Arguments {
    int height = 2, width = 2, channels = 3, input_height = 4, input_width = 4;
    Normalization normalization;
  };
  Stream stream(device());
  const auto image = upload(stream, std::vector<std::uint8_t>(12));
  const Buffer<float> output(device(), 16);
  const auto call = [&](const Arguments& a) {
    letterbox_image(stream, image, a.height, a.width, a.channels, a.input_height, a.input_width, a.normalization,
                    output);
    stream.synchronize();
  };
  const std::string sides = " must be 1 to 65536 pixels high and wide, it is ";
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.height = 0; }, "letterbox: the image" + sides + "0 x 2"},
       {[](auto& a) { a.width = 65537; }, "letterbox: the image" + sides + "2 x 65537"},
       {[](auto& a) { a.input_width = -4; }, "letterbox: the input" + sides + "4 x -4"},
       {[](auto& a) { a.channels = 2; }, "letterbox_image: an image has 1 or 3 channels, this one 2"},
       {[](auto& a) { a.height = 3; }, "letterbox_image: image must have 18 elements, it has 12"},
       {[](auto& a) { a.input_width = 5; }, "letterbox_image: output must have 20 elements, it has 16"},
       {[](auto& a) { a.normalization.deviation = 0; },
        "letterbox_image: the normalisation needs a finite mean and a positive, finite deviation, found 0 and 0"}});
}

}  // namespace
}  // namespace gridspot
