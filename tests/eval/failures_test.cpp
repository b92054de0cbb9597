#include "eval/failures.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"

namespace gridspot::eval {
namespace {

using testing::ElementsAre;

/// A square with its centre at (x, y), in hundredths of the canvas.
Box square(float x, float y, float side) { return {x / 100, y / 100, side / 100, side / 100}; }

/// Canvases of 100 x 100 pixels, classes "zero" and "one".
EvaluationSet set_of(int canvases, std::vector<Object> objects, std::vector<Detection> detections) {
  return {std::vector<ImageSize>(static_cast<std::size_t>(canvases), {100, 100}),
          {"zero", "one"},
          std::move(objects),
          std::move(detections)};
}

MATCHER_P2(Counts, objects, found, "") { return arg.objects == objects && arg.found == found; }

TEST(Failures, BinsOfSizeAreOfOneWidthAndHoldTheirLowerBound) {
  // Sides of 10, 20, ..., 90 pixels, a canvas each: eight bins of 10; 90 is in the last. Those of 30 and 90 are found.
  std::vector<Object> objects;
  std::vector<Detection> detections;
  for (int i = 0; i < 9; ++i) {
    objects.push_back({i, 0, square(50, 50, static_cast<float>(10 * (i + 1)))});
    if (i == 2 || i == 8) detections.push_back({i, 0, 0.9f, objects.back().box});
  }
  const auto bins = find_failures(set_of(9, objects, detections)).by_size;
  ASSERT_EQ(bins.size(), size_bin_count);
  for (std::size_t i = 0; i < bins.size(); ++i) {
    EXPECT_NEAR(bins[i].from, 10.0 * static_cast<double>(i + 1), 1e-4) << "bin " << i;
    EXPECT_NEAR(bins[i].to, 10.0 * static_cast<double>(i + 2), 1e-4) << "bin " << i;
  }
  // The sides are floats: on which side of an inner bound they fall is theirs to say.
  std::int64_t objects_in_bins = 0, found = 0;
  for (const auto& bin : bins) {
    objects_in_bins += bin.objects;
    found += bin.found;
  }
  EXPECT_EQ(objects_in_bins, 9);
  EXPECT_EQ(found, 2);
  EXPECT_GE(bins.back().found, 1) << "the largest object belongs to the last bin";
}

TEST(Failures, ObjectsOfOneSizeShareABin) {
  const auto set = set_of(2, {{0, 0, square(50, 50, 20)}, {1, 0, square(50, 50, 20)}}, {});
  EXPECT_THAT(find_failures(set).by_size, ElementsAre(Counts(2, 0)));
  EXPECT_TRUE(find_failures(set_of(1, {}, {})).by_size.empty());
}

TEST(Failures, BinsOfOverlapHoldTheirUpperBound) {
  // Squares of 20: apart by 10 the IoU is 10 * 20 / (800 - 200) = 1/3; apart by 50 it is 0. On canvas 2 both are equal.
  const auto set = set_of(3,
                          {{0, 0, square(30, 50, 20)},
                           {0, 1, square(40, 50, 20)},
                           {1, 0, square(20, 50, 20)},
                           {1, 0, square(70, 50, 20)},
                           {2, 0, square(50, 50, 20)},
                           {2, 1, square(50, 50, 20)}},
                          {{0, 0, 0.9f, square(30, 50, 20)}, {1, 0, 0.9f, square(20, 50, 20)}});
  const auto bins = find_failures(set).by_overlap;
  ASSERT_EQ(bins.size(), overlap_bin_count);
  EXPECT_THAT(bins[0], Counts(2, 1));
  EXPECT_EQ(bins[0].to, 0);
  EXPECT_THAT(bins[4], Counts(2, 1)) << "1/3 belongs to (0.3, 0.4]";
  EXPECT_EQ(bins[4].from, 0.3);
  EXPECT_EQ(bins[4].to, 0.4);
  EXPECT_THAT(bins[10], Counts(2, 0)) << "1 belongs to (0.9, 1]";
  EXPECT_EQ(bins[5].value(), -1) << "no objects, no recall";
}

TEST(Failures, RecallByCellTellsThoseThatShareOne) {
  // On a 2 x 2 grid the first two share a cell, the third has one for itself; the same cell of another canvas counts
  // not.
  const auto set = set_of(
      2,
      {{0, 0, square(10, 10, 10)}, {0, 0, square(40, 40, 10)}, {0, 0, square(90, 90, 10)}, {1, 0, square(10, 10, 10)}},
      {{0, 0, 0.9f, square(10, 10, 10)}, {1, 0, 0.9f, square(10, 10, 10)}});
  const auto failures = find_failures(set, {.cells = 2});
  EXPECT_THAT(*failures.alone_in_cell, Counts(2, 1));
  EXPECT_THAT(*failures.sharing_a_cell, Counts(2, 1));
  EXPECT_FALSE(find_failures(set).alone_in_cell.has_value());
}

TEST(Failures, ObjectsMayComeInAnyOrder) {
  // Canvas 1 first: what is found must not be counted for the objects of canvas 0.
  const auto set = set_of(2, {{1, 0, square(10, 10, 10)}, {0, 0, square(40, 40, 10)}, {0, 0, square(45, 45, 10)}},
                          {{1, 0, 0.9f, square(10, 10, 10)}});
  const auto failures = find_failures(set, {.cells = 2});
  EXPECT_THAT(*failures.alone_in_cell, Counts(1, 1));
  EXPECT_THAT(*failures.sharing_a_cell, Counts(2, 0));
}

const Options half{.score_threshold = 0.5f};

TEST(Failures, ConfusionsAreClassErrorsMostFrequentFirst) {
  std::vector<Object> objects;
  std::vector<Detection> detections;
  for (int i = 0; i < 3; ++i) {
    const int true_class = i == 0 ? 0 : 1;
    objects.push_back({i, true_class, square(50, 50, 20)});
    detections.push_back({i, 1 - true_class, 0.9f, square(50, 50, 20)});
  }
  const auto set = set_of(3, objects, detections);
  const auto confusions = find_failures(set, half).confusions;
  ASSERT_EQ(confusions.size(), 2u);
  EXPECT_EQ(confusions[0].true_class, 1);
  EXPECT_EQ(confusions[0].found_class, 0);
  EXPECT_EQ(confusions[0].count, 2);
  EXPECT_EQ(confusions[1].count, 1);
  EXPECT_EQ(evaluate(set, half).errors.class_errors, 3) << "the confusions' sum";
}

TEST(Failures, CanvasesCountWhatTheEvaluationCounts) {
  const auto set = set_of(3, {{0, 0, square(20, 20, 20)}, {0, 1, square(70, 70, 20)}, {1, 0, square(50, 50, 20)}},
                          {{0, 0, 0.9f, square(20, 20, 20)},
                           {0, 0, 0.8f, square(21, 20, 20)},    // found twice
                           {0, 0, 0.7f, square(70, 70, 20)},    // another class
                           {1, 0, 0.6f, square(60, 50, 20)},    // IoU 1/3: elsewhere
                           {2, 0, 0.55f, square(50, 50, 20)},   // nothing there
                           {2, 0, 0.1f, square(10, 10, 20)}});  // below the threshold
  const auto failures = find_failures(set, half);
  const auto& canvases = failures.canvases;
  ASSERT_EQ(canvases.size(), 3u);
  EXPECT_EQ(canvases[0].objects, 2);
  EXPECT_EQ(canvases[0].counts.true_positives, 1);
  EXPECT_EQ(canvases[0].counts.duplicates, 1);
  EXPECT_EQ(canvases[0].counts.class_errors, 1);
  EXPECT_NEAR(canvases[0].wrong_score, 1.5, 1e-6);
  EXPECT_EQ(canvases[1].counts.localisation_errors, 1);
  EXPECT_EQ(canvases[1].counts.misses, 0);
  EXPECT_EQ(canvases[2].counts.background, 1);
  const auto total = evaluate(set, half).errors;
  ErrorCounts sum;
  for (const auto& canvas : canvases) {
    sum.duplicates += canvas.counts.duplicates;
    sum.class_errors += canvas.counts.class_errors;
    sum.localisation_errors += canvas.counts.localisation_errors;
    sum.background += canvas.counts.background;
    sum.misses += canvas.counts.misses;
  }
  EXPECT_EQ(errors(sum), errors(total));
}

TEST(Failures, WorstCanvasesByErrorsThenScoreThenIndex) {
  // Canvas 0: one find in the background; 1: the same with a higher score; 2: two misses; 3: none; 4: as 0.
  const auto set =
      set_of(5, {{2, 0, square(20, 20, 20)}, {2, 0, square(70, 70, 20)}},
             {{0, 0, 0.6f, square(50, 50, 20)}, {1, 0, 0.9f, square(50, 50, 20)}, {4, 0, 0.6f, square(50, 50, 20)}});
  EXPECT_THAT(find_failures(set, half).worst, ElementsAre(2, 1, 0, 4));
}

TEST(Failures, TheWorstAreAtMostTwenty) {
  std::vector<Object> objects;
  for (int i = 0; i < 25; ++i) objects.push_back({i, 0, square(50, 50, 20)});
  const auto worst = find_failures(set_of(25, objects, {})).worst;
  ASSERT_EQ(worst.size(), worst_canvas_count);
  EXPECT_EQ(worst.front(), 0);
  EXPECT_EQ(worst.back(), 19);
}

TEST(Failures, JsonReadsBackAsItWasWritten) {
  const auto set = set_of(2, {{0, 0, square(20, 20, 20)}, {1, 1, square(70, 70, 30)}},
                          {{0, 1, 0.9f, square(20, 20, 20)}, {1, 1, 0.8f, square(70, 70, 30)}});
  for (const int cells : {0, 7}) {
    const Json json = to_json(find_failures(set, {.cells = cells}), set.class_names);
    EXPECT_EQ(to_line(to_json(parse_failures(json, set.class_names, "file", "failures"), set.class_names)),
              to_line(json));
  }
}

TEST(Failures, BrokenJsonIsNamed) {
  const std::vector<std::string> names{"zero", "one"};
  const auto set = set_of(1, {{0, 0, square(20, 20, 20)}}, {{0, 1, 0.9f, square(20, 20, 20)}});
  const Json whole = to_json(find_failures(set), names);
  struct Case {
    const char* key;
    Json value;
    const char* message;
  };
  const Case cases[] = {
      {"score_threshold", 2, "file: failures.score_threshold must be a number"},
      {"recall_by_size", 1, "file: failures.recall_by_size must be an array"},
      {"class_confusions", Json::array({{{"true", "zero"}, {"found", "two"}, {"count", 1}}}),
       "file: failures.class_confusions[0].found is no class of the evaluation, found 'two'"},
      {"worst_canvases", {7}, "file: failures.worst_canvases[0]"},
  };
  for (const auto& [key, value, message] : cases) {
    Json broken = whole;
    broken[key] = value;
    try {
      parse_failures(broken, names, "file", "failures");
      ADD_FAILURE() << key << " was accepted";
    } catch (const InvalidInput& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(message));
    }
  }
}

}  // namespace
}  // namespace gridspot::eval
