#include "kernels/augment.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "gridspot/error.h"
#include "kernels/gather.h"
#include "kernels/permutation.h"
#include "tests/kernels/gather_fixture.h"
#include "tests/support/compare.h"

namespace gridspot {
namespace {

using test::DeviceStore;
using test::Random;
using test::Store;

struct Batch {
  std::vector<float> canvas;
  std::vector<Box> boxes;
  std::vector<std::int32_t> labels, counts;
};

bool operator==(const Batch& a, const Batch& b) {
  const auto same_box = [](const Box& x, const Box& y) {
    return x.cx == y.cx && x.cy == y.cy && x.w == y.w && x.h == y.h;
  };
  return a.canvas == b.canvas && a.labels == b.labels && a.counts == b.counts &&
         std::equal(a.boxes.begin(), a.boxes.end(), b.boxes.begin(), b.boxes.end(), same_box);
}

struct Request {
  GatherOrder order;
  std::uint64_t step = 0;
  int first_canvas = 0, n = 0, capacity = 0;
};

/// One canvas after its change, from the contract, in double precision.
struct Change {
  std::size_t item = 0;
  double factor = 1, shift_x = 0, shift_y = 0;

  double pixel(const Store& store, int row, int column) const {
    const auto at = [&](int y, int x) -> double {
      if (y < 0 || y >= store.height || x < 0 || x >= store.width) return 0;
      return store.pixels[(item * store.height + y) * store.width + x];
    };
    // Pixel centres are half-integers; the canvas is scaled about its centre, then moved.
    const double x = (column + 0.5 - shift_x - store.width / 2.0) / factor + store.width / 2.0 - 0.5;
    const double y = (row + 0.5 - shift_y - store.height / 2.0) / factor + store.height / 2.0 - 0.5;
    const int left = int(std::floor(x)), top = int(std::floor(y));
    const double u = x - left, v = y - top;
    return (1 - v) * ((1 - u) * at(top, left) + u * at(top, left + 1)) +
           v * ((1 - u) * at(top + 1, left) + u * at(top + 1, left + 1));
  }
};

class Augment : public test::DeviceTest {
 protected:
  /// Canvases whose boxes lie inside them, as those of a data set do.
  Store store(Random& random, int count, int height, int width, int capacity) {
    Store made = test::random_store(random, count, height, width, capacity);
    for (Box& box : made.boxes) {
      const float w = random.uniform(0.05f, 0.4f), h = random.uniform(0.05f, 0.4f);
      box = {random.uniform(w / 2, 1 - w / 2), random.uniform(h / 2, 1 - h / 2), w, h};
    }
    return made;
  }

  template <class Launch>
  Batch run_on(const Store& stored, const Request& request, const Launch& launch) {
    const std::size_t pixels = std::size_t(request.n) * stored.height * stored.width;
    const std::size_t places = std::size_t(request.n) * request.capacity;
    const std::vector<float> all = run([&](Stream& stream) {
      const DeviceStore held(stream, stored);
      const std::size_t n = std::size_t(request.n), slots = n * request.capacity;
      const auto step = upload(stream, std::vector<std::uint64_t>{request.step});
      Buffer<float> canvas(device(), n * stored.height * stored.width);
      Buffer<Box> boxes(device(), slots);
      Buffer<std::int32_t> labels(device(), slots), counts(device(), n);
      launch(stream, held.view(), step, canvas, boxes, labels, counts);
      std::vector<float> words = download(stream, canvas);
      for (const Box& box : download(stream, boxes)) words.insert(words.end(), {box.cx, box.cy, box.w, box.h});
      for (const auto* numbers : {&labels, &counts})
        for (const std::int32_t number : download(stream, *numbers)) words.push_back(float(number));
      return words;
    });
    Batch batch;
    const float* word = all.data() + pixels;
    batch.canvas.assign(all.data(), word);
    for (std::size_t i = 0; i < places; ++i, word += 4) batch.boxes.push_back({word[0], word[1], word[2], word[3]});
    batch.labels.assign(word, word + places);
    batch.counts.assign(word + places, word + places + request.n);
    return batch;
  }

