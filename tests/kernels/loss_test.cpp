#include "kernels/loss.h"

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "gridspot/error.h"
#include "tests/reference/loss.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// The arguments of one call.
struct LossInput {
  GridHead head;
  LossSettings settings;
  int n = 1, capacity = 1, batch = 1;
  std::vector<float> predictions;
  std::vector<std::int32_t> cell_object;
  std::vector<Box> boxes;
  std::vector<std::int32_t> labels;

  [[nodiscard]] int cells() const { return head.cells * head.cells; }
  [[nodiscard]] reference::Cell cell(int place) const {
    reference::Cell cell{place % cells() / head.cells, place % head.cells, cell_object[place] >= 0, {}, 0};
    if (!cell.has_object) return cell;
    const int object = place / cells() * capacity + cell_object[place];
    cell.box = reference::widen(boxes[object]);
    cell.label = labels[object];
    return cell;
  }
  [[nodiscard]] std::vector<double> outputs(int place) const {
    const auto first = predictions.begin() + std::ptrdiff_t(place) * head.channels();
    return {first, first + head.channels()};
  }
};
void PrintTo(const LossInput& in, std::ostream* out) {
  *out << in.n << " canvases, " << in.head.cells << " cells a side, " << in.head.predictors << " predictors, "
       << in.head.classes << " classes, coding " << int(in.head.size_coding) << ", class loss "
       << int(in.head.class_loss) << ", box loss " << int(in.settings.box_loss) << ", capacity " << in.capacity
       << ", batch " << in.batch;
}

/// Objects in cells of their own, with centres inside them; every kind of size, so boxes overlap or do not.
LossInput random_input(Random& random, const GridHead& head, const LossSettings& settings, int n, int capacity) {
  LossInput in{head, settings, n, capacity, std::max(n, 1) + random.integer(0, 3), {}, {}, {}, {}};
  const int places = n * in.cells();
  in.predictions = random.uniforms(std::size_t(places) * head.channels(), -3, 3);
  if (head.size_coding == SizeCoding::linear)
    for (std::size_t i = 0; i < in.predictions.size(); ++i)
      if (const int channel = static_cast<int>(i) % head.channels(); channel < head.predictors * 5 && channel % 5 > 2)
        in.predictions[i] = random.uniform(0.03f, 0.6f);
  in.cell_object.assign(places, -1);
  in.labels.assign(std::size_t(n) * capacity, -1);
  in.boxes.resize(in.labels.size());
  const float largest = random.integer(0, 1) == 0 ? 0.1f : 0.7f;
  for (int canvas = 0; canvas < n; ++canvas)
    for (int object = 0; object < capacity; ++object) {
      const int row = random.integer(0, head.cells - 1), column = random.integer(0, head.cells - 1);
      auto& owner = in.cell_object[(canvas * head.cells + row) * head.cells + column];
      if (owner >= 0) continue;
      owner = object;
      const auto center = [&](int cell) {
        return (static_cast<float>(cell) + random.uniform(0.02f, 0.98f)) / static_cast<float>(head.cells);
      };
      in.boxes[canvas * capacity + object] = {center(column), center(row), random.uniform(0.03f, largest),
                                              random.uniform(0.03f, largest)};
      in.labels[canvas * capacity + object] = random.integer(0, head.classes - 1);
    }
  return in;
}

class Loss : public test::DeviceTest {
 protected:
  struct Result {
    std::vector<float> gradient, terms;
  };

  Result compute(const LossInput& in) {
    Result result;
    const auto both = run([&](Stream& stream) {
      const auto predictions = upload(stream, in.predictions);
      const auto cell_object = upload(stream, in.cell_object);
      const auto boxes = upload(stream, in.boxes);
      const auto labels = upload(stream, in.labels);
      const Buffer<float> gradient(device(), in.predictions.size()), terms(device(), std::size_t(in.n) * 3);
      fill_bytes(stream, gradient.data(), 0xff, gradient.size() * sizeof(float));  // NaN
      fill_bytes(stream, terms.data(), 0xff, terms.size() * sizeof(float));
      grid_loss(stream, in.head, in.settings, in.n, in.capacity, in.batch, predictions, cell_object, boxes, labels,
                gradient, terms);
      auto values = download(stream, gradient);
      const auto sums = download(stream, terms);
      values.insert(values.end(), sums.begin(), sums.end());
      return values;
    });
    const auto middle = both.begin() + static_cast<std::ptrdiff_t>(in.predictions.size());
    return {{both.begin(), middle}, {middle, both.end()}};
  }

