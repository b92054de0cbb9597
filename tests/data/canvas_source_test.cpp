#include "data/canvas_source.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "data/builtin_glyphs.h"
#include "gridspot/error.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

class CanvasSourceTest : public test::DeviceTest {
 protected:
  [[nodiscard]] GlyphBank bank() {
    Stream stream(device());
    return {stream, draw_builtin_glyphs(Split::train, 50)};
  }
  [[nodiscard]] static std::size_t pixels(const Protocol& protocol) {
    return std::size_t(protocol.height) * protocol.width;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(CanvasSourceTest);

/// As numbers, so that a difference can be printed.
std::vector<double> numbers(const std::vector<LabelledBox>& labels) {
  std::vector<double> result;
  for (const auto& [label, box] : labels) result.insert(result.end(), {double(label), box.cx, box.cy, box.w, box.h});
  return result;
}

TEST_P(CanvasSourceTest, LabelsAreThoseOfTheSceneOfEachCanvas) {
  constexpr int batch = 5, first = 7;
  constexpr std::uint64_t seed = 3;
  const GlyphBank glyphs = bank();
  for (const std::string& name : protocol_names()) {
    const Protocol protocol = find_protocol(name);
    Stream stream(device());
    CanvasSource source(device(), protocol, glyphs, Split::test, seed, batch);
    source.compose(stream, first, {});
    const auto labels = source.labels(stream);
    EXPECT_EQ(source.batch(), batch);
    ASSERT_EQ(labels.size(), std::size_t(batch));

    const Scenes scenes(device(), batch, protocol.max_glyphs);
    const auto step = upload(stream, std::vector<std::uint64_t>{0});
    sample_scenes(stream, protocol, glyphs.view(), scene_key(protocol, Split::test, seed), {step.data(), first},
                  scenes.view());
    const auto counts = download(stream, scenes.counts), classes = download(stream, scenes.labels);
    const auto boxes = download(stream, scenes.boxes);
    for (int canvas = 0; canvas < batch; ++canvas) {
      std::vector<LabelledBox> expected;
      for (int i = canvas * protocol.max_glyphs; i < canvas * protocol.max_glyphs + counts[canvas]; ++i)
        expected.push_back({classes[i], boxes[i]});
      EXPECT_EQ(numbers(labels[canvas]), numbers(expected)) << name << ", canvas " << canvas;
    }
  }
}

// Boxes of the kind `tile` hold the whole glyph, so nothing but their insides may be lit.
TEST_P(CanvasSourceTest, LabelsLieWhereTheCanvasIsLit) {
  constexpr int batch = 8;
  const GlyphBank glyphs = bank();
  Protocol protocol = find_protocol("quick-64");
  protocol.box = BoxKind::tile;
  Stream stream(device());
  CanvasSource source(device(), protocol, glyphs, Split::train, 11, batch);
  const auto canvas = download(stream, source.compose(stream, 0, {}));
  const auto labels = source.labels(stream);
  for (int n = 0; n < batch; ++n) {
    const auto lit = [&](int row, int column) {
      return canvas[std::size_t(n) * pixels(protocol) + std::size_t(row) * protocol.width + column] > 0;
    };
    const auto inside = [&](const Box& box, int row, int column) {  // a pixel on the edge belongs to the box
      return std::abs(column + 0.5 - double(box.cx) * protocol.width) <= double(box.w) * protocol.width / 2 + 1 &&
             std::abs(row + 0.5 - double(box.cy) * protocol.height) <= double(box.h) * protocol.height / 2 + 1;
    };
    ASSERT_FALSE(labels[n].empty());
    std::vector<int> lit_pixels(labels[n].size());
    for (int row = 0; row < protocol.height; ++row)
      for (int column = 0; column < protocol.width; ++column) {
        if (!lit(row, column)) continue;
        bool explained = false;
        for (std::size_t i = 0; i < labels[n].size(); ++i) {
          if (!inside(labels[n][i].box, row, column)) continue;
          explained = true;
          ++lit_pixels[i];
        }
        ASSERT_TRUE(explained) << "canvas " << n << ", row " << row << ", column " << column;
      }
    EXPECT_THAT(lit_pixels, testing::Each(testing::Gt(5))) << "canvas " << n;
  }
}

TEST_P(CanvasSourceTest, ACanvasDependsOnItsNumberAloneNotOnItsBatch) {
  const GlyphBank glyphs = bank();
  Protocol protocol = find_protocol("quick-64");
  protocol.noise = 0.1f;
  protocol.max_clutter = 4;
  Stream stream(device());
  CanvasSource six(device(), protocol, glyphs, Split::train, 5, 6), two(device(), protocol, glyphs, Split::train, 5, 2);
  const auto all = download(stream, six.compose(stream, 10, {0.2f, 0.4f}));
  const auto labels = six.labels(stream);
  for (const int first : {12, 10, 14}) {  // back and forth: nothing is left of an earlier call
    const auto part = download(stream, two.compose(stream, first, {0.2f, 0.4f}));
    const auto begin = all.begin() + std::ptrdiff_t((first - 10) * pixels(protocol));
    EXPECT_TRUE(std::equal(part.begin(), part.end(), begin)) << "canvases from " << first;
    const auto part_labels = two.labels(stream);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(numbers(part_labels[i]), numbers(labels[first - 10 + i]));
  }
}

TEST_P(CanvasSourceTest, SeedsAndSplitsHaveTheirOwnCanvases) {
  const GlyphBank glyphs = bank();
  const Protocol protocol = find_protocol("quick-64");
  Stream stream(device());
  const auto canvases = [&](Split split, std::uint64_t seed) {
    CanvasSource source(device(), protocol, glyphs, split, seed, 4);
    return download(stream, source.compose(stream, 0, {}));
  };
  const auto canvas = canvases(Split::train, 1);
  EXPECT_EQ(canvases(Split::train, 1), canvas);
  EXPECT_NE(canvases(Split::train, 2), canvas);
  EXPECT_NE(canvases(Split::test, 1), canvas) << "the glyphs are the same here, the scenes must not be";
  EXPECT_THROW(canvases(Split::train, max_seed + 1), InvalidInput);
}

TEST_P(CanvasSourceTest, ImagesShowTheSameCanvases) {
  const GlyphBank glyphs = bank();
  Protocol protocol = find_protocol("quick-64");
  protocol.noise = 0.1f;
  Stream stream(device());
  CanvasSource source(device(), protocol, glyphs, Split::test, 1, 3);
  const auto values = download(stream, source.compose(stream, 4, {}));
  const auto images = source.compose_images(stream, 4);
  ASSERT_EQ(images.size(), 3 * pixels(protocol));
  std::vector<float> shares;
  for (const std::uint8_t value : images) shares.push_back(static_cast<float>(value) / 255);
  EXPECT_TRUE(test::matches(shares, test::to_double(values), {0.5 / 255 + 1e-5, 0}));
}

}  // namespace
}  // namespace gridspot
