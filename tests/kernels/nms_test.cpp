#include "kernels/nms.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/decode.h"
#include "kernels/targets.h"
#include "tests/kernels/refusals.h"
#include "tests/reference/nms.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();

struct Candidates {
  std::vector<Box> boxes;
  std::vector<float> scores;
  std::vector<std::int32_t> classes;
  [[nodiscard]] int count() const { return static_cast<int>(scores.size()); }
  void add(const Box& box, float score, int label = 0) {
    boxes.push_back(box);
    scores.push_back(score);
    classes.push_back(label);
  }
};

struct Detection {
  Box box;
  float score;
  std::int32_t label;
  friend bool operator==(const Detection& a, const Detection& b) {
    return a.box.cx == b.box.cx && a.box.cy == b.box.cy && a.box.w == b.box.w && a.box.h == b.box.h &&
           a.score == b.score && a.label == b.label;
  }
};
void PrintTo(const Detection& d, std::ostream* out) {
  *out << "class " << d.label << " score " << d.score << " at " << d.box.cx << ' ' << d.box.cy << ' ' << d.box.w << ' '
       << d.box.h;
}

struct Result {
  std::vector<Detection> entries;  // [n, capacity]
  std::vector<std::int32_t> counts, truncated;
};

class Nms : public test::DeviceTest {
 protected:
  /// Of `work(stream, detections)`.
  template <class Work>
  Result detect(int n, int capacity, const Work& work) {
    Result result;
    result.entries = run([&](Stream& stream) {
      const Detections detections(device(), n, capacity);
      work(stream, detections.view());
      result.counts = download(stream, detections.counts);
      result.truncated = download(stream, detections.truncated);
      const auto box = download(stream, detections.boxes);
      const auto score = download(stream, detections.scores);
      const auto label = download(stream, detections.classes);
      std::vector<Detection> entries(box.size());
      for (std::size_t i = 0; i < box.size(); ++i) entries[i] = {box[i], score[i], label[i]};
      return entries;
    });
    return result;
  }

  Result suppress(int n, const Candidates& all, int capacity, float threshold = 0.5f, bool class_agnostic = false) {
    return detect(n, capacity, [&](Stream& stream, const DetectionsView& detections) {
      const auto boxes = upload(stream, all.boxes);
      const auto scores = upload(stream, all.scores);
      const auto classes = upload(stream, all.classes);
      gridspot::suppress(stream, n, n == 0 ? 0 : all.count() / n, boxes, scores, classes, threshold, class_agnostic,
                         detections);
      stream.synchronize();
    });
  }

