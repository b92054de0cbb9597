// What the loss promises about single cells, extreme values and wrong arguments.
#include <limits>

#include "tests/kernels/loss_fixture.h"
#include "tests/kernels/refusals.h"
#include "tests/support/compare.h"

namespace gridspot {
namespace {

using test::LossInput;
using test::Random;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class LossRules : public test::LossTest {};
GRIDSPOT_ON_EVERY_DEVICE(LossRules);

TEST_P(LossRules, OfCanvasesWithoutObjectsIsTheirObjectness) {
  Random random(54);
  for_every_option([&](SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss) {
    if (class_loss == ClassLoss::multi_label) return;  // which learns from every cell
    const GridHead head{7, 2, 10, coding, 0.15f, 0.15f, class_loss};
    for (const int capacity : {0, 3}) {
      auto in = test::random_input(random, head, {.box_loss = box_loss}, 2, 0);
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

// Logits of 0: each BCE is log 2, its slope 1/2 minus the target.
TEST_P(LossRules, OfSeveralLabelsCountsEveryCellAndEachClassOnce) {
  for (const int predictors : {0, 1}) {
    SCOPED_TRACE(testing::Message() << predictors << " predictors");
    const GridHead head{.cells = 2, .predictors = predictors, .classes = 3, .class_loss = ClassLoss::multi_label};
    const LossSettings settings{0, 0, 0, 3};
    // In cell 1 class 2 twice and class 0, in cell 2 class 1; an empty slot lies in cell 1 too.
    LossInput in{head, settings, 2, 5, 4, {}, {-1, 0, 4, -1, -1, -1, -1, -1}, {}, {}};
    const Box upper_right{0.6f, 0.3f, 0.1f, 0.1f}, lower_left{0.2f, 0.9f, 0.1f, 0.1f};
    in.boxes = {upper_right, upper_right, upper_right, upper_right, lower_left};
    in.labels = {2, 0, -1, 2, 1};
    in.boxes.resize(10, {nan, nan, nan, nan});  // the second canvas is empty: nobody may look
    in.labels.resize(10, -1);
    in.predictions.assign(std::size_t(8) * head.channels(), 0);
    const auto [gradient, terms] = compute(in);
    const float whole = 3 * 4 * std::log(2.0f);
    EXPECT_TRUE(test::matches(terms, std::vector<double>{0, 0, whole, 0, 0, whole}, test::float32_tolerance));
    constexpr bool is_there[8][3]{{false, false, false}, {true, false, true}, {false, true, false}};
    for (int place = 0; place < 8; ++place)
      for (int label = 0; label < 3; ++label)
        EXPECT_FLOAT_EQ(gradient[place * head.channels() + predictors * 5 + label],
                        3.0f / 4 / 3 * (0.5f - (is_there[place][label] ? 1.0f : 0.0f)))
            << "place " << place << ", class " << label;
  }
}

TEST_P(LossRules, OfAClassifierIsItsClassLossAlone) {
  Random random(59);
  for (const auto class_loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce, ClassLoss::multi_label}) {
    SCOPED_TRACE(testing::Message() << "class loss " << int(class_loss));
    const GridHead head{.cells = 3, .predictors = 0, .classes = 4, .class_loss = class_loss};
    const auto in = test::crowded_input(random, head, {}, 2, 6);
    const auto [gradient, terms] = compute(in);
    auto with_boxes = in;  // the same class outputs beside those of a predictor
    with_boxes.head.predictors = 1;
    with_boxes.predictions.clear();
    for (std::size_t place = 0; place < in.cell_object.size(); ++place) {
      with_boxes.predictions.insert(with_boxes.predictions.end(), 5, 0.1f);
      const auto first = in.predictions.begin() + std::ptrdiff_t(place) * 4;
      with_boxes.predictions.insert(with_boxes.predictions.end(), first, first + 4);
    }
    const auto expected = compute(with_boxes);
    for (int canvas = 0; canvas < 2; ++canvas) {
      EXPECT_EQ(terms[canvas * 3], 0);
      EXPECT_EQ(terms[canvas * 3 + 1], 0);
      EXPECT_EQ(terms[canvas * 3 + 2], expected.terms[canvas * 3 + 2]);
      EXPECT_GT(terms[canvas * 3 + 2], 0);
    }
    for (std::size_t i = 0; i < gradient.size(); ++i)
      ASSERT_EQ(gradient[i], expected.gradient[i / 4 * 9 + 5 + i % 4]) << "element " << i;
  }
}

TEST_P(LossRules, GradientIsDividedByTheBatch) {
  Random random(55);
  auto in = test::random_input(random, {7, 2, 10}, {}, 2, 5);
  in.batch = 2;
  const auto whole = compute(in);
  in.batch = 16;
  const auto eighth = compute(in);
  EXPECT_EQ(whole.terms, eighth.terms);
  for (std::size_t i = 0; i < whole.gradient.size(); ++i) ASSERT_EQ(whole.gradient[i], eighth.gradient[i] * 8);
}

TEST_P(LossRules, OfACanvasDoesNotDependOnTheOthers) {
  Random random(56);
  const auto all = test::random_input(random, {6, 2, 4}, {}, 3, 4);
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
TEST_P(LossRules, OfEqualBoxesIsZeroAndSoIsItsGradient) {
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

TEST_P(LossRules, ChoosesTheFirstOfEquallyGoodPredictors) {
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

TEST_P(LossRules, GivesNoGradientWhereTheExponentIsClamped) {
  for (const auto box_loss : {BoxLoss::mse, BoxLoss::diou})
    for (const float output : {-4.5f, 4.5f}) {
      auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, box_loss);
      in.predictions[object_place * 8 + 3] = output;
      const auto gradient = compute(in).gradient;
      EXPECT_EQ(gradient[object_place * 8 + 3], 0);
      EXPECT_NE(gradient[object_place * 8 + 4], 0);
    }
}

TEST_P(LossRules, LetsASizeBeyondTheClampComeBack) {
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

TEST_P(LossRules, OfFinitePredictionsIsNeverNan) {
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

TEST_P(LossRules, ShowsANanInItsTerms) {
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

TEST_P(LossRules, ShowsALabelBeyondTheClasses) {
  for (const int label : {-1, 3, 1000000}) {
    auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, BoxLoss::diou);
    in.labels[0] = label;
    EXPECT_TRUE(std::isnan(compute(in).terms[2])) << label;
  }
}

TEST_P(LossRules, LeavesTermsOfWeightZeroOut) {
  auto in = small_input(SizeCoding::exponential, ClassLoss::cross_entropy, BoxLoss::diou);
  in.settings.box_weight = in.settings.class_weight = 0;
  const auto [gradient, terms] = compute(in);
  for (int channel = 1; channel < 8; ++channel) EXPECT_EQ(gradient[object_place * 8 + channel], 0);
  EXPECT_NE(gradient[object_place * 8], 0);
  EXPECT_EQ(terms[1], 0);
  EXPECT_EQ(terms[2], 0);
}

TEST_P(LossRules, RefusesWhatDoesNotFit) {
  struct Arguments {
    GridHead head{.cells = 2, .predictors = 1, .classes = 3};
    LossSettings settings;
    int n = 2, capacity = 3, batch = 2;
    std::size_t predictions = 64, cell_object = 8, boxes = 6, labels = 6, gradient = 64, terms = 6;
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
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.head.cells = 0; }, "grid_loss: cells must be at least 1, it is 0"},
       {[](auto& a) { a.head.predictors = -1; }, "grid_loss: predictors must be at least 0, it is -1"},
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
       {[](auto& a) { a.terms = 2; }, "grid_loss: terms must have 6 elements, it has 2"}});
}

}  // namespace
}  // namespace gridspot