  /// The central difference of the reference loss by one prediction. Only its cell's loss depends on it, and the choice
  /// of the responsible predictor is held.
  static double numeric_gradient(const LossInput& in, int place, int channel, int responsible) {
    constexpr double step = 1e-6;
    const auto loss = [&](double change) {
      auto outputs = in.outputs(place);
      outputs[channel] += change;
      const auto terms = reference::cell_loss(in.head, in.settings, in.cell(place), outputs, responsible);
      return (terms[0] + terms[1] + terms[2]) / in.batch;
    };
    return (loss(step) - loss(-step)) / (2 * step);
  }

  /// Compares all terms, and the gradients of about `checked_cells` cells, those with an object first.
  void check(const LossInput& in, int checked_cells = std::numeric_limits<int>::max()) {
    const Result result = compute(in);
    std::vector<double> terms(std::size_t(in.n) * 3), expected;
    std::vector<float> actual;
    const int stride = std::max(1, in.n * in.cells() / checked_cells);
    for (int place = 0; place < in.n * in.cells(); ++place) {
      const auto outputs = in.outputs(place);
      const auto cell = in.cell(place);
      const int responsible = reference::responsible_predictor(in.head, outputs, cell);
      const auto loss = reference::cell_loss(in.head, in.settings, cell, outputs, responsible);
      for (int term = 0; term < 3; ++term) terms[place / in.cells() * 3 + term] += loss[term];
      const bool is_checked = place % stride == 0 || (cell.has_object && stride < 1000);
      for (int channel = 0; channel < in.head.channels(); ++channel) {
        const float value = result.gradient[std::size_t(place) * in.head.channels() + channel];
        ASSERT_TRUE(std::isfinite(value)) << "place " << place << " channel " << channel << " was not written";
        if (!is_checked) continue;
        actual.push_back(value);
        expected.push_back(numeric_gradient(in, place, channel, responsible));
      }
    }
    EXPECT_TRUE(test::matches(result.terms, terms, test::float32_tolerance * 4)) << testing::PrintToString(in);
    // Edges of boxes are known to 1e-7 and the overlaps of boxes of 0.03 depend on them.
    EXPECT_TRUE(test::matches(actual, expected, test::float32_tolerance * 20)) << testing::PrintToString(in);
  }

  /// One canvas whose cell 1 (of 2 x 2) holds an object.
  static LossInput small_input(SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss, int predictors = 1) {
    const GridHead head{2, predictors, 3, coding, 0.3f, 0.3f, class_loss};
    LossInput in{head, {.box_loss = box_loss}, 1, 1, 1, {}, {-1, 0, -1, -1}, {{0.7f, 0.2f, 0.3f, 0.2f}}, {1}};
    in.predictions.assign(std::size_t(4) * head.channels(), 0.2f);
    return in;
  }
  static constexpr int object_place = 1;

  template <class Body>
  void for_every_option(Body body) {
    for (const auto coding : {SizeCoding::linear, SizeCoding::exponential})
      for (const auto class_loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce})
        for (const auto box_loss : {BoxLoss::mse, BoxLoss::diou}) {
          SCOPED_TRACE(testing::Message() << "coding " << int(coding) << ", class loss " << int(class_loss)
                                          << ", box loss " << int(box_loss));
          body(coding, class_loss, box_loss);
        }
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Loss);

TEST_P(Loss, GradientIsTheCentralDifferenceOnRandomShapes) {
  Random random(51);
  for (int i = 0; i < 180; ++i) {
    const auto kind = [&](int count) { return random.integer(0, count - 1); };
    const GridHead head{random.integer(1, 8),           random.integer(1, 4),
                        random.integer(1, 12),          static_cast<SizeCoding>(kind(2)),
                        random.uniform(0.05f, 0.4f),    random.uniform(0.05f, 0.4f),
                        static_cast<ClassLoss>(kind(3))};
    const LossSettings settings{random.uniform(0, 2), random.uniform(0, 2), kind(5) == 0 ? 0 : random.uniform(0, 5),
                                kind(5) == 0 ? 0 : random.uniform(0, 2), static_cast<BoxLoss>(kind(2))};
    check(random_input(random, head, settings, random.integer(0, 3), random.integer(0, 6)));
    if (HasFailure()) return;
  }
}