  /// One launch gives the bits of decode_grid and then suppress. Returns how many detections there were.
  int check_decoding(const GridHead& head, int n, const std::vector<float>& predictions, int capacity,
                     float score_threshold, float iou_threshold, bool class_agnostic) {
    const auto one = detect(n, capacity, [&](Stream& stream, const DetectionsView& detections) {
      decode_and_suppress(stream, head, n, score_threshold, upload(stream, predictions), iou_threshold, class_agnostic,
                          detections);
      stream.synchronize();
    });
    const auto two = detect(n, capacity, [&](Stream& stream, const DetectionsView& detections) {
      const std::size_t slots = std::size_t(n) * head.slots();
      const Buffer<Box> boxes(device(), slots);
      const Buffer<float> scores(device(), slots);
      const Buffer<std::int32_t> classes(device(), slots);
      decode_grid(stream, head, n, score_threshold, upload(stream, predictions), boxes, scores, classes);
      gridspot::suppress(stream, n, head.slots(), boxes, scores, classes, iou_threshold, class_agnostic, detections);
      stream.synchronize();
    });
    const auto difference = [](const auto& a, const auto& b) {
      return test::difference_between("one launch and two", std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
    };
    const auto what = testing::Message() << n << " x " << head.cells << " x " << head.cells << ", " << head.predictors
                                         << " predictors, " << head.classes << " classes, coding "
                                         << int(head.size_coding) << ", class loss " << int(head.class_loss)
                                         << ", capacity " << capacity << ", thresholds " << score_threshold << " and "
                                         << iou_threshold << ", class-agnostic " << class_agnostic;
    EXPECT_EQ(difference(one.entries, two.entries), "") << what;
    EXPECT_EQ(difference(one.counts, two.counts), "") << what;
    EXPECT_EQ(difference(one.truncated, two.truncated), "") << what;
    return std::accumulate(one.counts.begin(), one.counts.end(), 0);
  }

  void check(int n, const Candidates& all, int capacity, float threshold, bool class_agnostic) {
    const auto result = suppress(n, all, capacity, threshold, class_agnostic);
    std::vector<Detection> expected;
    std::vector<std::int32_t> counts, truncated;
    const int slots = n == 0 ? 0 : all.count() / n;
    for (int image = 0; image < n; ++image) {
      const auto part = [&](const auto& values) {
        return std::vector(values.begin() + image * slots, values.begin() + (image + 1) * slots);
      };
      const auto kept =
          reference::suppress(part(all.boxes), part(all.scores), part(all.classes), threshold, class_agnostic);
      const int survivors = static_cast<int>(kept.size());
      for (int i = 0; i < capacity; ++i) {
        const int slot = i < survivors ? image * slots + kept[i] : -1;
        expected.push_back(slot < 0 ? Detection{{}, 0, -1}
                                    : Detection{all.boxes[slot], all.scores[slot], all.classes[slot]});
      }
      counts.push_back(std::min(survivors, capacity));
      truncated.push_back(std::max(survivors - capacity, 0));
    }
    const auto what = testing::Message() << n << " images of " << slots << " slots, capacity " << capacity
                                         << ", threshold " << threshold << ", class-agnostic " << class_agnostic;
    ASSERT_EQ(result.entries, expected) << what;
    ASSERT_EQ(result.counts, counts) << what;
    ASSERT_EQ(result.truncated, truncated) << what;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Nms);

// Edges are multiples of 1/64, so that areas and intersections are exact in float32, and so is the comparison of the
// IoU with a threshold of few binary digits. Scores take few values, so that they tie.
Candidates random_candidates(Random& random, int count, float density) {
  Candidates all;
  const int classes = random.integer(1, 4), levels = random.integer(1, 200), spread = random.integer(4, 48);
  for (int i = 0; i < count; ++i) {
    if (!all.boxes.empty() && random.integer(0, 9) == 0) {
      const int copied = random.integer(0, i - 1);
      all.add(all.boxes[copied], random.integer(0, 1) ? all.scores[copied] : 0.5f, all.classes[copied]);
      continue;
    }
    const auto size = [&] { return 2 * static_cast<float>(random.integer(0, 9)) / 64; };
    const auto center = [&] { return static_cast<float>(random.integer(0, spread)) / 64; };
    const float score = static_cast<float>(random.integer(1, levels)) / static_cast<float>(levels);
    all.add({center(), center(), size(), size()}, random.uniform() < density ? score : 0,
            random.integer(0, classes - 1));
  }
  return all;
}

TEST_P(Nms, MatchesTheReferenceOnRandomSets) {
  Random random(41);
  const std::vector<int> slot_counts{0, 1, 2, 31, 32, 33, 63, 64, 65, 95, 127, 128, 129, 300, 511, 512, 513, 784};
  for (int set = 0; set < 540; ++set) {
    const int slots = slot_counts[set % slot_counts.size()], n = random.integer(1, 3);
    const int capacity = std::vector{0, 1, 3, 50, slots}[random.integer(0, 4)];
    const float threshold = std::vector{0.0f, 0.25f, 0.4375f, 0.5f, 0.75f, 1.0f}[random.integer(0, 5)];
    const float density = std::vector{0.0f, 0.05f, 0.5f, 1.0f}[random.integer(0, 3)];
    check(n, random_candidates(random, n * slots, density), capacity, threshold, random.integer(0, 1) == 1);
    if (HasFatalFailure()) return;
  }
  check(0, {}, 5, 0.5f, false);
}

TEST_P(Nms, MatchesTheReferenceOnTheMostSlots) {
  Random random(42);
  check(1, random_candidates(random, max_nms_slots, 1), 300, 0.5f, false);
  check(2, random_candidates(random, max_nms_slots, 0.7f), 40, 0.25f, true);
  // Around the largest set that is sorted by rank, and around a power of two of the sorting network.
  for (const int slots : {1023, 1024, 1025, 1026, 2048, 2049}) {
    Candidates all = random_candidates(random, slots, 1);
    for (float& score : all.scores) score = std::max(score, 1e-3f);
    check(1, all, 100, 0.5f, slots % 2 == 0);
  }
}

TEST_P(Nms, CountsEverySurvivorBeyondTheCapacity) {
  Candidates all;  // 8192 boxes side by side: all survive
  for (int i = 0; i < max_nms_slots; ++i)
    all.add({static_cast<float>(i % 128) / 128, static_cast<float>(i / 128) / 64, 1.0f / 128, 1.0f / 64},
            static_cast<float>(i + 1));
  const auto result = suppress(1, all, 100, 0.25f);
  EXPECT_THAT(result.counts, testing::ElementsAre(100));
  EXPECT_THAT(result.truncated, testing::ElementsAre(max_nms_slots - 100));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(result.entries[i].score, static_cast<float>(max_nms_slots - i));
}

TEST_P(Nms, KeepsASuppressedBoxFromSuppressing) {
  // Each box overlaps only its neighbours: IoU of unit squares half a side apart is (1/2) / (3/2) = 1/3.
  Candidates chain;
  for (int i = 0; i < 5; ++i) chain.add({0.5f * static_cast<float>(i), 0, 1, 1}, 0.9f - 0.1f * static_cast<float>(i));
  const auto kept = suppress(1, chain, 5, 0.25f).entries;
  EXPECT_THAT((std::vector{kept[0].box.cx, kept[1].box.cx, kept[2].box.cx}), testing::ElementsAre(0, 1, 2));
  EXPECT_EQ(suppress(1, chain, 5, 0.34f).counts[0], 5);
}

TEST_P(Nms, SuppressesExactDuplicates) {
  const Box box{0.3f, 0.7f, 0.1f, 0.013f};
  Candidates twice;
  twice.add(box, 0.5f, 1);
  twice.add(box, 0.5f, 1);
  twice.add(box, 0.4f, 2);
  EXPECT_EQ(suppress(1, twice, 3, 0.999f).counts[0], 2) << "of class 1 one, of class 2 one";
  EXPECT_EQ(suppress(1, twice, 3, 0.999f, true).counts[0], 1);
  EXPECT_EQ(suppress(1, twice, 3, 1.0f).counts[0], 3) << "no IoU is above 1";
}

TEST_P(Nms, TakesOnlyPositiveScores) {
  Candidates all;
  int place = 0;
  for (const float score : {0.0f, -0.0f, -1.0f, nan, std::numeric_limits<float>::denorm_min(), 0.5f,
                            std::numeric_limits<float>::infinity()})
    all.add({static_cast<float>(place++), 0, 0.5f, 0.5f}, score);
  const auto result = suppress(1, all, 7);
  EXPECT_THAT(result.counts, testing::ElementsAre(3));
  EXPECT_EQ(result.entries[0].box.cx, 6);
  EXPECT_EQ(result.entries[1].box.cx, 5);
  EXPECT_EQ(result.entries[2].box.cx, 4);
}

/// Every sixteenth output or so is as large as can be or no number.
std::vector<float> random_predictions(Random& random, const GridHead& head, int n) {
  auto predictions = random.uniforms(std::size_t(n) * head.cells * head.cells * head.channels(), -4, 4);
  for (float& value : predictions)
    if (random.integer(0, 15) == 0) value = std::vector{nan, infinity, -infinity, 3e38f, -3e38f}[random.integer(0, 4)];
  return predictions;
}

TEST_P(Nms, DecodesOnTheWayToTheBitsOfTwoLaunches) {
  Random random(44);
  int detections = 0;
  for (const auto coding : {SizeCoding::linear, SizeCoding::exponential})
    for (const auto loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce, ClassLoss::multi_label})
      for (const auto& [n, cells, predictors, classes] : {std::tuple{0, 7, 1, 10},
                                                          {1, 1, 1, 1},
                                                          {3, 4, 3, 5},
                                                          {33, 1, 2, 3},
                                                          {2, 2, 8, 1},
                                                          {5, 8, 1, 10},
                                                          {2, 14, 2, 10},
                                                          {1, 28, 1, 10},
                                                          {1, 5, 2, 200}})
        for (const float score_threshold : {0.0f, 0.1f, 0.4f, 1.0f}) {
          const GridHead head{cells, predictors, classes, coding, 0.2f, 0.3f, loss};
          const int capacity = std::vector{0, 3, 40, head.slots()}[random.integer(0, 3)];
          const float iou_threshold = std::vector{0.0f, 0.25f, 0.5f, 1.0f}[random.integer(0, 3)];
          detections += check_decoding(head, n, random_predictions(random, head, n), capacity, score_threshold,
                                       iou_threshold, random.integer(0, 1) == 1);
        }
  EXPECT_GT(detections, 1000);
}

TEST_P(Nms, DecodesTheMostSlots) {
  Random random(45);
  // Around the largest set that stays in shared memory, too.
  for (const auto& [cells, predictors, score_threshold, iou_threshold] : {std::tuple{64, 2, 0.0f, 0.5f},
                                                                          {32, 8, 0.0f, 0.05f},
                                                                          {32, 8, 0.3f, 0.5f},
                                                                          {32, 1, 0.0f, 0.5f},
                                                                          {33, 1, 0.0f, 0.5f}}) {
    const GridHead head{.cells = cells, .predictors = predictors, .classes = 3};
    const auto predictions = random.uniforms(std::size_t(cells) * cells * head.channels(), -4, 4);
    EXPECT_GT(check_decoding(head, 1, predictions, 300, score_threshold, iou_threshold, predictors == 8), 0);
  }
}

TEST_P(Nms, RefusesPredictionsThatDoNotFit) {
  struct Arguments {
    GridHead head{.cells = 2, .predictors = 2, .classes = 3};
    int n = 2, detections = 2;
    float score_threshold = 0.1f, iou_threshold = 0.5f;
    std::size_t predictions = 104;
  };
  const auto call = [&](const Arguments& a) {
    Stream stream(device());
    const Buffer<float> predictions(device(), a.predictions);
    fill_bytes(stream, predictions.data(), 0, a.predictions * sizeof(float));
    const Detections detections(device(), a.detections, 4);
    decode_and_suppress(stream, a.head, a.n, a.score_threshold, predictions, a.iou_threshold, false, detections.view());
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.head.predictors = 0; }, "decode_and_suppress: predictors must be at least 1, it is 0"},
       {[](auto& a) { a.n = -1; }, "decode_and_suppress: n must be at least 0, it is -1"},
       {[](auto& a) { a.predictions = 103; }, "decode_and_suppress: predictions must have 104 elements, it has 103"},
       {[](auto& a) {
          a.head.cells = 91, a.head.predictors = 1;
          a.predictions = 2 * 91 * 91 * 8;
        },
        "decode_and_suppress: an image may have 8192 slots, it has 8281"},
       {[](auto& a) { a.detections = 1; }, "decode_and_suppress: the detections must be of 2 images, they are of 1"},
       {[](auto& a) { a.score_threshold = nan; },
        "decode_and_suppress: the score threshold must lie in [0, 1], it is nan"},
       {[](auto& a) { a.iou_threshold = 1.5f; },
        "decode_and_suppress: the IoU threshold must lie in [0, 1], it is 1.500000"}});
}

