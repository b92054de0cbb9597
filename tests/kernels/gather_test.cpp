#include "kernels/gather.h"

#include <gmock/gmock.h>

#include <cstring>
#include <limits>
#include <utility>

#include "kernels/letterbox.h"
#include "kernels/permutation.h"
#include "tests/kernels/gather_fixture.h"
#include "tests/kernels/refusals.h"

namespace gridspot {
namespace {

using test::DeviceStore;
using test::Random;
using test::random_store;
using test::Store;

struct Request {
  GatherOrder order;
  std::uint64_t step = 0;
  int first_canvas = 0, n = 0, capacity = 0;
};

/// Everything of one canvas of the batch, as words that can be compared bit by bit.
using Words = std::vector<std::uint32_t>;

template <class T>
void append_words(Words& words, const T* values, std::size_t count) {
  const std::size_t before = words.size();
  words.resize(before + count * sizeof(T) / sizeof(std::uint32_t));
  if (count > 0) std::memcpy(words.data() + before, values, count * sizeof(T));
}

std::uint32_t item_of(const Store& store, const Request& request, int i) {
  const std::uint64_t position = request.step * request.order.batch + request.first_canvas + i;
  const std::uint64_t epoch = position / store.count, place = position % store.count;
  if (!request.order.shuffle) return std::uint32_t(place);
  return Permutation{request.order.key, epoch, std::uint32_t(store.count)}(std::uint32_t(place));
}

Words expected_words(const Store& store, const Request& request, Normalization normalization) {
  std::vector<float> canvas;
  std::vector<Box> boxes(std::size_t(request.n) * request.capacity);
  std::vector<std::int32_t> labels(boxes.size(), -1), counts;
  const std::size_t size = std::size_t(store.height) * store.width;
  for (int i = 0; i < request.n; ++i) {
    const std::size_t item = item_of(store, request, i);
    for (std::size_t pixel = 0; pixel < size; ++pixel)
      canvas.push_back((float(store.pixels[item * size + pixel]) / 255.0f - normalization.mean) *
                       (1 / normalization.deviation));
    counts.push_back(store.counts[item]);
    for (int slot = 0; slot < counts.back(); ++slot) {
      labels[std::size_t(i) * request.capacity + slot] = store.labels[item * store.capacity + slot];
      boxes[std::size_t(i) * request.capacity + slot] = store.boxes[item * store.capacity + slot];
    }
  }
  Words words;
  append_words(words, canvas.data(), canvas.size());
  append_words(words, boxes.data(), boxes.size());
  append_words(words, labels.data(), labels.size());
  append_words(words, counts.data(), counts.size());
  return words;
}

template <class T>
Buffer<T> poisoned(Stream& stream, std::size_t count) {
  Buffer<T> buffer(stream.device(), count);
  fill_bytes(stream, buffer.data(), 0x7f, count * sizeof(T));
  return buffer;
}

class Gather : public test::DeviceTest {
 protected:
  Words gather(const Store& store, const Request& request, Normalization normalization) {
    return run([&](Stream& stream) {
      const DeviceStore held(stream, store);
      const std::size_t n = std::size_t(request.n), slots = n * request.capacity;
      const auto step = upload(stream, std::vector<std::uint64_t>{request.step});
      const auto canvas = poisoned<float>(stream, n * store.height * store.width);
      const auto boxes = poisoned<Box>(stream, slots);
      const auto labels = poisoned<std::int32_t>(stream, slots), counts = poisoned<std::int32_t>(stream, n);
      gather_canvases(stream, held.view(), request.order, {step.data(), request.first_canvas}, request.n, normalization,
                      canvas, boxes, labels, counts, request.capacity);
      Words words;
      append_words(words, download(stream, canvas).data(), canvas.size());
      append_words(words, download(stream, boxes).data(), boxes.size());
      append_words(words, download(stream, labels).data(), labels.size());
      append_words(words, download(stream, counts).data(), counts.size());
      return words;
    });
  }

