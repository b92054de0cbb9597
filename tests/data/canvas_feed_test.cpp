#include "data/canvas_feed.h"

#include <gmock/gmock.h>

#include "data/builtin_glyphs.h"
#include "data/canvas_source.h"
#include "kernels/permutation.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot {
namespace {

using test::Random;

constexpr Normalization normalization{0.2f, 0.4f};

/// As numbers, so that a difference can be printed.
std::vector<double> numbers(const std::vector<LabelledBox>& labels) {
  std::vector<double> result;
  for (const auto& [label, box] : labels) result.insert(result.end(), {double(label), box.cx, box.cy, box.w, box.h});
  return result;
}

/// Canvases with 0 to 3 labels each, of all pixel values.
CanvasSet random_set(Random& random, int count, int height, int width) {
  CanvasSet set{.height = height, .width = width, .class_names = {"a", "b", "c"}, .source = "random"};
  for (int i = 0; i < count * height * width; ++i) set.pixels.push_back(std::uint8_t(random.integer(0, 255)));
  for (int canvas = 0; canvas < count; ++canvas) {
    auto& labels = set.labels.emplace_back();
    for (int i = 0; i < canvas % 4; ++i)
      labels.push_back({random.integer(0, 2), {random.uniform(0.4f, 0.6f), 0.5f, random.uniform(0.1f, 0.3f), 0.25f}});
  }
  return set;
}

/// What one call of fill leaves.
struct Filled {
  std::vector<float> canvases;
  std::vector<std::vector<double>> labels;
  std::vector<std::int32_t> unplaced;
};

class CanvasFeedTest : public test::DeviceTest {
 protected:
  static std::vector<float> values(Stream& stream, ConstTensorSpan canvases) {
    std::vector<float> result;
    with_type_of(canvases.dtype, [&]<class T>(std::type_identity<T>) {
      result = test::to_floats(download(stream, canvases.as<T>("canvases")));
    });
    return result;
  }