TEST_P(Nms, RefusesWhatDoesNotFit) {
  struct Arguments {
    int n = 2, slots = 3, detections = 2, capacity = 4;
    float threshold = 0.5f;
    std::size_t boxes = 6, scores = 6, classes = 6;
  };
  const auto call = [&](const Arguments& a) {
    Stream stream(device());
    const Buffer<Box> boxes(device(), a.boxes);
    const Buffer<float> scores(device(), a.scores);
    const Buffer<std::int32_t> classes(device(), a.classes);
    fill_bytes(stream, scores.data(), 0, a.scores * sizeof(float));
    const Detections detections(device(), a.detections, a.capacity);
    gridspot::suppress(stream, a.n, a.slots, boxes, scores, classes, a.threshold, false, detections.view());
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.n = -1; }, "suppress: n must be at least 0, it is -1"},
       {[](auto& a) { a.slots = -1; }, "suppress: slots must be at least 0, it is -1"},
       {[](auto& a) { a.slots = 8193; }, "suppress: an image may have 8192 slots, it has 8193"},
       {[](auto& a) { a.detections = 1; }, "suppress: the detections must be of 2 images, they are of 1"},
       {[](auto& a) { a.detections = -1; }, "Detections: n must be at least 0, it is -1"},
       {[](auto& a) { a.capacity = -1; }, "Detections: capacity must be at least 0, it is -1"},
       {[](auto& a) { a.threshold = 1.5f; }, "suppress: the IoU threshold must lie in [0, 1], it is 1.500000"},
       {[](auto& a) { a.threshold = nan; }, "suppress: the IoU threshold must lie in [0, 1], it is nan"},
       {[](auto& a) { a.boxes = 5; }, "suppress: boxes must have 6 elements, it has 5"},
       {[](auto& a) { a.scores = 7; }, "suppress: scores must have 6 elements, it has 7"},
       {[](auto& a) { a.classes = 0; }, "suppress: classes must have 6 elements, it has 0"}});
}

