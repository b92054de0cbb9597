// Average precision against numbers that pycocotools computed (tests/golden/make_ap_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "eval/evaluation.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/support/golden.h"

namespace gridspot::eval {
namespace {

constexpr double tolerance = 1e-12;

Box box_from(const Json& row, std::size_t first) {
  return {row[first].get<float>(), row[first + 1].get<float>(), row[first + 2].get<float>(),
          row[first + 3].get<float>()};
}

EvaluationSet set_from(const Json& json) {
  EvaluationSet set;
  for (const auto& size : json["images"]) set.images.push_back({size[0].get<int>(), size[1].get<int>()});
  for (int c = 0; c < json["classes"].get<int>(); ++c) set.class_names.push_back(std::to_string(c));
  for (const auto& row : json["objects"])
    set.objects.push_back({row[0].get<int>(), row[1].get<int>(), box_from(row, 2)});
  for (const auto& row : json["detections"])
    set.detections.push_back({row[0].get<int>(), row[1].get<int>(), row[2].get<float>(), box_from(row, 3)});
  return set;
}

Json golden_sets() {
  const std::string path = test::golden_path("ap.json");
  return parse_json(read_file(path, 1 << 20), path)["sets"];
}

TEST(Golden, EqualsPycocotools) {
  const auto sets = golden_sets();
  ASSERT_GE(sets.size(), 60u);
  double largest = 0;
  const auto expect_close = [&](double value, const Json& expected, const char* what) {
    const double difference = std::abs(value - expected.get<double>());
    EXPECT_LE(difference, tolerance) << what << ": " << value << ", pycocotools gives " << expected;
    largest = std::max(largest, difference);
  };
  for (const auto& golden : sets) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const auto evaluation = evaluate(set_from(golden));
    expect_close(evaluation.map50, golden["mAP50"], "mAP50");
    expect_close(evaluation.map50_95, golden["mAP50_95"], "mAP50_95");
    ASSERT_EQ(evaluation.per_class.size(), golden["per_class"].size());
    for (std::size_t c = 0; c < evaluation.per_class.size(); ++c) {
      expect_close(evaluation.per_class[c].ap50, golden["per_class"][c][0], "AP50 of a class");
      expect_close(evaluation.per_class[c].ap50_95, golden["per_class"][c][1], "AP50_95 of a class");
    }
  }
  RecordProperty("largest_difference", std::to_string(largest * 1e15) + "e-15");
}

// What the errors and the confusion matrix count must add up on any set.
TEST(Golden, CountsAddUp) {
  for (const auto& golden : golden_sets())
    for (const float threshold : {-2.0f, 0.3f, 0.5f, 2.0f}) {
      SCOPED_TRACE(golden["name"].get<std::string>() + " at " + std::to_string(threshold));
      const auto set = set_from(golden);
      const auto evaluation = evaluate(set, {.max_detections = 1000, .score_threshold = threshold});
      const auto above = std::count_if(set.detections.begin(), set.detections.end(),
                                       [=](const Detection& detection) { return detection.score >= threshold; });
      const auto& errors = evaluation.errors;
      EXPECT_EQ(evaluation.detections, above);
      EXPECT_EQ(errors.true_positives + errors.duplicates + errors.class_errors + errors.localisation_errors +
                    errors.background,
                above);
      EXPECT_LE(errors.true_positives + errors.misses, evaluation.objects);
      EXPECT_GE(errors.true_positives + errors.misses + errors.class_errors + errors.localisation_errors,
                evaluation.objects);
      const std::size_t classes = set.class_names.size();
      std::int64_t all_detections = 0;
      for (std::size_t c = 0; c < classes; ++c) {
        std::int64_t row = 0, column = 0;
        for (std::size_t k = 0; k <= classes; ++k) {
          row += evaluation.confusion[c][k];
          column += evaluation.confusion[k][c];
        }
        EXPECT_EQ(row, evaluation.per_class[c].objects);
        EXPECT_EQ(column, evaluation.per_class[c].detections);
        all_detections += column;
      }
      EXPECT_EQ(all_detections, above);
      EXPECT_EQ(evaluation.confusion[classes][classes], 0);
    }
}

}  // namespace
}  // namespace gridspot::eval
