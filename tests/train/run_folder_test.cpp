#include "train/run_folder.h"
#include "train/recipes.h"

#include <gmock/gmock.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "gridspot/error.h"
#include "io/json.h"
#include "tests/io/temporary_folder.h"

namespace gridspot {
namespace {

namespace filesystem = std::filesystem;
using testing::ElementsAre;
using testing::StartsWith;

/// Epochs of 25 canvases in steps of 10: they end with the steps 3, 5, 8, 10, ...
RunConfig small_config() {
  RunConfig config = default_config("quick");
  config.batch = 10;
  config.epoch_canvases = 25;
  config.steps = 10;
  config.optimizer.schedule = {.kind = ScheduleKind::constant, .peak = 0.5f, .steps = 10, .warmup = 2};
  return config;
}

/// Of the terms s, 2 s, 4 s and so on: means over steps are exact.
StepMetrics metrics_of(float s) {
  return {.objectness = s, .box = 2 * s, .classes = 4 * s, .gradient_norm = 8 * s, .collisions = s, .unplaced = 2 * s};
}

std::string content(const filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<std::string> lines(const filesystem::path& path) {
  std::vector<std::string> result;
  std::istringstream text(content(path));
  for (std::string line; std::getline(text, line);) result.push_back(line);
  return result;
}

constexpr const char* header =
    "epoch,step,canvases,seconds,loss,objectness,box,class,gradient_norm,learning_rate,collisions,unplaced";

class RunFolderTest : public testing::Test {
 protected:
  test::TemporaryFolder temporary_;
  FileSystem file_system_;
  const RunConfig config_ = small_config();
  const filesystem::path folder_ = temporary_ / "runs" / "first";
  const filesystem::path metrics_ = folder_ / "metrics.jsonl", results_ = folder_ / "results.csv";
};

TEST_F(RunFolderTest, StartsWithTheConfigurationAndTheHeader) {
  const RunFolder run(folder_, config_, NewRun{}, file_system_);
  EXPECT_EQ(content(folder_ / "config.json"), to_json_text(config_));
  EXPECT_EQ(content(metrics_), "");
  EXPECT_EQ(content(results_), std::string(header) + "\n");
  EXPECT_EQ(run.model_path(), folder_ / "model.safetensors");
}

TEST_F(RunFolderTest, RefusesAFolderThatHoldsARun) {
  { RunFolder(folder_, config_, NewRun{}, file_system_).add(1, metrics_of(1), 0.5); }
  const std::string before = content(metrics_);
  EXPECT_THAT(
      [&] { RunFolder(folder_, config_, NewRun{}, file_system_); },
      testing::ThrowsMessage<InvalidInput>(testing::StrEq(
          folder_.string() + " already holds a run; choose another folder, pass --overwrite, or go on with --resume")));
  EXPECT_EQ(content(metrics_), before) << "the run must stay as it was";
  EXPECT_NE(before, "");
}

TEST_F(RunFolderTest, OverwritesTheFilesOfARunAndNoOthers) {
  { RunFolder(folder_, config_, NewRun{}, file_system_).add(1, metrics_of(1), 0.5); }
  for (const char* name :
       {"validation.jsonl", "model.safetensors", "epoch-10.safetensors", "events.out.tfevents.1.x", "notes.txt"})
    std::ofstream(folder_ / name) << "old";
  RunConfig other = config_;
  other.seed = 77;
  const RunFolder run(folder_, other, NewRun{.overwrite = true}, file_system_);
  EXPECT_EQ(content(folder_ / "config.json"), to_json_text(other));
  EXPECT_EQ(content(metrics_), "");
  EXPECT_THAT(lines(results_), ElementsAre(header));
  EXPECT_EQ(content(folder_ / "validation.jsonl"), "");
  for (const char* name : {"model.safetensors", "epoch-10.safetensors", "events.out.tfevents.1.x"})
    EXPECT_FALSE(filesystem::exists(folder_ / name)) << name;
  EXPECT_EQ(content(folder_ / "notes.txt"), "old");
}

TEST_F(RunFolderTest, IsHeldByOneRun) {
  const RunFolder run(folder_, config_, NewRun{}, file_system_);
  const auto in_use = testing::ThrowsMessage<InvalidInput>(folder_.string() + " is in use by another process");
  EXPECT_THAT([&] { RunFolder(folder_, config_, NewRun{.overwrite = true}, file_system_); }, in_use);
  EXPECT_THAT([&] { RunFolder(folder_, config_, ResumedRun{}, file_system_); }, in_use);
}

TEST_F(RunFolderTest, NamesAFolderThatCannotBe) {
  std::ofstream(temporary_ / "runs") << "a file";
  EXPECT_THAT(
      [&] { RunFolder(folder_, config_, NewRun{}, file_system_); },
      testing::ThrowsMessage<IoError>(StartsWith("the run folder " + folder_.string() + " cannot be created: ")));
}

TEST_F(RunFolderTest, AppendsALineForEachStep) {
  RunFolder run(folder_, config_, NewRun{}, file_system_);
  run.add(1, metrics_of(0.5f), 0.1);
  run.add(2, metrics_of(1), 0.2);
  const auto written = lines(metrics_);
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(content(metrics_).back(), '\n') << "a whole line is there when add() returns";
  const Json first = parse_json(written[0], "line 1"), second = parse_json(written[1], "line 2");
  EXPECT_EQ(first, (Json{{"step", 1},
                         {"canvases", 10},
                         {"loss", 3.5},
                         {"objectness", 0.5},
                         {"box", 1.0},
                         {"class", 2.0},
                         {"gradient_norm", 4.0},
                         {"learning_rate", 0.25},
                         {"collisions", 0.5},
                         {"unplaced", 1.0}}))
      << written[0];
  EXPECT_EQ(second["step"], 2);
  EXPECT_EQ(second["canvases"], 20);
  EXPECT_EQ(second["learning_rate"], 0.5) << "the warm-up ends";
}

TEST_F(RunFolderTest, WritesNullWhereANumberIsNotFinite) {
  RunFolder run(folder_, config_, NewRun{}, file_system_);
  StepMetrics broken = metrics_of(1);
  broken.box = std::numeric_limits<float>::quiet_NaN();
  broken.gradient_norm = std::numeric_limits<float>::infinity();
  run.add(1, broken, 0.1);
  const Json line = parse_json(lines(metrics_).at(0), "line 1");
  for (const char* key : {"loss", "box", "gradient_norm"}) EXPECT_TRUE(line[key].is_null()) << key;
  EXPECT_EQ(line["objectness"], 1.0);
}

TEST_F(RunFolderTest, WritesTheMeansOfEachEpoch) {
  RunFolder run(folder_, config_, NewRun{}, file_system_);
  for (int step = 1; step <= 6; ++step) {
    run.add(step, metrics_of(static_cast<float>(step)), 0.25 * step);
    EXPECT_EQ(lines(results_).size(), step < 3 ? 1u : step < 5 ? 2u : 3u) << "after step " << step;
  }
  run.finish(9.0626);
  // Means of the steps 1 to 3, 4 and 5, and 6 alone; sums of collisions and unplaced glyphs.
  EXPECT_THAT(lines(results_), ElementsAre(header, "1,3,30,0.750,14.0,2.0,4.0,8.0,16.0,0.5,6.0,12.0",
                                           "2,5,50,1.250,31.5,4.5,9.0,18.0,36.0,0.5,9.0,18.0",
                                           "3,6,60,9.063,42.0,6.0,12.0,24.0,48.0,0.5,6.0,12.0"));
}

TEST_F(RunFolderTest, FinishAddsNoEmptyEpoch) {
  RunFolder run(folder_, config_, NewRun{}, file_system_);
  run.finish(1);
  EXPECT_EQ(lines(results_).size(), 1u);
  for (int step = 1; step <= 3; ++step) run.add(step, metrics_of(1), 1);
  run.finish(2);
  run.finish(3);
  EXPECT_EQ(lines(results_).size(), 2u);
}

TEST_F(RunFolderTest, CountsEpochsThatAreShorterThanAStep) {
  RunConfig config = config_;
  config.epoch_canvases = 4;
  RunFolder run(folder_, config, NewRun{}, file_system_);
  run.add(1, metrics_of(1), 1);
  run.add(2, metrics_of(1), 2);
  const auto written = lines(results_);
  ASSERT_EQ(written.size(), 3u);
  EXPECT_THAT(written[1], StartsWith("2,1,10,"));
  EXPECT_THAT(written[2], StartsWith("5,2,20,"));
}

}  // namespace
}  // namespace gridspot