// What a perfect network would say comes back as the objects that were encoded.
TEST_P(Nms, RecoversEncodedTargets) {
  Random random(43);
  for (const auto coding : {SizeCoding::linear, SizeCoding::exponential}) {
    const GridHead head{.cells = 8, .predictors = 2, .classes = 5, .size_coding = coding};
    const int capacity = 12;
    std::vector<Box> objects;
    std::vector<std::int32_t> labels;
    for (int i = 0; i < capacity; ++i) {  // in columns of their own, so apart
      const float column = static_cast<float>(i % 4) * 2 + random.uniform(0.3f, 0.7f);
      const float row = static_cast<float>(i / 4) * 2 + random.uniform(0.3f, 0.7f);
      objects.push_back({column / 8, row / 8, random.uniform(0.05f, 0.15f), random.uniform(0.05f, 0.15f)});
      labels.push_back(i == 5 ? -1 : random.integer(0, 4));
    }
    Stream stream(device());
    const Buffer<std::int32_t> cell_object(device(), 64), collisions(device(), 1);
    encode_targets(stream, 1, capacity, upload(stream, objects), upload(stream, labels), head.cells, cell_object,
                   collisions);
    const auto cells = download(stream, cell_object);

    std::vector<float> predictions(std::size_t(64) * head.channels(), -9.0f);
    const auto logit = [](float share) { return std::log(share / (1 - share)); };
    for (int cell = 0; cell < 64; ++cell) {
      if (cells[cell] < 0) continue;
      const Box& box = objects[cells[cell]];
      float* channels = &predictions[std::size_t(cell) * head.channels()];
      for (int predictor = 0; predictor < 2; ++predictor, channels += 5) {  // the second repeats the first
        channels[0] = 9.0f - static_cast<float>(predictor);
        channels[1] = logit(box.cx * 8 - static_cast<float>(cell % 8));
        channels[2] = logit(box.cy * 8 - static_cast<float>(cell / 8));
        channels[3] = coding == SizeCoding::linear ? box.w : std::log(box.w / head.prior_width);
        channels[4] = coding == SizeCoding::linear ? box.h : std::log(box.h / head.prior_height);
      }
      channels[labels[cells[cell]]] = 9;
    }
    const Detections detections(device(), 1, 20);
    decode_and_suppress(stream, head, 1, 0.5f, upload(stream, predictions), 0.45f, false, detections.view());

    ASSERT_EQ(download(stream, detections.counts)[0], capacity - 1);
    const auto found = download(stream, detections.boxes);
    const auto found_classes = download(stream, detections.classes);
    for (int i = 0; i < capacity; ++i) {
      if (labels[i] < 0) continue;
      const auto match = std::find_if(found.begin(), found.end(), [&](const Box& box) {
        return std::abs(box.cx - objects[i].cx) < 1e-5 && std::abs(box.cy - objects[i].cy) < 1e-5 &&
               std::abs(box.w - objects[i].w) < 1e-5 && std::abs(box.h - objects[i].h) < 1e-5;
      });
      ASSERT_NE(match, found.end()) << "object " << i;
      EXPECT_EQ(found_classes[match - found.begin()], labels[i]) << "object " << i;
    }
  }
}

}  // namespace
}  // namespace gridspot
