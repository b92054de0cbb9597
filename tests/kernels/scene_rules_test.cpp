// What the placements of many canvases have in common: placing rules and distributions.
#include "tests/kernels/scene_fixture.h"
#include "tests/support/statistics.h"

namespace gridspot {
namespace {

using test::Glyphs;
using test::HostScenes;
using test::pixels_of;
using test::Random;

class SceneRules : public test::SceneTest {};
GRIDSPOT_ON_EVERY_DEVICE(SceneRules);

// A centred tile may leave the canvas, its centre may not stray; any other lies wholly inside.
void expect_in_place(const Placement& p, const Protocol& protocol) {
  constexpr double rounding = 1e-3;
  const bool is_centred = protocol.placing == Placing::centred;
  const double across = is_centred ? protocol.max_shift : protocol.width / 2.0 - p.reach_x;
  const double down = is_centred ? protocol.max_shift : protocol.height / 2.0 - p.reach_y;
  ASSERT_LE(std::abs(p.cx - protocol.width / 2.0), across + rounding);
  ASSERT_LE(std::abs(p.cy - protocol.height / 2.0), down + rounding);
}

// Every rule on every canvas, from the boxes as they are handed on.
TEST_P(SceneRules, KeepsThePlacingRules) {
  Random random(4);
  const Glyphs glyphs = test::random_glyphs(random, 40, 28, 28);
  Stream stream(device());
  constexpr int n = 3000;
  constexpr double rounding = 1e-5;
  for (const std::string& name : protocol_names())
    for (const float shear : {0.0f, 0.3f}) {
      Protocol protocol = find_protocol(name);
      protocol.max_shear = shear;
      const HostScenes scenes = sample_once(stream, protocol, glyphs, {.key = 77, .step = 3, .n = n});
      int placed = 0, unplaced = 0;
      for (int canvas = 0; canvas < n; ++canvas) {
        SCOPED_TRACE(name + ", canvas " + std::to_string(canvas));
        const int count = scenes.counts[canvas], drawn = count + scenes.unplaced[canvas];
        placed += count;
        unplaced += scenes.unplaced[canvas];
        ASSERT_GE(drawn, protocol.min_glyphs);
        ASSERT_LE(drawn, protocol.max_glyphs);
        double highest_on_canvas = 0;
        for (int i = 0; i < count; ++i) {
          ASSERT_NO_FATAL_FAILURE(expect_in_place(scenes.placement(canvas, i), protocol));
          const auto box = pixels_of(scenes.box(canvas, i), protocol);
          ASSERT_GT(box.area(), 0);
          ASSERT_GE(std::min(box.left, box.top), -rounding * protocol.width);
          ASSERT_LE(box.right, protocol.width * (1 + rounding));
          ASSERT_LE(box.bottom, protocol.height * (1 + rounding));
          double with_any = 0;
          for (int j = 0; j < count; ++j)
            if (i != j) with_any = std::max(with_any, reference::iou(box, pixels_of(scenes.box(canvas, j), protocol)));
          highest_on_canvas = std::max(highest_on_canvas, with_any);
          if (protocol.placing == Placing::overlapping) {
            ASSERT_GE(with_any, protocol.min_iou - rounding) << "glyph " << i;
          }
        }
        if (protocol.placing == Placing::overlapping) {
          ASSERT_LE(highest_on_canvas, protocol.max_iou + rounding);
          ASSERT_NE(count, 1);
        }
        if (protocol.placing == Placing::separated) {
          ASSERT_LE(highest_on_canvas, rounding);
        } else if (protocol.placing == Placing::limited) {
          ASSERT_LE(highest_on_canvas, protocol.max_iou + rounding);
        }
      }
      EXPECT_LE(unplaced, placed / 1000) << name << ": almost every glyph finds its place";
      EXPECT_GT(placed, n * protocol.min_glyphs * 0.999);
    }
}

TEST_P(SceneRules, CentredFindsAPlaceForTilesBeyondTheCanvas) {
  Random random(7);
  const Glyphs glyphs = test::random_glyphs(random, 5, 28, 28);
  Protocol protocol = find_protocol("digits-28");
  protocol.min_size = protocol.max_size = 60;
  const HostScenes scenes = sample(protocol, glyphs, {.n = 40});
  for (int canvas = 0; canvas < scenes.n; ++canvas) {
    ASSERT_EQ(scenes.counts[canvas], 1) << "canvas " << canvas;
    EXPECT_EQ(scenes.unplaced[canvas], 0);
    const Box& box = scenes.box(canvas, 0);
    EXPECT_EQ(std::vector({box.cx, box.cy, box.w, box.h}), std::vector({0.5f, 0.5f, 1.0f, 1.0f})) << "the whole canvas";
  }
}

TEST_P(SceneRules, CountsWhatFindsNoPlace) {
  Random random(5);
  const Glyphs glyphs = test::random_glyphs(random, 5, 28, 28);
  const auto changed = [](const char* name, int canvas, float size, int count) {
    Protocol protocol = find_protocol(name);
    protocol.height = protocol.width = canvas;
    protocol.min_size = protocol.max_size = size;
    protocol.min_glyphs = protocol.max_glyphs = count;
    protocol.max_rotation = 0;
    protocol.box = BoxKind::tile;
    return protocol;
  };
  struct Row {
    const char* what;
    Protocol protocol;
    int placed;
  };
  const std::vector<Row> rows{
      {"tiles larger than the canvas", changed("seed-224", 10, 20, 5), 0},
      {"tiles as large as the canvas, one on the other", changed("seed-224", 20, 20, 3), 3},
      {"no room beside the first", changed("separated-224", 30, 20, 4), 1},
      {"too alike to the first", changed("crowd-300", 22, 20, 4), 1},
      {"nothing may lie so close, and none may be alone", changed("overlap-224", 20, 20, 5), 0},
  };
  for (const Row& row : rows) {
    const HostScenes scenes = sample(row.protocol, glyphs, {.n = 40});
    for (int canvas = 0; canvas < scenes.n; ++canvas) {
      EXPECT_EQ(scenes.counts[canvas], row.placed) << row.what;
      EXPECT_EQ(scenes.unplaced[canvas], row.protocol.max_glyphs - row.placed) << row.what;
      for (int slot = 0; slot < scenes.capacity; ++slot)
        EXPECT_EQ(scenes.label(canvas, slot) == -1, slot >= row.placed) << row.what << ", slot " << slot;
    }
  }
}

TEST_P(SceneRules, AGlyphWithoutInkHasTheBoxOfItsTile) {
  const Glyphs blank{1, 28, 28, std::vector<std::uint8_t>(28 * 28, ink_threshold - 1), {3}};
  const Protocol protocol = find_protocol("quick-64");
  const HostScenes scenes = sample(protocol, blank, {.n = 5});
  for (int canvas = 0; canvas < scenes.n; ++canvas)
    for (int slot = 0; slot < scenes.counts[canvas]; ++slot)
      EXPECT_NEAR(scenes.box(canvas, slot).w * protocol.width, 2 * scenes.placement(canvas, slot).reach_x, 1e-3);
}

TEST_P(SceneRules, DrawsUniformly) {
  Random random(6);
  const int bank = 30, n = 4000;
  const Glyphs glyphs = test::random_glyphs(random, bank, 28, 28);
  Stream stream(device());
  Protocol protocol = find_protocol("seed-224");
  protocol.max_shear = 0.5f;
  const HostScenes scenes = sample_once(stream, protocol, glyphs, {.key = 41, .step = 12, .n = n});
  std::vector<double> sizes, angles, shears, across, down;
  std::vector<int> of_glyph(bank), of_count(protocol.max_glyphs);
  for (int canvas = 0; canvas < n; ++canvas) {
    ++of_count[scenes.counts[canvas] - 1];
    for (int slot = 0; slot < scenes.counts[canvas]; ++slot) {
      const Placement& p = scenes.placement(canvas, slot);
      ++of_glyph[p.glyph];
      // to_glyph = shear^-1 rotation^-1 / scale: its second row is (-sin, cos) / scale, its first minus the shear times
      // that.
      const double m0 = p.to_glyph[0], m1 = p.to_glyph[1], m2 = p.to_glyph[2], m3 = p.to_glyph[3];
      const double per_pixel = std::hypot(m2, m3);
      sizes.push_back((28 / per_pixel - 20) / 20);
      angles.push_back((std::atan2(-m2, m3) * 180 / std::numbers::pi + 10) / 20);
      shears.push_back(-(m0 * m2 + m1 * m3) / (per_pixel * per_pixel) + 0.5);
      across.push_back((p.cx - p.reach_x) / (224 - 2 * p.reach_x));
      down.push_back((p.cy - p.reach_y) / (224 - 2 * p.reach_y));
    }
  }
  // The seeds are fixed; the limits are those of a p-value of 0.001.
  EXPECT_LT(test::kolmogorov_smirnov(sizes), 1.95);
  EXPECT_LT(test::kolmogorov_smirnov(angles), 1.95);
  EXPECT_LT(test::kolmogorov_smirnov(shears), 1.95);
  EXPECT_LT(test::kolmogorov_smirnov(across), 1.95);
  EXPECT_LT(test::kolmogorov_smirnov(down), 1.95);
  EXPECT_LT(test::chi_square(of_glyph), 58.3) << "29 degrees of freedom";
  EXPECT_LT(test::chi_square(of_count), 18.5) << "4 degrees of freedom";
}

TEST_P(SceneRules, ShiftsUniformly) {
  Random random(8);
  const int n = 4000;
  const Glyphs glyphs = test::random_glyphs(random, 30, 28, 28);
  Stream stream(device());
  const HostScenes scenes = sample_once(stream, find_protocol("digits-28"), glyphs, {.key = 43, .step = 12, .n = n});
  std::vector<double> across, down;
  for (int canvas = 0; canvas < n; ++canvas) {
    ASSERT_EQ(scenes.counts[canvas], 1);
    across.push_back((scenes.placement(canvas, 0).cx - 12) / 4);
    down.push_back((scenes.placement(canvas, 0).cy - 12) / 4);
  }
  EXPECT_LT(test::kolmogorov_smirnov(across), 1.95);
  EXPECT_LT(test::kolmogorov_smirnov(down), 1.95);
}

}  // namespace
}  // namespace gridspot
