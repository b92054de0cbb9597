#include "eval/errors.h"

#include <gmock/gmock.h>

namespace gridspot::eval {
namespace {

using testing::ElementsAre;

// Boxes of 10 x 10 pixels. Moved by 2 the overlap is 8 * 10 / (200 - 80) = 2/3, by 5 it is 50 / 150 = 1/3, by 9 it is
// 10 / 190 < 0.1.
constexpr PixelBox at(double x) { return {x, 0, 10, 10}; }

struct Image {
  std::vector<PixelBox> detections;
  std::vector<int> detection_classes;
  std::vector<PixelBox> objects;
  std::vector<int> object_classes;
};

ErrorTally tally_of(const Image& image, std::size_t classes = 2) {
  ErrorTally tally(classes);
  tally.add_image(image.detections, image.detection_classes, image.objects, image.object_classes);
  return tally;
}

testing::Matcher<const ErrorCounts&> counts(std::int64_t true_positives, std::int64_t duplicates,
                                            std::int64_t class_errors, std::int64_t localisation_errors,
                                            std::int64_t background, std::int64_t misses) {
  return testing::AllOf(testing::Field("true_positives", &ErrorCounts::true_positives, true_positives),
                        testing::Field("duplicates", &ErrorCounts::duplicates, duplicates),
                        testing::Field("class_errors", &ErrorCounts::class_errors, class_errors),
                        testing::Field("localisation_errors", &ErrorCounts::localisation_errors, localisation_errors),
                        testing::Field("background", &ErrorCounts::background, background),
                        testing::Field("misses", &ErrorCounts::misses, misses));
}

TEST(IntersectionOverUnion, HasTheFractionsOfTheDefinition) {
  EXPECT_DOUBLE_EQ(intersection_over_union(at(0), at(2)), 2.0 / 3);
  EXPECT_DOUBLE_EQ(intersection_over_union(at(0), at(5)), 1.0 / 3);
  EXPECT_DOUBLE_EQ(intersection_over_union({0, 0, 4, 4}, {1, 1, 2, 2}), 0.25);
  EXPECT_DOUBLE_EQ(intersection_over_union({0, 0, 4, 2}, {2, 1, 4, 2}), 2.0 / 14);
  EXPECT_EQ(intersection_over_union(at(0), at(0)), 1);
  EXPECT_EQ(intersection_over_union(at(0), at(10)), 0);
  EXPECT_EQ(intersection_over_union({0, 0, 0, 0}, {0, 0, 0, 0}), 0);
  EXPECT_EQ(intersection_over_union({0, 0, -5, 5}, {0, 0, -5, 5}), 0);
}

TEST(Match, TakesTheBestFreeObjectAndOfEqualOnesTheLater) {
  const std::vector<PixelBox> objects{at(0), at(3), at(3), at(100)};
  const auto matched = [&](std::vector<PixelBox> detections, double threshold = 0.5) {
    return match(OverlapTable(detections, objects), threshold);
  };
  EXPECT_THAT(matched({at(3), at(3), at(3), at(3)}), ElementsAre(2, 1, 0, unmatched));
  EXPECT_THAT(matched({at(1), at(0)}), ElementsAre(0, 2));
  EXPECT_THAT(matched({at(1), at(0)}, 0.6), ElementsAre(0, unmatched));
  EXPECT_THAT(matched({at(200)}), ElementsAre(unmatched));
  EXPECT_THAT(match(OverlapTable({}, objects), 0.5), ElementsAre());
  // An overlap of exactly the threshold counts: 50 of 100.
  EXPECT_THAT(match(OverlapTable(std::vector<PixelBox>{{0, 0, 5, 10}}, objects), 0.5), ElementsAre(0));
}

TEST(Errors, EachKindAlone) {
  struct Case {
    const char* what;
    Image image;
    testing::Matcher<const ErrorCounts&> first, second;
  };
  const Case cases[] = {
      {"nothing", {}, counts(0, 0, 0, 0, 0, 0), counts(0, 0, 0, 0, 0, 0)},
      {"found", {{at(2)}, {0}, {at(0)}, {0}}, counts(1, 0, 0, 0, 0, 0), counts(0, 0, 0, 0, 0, 0)},
      {"missed", {{}, {}, {at(0)}, {1}}, counts(0, 0, 0, 0, 0, 0), counts(0, 0, 0, 0, 0, 1)},
      {"found twice", {{at(0), at(2)}, {0, 0}, {at(0)}, {0}}, counts(1, 1, 0, 0, 0, 0), counts(0, 0, 0, 0, 0, 0)},
      {"wrong class", {{at(2)}, {0}, {at(0)}, {1}}, counts(0, 0, 1, 0, 0, 0), counts(0, 0, 0, 0, 0, 0)},
      {"wrong place", {{at(5)}, {0}, {at(0)}, {0}}, counts(0, 0, 0, 1, 0, 0), counts(0, 0, 0, 0, 0, 0)},
      {"wrong class and place", {{at(5)}, {0}, {at(0)}, {1}}, counts(0, 0, 0, 0, 1, 0), counts(0, 0, 0, 0, 0, 1)},
      {"too far", {{at(9)}, {0}, {at(0)}, {0}}, counts(0, 0, 0, 0, 1, 1), counts(0, 0, 0, 0, 0, 0)},
      {"nothing there", {{at(50)}, {1}, {}, {}}, counts(0, 0, 0, 0, 0, 0), counts(0, 0, 0, 0, 1, 0)},
      // The same class comes first: a second find is a duplicate although an object of the other class lies there too.
      {"duplicate before class error",
       {{at(0), at(0)}, {0, 0}, {at(0), at(0)}, {0, 1}},
       counts(1, 1, 0, 0, 0, 0),
       counts(0, 0, 0, 0, 0, 1)},
      {"class error before wrong place",
       {{at(0)}, {0}, {at(5), at(0)}, {0, 1}},
       counts(0, 0, 1, 0, 0, 1),
       counts(0, 0, 0, 0, 0, 0)},
      // Found in its class and claimed by the other class as well.
      {"class error over a found object",
       {{at(0), at(0)}, {0, 1}, {at(0)}, {0}},
       counts(1, 0, 0, 0, 0, 0),
       counts(0, 0, 1, 0, 0, 0)},
  };
  for (const auto& [what, image, first, second] : cases) {
    SCOPED_TRACE(what);
    EXPECT_THAT(tally_of(image).per_class, ElementsAre(first, second));
  }
}

TEST(Confusion, MatchesWhateverTheClassesAre) {
  // The 0 at 0 is called 1; the 1 at 50 is found, and a second time called 0; the 1 at 100 is missed; 0 found at 200.
  const Image image{{at(1), at(50), at(51), at(200)}, {1, 1, 0, 0}, {at(0), at(50), at(100)}, {0, 1, 1}};
  EXPECT_THAT(tally_of(image).confusion, ElementsAre(ElementsAre(0, 1, 0), ElementsAre(0, 1, 1), ElementsAre(2, 0, 0)));
}

TEST(Confusion, AddsImages) {
  const Image image{{at(0)}, {0}, {at(0)}, {1}};
  ErrorTally tally(2);
  for (int i = 0; i < 3; ++i)
    tally.add_image(image.detections, image.detection_classes, image.objects, image.object_classes);
  EXPECT_EQ(tally.confusion[1][0], 3);
  EXPECT_EQ(tally.per_class[0].class_errors, 3);
}

}  // namespace
}  // namespace gridspot::eval