// Cells around a warp (25, 36) and a block (49, 64, 81), several a thread, and at the largest grid.
TEST_P(Loss, MatchesTheReferenceForEveryOptionAndSize) {
  Random random(52);
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    for (const int cells : {1, 5, 6, 7, 8, 9, 14, 23})
      for (const int predictors : {1, 3})
        check(random_input(random, {cells, predictors, 10, coding, 0.15f, 0.2f, class_loss}, {.box_loss = box_loss}, 2,
                           8),
              20);
    check(random_input(random, {64, 1, 3, coding, 0.15f, 0.2f, class_loss}, {.box_loss = box_loss}, 1, 30), 20);
  });
}

TEST_P(Loss, MatchesTheReferenceAtTheLargestSizes) {
  Random random(53);
  for (const auto class_loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce})
    check(random_input(random, {9, 8, 1000, SizeCoding::exponential, 0.15f, 0.2f, class_loss}, {}, 1, 3), 4);
  check(random_input(random, {64, 8, 50, SizeCoding::exponential, 0.15f, 0.2f, ClassLoss::cross_entropy}, {}, 1, 20),
        3);
}

TEST_P(Loss, OfCanvasesWithoutObjectsIsTheirObjectness) {
  Random random(54);
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    const GridHead head{7, 2, 10, coding, 0.15f, 0.15f, class_loss};
    for (const int capacity : {0, 3}) {
      auto in = random_input(random, head, {.box_loss = box_loss}, 2, 0);
      in.capacity = capacity;
      in.labels.assign(std::size_t(2) * capacity, -1);
      in.boxes.assign(in.labels.size(), {nan, nan, nan, nan});  // undefined: nobody may look
      const auto [gradient, terms] = compute(in);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        const int channel = static_cast<int>(i) % head.channels();
        if (channel == 0 || channel == 5)
          ASSERT_GT(gradient[i], 0);
        else
          ASSERT_EQ(gradient[i], 0) << "element " << i;
      }
      for (int canvas = 0; canvas < 2; ++canvas) EXPECT_GT(terms[canvas * 3], 0);
      for (const int zero : {1, 2, 4, 5}) EXPECT_EQ(terms[zero], 0);
    }
  });
}

TEST_P(Loss, GradientIsDividedByTheBatch) {
  Random random(55);
  auto in = random_input(random, {7, 2, 10}, {}, 2, 5);
  in.batch = 2;
  const auto whole = compute(in);
  in.batch = 16;
  const auto eighth = compute(in);
  EXPECT_EQ(whole.terms, eighth.terms);
  for (std::size_t i = 0; i < whole.gradient.size(); ++i) ASSERT_EQ(whole.gradient[i], eighth.gradient[i] * 8);
}

TEST_P(Loss, OfACanvasDoesNotDependOnTheOthers) {
  Random random(56);
  const auto all = random_input(random, {6, 2, 4}, {}, 3, 4);
  const auto together = compute(all);
  LossInput one = all;
  one.n = 1;
  const auto keep_second = [&](auto& values, int each) {
    values.assign(values.begin() + each, values.begin() + std::ptrdiff_t(2) * each);
  };
  keep_second(one.predictions, 36 * 14);
  keep_second(one.cell_object, 36);
  keep_second(one.boxes, 4);
  keep_second(one.labels, 4);
  const auto alone = compute(one);
  EXPECT_EQ(alone.terms, std::vector(together.terms.begin() + 3, together.terms.begin() + 6));
  EXPECT_EQ(alone.gradient, std::vector(together.gradient.begin() + 504, together.gradient.begin() + 1008));
}

// All coordinates have few binary digits, so the boxes are equal to the last bit.
TEST_P(Loss, OfEqualBoxesIsZeroAndSoIsItsGradient) {
  for (const auto box_loss : {BoxLoss::mse, BoxLoss::diou}) {
    auto in = small_input(SizeCoding::linear, ClassLoss::cross_entropy, box_loss);
    in.boxes[0] = {0.75f, 0.25f, 0.5f, 0.125f};
    float* outputs = &in.predictions[object_place * 8];
    outputs[1] = outputs[2] = 0;
    outputs[3] = 0.5f;
    outputs[4] = 0.125f;
    const auto [gradient, terms] = compute(in);
    EXPECT_NEAR(terms[1], 0, 1e-6);
    for (int channel = 1; channel < 5; ++channel) EXPECT_NEAR(gradient[object_place * 8 + channel], 0, 1e-6);
  }
}

