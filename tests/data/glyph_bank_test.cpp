#include "data/glyph_bank.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using testing::ElementsAre;

GlyphSet small_set() {
  return {.height = 3,
          .width = 4,
          .pixels = {0,  0,  0,  0,  0, 64, 63, 0,   255, 0,  0,  64,  //
                     63, 63, 63, 63, 0, 0,  0,  255, 64,  64, 64, 64},
          .labels = {2, 0},
          .class_names = {"a", "b", "c"},
          .source = "test"};
}

TEST(RowExtents, SpanTheInkOfEachRow) {
  EXPECT_THAT(row_extents(small_set()), ElementsAre(0, 0, 1, 2, 0, 4, 0, 0, 3, 4, 0, 4));
}

class GlyphBankTest : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(GlyphBankTest);

TEST_P(GlyphBankTest, HoldsTheSet) {
  Stream stream(device());
  const GlyphSet glyphs = small_set();
  const GlyphBank bank(stream, glyphs);
  const GlyphBankView view = bank.view();
  EXPECT_EQ(view.count, 2);
  EXPECT_EQ(view.height, 3);
  EXPECT_EQ(view.width, 4);
  EXPECT_EQ(view.classes, 3);
  EXPECT_EQ(download(stream, DeviceSpan<const std::uint8_t>(view.pixels, 24)), glyphs.pixels);
  EXPECT_EQ(download(stream, DeviceSpan<const std::int32_t>(view.labels, 2)), glyphs.labels);
  EXPECT_EQ(download(stream, DeviceSpan<const std::int16_t>(view.row_extents, 12)), row_extents(glyphs));
  EXPECT_EQ(bank.bytes(), 24u + 8u + 24u);
  EXPECT_THAT(bank.class_names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(bank.source(), "test");
}

TEST_P(GlyphBankTest, RefusesALabelBeyondTheClasses) {
  Stream stream(device());
  GlyphSet glyphs = small_set();
  glyphs.labels[1] = 3;
  EXPECT_THROW(GlyphBank(stream, glyphs), InvalidInput);
}

}  // namespace
}  // namespace gridspot
