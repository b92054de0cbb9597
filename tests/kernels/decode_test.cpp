#include "kernels/decode.h"

#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/reference/decode.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
constexpr auto every_class_loss = {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce, ClassLoss::multi_label};

struct DecodedSlot {
  Box box;
  float score;
  std::int32_t label;
};

class Decode : public test::DeviceTest {
 protected:
  std::vector<DecodedSlot> decode(const GridHead& head, int n, float threshold, const std::vector<float>& predictions) {
    return run([&](Stream& stream) {
      const std::size_t slots = std::size_t(n) * head.slots();
      const auto input = upload(stream, predictions);
      const Buffer<Box> boxes(device(), slots);
      const Buffer<float> scores(device(), slots);
      const Buffer<std::int32_t> classes(device(), slots);
      decode_grid(stream, head, n, threshold, input, boxes, scores, classes);
      const auto box = download(stream, boxes);
      const auto score = download(stream, scores);
      const auto label = download(stream, classes);
      std::vector<DecodedSlot> result(slots);
      for (std::size_t i = 0; i < slots; ++i) result[i] = {box[i], score[i], label[i]};
      return result;
    });
  }

  void check(const GridHead& head, int n, float threshold, const std::vector<float>& predictions) {
    std::vector<float> values;
    std::vector<double> expected;
    const auto slots = decode(head, n, threshold, predictions);
    for (int i = 0; i < static_cast<int>(slots.size()); ++i) {
      const int place = i / head.predictors, cell = place % (head.cells * head.cells);
      const auto* first = &predictions[std::size_t(place) * head.channels()];
      const auto wanted = reference::decode_candidate(head, {first, first + head.channels()}, cell / head.cells,
                                                      cell % head.cells, i % head.predictors, threshold);
      const auto& [box, score, label] = slots[i];
      values.insert(values.end(), {box.cx, box.cy, box.w, box.h, score, float(label)});
      expected.insert(expected.end(),
                      {wanted.box.cx, wanted.box.cy, wanted.box.w, wanted.box.h, wanted.score, double(wanted.label)});
    }
    EXPECT_TRUE(test::matches(values, expected, test::float32_tolerance))
        << n << " x " << head.cells << " x " << head.cells << ", " << head.predictors << " predictors, " << head.classes
        << " classes, coding " << int(head.size_coding) << ", class loss " << int(head.class_loss) << ", threshold "
        << threshold;
  }

