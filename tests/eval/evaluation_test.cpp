#include "eval/evaluation.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "eval/average_precision.h"
#include "gridspot/error.h"

namespace gridspot::eval {
namespace {

using testing::HasSubstr;

constexpr Box left{0.25f, 0.5f, 0.2f, 0.2f}, right{0.75f, 0.5f, 0.2f, 0.2f};

/// One image with a 0 on the left and a 0 on the right; found: the left one (0.9), nothing (0.8), the right one (0.6).
EvaluationSet example() {
  return {.images = {{100, 50}},
          .class_names = {"zero", "one"},
          .objects = {{0, 0, left}, {0, 0, right}},
          .detections = {{0, 0, 0.6f, right}, {0, 0, 0.9f, left}, {0, 0, 0.8f, {0.5f, 0.1f, 0.1f, 0.1f}}}};
}

TEST(PrecisionCurve, IsTheBestPrecisionFromEachRecallOn) {
  using enum Outcome;
  // Recall 1/2 at precision 1, 1/2 at 1/2, 1 at 2/3: 51 recalls (0 to 0.50) at 1 and 50 at 2/3.
  const auto curve =
      precision_curve(std::vector{true_positive, false_positive, true_positive}, std::vector{0.9f, 0.8f, 0.6f}, 2);
  EXPECT_NEAR(curve.average(), (51 + 50 * 2.0 / 3) / 101, 1e-12);
  EXPECT_NEAR(curve.precision[50], 1, 1e-12);
  EXPECT_NEAR(curve.precision[51], 2.0 / 3, 1e-12);
  EXPECT_EQ(curve.score[50], 0.9f);
  EXPECT_EQ(curve.score[51], 0.6f);
  // What is ignored changes nothing; recalls that are not reached count 0.
  EXPECT_EQ(precision_curve(std::vector{ignored, true_positive}, std::vector{0.9f, 0.8f}, 4).precision[25],
            precision_curve(std::vector{true_positive}, std::vector{0.8f}, 4).precision[25]);
  EXPECT_EQ(precision_curve(std::vector{true_positive}, std::vector{0.8f}, 4).precision[26], 0);
  EXPECT_EQ(precision_curve({}, {}, 1).average(), 0);
}

TEST(Evaluation, MeasuresTheExample) {
  const auto evaluation = evaluate(example(), {.score_threshold = 0.7f, .cells = 2});
  EXPECT_EQ(evaluation.images, 1);
  EXPECT_EQ(evaluation.objects, 2);
  EXPECT_EQ(evaluation.detections, 2);
  EXPECT_NEAR(evaluation.map50, (51 + 50 * 2.0 / 3) / 101, 1e-12);
  EXPECT_NEAR(evaluation.map50_95, evaluation.map50, 1e-12) << "the boxes are exact";
  EXPECT_DOUBLE_EQ(evaluation.precision, 0.5);
  EXPECT_DOUBLE_EQ(evaluation.recall, 0.5);
  EXPECT_DOUBLE_EQ(evaluation.f1, 0.5);
  EXPECT_EQ(evaluation.collision_ceiling, 1);

  const auto& zero = evaluation.per_class[0];
  EXPECT_EQ(zero.name, "zero");
  EXPECT_EQ(zero.objects, 2);
  EXPECT_EQ(zero.detections, 2);
  EXPECT_EQ(zero.ap50, evaluation.map50);
  ASSERT_EQ(zero.curve.size(), recall_count);
  EXPECT_EQ(zero.curve[100].recall, 1);
  EXPECT_EQ(zero.curve[100].score, 0.6f);
  EXPECT_EQ(evaluation.per_class[1].ap50, -1);
  EXPECT_TRUE(evaluation.per_class[1].curve.empty());
}

TEST(Evaluation, CountsTheThresholdIn) {
  EXPECT_EQ(evaluate(example(), {.score_threshold = 0.8f}).detections, 2);
  EXPECT_EQ(evaluate(example(), {.score_threshold = std::nextafter(0.8f, 1.0f)}).detections, 1);
  const auto nothing = evaluate(example(), {.score_threshold = 1.0f});
  EXPECT_EQ(nothing.detections, 0);
  EXPECT_EQ(nothing.precision, 0);
  EXPECT_EQ(nothing.errors.misses, 2);
  EXPECT_FALSE(nothing.collision_ceiling.has_value());
}

TEST(Evaluation, CountsFromTheScoreWithTheHighestF1) {
  // From 0.9 on F1 is 2/3, from 0.8 on 1/2, from 0.6 on 4/5.
  EXPECT_EQ(evaluate(example()).score_threshold, 0.6f);
  auto set = example();
  set.detections[0].box.cx = 0.5f;  // the right one is not found any more: 2/3, 1/2, 2/5
  EXPECT_EQ(evaluate(set).score_threshold, 0.9f);
  set.detections[2].score = 0.9f;  // a score cannot tell equals apart
  EXPECT_DOUBLE_EQ(evaluate(set).f1, 0.5);
  set.detections.erase(set.detections.begin() + 1);
  EXPECT_EQ(evaluate(set).score_threshold, 1) << "nothing is found";
  EXPECT_EQ(evaluate(set).detections, 0);
  EXPECT_EQ(evaluate({}).score_threshold, 1);
}

// Against every threshold that there is.
TEST(Evaluation, NoScoreHasAHigherF1) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto unit = [&] { return static_cast<float>(random() % 16) / 16; };
    EvaluationSet set{.images = {{64, 64}, {64, 64}}, .class_names = {"0", "1"}, .objects = {}, .detections = {}};
    for (int i = 0; i < 12; ++i) {
      const int image = i % 2, class_id = static_cast<int>(random() % 2);
      const Box box{unit(), unit(), 0.25f, 0.25f};
      set.objects.push_back({image, class_id, box});
      set.detections.push_back({image, class_id, unit(), box});
      set.detections.push_back({image, class_id, unit(), {unit(), box.cy, box.w, box.h}});
    }
    const Evaluation best = evaluate(set);
    for (const auto& detection : set.detections) {
      const Evaluation other = evaluate(set, {.score_threshold = detection.score});
      EXPECT_LE(other.f1, best.f1) << "from " << detection.score << " on, instead of " << best.score_threshold;
      EXPECT_TRUE(detection.score <= best.score_threshold || other.f1 < best.f1) << "the highest of the best";
    }
  }
}