TEST_P(Loss, ChoosesTheFirstOfEquallyGoodPredictors) {
  auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, BoxLoss::diou, 3);
  auto gradient = compute(in).gradient;
  const float* slopes = &gradient[object_place * 18];
  EXPECT_LT(slopes[0], 0) << "to be raised";
  EXPECT_GT(slopes[5], 0) << "to be lowered";
  EXPECT_GT(slopes[10], 0) << "to be lowered";
  EXPECT_NE(slopes[3], 0);
  EXPECT_EQ(slopes[8], 0);
  in.predictions[object_place * 18 + 6] = -0.4f;  // now nearer to the object: x is to be logit(0.4)
  gradient = compute(in).gradient;
  EXPECT_LT(gradient[object_place * 18 + 5], 0);
  EXPECT_GT(gradient[object_place * 18], 0);
}

TEST_P(Loss, GivesNoGradientWhereTheExponentIsClamped) {
  for (const auto box_loss : {BoxLoss::mse, BoxLoss::diou})
    for (const float output : {-4.5f, 4.5f}) {
      auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, box_loss);
      in.predictions[object_place * 8 + 3] = output;
      const auto gradient = compute(in).gradient;
      EXPECT_EQ(gradient[object_place * 8 + 3], 0);
      EXPECT_NE(gradient[object_place * 8 + 4], 0);
    }
}

TEST_P(Loss, LetsASizeBeyondTheClampComeBack) {
  const auto slope_of_width = [&](float width) {
    auto in = small_input(SizeCoding::linear, ClassLoss::cross_entropy, BoxLoss::diou);
    in.predictions[object_place * 8 + 3] = width;
    return compute(in).gradient[object_place * 8 + 3];
  };
  EXPECT_LT(slope_of_width(1e-6f), 0) << "it is to grow";
  for (const float width : {0.0f, -0.2f, -1e30f}) EXPECT_EQ(slope_of_width(width), slope_of_width(1e-6f));
  EXPECT_GT(slope_of_width(1e3f), 0) << "it is to shrink";
  EXPECT_EQ(slope_of_width(1e30f), slope_of_width(1e3f));
}

TEST_P(Loss, OfFinitePredictionsIsNeverNan) {
  const std::vector<float> extremes{0, 1e-30f, -1e-30f, -0.3f, 100, -100, 1e19f, -1e19f, 3.4e38f, -3.4e38f};
  const std::vector<Box> objects{
      {0.7f, 0.2f, 0.3f, 0.2f}, {0.75f, 0.25f, 0, 0}, {1, 0, 1, 1}, {0.5f, 0.5f, -1, 1e-20f}};
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    Random random(57);
    for (const int predictors : {1, 2})
      for (const bool weighted : {true, false}) {
        auto in = small_input(coding, class_loss, box_loss, predictors);
        if (!weighted) in.settings = {0, 0, 0, 0, box_loss};
        in.n = in.batch = 200;
        in.predictions.resize(std::size_t(in.n) * 4 * in.head.channels());
        for (auto& value : in.predictions) value = extremes[random.integer(0, 9)];
        in.cell_object.clear();
        in.boxes.clear();
        for (int canvas = 0; canvas < in.n; ++canvas) {
          in.cell_object.insert(in.cell_object.end(), {-1, 0, -1, -1});
          in.boxes.push_back(objects[random.integer(0, 3)]);
        }
        in.labels.assign(in.n, 1);
        const auto [gradient, terms] = compute(in);
        for (const float value : gradient) ASSERT_FALSE(std::isnan(value));
        for (const float value : terms) ASSERT_FALSE(std::isnan(value));
      }
  });
}

TEST_P(Loss, ShowsANanInItsTerms) {
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    const auto in = small_input(coding, class_loss, box_loss, 2);
    const int channels = in.head.channels();
    for (int place = 0; place < 4; ++place)
      for (int channel = 0; channel < channels; ++channel) {
        const bool is_objectness = channel == 0 || channel == 5;
        if (place != object_place && !is_objectness) continue;
        auto spoiled = in;
        spoiled.predictions[place * channels + channel] = nan;
        const auto terms = compute(spoiled).terms;
        EXPECT_TRUE(std::isnan(terms[is_objectness  ? 0
                                     : channel < 10 ? 1
                                                    : 2]))
            << "place " << place << " channel " << channel;
      }
  });
}