  /// The items that a step's batch takes, read off a store whose canvas k has one pixel of value k.
  std::vector<int> items_of_step(const Store& store, const GatherOrder& order, std::uint64_t step) {
    const auto words = gather(store, {order, step, 0, order.batch, 0}, {0, 1.0f / 255});
    std::vector<int> items;
    for (int i = 0; i < order.batch; ++i) {
      float value;
      std::memcpy(&value, &words[i], sizeof value);
      items.push_back(int(value + 0.5f));
    }
    return items;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Gather);

// Sizes around a pack, a warp of packs and a block's share (16384 pixels); capacities around none and a block.
TEST_P(Gather, MatchesTheReference) {
  Random random(1);
  struct Row {
    int count, height, width, capacity;
  };
  const std::vector<Row> rows{{1, 1, 1, 0},   {2, 1, 7, 1},   {3, 2, 4, 3},     {5, 3, 3, 2},     {7, 17, 15, 5},
                              {4, 16, 16, 4}, {3, 33, 8, 1},  {2, 128, 128, 6}, {3, 127, 129, 2}, {2, 1, 16385, 1},
                              {3, 5, 5, 255}, {3, 5, 5, 256}, {2, 5, 5, 257},   {300, 3, 2, 2}};
  for (const Row& row : rows)
    for (const bool shuffle : {false, true})
      for (const auto& [spare, n] : {std::pair{0, 5}, {3, 5}, {1, 0}}) {
        SCOPED_TRACE(std::to_string(row.count) + " canvases of " + std::to_string(row.height) + " x " +
                     std::to_string(row.width) + ", capacity " + std::to_string(row.capacity) + " + " +
                     std::to_string(spare) + (shuffle ? ", shuffled" : ""));
        const Store store = random_store(random, row.count, row.height, row.width, row.capacity);
        const Request request{.order = {.key = random(), .shuffle = shuffle, .batch = 9},
                              .step = random() >> 12,
                              .first_canvas = 3,
                              .n = n,
                              .capacity = row.capacity + spare};
        const Normalization normalization{random.uniform(), random.uniform(0.1f, 2)};
        ASSERT_EQ(gather(store, request, normalization), expected_words(store, request, normalization));
      }
}

TEST_P(Gather, EachEpochTakesEachItemOnceWhateverTheBatch) {
  Random random(2);
  for (const int count : {1, 5, 16})
    for (const int batch : {1, 3, 16, 50})
      for (const bool shuffle : {false, true}) {
        Store store{count, 1, 1, 0, {}, {}, {}, std::vector<std::int32_t>(count, 0)};
        for (int item = 0; item < count; ++item) store.pixels.push_back(std::uint8_t(item));
        const GatherOrder order{random(), shuffle, batch};
        std::vector<int> taken;
        for (std::uint64_t step = 0; taken.size() < 3 * std::size_t(count); ++step)
          for (const int item : items_of_step(store, order, step)) taken.push_back(item);
        for (int epoch = 0; epoch < 3; ++epoch) {
          std::vector<int> times(count), once(count, 1);
          for (int place = 0; place < count; ++place) ++times.at(taken[epoch * count + place]);
          ASSERT_EQ(times, once) << "epoch " << epoch << ", " << count << " items in batches of " << batch
                                 << (shuffle ? ", shuffled" : "");
        }
      }
}

TEST_P(Gather, ACanvasDependsOnItsPlaceAloneNotOnItsShard) {
  Random random(3);
  const Store store = random_store(random, 11, 6, 7, 3);
  const GatherOrder order{random(), true, 8};
  const auto gathered = [&](int first, int n) { return gather(store, {order, 5, first, n, 3}, {0.1f, 0.3f}); };
  const auto whole = gathered(0, 8);
  for (int place = 0; place < 8; ++place) {
    const auto one = gathered(place, 1);
    const std::vector<std::uint32_t> pixels(one.begin(), one.begin() + 42);
    EXPECT_EQ(pixels, std::vector(whole.begin() + place * 42, whole.begin() + (place + 1) * 42)) << "place " << place;
  }
}

// So that a network sees one and the same picture in training and in `detect`.
TEST_P(Gather, NormalisesAsLetterboxingDoes) {
  Store store{1, 16, 16, 0, {}, {}, {}, {0}};
  for (int value = 0; value < 256; ++value) store.pixels.push_back(std::uint8_t(value));
  Random random(4);
  for (int i = 0; i < 20; ++i) {
    const Normalization normalization{random.uniform(), random.uniform(0.05f, 3)};
    const auto letterboxed = run([&](Stream& stream) {
      const auto pixels = upload(stream, store.pixels);
      const Buffer<float> output(device(), 256);
      letterbox_image(stream, pixels, 16, 16, 1, 16, 16, normalization, output);
      return download(stream, output);
    });
    Words expected;
    append_words(expected, letterboxed.data(), letterboxed.size());
    auto words = gather(store, {{}, 0, 0, 1, 0}, normalization);
    words.resize(256);  // without the count
    ASSERT_EQ(words, expected);
  }
}

// Black and white are the values of a composed canvas that are known without composing one.
TEST_P(Gather, NormalisesAsCompositionDoes) {
  Random random(5);
  const std::vector<std::uint8_t> blank{0};
  const std::vector<std::int32_t> labels{0};
  const std::vector<std::int16_t> extents{0, 0};
  for (const bool white : {false, true})
    for (int i = 0; i < 10; ++i) {
      const Normalization normalization{random.uniform(), random.uniform(0.05f, 3)};
      const auto composed = run([&](Stream& stream) {
        const auto pixels = upload(stream, blank);
        const auto classes = upload(stream, labels);
        const auto rows = upload(stream, extents);
        const GlyphBankView bank{pixels.data(), classes.data(), rows.data(), 1, 1, 1, 1};
        Protocol protocol = find_protocol("quick-64");
        protocol.min_glyphs = protocol.max_glyphs = 0;
        protocol.inversion = white ? 1.0f : 0.0f;
        const auto step = upload(stream, std::vector<std::uint64_t>{0});
        const Scenes scenes(device(), 1, 0);
        sample_scenes(stream, protocol, bank, 1, {step.data(), 0}, scenes.view());
        Buffer<float> output(device(), 64 * 64);
        compose_canvases(stream, protocol, bank, 1, {step.data(), 0}, scenes.view(), normalization, output);
        return download(stream, output);
      });
      const Store store{1, 64, 64, 0, std::vector<std::uint8_t>(composed.size(), white ? 255 : 0), {}, {}, {0}};
      Words expected;
      append_words(expected, composed.data(), composed.size());
      auto words = gather(store, {{}, 0, 0, 1, 0}, normalization);
      words.resize(expected.size());
      ASSERT_EQ(words, expected) << (white ? "white" : "black");
    }
}

TEST_P(Gather, RefusesWhatDoesNotFit) {
  struct Arguments {
    CanvasStoreView store{nullptr, nullptr, nullptr, nullptr, 2, 3, 4, 2};
    GatherOrder order{.batch = 5};
    int first_canvas = 2, n = 3, capacity = 2;
    Normalization normalization;
    std::size_t canvas = 36, boxes = 6, labels = 6, counts = 3;
  };
  const auto call = [&](const Arguments& a) {
    Stream stream(device());
    Random random(6);
    const DeviceStore held(stream, random_store(random, 2, 3, 4, 2));
    CanvasStoreView store = held.view();
    store.count = a.store.count;
    store.height = a.store.height;
    store.width = a.store.width;
    store.capacity = a.store.capacity;
    const auto step = upload(stream, std::vector<std::uint64_t>{0});
    const Buffer<float> canvas(device(), a.canvas);
    const Buffer<Box> boxes(device(), a.boxes);
    const Buffer<std::int32_t> labels(device(), a.labels), counts(device(), a.counts);
    gather_canvases(stream, store, a.order, {step.data(), a.first_canvas}, a.n, a.normalization, canvas, boxes, labels,
                    counts, a.capacity);
    stream.synchronize();
  };
  constexpr const char* normalization =
      "gather_canvases: the normalisation needs a finite mean and a positive, finite deviation, found ";
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.store.count = 0; }, "gather_canvases: the store is empty: 0 canvases of 3 x 4"},
       {[](auto& a) { a.store.height = 0; }, "gather_canvases: the store is empty: 2 canvases of 0 x 4"},
       {[](auto& a) { a.store.width = -1; }, "gather_canvases: the store is empty: 2 canvases of 3 x -1"},
       {[](auto& a) { a.store.capacity = -1; }, "gather_canvases: the store's capacity must be at least 0, it is -1"},
       {[](auto& a) { a.order.batch = 0; }, "gather_canvases: batch must be at least 1, it is 0"},
       {[](auto& a) { a.order.batch = 4; }, "gather_canvases: a batch has 4 canvases; 3 from 2 on are beyond it"},
       {[](auto& a) { a.first_canvas = -1; }, "gather_canvases: first_canvas must be at least 0, it is -1"},
       {[](auto& a) { a.n = -1; }, "gather_canvases: n must be at least 0, it is -1"},
       {[](auto& a) { a.capacity = 1; }, "gather_canvases: capacity must be at least 2, it is 1"},
       {[](auto& a) { a.normalization.deviation = 0; }, std::string(normalization) + "0 and 0"},
       {[](auto& a) { a.normalization.mean = std::numeric_limits<float>::infinity(); },
        std::string(normalization) + "inf and 1"},
       {[](auto& a) { a.canvas = 35; }, "gather_canvases: canvas must have 36 elements, it has 35"},
       {[](auto& a) { a.boxes = 7; }, "gather_canvases: boxes must have 6 elements, it has 7"},
       {[](auto& a) { a.labels = 5; }, "gather_canvases: labels must have 6 elements, it has 5"},
       {[](auto& a) { a.counts = 2; }, "gather_canvases: counts must have 3 elements, it has 2"}});
}

}  // namespace
}  // namespace gridspot
