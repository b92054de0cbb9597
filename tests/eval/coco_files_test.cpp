#include "eval/coco_files.h"

#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/io/temporary_folder.h"

namespace gridspot::eval {
namespace {

EvaluationSet example() {
  return {{{200, 100}, {64, 64}},
          {"zero", "one"},
          {{0, 1, {0.5f, 0.5f, 0.25f, 0.5f}}, {1, 0, {0.25f, 0.25f, 0.125f, 0.25f}}},
          {{1, 0, 0.1f, {0.5f, 0.5f, 0.5f, 0.25f}}}};
}

std::string content(const std::filesystem::path& path) {
  return to_line(parse_json(read_file(path, 1 << 16), path.string()));
}

TEST(CocoFiles, GroundTruthCountsFromOneAndIsInPixels) {
  const test::TemporaryFolder folder;
  write_coco_ground_truth(folder / "ground_truth.json", example());
  EXPECT_EQ(
      content(folder / "ground_truth.json"),
      R"({"info":{"description":"gridspot"},)"
      R"("images":[{"id":1,"file_name":"000000.png","width":200,"height":100},)"
      R"({"id":2,"file_name":"000001.png","width":64,"height":64}],)"
      R"("annotations":[{"id":1,"image_id":1,"category_id":2,"bbox":[75.0,25.0,50.0,50.0],"area":2500.0,"iscrowd":0},)"
      R"({"id":2,"image_id":2,"category_id":1,"bbox":[12.0,8.0,8.0,16.0],"area":128.0,"iscrowd":0}],)"
      R"("categories":[{"id":1,"name":"zero"},{"id":2,"name":"one"}]})");
}

TEST(CocoFiles, DetectionsHaveTheirScores) {
  const test::TemporaryFolder folder;
  write_coco_detections(folder / "detections.json", example());
  EXPECT_EQ(content(folder / "detections.json"),
            R"([{"image_id":2,"category_id":1,"bbox":[16.0,24.0,32.0,16.0],"score":0.1}])");
  write_coco_detections(folder / "none.json", {});
  EXPECT_EQ(content(folder / "none.json"), "[]");
}

}  // namespace
}  // namespace gridspot::eval