TEST_P(Loss, ShowsALabelBeyondTheClasses) {
  for (const int label : {-1, 3, 1000000}) {
    auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, BoxLoss::diou);
    in.labels[0] = label;
    EXPECT_TRUE(std::isnan(compute(in).terms[2])) << label;
  }
}

TEST_P(Loss, LeavesTermsOfWeightZeroOut) {
  auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, BoxLoss::diou);
  in.settings.box_weight = in.settings.class_weight = 0;
  const auto [gradient, terms] = compute(in);
  for (int channel = 1; channel < 8; ++channel) EXPECT_EQ(gradient[object_place * 8 + channel], 0);
  EXPECT_NE(gradient[object_place * 8], 0);
  EXPECT_EQ(terms[1], 0);
  EXPECT_EQ(terms[2], 0);
}

TEST_P(Loss, RefusesWhatDoesNotFit) {
  struct Arguments {
    GridHead head{.cells = 2, .predictors = 1, .classes = 3};
    LossSettings settings;
    int n = 2, capacity = 3, batch = 2;
    std::size_t predictions = 64, cell_object = 8, boxes = 6, labels = 6, gradient = 64, terms = 6;
  };
  struct Case {
    std::function<void(Arguments&)> spoil;
    const char* message;
  };
  const std::vector<Case> cases{
      {[](auto& a) { a.head.cells = 0; }, "grid_loss: cells must be at least 1, it is 0"},
      {[](auto& a) { a.head.predictors = -1; }, "grid_loss: predictors must be at least 1, it is -1"},
      {[](auto& a) { a.head.classes = 0; }, "grid_loss: classes must be at least 1, it is 0"},
      {[](auto& a) { a.head.prior_height = nan; },
       "grid_loss: the priors must be positive and finite, they are 0.150000 and nan"},
      {[](auto& a) { a.settings.objectness_weight = -1; },
       "grid_loss: objectness_weight must be finite and not negative, it is -1.000000"},
      {[](auto& a) { a.settings.no_object_weight = nan; },
       "grid_loss: no_object_weight must be finite and not negative, it is nan"},
      {[](auto& a) { a.settings.box_weight = std::numeric_limits<float>::infinity(); },
       "grid_loss: box_weight must be finite and not negative, it is inf"},
      {[](auto& a) { a.settings.class_weight = -2; },
       "grid_loss: class_weight must be finite and not negative, it is -2.000000"},
      {[](auto& a) { a.n = -1; }, "grid_loss: n must be at least 0, it is -1"},
      {[](auto& a) { a.capacity = -1; }, "grid_loss: capacity must be at least 0, it is -1"},
      {[](auto& a) { a.batch = 1; }, "grid_loss: batch must be at least 2, it is 1"},
      {[](auto& a) { a.predictions = 63; }, "grid_loss: predictions must have 64 elements, it has 63"},
      {[](auto& a) { a.cell_object = 4; }, "grid_loss: cell_object must have 8 elements, it has 4"},
      {[](auto& a) { a.boxes = 7; }, "grid_loss: boxes must have 6 elements, it has 7"},
      {[](auto& a) { a.labels = 5; }, "grid_loss: labels must have 6 elements, it has 5"},
      {[](auto& a) { a.gradient = 65; }, "grid_loss: gradient must have 64 elements, it has 65"},
      {[](auto& a) { a.terms = 2; }, "grid_loss: terms must have 6 elements, it has 2"},
  };
  const auto call = [&](const Arguments& a) {
    Stream stream(device());
    const Buffer<float> predictions(device(), a.predictions), gradient(device(), a.gradient), terms(device(), a.terms);
    const Buffer<std::int32_t> cell_object(device(), a.cell_object), labels(device(), a.labels);
    const Buffer<Box> boxes(device(), a.boxes);
    fill_bytes(stream, predictions.data(), 0, a.predictions * sizeof(float));
    fill_bytes(stream, cell_object.data(), 0xff, a.cell_object * sizeof(std::int32_t));
    grid_loss(stream, a.head, a.settings, a.n, a.capacity, a.batch, predictions, cell_object, boxes, labels, gradient,
              terms);
    stream.synchronize();
  };
  EXPECT_NO_THROW(call({}));
  for (const Case& c : cases) {
    Arguments arguments;
    c.spoil(arguments);
    EXPECT_THAT([&] { call(arguments); }, testing::ThrowsMessage<InvalidInput>(testing::StrEq(c.message)));
  }
}

}  // namespace
}  // namespace gridspot
