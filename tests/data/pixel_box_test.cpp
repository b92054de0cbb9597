#include "data/pixel_box.h"

#include <gtest/gtest.h>

namespace gridspot {
namespace {

void expect_box(const PixelBox& box, double x, double y, double width, double height) {
  EXPECT_NEAR(box.x, x, 1e-4);
  EXPECT_NEAR(box.y, y, 1e-4);
  EXPECT_NEAR(box.width, width, 1e-4);
  EXPECT_NEAR(box.height, height, 1e-4);
}

TEST(ToPixels, ScalesCentreAndSize) { expect_box(to_pixels({0.5f, 0.25f, 0.5f, 0.5f}, 40, 80), 20, 0, 40, 20); }

// 100 x 50 pixels in an input of 64 x 64: scale 0.64, with bands of 16 rows above and below (50 x 100: beside).
TEST(ToImage, UndoesTheLetterbox) {
  const Box middle{0.5f, 0.5f, 0.25f,
                   0.25f};  // 24 to 40 of the input: 37.5 to 62.5, and (24 - 16) / 0.64 = 12.5 to 37.5
  expect_box(to_image(middle, 64, 64, 50, 100), 37.5, 12.5, 25, 25);
  expect_box(to_image(middle, 64, 64, 100, 50), 12.5, 37.5, 25, 25);
  expect_box(to_image({0.25f, 0.375f, 0.125f, 0.25f}, 64, 64, 50, 100), 18.75, 0, 12.5, 25);
}

TEST(ToImage, ClipsToTheImage) {
  expect_box(to_image({0.5f, 0.5f, 3, 3}, 64, 64, 50, 100), 0, 0, 100, 50);
  expect_box(to_image({0.5f, 0.1f, 0.25f, 0.1f}, 64, 64, 50, 100), 37.5, 0, 25, 0);  // in the band
  expect_box(to_image({1, 0.5f, 0.5f, 0.25f}, 64, 64, 50, 100), 75, 12.5, 25, 25);
}

}  // namespace
}  // namespace gridspot