  /// The only slot of a 1 x 1 grid.
  DecodedSlot decode_one(GridHead head, float threshold, const std::vector<float>& predictions) {
    head.cells = 1;
    return decode(head, 1, threshold, predictions).front();
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Decode);

TEST_P(Decode, MatchesTheReference) {
  Random random(31);
  for (const auto coding : {SizeCoding::linear, SizeCoding::exponential})
    for (const auto loss : every_class_loss)
      for (const auto& [n, cells, predictors, classes] : {std::tuple{0, 7, 1, 10},
                                                          {1, 1, 1, 1},
                                                          {31, 1, 1, 2},
                                                          {2, 4, 3, 5},
                                                          {33, 1, 2, 3},
                                                          {127, 1, 1, 10},
                                                          {32, 2, 8, 1},
                                                          {129, 1, 1, 10},
                                                          {2, 14, 1, 10},
                                                          {1, 5, 2, 1000},
                                                          {1, 64, 8, 3}})
        for (const float threshold : {0.0f, 0.15f, 1.0f}) {
          const GridHead head{cells, predictors, classes, coding, 0.2f, 0.3f, loss};
          check(head, n, threshold, random.uniforms(std::size_t(n) * cells * cells * head.channels(), -5, 5));
        }
}

TEST_P(Decode, TakesTheLowestOfEquallyLikelyClasses) {
  for (const auto loss : every_class_loss) {
    const GridHead head{.predictors = 1, .classes = 4, .class_loss = loss};
    EXPECT_EQ(decode_one(head, 0, {2, 0, 0, 0, 0, 1, 3, 3, 2}).label, 1);
    EXPECT_EQ(decode_one(head, 0, {2, 0, 0, 0, 0, 3, 3, 3, 3}).label, 0);
  }
}

// One class: its softmax is 1, so the score is sigmoid(0) = 1/2 exactly.
TEST_P(Decode, KeepsAScoreAtTheThreshold) {
  const GridHead head{.predictors = 1, .classes = 1};
  EXPECT_EQ(decode_one(head, 0.5f, {0, 0, 0, 0, 0, 7}).score, 0.5f);
  const auto below = decode_one(head, std::nextafter(0.5f, 1.0f), {0, 0, 0, 0, 0, 7});
  EXPECT_EQ(below.score, 0);
  EXPECT_EQ(below.label, -1);
}

TEST_P(Decode, ClampsExponents) {
  const GridHead head{.predictors = 1, .classes = 1, .prior_width = 0.25f, .prior_height = 0.5f};
  const Box box = decode_one(head, 0, {0, 0, 0, 90, -90, 0}).box;
  EXPECT_FLOAT_EQ(box.w, 0.25f * std::exp(4.0f));
  EXPECT_FLOAT_EQ(box.h, 0.5f * std::exp(-4.0f));
}

TEST_P(Decode, GivesNoCandidateForWhatIsNotFinite) {
  for (const auto loss : every_class_loss)
    for (const auto coding : {SizeCoding::linear, SizeCoding::exponential}) {
      const GridHead head{.predictors = 1, .classes = 3, .size_coding = coding, .class_loss = loss};
      const std::vector<float> fine{3, 0, 0, 0.2f, 0.2f, 1, 2, 3};
      EXPECT_GT(decode_one(head, 0, fine).score, 0);
      for (std::size_t channel = 0; channel < fine.size(); ++channel) {
        auto spoiled = fine;
        spoiled[channel] = nan;
        const auto slot = decode_one(head, 0, spoiled);
        EXPECT_EQ(slot.score, 0) << "channel " << channel;
        EXPECT_EQ(slot.label, -1) << "channel " << channel;
      }
    }
  const GridHead linear{.predictors = 1, .classes = 1, .size_coding = SizeCoding::linear};
  EXPECT_EQ(decode_one(linear, 0, {3, 0, 0, infinity, 0.2f, 1}).score, 0);
}

TEST_P(Decode, StandsTheLargestLogits) {
  for (const auto loss : every_class_loss) {
    const GridHead head{.predictors = 1, .classes = 2, .class_loss = loss};
    const auto sure = decode_one(head, 0.5f, {3e38f, 3e38f, -3e38f, 3e38f, -3e38f, -3e38f, 3e38f});
    EXPECT_EQ(sure.score, 1);
    EXPECT_EQ(sure.label, 1);
    EXPECT_EQ(sure.box.cx, 1);
    EXPECT_EQ(sure.box.cy, 0);
    EXPECT_EQ(decode_one(head, 0, {-3e38f, 0, 0, 0, 0, 1, 1}).label, -1);
  }
}

TEST_P(Decode, RefusesWhatDoesNotFit) {
  struct Arguments {
    GridHead head{.cells = 2, .predictors = 2, .classes = 3};
    int n = 2;
    float threshold = 0.1f;
    std::size_t predictions = 104, boxes = 16, scores = 16, classes = 16;
  };
  const auto call = [&](const Arguments& a) {
    Stream stream(device());
    const Buffer<float> predictions(device(), a.predictions), scores(device(), a.scores);
    const Buffer<Box> boxes(device(), a.boxes);
    const Buffer<std::int32_t> classes(device(), a.classes);
    fill_bytes(stream, predictions.data(), 0, a.predictions * sizeof(float));
    decode_grid(stream, a.head, a.n, a.threshold, predictions, boxes, scores, classes);
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.head.cells = 0; }, "decode_grid: cells must be at least 1, it is 0"},
       {[](auto& a) { a.head.predictors = 0; }, "decode_grid: predictors must be at least 1, it is 0"},
       {[](auto& a) { a.head.classes = 0; }, "decode_grid: classes must be at least 1, it is 0"},
       {[](auto& a) { a.head.prior_width = 0; },
        "decode_grid: the priors must be positive and finite, they are 0.000000 and 0.150000"},
       {[](auto& a) { a.head.prior_height = infinity; },
        "decode_grid: the priors must be positive and finite, they are 0.150000 and inf"},
       {[](auto& a) { a.n = -1; }, "decode_grid: n must be at least 0, it is -1"},
       {[](auto& a) { a.threshold = -0.5f; }, "decode_grid: the score threshold must lie in [0, 1], it is -0.500000"},
       {[](auto& a) { a.threshold = nan; }, "decode_grid: the score threshold must lie in [0, 1], it is nan"},
       {[](auto& a) { a.predictions = 103; }, "decode_grid: predictions must have 104 elements, it has 103"},
       {[](auto& a) { a.boxes = 15; }, "decode_grid: boxes must have 16 elements, it has 15"},
       {[](auto& a) { a.scores = 17; }, "decode_grid: scores must have 16 elements, it has 17"},
       {[](auto& a) { a.classes = 0; }, "decode_grid: classes must have 16 elements, it has 0"}});
}

}  // namespace
}  // namespace gridspot