  Filled fill(CanvasFeed& feed, std::uint64_t step, int first, StageClock* clock = nullptr) {
    Stream stream(device());
    const auto on_device = upload(stream, std::vector<std::uint64_t>{step});
    const Buffer<std::int32_t> unplaced(device(), feed.size());
    fill_bytes(stream, unplaced.data(), 0x5a, unplaced.size() * sizeof(std::int32_t));
    feed.fill(stream, {on_device.data(), first}, unplaced, clock);
    Filled filled{values(stream, feed.canvases()), {}, download(stream, unplaced)};
    for (const auto& labels : labels_of(stream, feed)) filled.labels.push_back(numbers(labels));
    return filled;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(CanvasFeedTest);

TEST_P(CanvasFeedTest, InBfloat16AreTheSameCanvasesRounded) {
  Stream stream(device());
  const GlyphBank glyphs(stream, draw_builtin_glyphs(Split::train, 50));
  const Protocol protocol = find_protocol("quick-64");
  Random random(29);
  const CanvasStore store(stream, random_set(random, 11, 5, 9));
  const GatherOrder order{.key = 5, .shuffle = true, .batch = 9};
  const auto expect_rounded = [&](CanvasFeed& whole, CanvasFeed& rounded) {
    const Filled expected = fill(whole, 2, 3), actual = fill(rounded, 2, 3);
    EXPECT_EQ(actual.canvases, test::to_floats(test::to_dtype<bfloat16>(expected.canvases)));
    EXPECT_NE(actual.canvases, expected.canvases);
    EXPECT_EQ(actual.labels, expected.labels);
    EXPECT_LT(rounded.bytes(), whole.bytes());
  };
  const auto composed = [&](DType dtype) {
    return make_composed_feed(device(), protocol, glyphs, 4, 2, normalization, dtype);
  };
  expect_rounded(*composed(DType::float32), *composed(DType::bfloat16));
  for (const float shift : {0.0f, 3.0f}) {
    const auto stored = [&](DType dtype) {
      return make_stored_feed(device(), store, order, 2, normalization, {.shift = shift}, dtype);
    };
    expect_rounded(*stored(DType::float32), *stored(DType::bfloat16));
  }
}

// So that a captured call makes other canvases each time.
TEST_P(CanvasFeedTest, AnOffsetOnTheDeviceIsAddedToTheFirst) {
  Stream stream(device());
  const GlyphBank glyphs(stream, draw_builtin_glyphs(Split::train, 50));
  Protocol protocol = find_protocol("quick-64");
  protocol.noise = 0.1f;
  protocol.max_clutter = 3;
  Random random(23);
  const CanvasStore store(stream, random_set(random, 11, 5, 9));
  const GatherOrder order{.key = 5, .shuffle = true, .batch = 9};
  std::vector<std::unique_ptr<CanvasFeed>> feeds;
  feeds.push_back(make_composed_feed(device(), protocol, glyphs, 4, 2, normalization));
  feeds.push_back(make_stored_feed(device(), store, order, 2, normalization));
  feeds.push_back(make_stored_feed(device(), store, order, 2, normalization, {.shift = 3}));
  for (const auto& feed : feeds) {
    const auto step = upload(stream, std::vector<std::uint64_t>{3}),
               offset = upload(stream, std::vector<std::uint64_t>{4});
    const Buffer<std::int32_t> unplaced(device(), feed->size());
    feed->fill(stream, {.step = step.data(), .first = 2, .offset = offset.data()}, unplaced);
    const auto canvases = values(stream, feed->canvases());
    EXPECT_EQ(canvases, fill(*feed, 3, 6).canvases);
    EXPECT_NE(canvases, fill(*feed, 3, 2).canvases);
  }
}

TEST_P(CanvasFeedTest, ComposedIsTheSourcesCanvases) {
  constexpr int n = 2;
  constexpr std::uint64_t seed = 3;
  Stream stream(device());
  const GlyphBank glyphs(stream, draw_builtin_glyphs(Split::train, 50));
  for (const std::string& name : protocol_names())
    for (const Split split : {Split::train, Split::validation, Split::test}) {
      Protocol protocol = find_protocol(name);
      protocol.noise = 0.1f;
      protocol.max_clutter = 3;
      CanvasSource source(device(), protocol, glyphs, split, seed, n);
      const auto feed =
          make_composed_feed(device(), protocol, glyphs, scene_key(protocol, split, seed), n, normalization);
      EXPECT_EQ(feed->size(), n);
      EXPECT_EQ(feed->capacity(), protocol.max_glyphs);
      for (const int first : {7, 0}) {  // back again: nothing is left of an earlier call
        SCOPED_TRACE(name + ", split " + std::to_string(int(split)) + ", canvases from " + std::to_string(first));
        const Filled filled = fill(*feed, 0, first);
        EXPECT_EQ(filled.canvases, download(stream, source.compose(stream, first, normalization)));
        EXPECT_EQ(filled.unplaced, download(stream, source.scenes().unplaced));
        const auto labels = source.labels(stream);
        ASSERT_EQ(filled.labels.size(), labels.size());
        for (int canvas = 0; canvas < n; ++canvas)
          EXPECT_EQ(filled.labels[canvas], numbers(labels[canvas])) << "canvas " << canvas;
      }
    }
}

TEST_P(CanvasFeedTest, ComposedDiffersBetweenStepsAndKeys) {
  Stream stream(device());
  const GlyphBank glyphs(stream, draw_builtin_glyphs(Split::train, 50));
  const Protocol protocol = find_protocol("quick-64");
  const auto feed = make_composed_feed(device(), protocol, glyphs, 5, 3, {});
  const auto other_key = make_composed_feed(device(), protocol, glyphs, 6, 3, {});
  const Filled filled = fill(*feed, 9, 4);
  EXPECT_NE(fill(*feed, 10, 4).canvases, filled.canvases);
  EXPECT_NE(fill(*other_key, 9, 4).canvases, filled.canvases);
  EXPECT_EQ(fill(*feed, 9, 4).canvases, filled.canvases);
}

TEST_P(CanvasFeedTest, ComposedCountsTheGlyphsWithoutAPlace) {
  Stream stream(device());
  const GlyphBank glyphs(stream, draw_builtin_glyphs(Split::train, 10));
  Protocol protocol = find_protocol("separated-224");
  protocol.height = protocol.width = 40;
  protocol.min_glyphs = protocol.max_glyphs = 4;
  protocol.min_size = protocol.max_size = 30;
  const auto feed = make_composed_feed(device(), protocol, glyphs, 1, 6, {});
  const Filled filled = fill(*feed, 0, 0);
  for (int canvas = 0; canvas < 6; ++canvas) {
    EXPECT_EQ(filled.labels[canvas].size(), 5u) << "one glyph, canvas " << canvas;
    EXPECT_EQ(filled.unplaced[canvas], 3) << "canvas " << canvas;
  }
}

// Steps that begin, cross and end an epoch of 11 canvases.
TEST_P(CanvasFeedTest, StoredIsTheSetInItsOrder) {
  Random random(71);
  const CanvasSet set = random_set(random, 11, 5, 9);
  const std::size_t size = std::size_t(set.height) * set.width;
  Stream stream(device());
  const CanvasStore store(stream, set);
  for (const bool shuffle : {false, true}) {
    const GatherOrder order{.key = 77, .shuffle = shuffle, .batch = 8};
    const auto feed = make_stored_feed(device(), store, order, 3, normalization);
    EXPECT_EQ(feed->size(), 3);
    EXPECT_EQ(feed->capacity(), 3) << "of the canvas with the most labels";
    for (const std::uint64_t step : {0, 1, 2, 10})
      for (const int first : {5, 0, 2}) {
        SCOPED_TRACE(testing::Message() << "shuffle " << shuffle << ", step " << step << ", canvases from " << first);
        const Filled filled = fill(*feed, step, first);
        EXPECT_THAT(filled.unplaced, testing::ElementsAre(0, 0, 0));
        for (int i = 0; i < 3; ++i) {
          const std::uint64_t place = step * 8 + std::uint64_t(first + i);
          const auto within = std::uint32_t(place % 11);
          const std::size_t item = shuffle ? Permutation{77, place / 11, 11}(within) : within;
          EXPECT_EQ(filled.labels[i], numbers(set.labels[item])) << "canvas " << i;
          std::vector<float> expected;
          for (std::size_t pixel = item * size; pixel < (item + 1) * size; ++pixel)
            expected.push_back((static_cast<float>(set.pixels[pixel]) / 255.0f - normalization.mean) *
                               (1 / normalization.deviation));
          const auto begin = filled.canvases.begin() + std::ptrdiff_t(i * size);
          EXPECT_EQ(std::vector(begin, begin + std::ptrdiff_t(size)), expected) << "canvas " << i;
        }
      }
  }
}

TEST_P(CanvasFeedTest, StoredIsWhatGatherGives) {
  Random random(72);
  Stream stream(device());
  const CanvasStore store(stream, random_set(random, 40, 6, 6));
  const GatherOrder order{.key = random(), .shuffle = true, .batch = 16};
  constexpr int n = 16;
  const auto feed = make_stored_feed(device(), store, order, n, normalization);
  const Filled filled = fill(*feed, 4, 0);
  const std::size_t slots = std::size_t(n) * store.view().capacity;
  const auto step = upload(stream, std::vector<std::uint64_t>{4});
  const Buffer<float> canvases(device(), std::size_t(n) * 36);
  const Buffer<Box> boxes(device(), slots);
  const Buffer<std::int32_t> labels(device(), slots), counts(device(), n);
  gather_canvases(stream, store.view(), order, {step.data(), 0}, n, normalization, canvases, boxes, labels, counts,
                  store.view().capacity);
  EXPECT_EQ(filled.canvases, download(stream, canvases));
  EXPECT_EQ(download(stream, feed->labels()), download(stream, labels));
  const auto expected = download(stream, boxes), found = download(stream, feed->boxes());
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(numbers({{0, found[i]}}), numbers({{0, expected[i]}})) << "slot " << i;
}

// Canvases without labels have no slot at all.
TEST_P(CanvasFeedTest, StoredTakesASetWithoutLabels) {
  CanvasSet set{.height = 2, .width = 2, .pixels = {1, 2, 3, 4, 5, 6, 7, 8}, .labels = {{}, {}}, .class_names = {"a"}};
  Stream stream(device());
  const CanvasStore store(stream, set);
  const auto feed = make_stored_feed(device(), store, {.batch = 3}, 3, {});
  EXPECT_EQ(feed->capacity(), 0);
  const Filled filled = fill(*feed, 0, 0);
  EXPECT_EQ(filled.labels, std::vector<std::vector<double>>(3));
  EXPECT_EQ(filled.canvases.back(), 4 / 255.0f) << "the third is the first again";
}

TEST_P(CanvasFeedTest, TellsWhatItAllocatedAndWhereTheTimeGoes) {
  Random random(73);
  Stream stream(device());
  const GlyphBank glyphs(stream, draw_builtin_glyphs(Split::train, 10));
  const CanvasStore store(stream, random_set(random, 4, 8, 8));
  const auto stored = make_stored_feed(device(), store, {.batch = 2}, 2, {});
  EXPECT_EQ(stored->bytes(), 2 * (64 * sizeof(float) + 3 * (sizeof(Box) + 4) + 4));
  const auto composed = make_composed_feed(device(), find_protocol("quick-64"), glyphs, 1, 2, {});
  EXPECT_EQ(composed->bytes(), 2 * (64 * 64 * sizeof(float)) + Scenes(device(), 2, 3).bytes());
  StageClock stored_clock, composed_clock;
  fill(*stored, 0, 0, &stored_clock);
  fill(*composed, 0, 0, &composed_clock);
  for (StageClock* clock : {&stored_clock, &composed_clock}) clock->take();
  EXPECT_EQ(stored_clock.seconds(Stage::scene), 0);
  EXPECT_GT(stored_clock.seconds(Stage::canvas), 0);
  EXPECT_GT(composed_clock.seconds(Stage::scene), 0);
  EXPECT_GT(composed_clock.seconds(Stage::canvas), 0);
}

}  // namespace
}  // namespace gridspot
