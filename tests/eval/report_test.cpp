#include "eval/report.h"

#include <gmock/gmock.h>

namespace gridspot::eval {
namespace {

Evaluation example() {
  constexpr Box box{0.5f, 0.5f, 0.2f, 0.2f};
  const EvaluationSet set{{{10, 10}}, {"zero", "a longer name"}, {{0, 0, box}}, {{0, 0, 0.9f, box}, {0, 1, 0.7f, box}}};
  return evaluate(set, {.score_threshold = 0.1f, .cells = 7});
}

TEST(Report, JsonHasTheStatedKeys) {
  const auto json = to_json(example());
  std::vector<std::string> keys, class_keys;
  for (const auto& member : json.items()) keys.push_back(member.key());
  for (const auto& member : json["per_class"][0].items()) class_keys.push_back(member.key());
  EXPECT_THAT(
      keys, testing::ElementsAre("images", "objects", "detections", "mAP50", "mAP50_95", "score_threshold", "precision",
                                 "recall", "F1", "errors", "collision_ceiling", "per_class", "confusion_matrix"));
  EXPECT_THAT(class_keys, testing::ElementsAre("name", "objects", "detections", "AP50", "AP50_95", "precision",
                                               "recall", "F1", "errors"));
  EXPECT_EQ(to_line(json["score_threshold"]), "0.1");
  EXPECT_EQ(json["collision_ceiling"], 1.0);
  EXPECT_EQ(to_line(json["confusion_matrix"]), "[[1,0,0],[0,0,0],[0,1,0]]");
  EXPECT_EQ(
      to_line(json["errors"]),
      R"({"true_positives":1,"duplicates":0,"class_errors":1,"localisation_errors":0,"background":0,"misses":0})");
  EXPECT_EQ(json["per_class"][1]["AP50"], -1.0);
  EXPECT_EQ(json["recall"], 1.0);
  EXPECT_EQ(json["precision"], 0.5);
}

TEST(Report, JsonHasTheCurvesWhereAskedFor) {
  const auto json = to_json(example(), Curves::include);
  const auto& curve = json["per_class"][0]["precision_curve"];
  EXPECT_EQ(curve["recall"].size(), recall_count);
  EXPECT_EQ(curve["precision"].size(), recall_count);
  EXPECT_EQ(to_line(curve["score"][100]), "0.9");
  EXPECT_TRUE(json["per_class"][1]["precision_curve"]["recall"].empty());
}

TEST(Report, NullWithoutAGrid) { EXPECT_TRUE(to_json(evaluate({}))["collision_ceiling"].is_null()); }

TEST(Report, TableHasALineForEachClassAndOneForAll) {
  EXPECT_EQ(to_table(example()),
            "class           objects     found      AP50   AP50:95 precision    recall        F1\n"
            "zero                  1         1    1.0000    1.0000    1.0000    1.0000    1.0000\n"
            "a longer name         0         1         -         -    0.0000    0.0000    0.0000\n"
            "all                   1         2    1.0000    1.0000    0.5000    1.0000    0.6667\n"
            "Counted from score 0.100 on: duplicates 0, class errors 1, localisation errors 0, found in the background "
            "0, missed 0\n");
}

}  // namespace
}  // namespace gridspot::eval