TEST(Evaluation, KeepsTheHighestScoresOfAnImageAndClass) {
  const auto one = evaluate(example(), {.max_detections = 1, .score_threshold = 0});
  EXPECT_EQ(one.detections, 1);
  EXPECT_NEAR(one.map50, 51.0 / 101, 1e-12);
  auto set = example();
  set.objects.push_back({0, 1, left});
  set.detections.push_back({0, 1, 0.1f, left});
  EXPECT_EQ(evaluate(set, {.max_detections = 1, .score_threshold = 0}).detections, 2) << "one for each class";
}

TEST(Evaluation, OfNothing) {
  const auto evaluation = evaluate({}, {.cells = 7});
  EXPECT_EQ(evaluation.map50, -1);
  EXPECT_EQ(evaluation.map50_95, -1);
  EXPECT_EQ(evaluation.collision_ceiling, 1);
  EXPECT_EQ(evaluation.confusion, (std::vector<std::vector<std::int64_t>>{{0}}));
}

TEST(Evaluation, RefusesWhatIsNotValid) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  struct Case {
    std::function<void(EvaluationSet&, Options&)> damage;
    const char* message;
  };
  const Case cases[] = {
      {[](auto& set, auto&) { set.objects[1].image = 1; }, "object 1: image 1 is not one of the 1"},
      {[](auto& set, auto&) { set.objects[1].image = -1; }, "object 1: image -1 is not one of the 1"},
      {[](auto& set, auto&) { set.objects[0].class_id = 2; }, "object 0: class 2 is not one of the 2"},
      {[](auto& set, auto&) { set.objects[0].box.cx = nan; }, "object 0: the box is not finite"},
      {[](auto& set, auto&) { set.objects[0].box.w = -0.1f; }, "object 0: width and height of the box must not be"},
      {[](auto& set, auto&) {
         set.objects[0].box = {0, 0, 2000, 2000};
       },
       "object 0: the box covers more than 1e10"},
      {[](auto& set, auto&) { set.detections[2].image = 5; }, "detection 2: image 5 is not one of the 1"},
      {[](auto& set, auto&) { set.detections[2].class_id = -1; }, "detection 2: class -1 is not one of the 2"},
      {[](auto& set, auto&) { set.detections[2].box.h = infinity; }, "detection 2: the box is not finite"},
      {[](auto& set, auto&) { set.detections[2].score = nan; }, "detection 2: the score is not finite"},
      {[](auto& set, auto&) { set.images[0].width = 0; }, "image 0: width and height must be at least 1"},
      {[](auto&, auto& options) { options.max_detections = 0; }, "max_detections must be at least 1, found 0"},
      {[](auto&, auto& options) { options.cells = -1; }, "cells must not be negative, found -1"},
      {[](auto&, auto& options) { options.score_threshold = std::numeric_limits<float>::quiet_NaN(); },
       "the score threshold must be a number"},
  };
  for (const auto& [damage, message] : cases) {
    auto set = example();
    Options options;
    damage(set, options);
    try {
      evaluate(set, options);
      ADD_FAILURE() << "accepted; expected: " << message;
    } catch (const InvalidInput& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
}

TEST(CollisionCeiling, CountsObjectsThatShareACell) {
  const auto set_of = [](std::vector<std::array<float, 2>> centers) {
    EvaluationSet set{{{10, 10}, {10, 10}}, {"c"}, {}, {}};
    for (const auto& [cx, cy] : centers) set.objects.push_back({0, 0, {cx, cy, 0.1f, 0.1f}});
    return set;
  };
  EXPECT_EQ(collision_ceiling(set_of({}), 7), 1);
  EXPECT_EQ(collision_ceiling(set_of({{0.1f, 0.1f}, {0.2f, 0.2f}}), 1), 0.5);
  EXPECT_EQ(collision_ceiling(set_of({{0.1f, 0.1f}, {0.2f, 0.2f}, {0.6f, 0.1f}}), 2), 2.0 / 3);
  // A border belongs to the cell after it, the far edge (and what is beyond) to the last one.
  EXPECT_EQ(collision_ceiling(set_of({{0.5f, 0}, {0.499f, 0}}), 2), 1);
  EXPECT_EQ(collision_ceiling(set_of({{1, 1}, {0.99f, 0.99f}, {1.5f, 1}}), 7), 1.0 / 3);
  EXPECT_EQ(collision_ceiling(set_of({{-0.5f, 0}, {0, 0}}), 7), 0.5);
  auto two_images = set_of({{0.1f, 0.1f}, {0.1f, 0.1f}});
  two_images.objects[1].image = 1;
  EXPECT_EQ(collision_ceiling(two_images, 7), 1);
  EXPECT_THROW(collision_ceiling(two_images, 0), InvalidInput);
}

}  // namespace
}  // namespace gridspot::eval