  Batch augment(const Store& stored, const Request& request, const Augmentation& augmentation,
                Normalization normalization) {
    return run_on(stored, request, [&](Stream& stream, const CanvasStoreView& view, auto& step, auto&... outputs) {
      augment_canvases(stream, view, request.order, augmentation, {step.data(), request.first_canvas}, request.n,
                       normalization, outputs..., request.capacity);
    });
  }

  std::vector<Change> changes(const Store& stored, const Request& request, const Augmentation& augmentation, int i) {
    const auto place = std::uint32_t(request.first_canvas + i);
    const CanvasRandom random{request.order.key, request.step, place};
    const std::uint64_t position = request.step * request.order.batch + place;
    const auto count = std::uint32_t(stored.count);
    std::uint32_t item = std::uint32_t(position % count);
    if (request.order.shuffle) item = Permutation{request.order.key, position / count, count}(item);
    std::vector<Change> result;
    const bool is_overlaid = uniform(random.draw(Purpose::augmentation, 0).w) < augmentation.overlay;
    for (std::uint32_t layer = 0; layer < (is_overlaid ? 2u : 1u); ++layer) {
      const Philox4 draw = random.draw(Purpose::augmentation, layer);
      const auto between = [](std::uint32_t bits, double range) { return (2.0 * uniform(bits) - 1) * range; };
      result.push_back({layer == 0 ? item : pick(draw.w, count),
                        std::exp(between(draw.x, std::log(1.0 + augmentation.scale))),
                        between(draw.y, augmentation.shift), between(draw.z, augmentation.shift)});
    }
    return result;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Augment);

TEST_P(Augment, WithoutAChangeItIsGathering) {
  Random random(1);
  for (const auto& [height, width] : {std::pair{1, 1}, {7, 5}, {64, 64}, {65, 63}}) {
    const Store stored = store(random, 5, height, width, 3);
    for (const bool shuffle : {false, true}) {
      const Request request{{.key = 9, .shuffle = shuffle, .batch = 7}, 3, 2, 4, 5};
      const Normalization normalization{0.3f, 0.7f};
      const Batch gathered =
          run_on(stored, request, [&](Stream& stream, const CanvasStoreView& view, auto& step, auto&... outputs) {
            gather_canvases(stream, view, request.order, {step.data(), request.first_canvas}, request.n, normalization,
                            outputs..., request.capacity);
          });
      EXPECT_TRUE(augment(stored, request, {}, normalization) == gathered)
          << height << " x " << width << (shuffle ? ", shuffled" : "");
    }
  }
}

TEST_P(Augment, PixelsMatchTheReference) {
  Random random(2);
  const std::vector<Augmentation> kinds{{.scale = 0.2f}, {.shift = 3.7f}, {.overlay = 1}, {0.5f, 9, 0.5f}};
  for (const Augmentation& kind : kinds)
    for (const auto& [height, width] : {std::pair{1, 9}, {33, 20}, {70, 64}}) {
      const Store stored = store(random, 4, height, width, 2);
      const Request request{{.key = 5, .shuffle = true, .batch = 6}, 11, 1, 5, 4};
      const Normalization normalization{0.1f, 0.5f};
      const Batch result = augment(stored, request, kind, normalization);
      std::vector<double> expected;
      for (int i = 0; i < request.n; ++i)
        for (int row = 0; row < height; ++row)
          for (int column = 0; column < width; ++column) {
            double value = 0;
            for (const Change& change : changes(stored, request, kind, i)) value += change.pixel(stored, row, column);
            expected.push_back((std::min(value, 255.0) / 255 - 0.1) / 0.5);
          }
      // A coordinate of up to 70 pixels is known to 1e-5 of one, and neighbouring pixels differ by up to 255.
      EXPECT_TRUE(test::matches(result.canvas, expected, {.absolute = 2e-4, .relative = 0}))
          << "scale " << kind.scale << ", shift " << kind.shift << ", overlay " << kind.overlay << ", " << height
          << " x " << width;
    }
}

TEST_P(Augment, LabelsMoveWithTheirObjects) {
  Random random(3);
  const Augmentation kind{0.4f, 12, 0.6f};
  const Store stored = store(random, 6, 40, 50, 4);
  int lost = 0, kept = 0;
  for (std::uint64_t step = 0; step < 20; ++step) {
    const Request request{{.key = 77, .shuffle = true, .batch = 5}, step, 0, 5, 9};
    const Batch result = augment(stored, request, kind, {0, 1});
    for (int i = 0; i < request.n; ++i) {
      int slot = i * request.capacity;
      for (const Change& change : changes(stored, request, kind, i))
        for (int k = 0; k < stored.counts[change.item]; ++k) {
          const Box& box = stored.boxes[change.item * stored.capacity + k];
          const double cx = (double(box.cx) - 0.5) * change.factor + 0.5 + change.shift_x / stored.width;
          const double cy = (double(box.cy) - 0.5) * change.factor + 0.5 + change.shift_y / stored.height;
          const double w = box.w * change.factor, h = box.h * change.factor;
          const double left = std::max(cx - w / 2, 0.0), right = std::min(cx + w / 2, 1.0);
          const double top = std::max(cy - h / 2, 0.0), bottom = std::min(cy + h / 2, 1.0);
          const double share = (right - left) * (bottom - top) / (w * h);
          ASSERT_GT(std::abs(share - least_remaining_share), 1e-5) << "too close to call; take another seed";
          if (share < least_remaining_share || cx < 0 || cx > 1 || cy < 0 || cy > 1) {
            ++lost;
            continue;
          }
          ++kept;
          EXPECT_EQ(result.labels[slot], stored.labels[change.item * stored.capacity + k]) << "step " << step;
          const Box& found = result.boxes[slot++];
          EXPECT_NEAR(found.cx, (left + right) / 2, 1e-6);
          EXPECT_NEAR(found.cy, (top + bottom) / 2, 1e-6);
          EXPECT_NEAR(found.w, right - left, 1e-6);
          EXPECT_NEAR(found.h, bottom - top, 1e-6);
        }
      EXPECT_EQ(result.counts[i], slot - i * request.capacity);
      for (; slot < (i + 1) * request.capacity; ++slot) EXPECT_EQ(result.labels[slot], -1);
    }
  }
  EXPECT_GT(lost, 5);
  EXPECT_GT(kept, 100);
}

TEST_P(Augment, ChangesDifferFromStepToStep) {
  Random random(4);
  const Store stored = store(random, 3, 24, 24, 1);
  const Augmentation kind{0.1f, 4, 0};
  const auto at = [&](std::uint64_t step) {
    return augment(stored, {{.key = 1, .shuffle = false, .batch = 3}, step, 0, 3, 1}, kind, {0, 1});
  };
  EXPECT_TRUE(at(5) == at(5));
  EXPECT_FALSE(at(5) == at(6)) << "the same items, changed in the same way";
}

TEST_P(Augment, RefusesWhatIsOutOfRange) {
  Random random(5);
  const Store stored = store(random, 2, 4, 4, 3);
  const Request request{{.key = 1, .shuffle = false, .batch = 2}, 0, 0, 2, 3};
  struct Row {
    Augmentation augmentation;
    const char* message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Row& row : {Row{{.scale = -0.1f}, "scale must lie in [0, 0.5]"},
                         {{.scale = 0.6f}, "scale must lie in [0, 0.5]"},
                         {{.shift = 65}, "shift must lie in [0, 64]"},
                         {{.shift = nan}, "shift must lie in [0, 64]"},
                         {{.overlay = 1.5f}, "overlay must lie in [0, 1]"},
                         {{.overlay = 0.5f}, "capacity must be at least 6, it is 3"}})
    EXPECT_THAT(
        [&] {
          augment(stored, request, row.augmentation, {0, 1});
        },
        testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(row.message)));
}

}  // namespace
}  // namespace gridspot
