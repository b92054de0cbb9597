#include "data/draw.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "data/font.h"
#include "tests/data/file_support.h"

namespace gridspot {
namespace {

using test::message_of;

/// One character a pixel: '#' where it differs from 0.
std::string shape(const Image& image) {
  std::string text;
  for (int row = 0; row < image.height; ++row) {
    for (int column = 0; column < image.width; ++column) {
      const std::uint8_t* pixel = image.at(row, column);
      text += std::any_of(pixel, pixel + image.channels, [](int value) { return value != 0; }) ? '#' : '.';
    }
    text += '\n';
  }
  return text;
}

constexpr Colour white{255, 255, 255}, black{0, 0, 0};

TEST(DrawRectangle, FramesTheBoxFromOutside) {
  Image image(5, 7, 1);
  draw_rectangle(image, {2, 2, 2, 1}, white);
  EXPECT_EQ(shape(image),
            ".......\n"
            ".####..\n"
            ".#..#..\n"
            ".####..\n"
            ".......\n");
}

TEST(DrawRectangle, DrawsThickFramesAndStaysInsideTheImage) {
  Image image(6, 7, 3);
  draw_rectangle(image, {0, 3, 4.4, 6}, white, 2);
  EXPECT_EQ(shape(image),
            ".......\n"
            "######.\n"
            "######.\n"
            "##..##.\n"
            "######.\n"
            "######.\n");
}

TEST(DrawRectangle, DrawsNothingForBoxesOutsideOrWithoutNumbers) {
  const Image empty(4, 4, 1);
  constexpr double nan = NAN, huge = 1e30;
  for (const PixelBox box : {PixelBox{-3, 0, 3, 3}, {4, 0, 2, 3}, {0, -9, 3, 8}, {0, 5, 3, 4}, {nan, nan, nan, nan}}) {
    Image image = empty;
    draw_rectangle(image, box, white);
    EXPECT_EQ(image, empty);
  }
  Image image = empty;
  draw_rectangle(image, {-huge, -huge, 2 * huge, 2 * huge}, white);
  EXPECT_EQ(shape(image), "####\n#..#\n#..#\n####\n");
}

TEST(DrawRectangle, UsesTheColourOrItsBrightness) {
  Image colour(1, 1, 3), grey(1, 1, 1);
  fill_rectangle(colour, 0, 0, 1, 1, {10, 20, 30});
  fill_rectangle(grey, 0, 0, 1, 1, {100, 200, 50});
  EXPECT_THAT(colour.pixels, testing::ElementsAre(10, 20, 30));
  EXPECT_THAT(grey.pixels, testing::ElementsAre(153));  // 0.299 * 100 + 0.587 * 200 + 0.114 * 50
}

TEST(DrawText, DrawsLegibleCharactersOnTheirGround) {
  Image image(text_height(), text_width("1A"), 1);
  draw_text(image, 0, 0, "1A", white, black);
  EXPECT_EQ(shape(image),
            ".............\n"
            "...#....###..\n"
            "..##...#...#.\n"
            ".#.#...#...#.\n"
            "...#...#####.\n"
            "...#...#...#.\n"
            "...#...#...#.\n"
            ".#####.#...#.\n"
            ".............\n");
  Image ground(text_height(2) + 2, text_width(".", 2) + 2, 1, 7);
  draw_text(ground, 1, 1, ".", white, black, 2);
  EXPECT_EQ(*ground.at(0, 0), 7);
  EXPECT_EQ(*ground.at(1, 1), 0);
  EXPECT_EQ(*ground.at(13, 5), 255);  // the dot: rows 5 and 6, columns 1 and 2 of the character, twice as large
  EXPECT_EQ(*ground.at(ground.height - 1, ground.width - 1), 7);
}

TEST(DrawText, IsClippedAtEveryEdge) {
  for (const int left : {-100, -7, 0, 9, 100})
    for (const int top : {-100, -5, 0, 9, 100}) {
      Image image(10, 10, 3);
      draw_text(image, left, top, "8g", white, {1, 1, 1}, 3);
      EXPECT_EQ(image.pixels.size(), 300u);
    }
}

TEST(Font, ShowsEveryPrintableCharacterInAShapeOfItsOwn) {
  std::set<std::array<std::uint8_t, font_height>> shapes;
  for (char c = ' '; c <= '~'; ++c) {
    EXPECT_TRUE(shapes.insert(font_rows(c)).second) << c;
    for (const int row : font_rows(c)) EXPECT_LT(row, 1 << font_width) << c;
  }
  // Others show as one box that is none of them.
  EXPECT_TRUE(shapes.insert(font_rows('\n')).second);
  EXPECT_EQ(font_rows('\xe4'), font_rows('\n'));
  EXPECT_EQ(font_rows('\x7f'), font_rows('\n'));
}

TEST(ClassColour, DiffersBetweenTheFirstClassesAndIsBright) {
  std::set<std::array<int, 3>> colours;
  for (int i = 0; i < 40; ++i) {
    const Colour colour = class_colour(i);
    EXPECT_TRUE(colours.insert({colour.red, colour.green, colour.blue}).second) << i;
    EXPECT_GE(std::max({colour.red, colour.green, colour.blue}), 200) << i;
  }
  EXPECT_EQ(class_colour(-1), class_colour(0));
}

TEST(DrawDetection, PutsTheLabelAboveTheBoxOrInsideIt) {
  const Colour colour = class_colour(1);
  Image image(40, 60, 3);
  draw_detection(image, {10, 20, 20, 15}, "4", colour);
  const auto has_colour = [&](int row, int column) {
    return image.at(row, column)[0] == colour.red && image.at(row, column)[1] == colour.green;
  };
  EXPECT_TRUE(has_colour(19, 9));  // the frame's corner
  EXPECT_TRUE(has_colour(18, 9));  // the label's last row
  EXPECT_TRUE(has_colour(10, 9));  // and its first
  EXPECT_FALSE(has_colour(9, 9));
  EXPECT_FALSE(has_colour(25, 20));  // nothing inside the box

  image = Image(40, 60, 3);
  draw_detection(image, {50, 3, 20, 32}, "4 0.99", colour);
  EXPECT_TRUE(has_colour(2, 60 - text_width("4 0.99")));  // moved left until it is inside
  EXPECT_TRUE(has_colour(2, 59));
}

TEST(Enlarge, RepeatsPixels) {
  Image image(1, 2, 1);
  image.pixels = {1, 2};
  EXPECT_THAT(enlarge(image, 2).pixels, testing::ElementsAre(1, 1, 2, 2, 1, 1, 2, 2));
  EXPECT_THROW(enlarge(image, 0), InvalidInput);
}

TEST(Montage, PlacesImagesRowByRow) {
  const std::vector<Image> images{Image(1, 1, 1, 10), Image(1, 2, 1, 20), Image(1, 1, 1, 30)};
  const Image sheet = montage(images, 2, 1);
  EXPECT_EQ(sheet.height, 5);
  EXPECT_EQ(sheet.width, 7);
  EXPECT_EQ(sheet.channels, 1);
  EXPECT_EQ(*sheet.at(1, 1), 10);
  EXPECT_EQ(*sheet.at(1, 4), 20);
  EXPECT_EQ(*sheet.at(1, 5), 20);
  EXPECT_EQ(*sheet.at(3, 1), 30);
  EXPECT_EQ(*sheet.at(3, 4), *sheet.at(0, 0));

  const std::vector<Image> mixed{Image(1, 1, 1, 10), Image(1, 1, 3, 20)};
  EXPECT_EQ(montage(mixed, 5, 0).pixels, (std::vector<std::uint8_t>{10, 10, 10, 20, 20, 20}));
}

TEST(Montage, RefusesWhatBreaksARule) {
  const std::vector<Image> images{Image(1, 1, 1)};
  EXPECT_EQ(message_of<InvalidInput>([] { montage({}, 1); }), "a montage needs at least one image");
  EXPECT_EQ(message_of<InvalidInput>([&] { montage(images, 0); }), "a montage needs at least one column, found 0");
  EXPECT_EQ(message_of<InvalidInput>([&] { montage(images, 1, -1); }),
            "the gap of a montage must not be negative, found -1");
}

}  // namespace
}  // namespace gridspot
