#include "data/canvas_set.h"

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "data/builtin_glyphs.h"
#include "data/canvas_source.h"
#include "data/canvas_store.h"
#include "tests/data/file_support.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::message_of;
using testing::ElementsAre;

CanvasSet small_set() {
  return {.height = 2,
          .width = 3,
          .pixels = {0, 1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 255},
          .labels = {{{1, {0.5f, 0.25f, 0.5f, 0.125f}}, {0, {0.5f, 0.5f, 1, 1}}}, {}},
          .class_names = {"a", "b"},
          .source = "test"};
}

struct Change {
  const char* what;
  std::function<void(CanvasSet&)> apply;
};

TEST(CanvasSetRules, HoldForAGoodSet) {
  EXPECT_NO_THROW(validate(small_set()));
  CanvasSet full = small_set();
  full.labels[0].assign(max_canvas_labels, full.labels[0][0]);
  EXPECT_NO_THROW(validate(full));
}

TEST(CanvasSetRules, RefuseWhatBreaksOne) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const struct {
    std::function<void(CanvasSet&)> spoil;
    const char* message;
  } rows[] = {
      {[](auto& s) { s.height = 0; }, "test: a canvas's sides must be 1 to 16384 pixels, found 0x3"},
      {[](auto& s) { s.width = 16385; }, "test: a canvas's sides must be 1 to 16384 pixels, found 2x16385"},
      {[](auto& s) { s.source = "", s.labels.clear(); }, "canvases: there is no canvas"},
      {[](auto& s) { s.class_names.clear(); }, "test: there is no class"},
      {[](auto& s) { s.pixels.pop_back(); }, "test: expected 12 pixels, found 11"},
      {[](auto& s) { s.labels.pop_back(); }, "test: expected 6 pixels, found 12"},
      {[](auto& s) { s.labels[1].resize(4097, s.labels[0][0]); }, "test: canvas 1 has 4097 labels; the most is 4096"},
      {[](auto& s) { s.labels[0][1].label = 2; }, "test: canvas 0 has class 2, but there are 2 classes"},
      {[](auto& s) { s.labels[0][1].label = -1; }, "test: canvas 0 has class -1, but there are 2 classes"},
      {[](auto& s) { s.labels[0][0].box.w = 0; }, "test: canvas 0: w and h must be above 0 and at most 1"},
      {[](auto& s) { s.labels[0][0].box.h = nan; }, "test: canvas 0: w and h must be above 0 and at most 1"},
      {[](auto& s) { s.labels[0][0].box.h = 1.5f; }, "test: canvas 0: w and h must be above 0 and at most 1"},
      {[](auto& s) { s.labels[0][0].box.cx = 0.2f; }, "test: canvas 0: the box leaves the canvas"},
      {[](auto& s) { s.labels[0][0].box.cy = nan; }, "test: canvas 0: the box leaves the canvas"},
  };
  for (const auto& [spoil, message] : rows) {
    CanvasSet canvases = small_set();
    spoil(canvases);
    EXPECT_EQ(message_of<InvalidInput>([&] { validate(canvases); }), message);
  }
}

// Of Python's hashlib and struct: '<3i' 2 2 3, the pixels, '<i' 2, '<i4f' of each label, '<i' 0.
TEST(CanvasDigest, IsTheHashOfItsBytes) {
  EXPECT_EQ(canvas_digest(small_set()), "b96a7229f4257d89588fd4e23af4143d0ea9effc7e26c36b21f0703066ce261b");
}

TEST(CanvasDigest, ChangesWithEachValue) {
  const Change changes[] = {
      {"height and width", [](auto& s) { std::swap(s.height, s.width); }},
      {"a pixel", [](auto& s) { s.pixels[11] = 254; }},
      {"a label", [](auto& s) { s.labels[0][0].label = 0; }},
      {"cx", [](auto& s) { s.labels[0][0].box.cx = 0.50001f; }},
      {"cy", [](auto& s) { s.labels[0][0].box.cy = 0.3f; }},
      {"w", [](auto& s) { s.labels[0][0].box.w = 0.4f; }},
      {"h", [](auto& s) { s.labels[0][1].box.h = 0.9f; }},
      {"the order of labels", [](auto& s) { std::swap(s.labels[0][0], s.labels[0][1]); }},
      {"the canvas of a label",
       [](auto& s) {
         s.labels[1].push_back(s.labels[0][1]);
         s.labels[0].pop_back();
       }},
  };
  for (const Change& change : changes) {
    CanvasSet canvases = small_set();
    change.apply(canvases);
    EXPECT_NE(canvas_digest(canvases), canvas_digest(small_set())) << change.what;
  }
}

