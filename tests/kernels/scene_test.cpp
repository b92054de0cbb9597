#include "kernels/scene.h"

#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/kernels/scene_fixture.h"

namespace gridspot {
namespace {

using test::Glyphs;
using test::HostScenes;
using test::Random;
using test::Request;

class Scene : public test::SceneTest {};
GRIDSPOT_ON_EVERY_DEVICE(Scene);

void expect_near(double value, double expected, double tolerance, const char* what) {
  EXPECT_LE(std::abs(value - expected), tolerance) << what << ": " << value << ", the reference has " << expected;
}

void expect_same_glyph(const Placement& placement, const Box& box, const reference::PlacedGlyph& expected,
                       const Glyphs& glyphs, const Protocol& protocol) {
  EXPECT_EQ(placement.glyph, expected.glyph);
  const double tolerance = 1e-6 * (protocol.width + protocol.height);
  expect_near(placement.cx, expected.cx, tolerance, "cx");
  expect_near(placement.cy, expected.cy, tolerance, "cy");
  expect_near(placement.reach_x, (expected.tile.right - expected.tile.left) / 2, tolerance, "reach_x");
  expect_near(placement.reach_y, (expected.tile.bottom - expected.tile.top) / 2, tolerance, "reach_y");
  EXPECT_EQ(placement.samples, reference::samples(placement));
  // to_glyph undoes the transformation: (3, 0) and (0, 3) go to the canvas and back.
  const double side = std::max(glyphs.height, glyphs.width);
  for (const auto& [u, v] : {std::pair{3.0, 0.0}, {0.0, 3.0}}) {
    double x = 0, y = 0;
    expected.transform(side, u, v, x, y);
    const float* m = placement.to_glyph;
    expect_near(m[0] * x + m[1] * y, u, 1e-5, "u");
    expect_near(m[2] * x + m[3] * y, v, 1e-5, "v");
  }
  const auto label = test::pixels_of(box, protocol);
  expect_near(label.left, expected.label.left, 2 * tolerance, "left edge of the box");
  expect_near(label.right, expected.label.right, 2 * tolerance, "right edge of the box");
  expect_near(label.top, expected.label.top, 2 * tolerance, "upper edge of the box");
  expect_near(label.bottom, expected.label.bottom, 2 * tolerance, "lower edge of the box");
}

Protocol with_shear(Protocol protocol, BoxKind box) {
  protocol.max_shear = 0.3f;
  protocol.box = box;
  return protocol;
}

struct Comparison {
  int compared = 0, skipped = 0;
};

/// Stops at the first canvas that differs.
void expect_reference(const HostScenes& scenes, const Protocol& protocol, const Glyphs& glyphs, const Request& request,
                      Comparison& comparison) {
  // A decision closer than this to its limit may fall otherwise in float32.
  constexpr double undecided = 1e-5;
  for (int canvas = 0; canvas < scenes.n; ++canvas) {
    const auto expected = reference::sample_scene(
        protocol, glyphs, {request.key, request.step, std::uint32_t(request.first_canvas + canvas)});
    if (expected.margin < undecided) {
      ++comparison.skipped;
      continue;
    }
    ++comparison.compared;
    SCOPED_TRACE(protocol.name + ", glyphs of " + std::to_string(glyphs.height) + " x " + std::to_string(glyphs.width) +
                 ", canvas " + std::to_string(canvas));
    ASSERT_EQ(scenes.counts[canvas], int(expected.glyphs.size()));
    EXPECT_EQ(scenes.unplaced[canvas], expected.drawn - int(expected.glyphs.size()));
    for (int slot = 0; slot < scenes.capacity; ++slot) {
      if (slot >= scenes.counts[canvas]) {
        EXPECT_EQ(scenes.label(canvas, slot), -1) << "slot " << slot;
        continue;
      }
      const auto& glyph = expected.glyphs[slot];
      EXPECT_EQ(scenes.label(canvas, slot), glyphs.labels[glyph.glyph]);
      expect_same_glyph(scenes.placement(canvas, slot), scenes.box(canvas, slot), glyph, glyphs, protocol);
    }
    if (testing::Test::HasFailure()) return;
  }
}

TEST_P(Scene, MatchesTheReference) {
  Random random(1);
  Comparison comparison;
  for (const auto& [height, width] : {std::pair{28, 28}, {12, 31}, {40, 7}, {1, 1}}) {
    const Glyphs glyphs = test::random_glyphs(random, 17, height, width);
    for (const std::string& name : protocol_names()) {
      const Protocol plain = find_protocol(name);
      for (const Protocol& protocol : {plain, with_shear(plain, BoxKind::tile), with_shear(plain, BoxKind::tight)}) {
        const Request request{.key = random(),
                              .step = random() >> 8,
                              .first_canvas = random.integer(0, 1 << 20),
                              .n = 33,
                              .extra_capacity = 1};
        expect_reference(sample(protocol, glyphs, request), protocol, glyphs, request, comparison);
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(comparison.compared, 50 * comparison.skipped);
}

// The last canvas's number is the largest there is; a bank of one glyph has no other to go on to.
TEST_P(Scene, InOrderMatchesTheReferenceWhateverTheStep) {
  Random random(9);
  for (const int count : {1, 5, 17}) {
    const Glyphs glyphs = test::random_glyphs(random, count, 12, 12);
    for (const char* name : {"digits-28", "seed-224"})
      for (const int first : {0, 3 * count - 1, std::numeric_limits<int>::max() - 39}) {
        Protocol protocol = with_shear(find_protocol(name), BoxKind::tight);
        protocol.in_order = true;
        const Request request{.key = random(), .step = random() >> 8, .first_canvas = first, .n = 40};
        const HostScenes scenes = sample(protocol, glyphs, request);
        Comparison comparison;
        expect_reference(scenes, protocol, glyphs, request, comparison);
        EXPECT_GT(comparison.compared, 30);
        for (int canvas = 0; canvas < scenes.n; ++canvas)
          for (int slot = 0; slot < scenes.counts[canvas]; ++slot)
            EXPECT_EQ(scenes.placement(canvas, slot).glyph, (std::int64_t(first) + canvas) % count)
                << name << ", canvas " << first << " + " << canvas << " of a bank of " << count;
      }
  }
}

TEST_P(Scene, MatchesTheReferenceWithTheFewestAndTheMostGlyphs) {
  Random random(8);
  const Glyphs glyphs = test::random_glyphs(random, 17, 9, 9);
  for (const int count : {0, 1, 4096}) {
    Protocol protocol = with_shear(find_protocol("seed-224"), BoxKind::tight);
    protocol.min_glyphs = protocol.max_glyphs = count;
    const Request request{.key = random(), .step = 3, .n = 2};
    Comparison comparison;
    expect_reference(sample(protocol, glyphs, request), protocol, glyphs, request, comparison);
    EXPECT_EQ(comparison.compared, 2) << count << " glyphs";
  }
}

TEST_P(Scene, IsAFunctionOfKeyStepAndCanvasAlone) {
  Random random(2);
  const Glyphs glyphs = test::random_glyphs(random, 11, 28, 28);
  for (const std::string& name : protocol_names()) {
    const Protocol protocol = find_protocol(name);
    const auto bytes = [&](std::uint64_t key, std::uint64_t step, int first, int n) {
      return sample(protocol, glyphs, {.key = key, .step = step, .first_canvas = first, .n = n});
    };
    for (const int n : {0, 1, 31, 32, 33, 97}) {
      const HostScenes whole = bytes(5, 9, 100, n), first = bytes(5, 9, 100, n / 2),
                       second = bytes(5, 9, 100 + n / 2, n - n / 2);
      const auto joined = [](auto a, const auto& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
      };
      EXPECT_EQ(whole.labels, joined(first.labels, second.labels)) << name << ", " << n << " canvases";
      EXPECT_EQ(whole.unplaced, joined(first.unplaced, second.unplaced));
      const HostScenes pasted{n,
                              whole.capacity,
                              joined(first.placements, second.placements),
                              joined(first.boxes, second.boxes),
                              joined(first.labels, second.labels),
                              joined(first.counts, second.counts),
                              joined(first.unplaced, second.unplaced)};
      EXPECT_EQ(whole.bytes(), pasted.bytes()) << name << ", " << n << " canvases";
    }
    const auto scenes = bytes(5, 9, 100, 8).bytes();
    EXPECT_NE(scenes, bytes(6, 9, 100, 8).bytes()) << "another key";
    EXPECT_NE(scenes, bytes(std::uint64_t{1} << 32 | 5, 9, 100, 8).bytes()) << "another upper half of the key";
    EXPECT_NE(scenes, bytes(5, 10, 100, 8).bytes()) << "another step";
    EXPECT_NE(scenes, bytes(5, std::uint64_t{1} << 32 | 9, 100, 8).bytes()) << "another upper half of the step";
    EXPECT_NE(scenes, bytes(5, 9, 108, 8).bytes()) << "other canvases";
  }
}

TEST_P(Scene, DiffersBetweenProtocolsAndSplits) {
  Random random(3);
  const Glyphs glyphs = test::random_glyphs(random, 50, 28, 28);
  Stream stream(device());
  std::vector<std::vector<std::int32_t>> seen;
  for (const std::string& name : protocol_names())
    for (const Split split : {Split::train, Split::validation, Split::test}) {
      // The same rules for each, so that only the seed space can tell them apart.
      const std::uint64_t key = scene_key(find_protocol(name), split, 7);
      const auto labels = sample_once(stream, find_protocol("crowd-300"), glyphs, {.key = key, .n = 20}).labels;
      for (const auto& other : seen) EXPECT_NE(labels, other) << name;
      seen.push_back(labels);
    }
}

TEST_P(Scene, RefusesWhatBreaksTheContract) {
  Random random(7);
  Stream stream(device());
  const test::DeviceGlyphs bank(stream, test::random_glyphs(random, 2, 5, 5));
  const auto step = upload(stream, std::vector<std::uint64_t>{0});
  const Scenes scenes(device(), 2, 5);
  struct Arguments {
    Protocol protocol;
    GlyphBankView glyphs;
    int first_canvas;
    SceneView view;
  };
  const auto call = [&](const Arguments& a) {
    sample_scenes(stream, a.protocol, a.glyphs, 1, {step.data(), a.first_canvas}, a.view);
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{find_protocol("seed-224"), bank.view(), 0, scenes.view()}, call,
      {{[](auto& a) { a.glyphs.count = 0; }, "sample_scenes: the glyph bank is empty: 0 glyphs of 5 x 5"},
       {[](auto& a) { a.glyphs.height = 0; }, "sample_scenes: the glyph bank is empty: 2 glyphs of 0 x 5"},
       {[](auto& a) { a.view.capacity = 4; },
        "sample_scenes: the scenes hold 4 glyphs a canvas, protocol 'seed-224' places up to 5"},
       {[](auto& a) { a.view.n = -1; }, "sample_scenes: the number of canvases must not be negative, it is -1"},
       {[](auto& a) { a.first_canvas = -1; }, "sample_scenes: the first canvas must not be negative, it is -1"},
       {[](auto& a) { a.protocol.min_size = 50; },
        "protocol 'seed-224': the sizes must be 1 <= min_size <= max_size <= 16384"}});
  EXPECT_THROW(Scenes(device(), -1, 3), InvalidInput);
  EXPECT_EQ(scenes.bytes(), 10 * (sizeof(Placement) + sizeof(Box) + 4) + 2 * 8);
}

}  // namespace
}  // namespace gridspot
