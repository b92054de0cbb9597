#include "report/run_files.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"
#include "report/csv.h"
#include "report/report.h"
#include "tests/report/study_fixture.h"

namespace gridspot::report {
namespace {

using test::StudyFixture;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(RunFiles, AreRead) {
  const StudyFixture study;
  const RunFiles run = read_run(study.path() / "A");
  EXPECT_EQ(run.network, "quick");
  EXPECT_EQ(run.batch, 32);
  EXPECT_EQ(run.epoch_canvases, 320u);
  ASSERT_EQ(run.steps.size(), 200u);
  EXPECT_EQ(run.steps[1].loss, 1);
  ASSERT_EQ(run.epochs.size(), 20u);
  EXPECT_EQ(run.epochs.back().canvases, 6400u);
  EXPECT_EQ(run.epochs.back().seconds, 20.5);
  ASSERT_EQ(run.validations.size(), 20u);
  EXPECT_EQ(run.validations[3].map50_95, 0.25);
  EXPECT_FALSE(run.validations[3].accuracy.has_value());
  ASSERT_EQ(run.evaluations.size(), 2u);
  EXPECT_EQ(run.evaluations[0].epoch, 10u);
  EXPECT_EQ(run.evaluations[1].milestone, "final");
  EXPECT_EQ(run.evaluations[1].epoch, 20u);
}

TEST(RunFiles, OfAnUnfinishedRunAreWhatIsThere) {
  const StudyFixture study;
  for (const char* name : {"metrics.jsonl", "results.csv", "validation.jsonl", "model.safetensors", "evaluation"})
    std::filesystem::remove_all(study.path() / "A" / name);
  const RunFiles run = read_run(study.path() / "A");
  EXPECT_TRUE(run.steps.empty() && run.epochs.empty() && run.validations.empty() && run.evaluations.empty());
  EXPECT_FALSE(run.has_model);
}

TEST(RunFiles, ALineThatIsStillBeingWrittenIsLeftOut) {
  const StudyFixture study;
  study.write("A/metrics.jsonl", "{\"step\":1,\"canvases\":32,\"loss\":2.5}\n{\"step\":2,\"canv");
  EXPECT_EQ(read_run(study.path() / "A").steps.size(), 1u);
}

TEST(RunFiles, ClassifiersAreToldFromDetectors) {
  const StudyFixture study;
  const auto record = read_classifier_evaluation(study.path() / "backbone-digits/evaluation/final/quick-64");
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->accuracy, 0.9375);
  EXPECT_FALSE(record->exact_match.has_value());
  EXPECT_FALSE(read_classifier_evaluation(study.path() / "A/evaluation/final/quick-64").has_value());
}

TEST(RunFiles, BrokenOnesAreNamedWithTheirLine) {
  struct Case {
    const char *file, *from, *to, *message;
  };
  const Case cases[] = {
      {"study.json", "\"seed\": 7", "\"seed\": -7", "study.json: seed must be an integer"},
      {"study.json", "\"preset\"", "\"prest\"", "study.json: preset is missing"},
      {"study.json", "[10, 20]", "[0]", "study.json: milestones[0] must be an integer from 1"},
      {"study.json", "\"folder\": \"C\"", "\"folder\": \"\"", "study.json: models[1].folder must not be empty"},
      {"A/config.json", "\"batch\": 32", "\"batch\": 0", "config.json: batch must be an integer from 1"},
      {"A/config.json", "{\"name\": \"quick\"}", "7", "config.json: network must be an object"},
      {"A/metrics.jsonl", "{\"step\":3,", "{\"step\":3 ", "metrics.jsonl, line 3:1:"},
      {"A/metrics.jsonl", "{\"step\":3,", "{\"step\":2,", "metrics.jsonl, line 3: step must be an integer from 3"},
      {"A/metrics.jsonl", "\"loss\":3", "\"loss\":null", "metrics.jsonl, line 1: loss must be a number"},
      {"A/validation.jsonl", "\"mAP50\":0.5", "\"mAP50\":1.5", "validation.jsonl, line 1: mAP50 must be a number"},
      {"A/validation.jsonl", "\"epoch\":2", "\"epoch\":0", "validation.jsonl, line 2: epoch must be a number"},
      {"A/results.csv", "seconds", "minutes", "results.csv, line 1: there is no column 'seconds'"},
      {"A/results.csv", "3,30,", "3,30,9,", "results.csv, line 4: 7 values for 6 columns"},
      {"A/results.csv", "2.5,2.0", "2.5,nan", "results.csv, line 3: loss must be a number of at least 0, found 'nan'"},
      {"A/evaluation/final/quick-64/evaluation.json", "\"quick-64\"", "\"seed-224\"",
       "protocol is 'seed-224', but the folder is named 'quick-64'"},
      {"backbone-digits/evaluation/final/quick-64/evaluation.json", "0.9375", "93",
       "evaluation.json: accuracy must be a number"},
  };
  for (const auto& [file, from, to, message] : cases) {
    SCOPED_TRACE(std::string(file) + ": " + from + " -> " + to);
    const StudyFixture study;
    study.replace(file, from, to);
    try {
      collect_report(study.path());
      ADD_FAILURE() << "accepted";
    } catch (const InvalidInput& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
}

TEST(Csv, ColumnsAreFoundByName) {
  const CsvHeader header("a,b,c", "f, line 1", {"c", "a"});
  EXPECT_THAT(header.read("1,2,3.5", "f, line 2"), ElementsAre(3.5, 1));
  for (const char* broken : {"1,2", "1,2,", "1,2,x", "1,2,3 ", "-1,2,3", "1,2,inf", "1,2,3,4"})
    EXPECT_THROW((void)header.read(broken, "f, line 2"), InvalidInput) << broken;
  EXPECT_THROW(CsvHeader("a,b", "f, line 1", {"c"}), InvalidInput);
}

}  // namespace
}  // namespace gridspot::report