TEST(CanvasDigest, LeavesOutNamesAndSource) {
  CanvasSet canvases = small_set();
  canvases.class_names = {"x", "y", "z"};
  canvases.source = "elsewhere";
  EXPECT_EQ(canvas_digest(canvases), canvas_digest(small_set()));
}

class CanvasSetTest : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(CanvasSetTest);

TEST_P(CanvasSetTest, RenderingTakesTheCanvasesOfTheSource) {
  constexpr int count = 35;  // more than are composed at once
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 50);
  Protocol protocol = find_protocol("quick-64");
  protocol.noise = 0.1f;
  protocol.max_clutter = 3;
  Stream stream(device());
  const CanvasSet canvases = render_canvases(stream, protocol, glyphs, Split::test, 9, count);
  ASSERT_NO_THROW(validate(canvases));
  ASSERT_EQ(canvases.count(), count);
  EXPECT_EQ(canvases.class_names, glyphs.class_names);
  EXPECT_EQ(canvases.source, "quick-64 canvases of seed 9 with test glyphs from builtin");

  const GlyphBank bank(stream, glyphs);
  CanvasSource source(device(), protocol, bank, Split::test, 9, 1);
  const std::size_t size = 64 * 64;
  for (int i = 0; i < count; ++i) {
    const auto pixels = source.compose_images(stream, i);
    const auto labels = source.labels(stream)[0];
    const auto first = canvases.pixels.begin() + std::ptrdiff_t(i * size);
    ASSERT_EQ(std::vector(first, first + size), pixels) << "canvas " << i;
    ASSERT_EQ(canvases.labels[i].size(), labels.size()) << "canvas " << i;
    for (std::size_t k = 0; k < labels.size(); ++k) {
      ASSERT_EQ(canvases.labels[i][k].label, labels[k].label) << "canvas " << i << ", label " << k;
      ASSERT_EQ(canvases.labels[i][k].box.cx, labels[k].box.cx) << "canvas " << i << ", label " << k;
    }
  }
}

TEST_P(CanvasSetTest, RenderingRefusesNoCanvas) {
  Stream stream(device());
  const GlyphSet glyphs = draw_builtin_glyphs(Split::test, 10);
  EXPECT_EQ(
      message_of<InvalidInput>([&] { render_canvases(stream, find_protocol("quick-64"), glyphs, Split::test, 9, 0); }),
      "render_canvases: the number of canvases must be positive, it is 0");
}

TEST_P(CanvasSetTest, TheStoreHoldsTheSet) {
  Stream stream(device());
  const CanvasSet canvases = small_set();
  const CanvasStore store(stream, canvases);
  const CanvasStoreView view = store.view();
  EXPECT_EQ(view.count, 2);
  EXPECT_EQ(view.height, 2);
  EXPECT_EQ(view.width, 3);
  EXPECT_EQ(view.capacity, 2);
  EXPECT_EQ(download(stream, DeviceSpan<const std::uint8_t>(view.pixels, 12)), canvases.pixels);
  EXPECT_THAT(download(stream, DeviceSpan<const std::int32_t>(view.labels, 4)), ElementsAre(1, 0, -1, -1));
  EXPECT_THAT(download(stream, DeviceSpan<const std::int32_t>(view.counts, 2)), ElementsAre(2, 0));
  const auto boxes = download(stream, DeviceSpan<const Box>(view.boxes, 4));
  EXPECT_EQ(boxes[0].cy, 0.25f);
  EXPECT_EQ(boxes[0].h, 0.125f);
  EXPECT_EQ(boxes[1].w, 1.0f);
  EXPECT_EQ(boxes[3].w, 0.0f);
  EXPECT_EQ(store.bytes(), 12u + 4 * 16u + 4 * 4u + 2 * 4u);
  EXPECT_THAT(store.class_names(), ElementsAre("a", "b"));
  EXPECT_EQ(store.source(), "test");
}

TEST_P(CanvasSetTest, TheStoreTakesCanvasesWithoutLabels) {
  Stream stream(device());
  CanvasSet canvases = small_set();
  canvases.labels[0].clear();
  const CanvasStore store(stream, canvases);
  EXPECT_EQ(store.view().capacity, 0);
  EXPECT_THAT(download(stream, DeviceSpan<const std::int32_t>(store.view().counts, 2)), ElementsAre(0, 0));
}

TEST_P(CanvasSetTest, TheStoreRefusesABadSet) {
  Stream stream(device());
  CanvasSet canvases = small_set();
  canvases.labels[0][0].label = 2;
  EXPECT_THROW(CanvasStore(stream, canvases), InvalidInput);
}

}  // namespace
}  // namespace gridspot
