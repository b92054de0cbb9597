#include "eval/evaluation_folder.h"

#include <gmock/gmock.h>

#include <fstream>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "tests/io/temporary_folder.h"

namespace gridspot {
namespace {

using testing::HasSubstr;

/// 26 canvases of 40 x 30 pixels; the object of each is found, but on canvas 25 as the other class.
ProtocolEvaluation example() {
  ProtocolEvaluation result;
  result.set.class_names = {"zero", "one"};
  for (int i = 0; i < 26; ++i) {
    const Box box{0.5f, 0.5f, 0.25f, 0.5f};
    result.set.images.push_back({40, 30});
    result.set.objects.push_back({i, i % 2, box});
    result.set.detections.push_back({i, i == 25 ? 0 : i % 2, 0.75f, box});
    result.set.detections.push_back({i, 0, 0.25f, box});
  }
  result.evaluation = eval::evaluate(result.set, {.cells = 7});
  result.class_accuracy = 0.875;
  result.seconds = 3;
  return result;
}

Image grey(int i) { return {30, 40, 1, static_cast<std::uint8_t>(i)}; }

class EvaluationFolder : public testing::Test {
 protected:
  EvaluationFolder() { write_evaluation(path(), example(), "quick-64", grey); }
  [[nodiscard]] std::filesystem::path path() const { return folder_ / "evaluation"; }
  [[nodiscard]] std::string text(const std::string& name) const { return read_file(path() / name, 1 << 20); }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path() / name, std::ios::binary) << content;
  }
  template <class Read>
  void expect_refused(const Read& read, const std::string& message) const {
    try {
      read();
      ADD_FAILURE() << "accepted, expected: " << message;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
  const test::TemporaryFolder folder_;
};

TEST_F(EvaluationFolder, HoldsTheGalleryAndTheWorstCanvases) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path() / "images"))
    names.insert(entry.path().filename().string());
  EXPECT_EQ(names.size(), 25u) << "24 of the gallery and canvas 25, which has an error";
  EXPECT_TRUE(names.contains("000025.png"));
  EXPECT_FALSE(names.contains("000024.png"));
  EXPECT_EQ(read_image(path() / "images" / "000007.png"), grey(7));
}

TEST_F(EvaluationFolder, ReadsBackAsItWasWritten) {
  const ProtocolEvaluation written = example();
  const EvaluationRecord read = read_evaluation(path());
  EXPECT_EQ(read.protocol, "quick-64");
  EXPECT_EQ(read.class_accuracy, 0.875);
  EXPECT_EQ(to_line(eval::to_json(read.evaluation, eval::Curves::include)),
            to_line(eval::to_json(written.evaluation, eval::Curves::include)));
  EXPECT_EQ(read.failures.worst, std::vector<int>{25});
  EXPECT_EQ(read.failures.confusions.size(), 1u);
}

TEST_F(EvaluationFolder, TheFileIsWhatTheCommandPrintsWithCurvesAndFailures) {
  Json file = parse_json(text("evaluation.json"), "evaluation.json");
  EXPECT_TRUE(file.erase("failures"));
  for (auto& its : file["per_class"]) EXPECT_TRUE(its.erase("precision_curve"));
  EXPECT_EQ(to_text(file), to_text(evaluation_json(example(), "quick-64")));
}

TEST_F(EvaluationFolder, RepeatsToTheByteAndReplacesWhatIsThere) {
  const std::string first = text("evaluation.json"), detections = text("detections.json");
  write("images/stale.png", "of an earlier evaluation");
  auto again = example();
  again.seconds = 5;  // another speed is no other result
  write_evaluation(path(), again, "quick-64", grey);
  EXPECT_EQ(text("evaluation.json"), first);
  EXPECT_EQ(text("detections.json"), detections);
  EXPECT_FALSE(std::filesystem::exists(path() / "images" / "stale.png"));
}

TEST_F(EvaluationFolder, WithoutEvaluationJsonWhenItWasNotFinished) {
  const auto fails = [](int i) -> Image {
    if (i == 3) throw IoError("canvas 3 cannot be composed");
    return grey(i);
  };
  EXPECT_THROW(write_evaluation(path(), example(), "quick-64", fails), IoError);
  EXPECT_FALSE(std::filesystem::exists(path() / "evaluation.json"));
}

TEST_F(EvaluationFolder, CanvasesComeWithTheirVerdicts) {
  const auto record = read_evaluation(path());
  const auto canvases = read_canvases(path(), record, {25, 0});
  ASSERT_EQ(canvases.size(), 2u);
  const auto& wrong = canvases[0];
  EXPECT_EQ(wrong.canvas, 25);
  EXPECT_EQ(wrong.size.width, 40);
  ASSERT_EQ(wrong.objects.size(), 1u);
  EXPECT_EQ(wrong.objects[0].x, 15);
  EXPECT_EQ(wrong.object_classes[0], 1);
  ASSERT_EQ(wrong.detections.size(), 1u) << "the other is below the threshold";
  EXPECT_EQ(wrong.scores[0], 0.75f);
  EXPECT_EQ(wrong.verdicts.detections[0], eval::Verdict::class_error);
  EXPECT_FALSE(wrong.verdicts.found[0]);
  EXPECT_EQ(canvases[1].verdicts.detections[0], eval::Verdict::true_positive);
}

TEST_F(EvaluationFolder, BrokenFilesAreNamed) {
  const auto record = read_evaluation(path());
  const auto read = [&] { read_evaluation(path()); };
  const auto canvases = [&] { read_canvases(path(), record, {0}); };
  const std::string good = text("evaluation.json");
  const auto with = [&](const char* key, const Json& value) {
    Json json = parse_json(good, "");
    json[key] = value;
    return to_text(json);
  };
  write("evaluation.json", with("mAP50", 2));
  expect_refused(read, "evaluation.json: mAP50 must be a number");
  write("evaluation.json", with("confusion_matrix", Json::array({{1, 2}})));
  expect_refused(read, "evaluation.json: confusion_matrix must be a square");
  write("evaluation.json", with("failures", Json::object()));
  expect_refused(read, "evaluation.json: failures.score_threshold is missing");
  write("evaluation.json", "{");
  expect_refused(read, "evaluation.json:1:");
  write("detections.json", R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 0.9}])");
  expect_refused(canvases, "detections.json: [0].bbox must be [x, y, width, height]");
  write("detections.json", R"([{"image_id": 99, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}])");
  expect_refused(canvases, "detections.json: [0].image_id must be an integer from 1 to 26");
  std::filesystem::remove(path() / "images" / "000000.png");
  expect_refused(canvases, "000000.png is missing");
  std::filesystem::remove(path() / "evaluation.json");
  expect_refused(read, "evaluation.json");
}

}  // namespace
}  // namespace gridspot
