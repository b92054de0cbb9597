#include "kernels/iou.h"

#include <limits>

#include "tests/reference/grid.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(Iou, IsTheFractionThatGeometryGives) {
  const Box unit{0.5f, 0.5f, 1, 1};
  EXPECT_EQ(iou(unit, unit), 1);
  EXPECT_FLOAT_EQ(iou(unit, {1.0f, 0.5f, 1, 1}), 1.0f / 3);           // half of each: (1/2) / (3/2)
  EXPECT_FLOAT_EQ(iou(unit, {1.0f, 1.0f, 1, 1}), 1.0f / 7);           // a quarter of each: (1/4) / (7/4)
  EXPECT_FLOAT_EQ(iou(unit, {0.5f, 0.5f, 0.5f, 0.5f}), 0.25f);        // inside: the ratio of the areas
  EXPECT_FLOAT_EQ(iou(unit, {0.5f, 0.5f, 0.25f, 4}), 0.25f / 1.75f);  // a cross: (1/4) / (1 + 1 - 1/4)
  EXPECT_EQ(iou(unit, {1.5f, 0.5f, 1, 1}), 0);                        // they touch
  EXPECT_EQ(iou(unit, {3, 3, 1, 1}), 0);
}

TEST(Iou, IsNeverNan) {
  const Box unit{0.5f, 0.5f, 1, 1}, empty{0.5f, 0.5f, 0, 1}, negative{0.5f, 0.5f, -1, -1};
  const Box huge{0, 0, 3e38f, 3e38f}, tiny{0, 0, 1e-30f, 1e-30f};
  for (const Box& a : {unit, empty, negative, huge, tiny})
    for (const Box& b : {unit, empty, negative, huge, tiny}) {
      EXPECT_GE(iou(a, b), 0);
      EXPECT_LE(iou(a, b), 1);
    }
  EXPECT_EQ(iou(empty, empty), 0);
  EXPECT_EQ(iou(negative, negative), 0);
  for (const Box& box :
       {Box{nan, 0.5f, 1, 1}, Box{0.5f, nan, 1, 1}, Box{0.5f, 0.5f, nan, 1}, Box{0.5f, 0.5f, 1, nan}}) {
    EXPECT_EQ(iou(unit, box), 0);
    EXPECT_EQ(iou(box, unit), 0);
  }
}

TEST(Iou, MatchesTheReference) {
  Random random(44);
  std::vector<float> values;
  std::vector<double> expected;
  for (int i = 0; i < 10000; ++i) {
    const auto box = [&] {
      return Box{random.uniform(), random.uniform(), random.uniform(0.02f, 1), random.uniform(0.02f, 1)};
    };
    const Box a = box(), b = box();
    values.push_back(iou(a, b));
    expected.push_back(reference::iou(reference::widen(a), reference::widen(b)));
  }
  // A size of 0.02 is known from edges near 1 to 6e-6 of itself.
  EXPECT_TRUE(test::matches(values, expected, test::float32_tolerance * 2));
}

}  // namespace
}  // namespace gridspot
