#include "data/builtin_glyphs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "gridspot/error.h"

namespace gridspot {
namespace {

constexpr int side = builtin_glyph_side, area = side * side;

using Picture = std::vector<std::uint8_t>;

Picture picture(const GlyphSet& glyphs, int index) {
  const auto begin = glyphs.pixels.begin() + std::ptrdiff_t(index) * area;
  return {begin, begin + area};
}

TEST(BuiltinGlyphs, AreTheSameEveryTimeHoweverManyAreDrawn) {
  const GlyphSet few = draw_builtin_glyphs(Split::train, 30), many = draw_builtin_glyphs(Split::train, 300);
  EXPECT_TRUE(std::equal(few.pixels.begin(), few.pixels.end(), many.pixels.begin()));
  EXPECT_TRUE(std::equal(few.labels.begin(), few.labels.end(), many.labels.begin()));
  EXPECT_EQ(draw_builtin_glyphs(Split::train, 300).pixels, many.pixels);
  EXPECT_TRUE(draw_builtin_glyphs(Split::train, 0).pixels.empty());
  EXPECT_THROW(draw_builtin_glyphs(Split::train, -1), InvalidInput);
}

TEST(BuiltinGlyphs, AreAllDifferent) {
  std::set<Picture> pictures;
  for (const Split split : {Split::train, Split::test}) {
    const GlyphSet glyphs = draw_builtin_glyphs(split, 2000);
    for (int i = 0; i < glyphs.count(); ++i)
      EXPECT_TRUE(pictures.insert(picture(glyphs, i)).second) << "glyph " << i << " was drawn before";
  }
}

TEST(BuiltinGlyphs, ShowEveryDigitEquallyOften) {
  for (const Split split : {Split::train, Split::test}) {
    const GlyphSet glyphs = draw_builtin_glyphs(split);
    ASSERT_NO_THROW(validate(glyphs));
    EXPECT_EQ(glyphs.count(), split == Split::train ? builtin_train_count : builtin_test_count);
    std::array<int, 10> counts{};
    for (const int label : glyphs.labels) ++counts[label];
    for (const int count : counts) EXPECT_EQ(count, glyphs.count() / 10);
  }
}

TEST(BuiltinGlyphs, KeepTheirInkInsideTheMarginAndFillTheRest) {
  const GlyphSet glyphs = draw_builtin_glyphs(Split::train, 3000);
  for (int i = 0; i < glyphs.count(); ++i) {
    const Picture pixels = picture(glyphs, i);
    int top = side, bottom = 0, left = side, right = 0;
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        if (pixels[y * side + x] > 0) {
          top = std::min(top, y), bottom = std::max(bottom, y + 1);
          left = std::min(left, x), right = std::max(right, x + 1);
        }
    ASSERT_GE(std::min(top, left), builtin_margin) << "glyph " << i;
    ASSERT_LE(std::max(bottom, right), side - builtin_margin) << "glyph " << i;
    // MNIST's digits are 20 pixels high or wide.
    ASSERT_GE(std::max(bottom - top, right - left), 17) << "glyph " << i;
    ASSERT_GE(*std::max_element(pixels.begin(), pixels.end()), 128) << "glyph " << i;
  }
}

/// The class of the nearest mean picture, over the classes.
int nearest_mean(const std::array<std::array<double, area>, 10>& means, const Picture& pixels) {
  int best = 0;
  double best_distance = INFINITY;
  for (int digit = 0; digit < 10; ++digit) {
    double distance = 0;
    for (int p = 0; p < area; ++p) distance += (pixels[p] - means[digit][p]) * (pixels[p] - means[digit][p]);
    if (distance < best_distance) best = digit, best_distance = distance;
  }
  return best;
}

TEST(BuiltinGlyphs, AreVariedButRecognisable) {
  const GlyphSet train = draw_builtin_glyphs(Split::train, 3000), evaluation = draw_builtin_glyphs(Split::test, 1000);
  std::array<std::array<double, area>, 10> means{};
  for (int i = 0; i < train.count(); ++i)
    for (int p = 0; p < area; ++p) means[train.labels[i]][p] += train.pixels[std::size_t(i) * area + p] / 300.0;
  int right = 0;
  for (int i = 0; i < evaluation.count(); ++i)
    right += nearest_mean(means, picture(evaluation, i)) == evaluation.labels[i];
  // The nearest mean scores about 82% on MNIST: far above chance, and far from perfect as the writing varies.
  EXPECT_GT(right, 650);
  EXPECT_LT(right, 950);
}

}  // namespace
}  // namespace gridspot
