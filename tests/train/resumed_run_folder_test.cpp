// The logs of a run that was stopped: what is cut off, what is refused, and that going on completes them.
#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <limits>
#include <sstream>

#include "gridspot/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/run_folder.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using test::content;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint64_t last_step = 10;

/// Epochs of 25 canvases in steps of 10: they end with the steps 3, 5, 8 and 10.
RunConfig small_config() {
  RunConfig config = test::tiny_config();
  config.batch = 10;
  config.epoch_canvases = 25;
  config.steps = last_step;
  return resolve(config);
}

/// Of no round numbers: sums show where one is missing or in another place.
StepMetrics metrics_of(std::uint64_t step) {
  const float s = 1.0f / static_cast<float>(step + 2);
  return {.objectness = s, .box = 2 * s, .classes = 4 * s, .gradient_norm = 8 * s, .collisions = s, .unplaced = 0};
}

class ResumedRunFolder : public testing::Test {
 protected:
  static void train(RunFolder& run, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t step = first; step <= last; ++step) {
      run.add(step, metrics_of(step), 0.5 * static_cast<double>(step));
      if (step % 2 == 0) run.add_validation(step, {{"mAP50", 0.125}, {"mAP50_95", 0.0625 * static_cast<double>(step)}});
    }
    if (last == last_step) run.finish(0.5 * static_cast<double>(last));
  }

  /// The run up to `step`; its logs are in logs_.
  void train_to(std::uint64_t step) {
    RunFolder run(folder_, config_, NewRun{.overwrite = true}, file_system_);
    train(run, 1, step);
  }

  void go_on_from(std::uint64_t step) {
    RunFolder run(folder_, config_, ResumedRun{step}, file_system_);
    train(run, step + 1, last_step);
  }

  [[nodiscard]] test::Outcome logs() const {
    return {{"metrics", content(metrics_)}, {"results", content(results_)}, {"validation", content(validation_)}};
  }

  [[nodiscard]] test::Outcome whole_logs() {
    train_to(last_step);
    return logs();
  }

  static void put(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

  static std::vector<std::string> lines_of(const fs::path& path) {
    std::vector<std::string> lines;
    std::istringstream text(content(path));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  static void put_lines(const fs::path& path, const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += line + '\n';
    put(path, text);
  }

  const test::TemporaryFolder temporary_;
  test::QuickFileSystem file_system_;
  RunConfig config_ = small_config();
  const fs::path folder_ = temporary_ / "run", metrics_ = folder_ / "metrics.jsonl", results_ = folder_ / "results.csv",
                 validation_ = folder_ / "validation.jsonl";
};

TEST_F(ResumedRunFolder, IsCutBackToTheStepAndCompleted) {
  const auto expected = whole_logs();
  for (std::uint64_t stopped = 0; stopped <= last_step; ++stopped)
    for (std::uint64_t kept = 0; kept <= stopped; ++kept) {
      train_to(stopped);
      go_on_from(kept);
      EXPECT_EQ(test::difference(logs(), expected), "")
          << "stopped after step " << stopped << ", resumed from " << kept;
    }
}

TEST_F(ResumedRunFolder, TellsWhatWasKept) {
  train_to(7);
  const RunFolder run(folder_, config_, ResumedRun{6}, file_system_);
  EXPECT_EQ(run.seconds_before(), 2.5) << "of the epoch that ended with step 5";
  ASSERT_EQ(run.validations().size(), 3u);
  EXPECT_EQ(run.validations().back(), (Json{{"step", 6}, {"epoch", 2.4}, {"mAP50", 0.125}, {"mAP50_95", 0.375}}));
  EXPECT_EQ(lines_of(metrics_).size(), 6u);
  EXPECT_EQ(lines_of(results_).size(), 3u);
}

TEST_F(ResumedRunFolder, LosesALineThatAStopBrokeOff) {
  const auto expected = whole_logs();
  // In metrics.jsonl also one that was closed since, by the next program that opened the file.
  for (const auto& [path, end] : {std::pair{metrics_, ""}, {metrics_, "\n"}, {results_, ""}, {validation_, ""}}) {
    train_to(6);
    const std::string last_line = lines_of(path).back();
    for (std::size_t length = 0; length <= last_line.size(); ++length) {
      train_to(6);
      put(path, content(path) + last_line.substr(0, length) + end);
      go_on_from(6);
      ASSERT_EQ(test::difference(logs(), expected), "") << path << ", " << length << " bytes";
    }
  }
}

TEST_F(ResumedRunFolder, RefusesMetricsThatAreNotWhole) {
  train_to(7);
  const auto good = lines_of(metrics_);
  const struct {
    const char* what;
    std::function<void(std::vector<std::string>&)> spoil;
    std::string message;
  } rows[] = {
      {"a line is missing at the end", [](auto& lines) { lines.resize(4); },
       "metrics.jsonl ends with step 4, before the checkpoint of step 5"},
      {"there is no line", [](auto& lines) { lines.clear(); },
       "metrics.jsonl ends with step 0, before the checkpoint of step 5"},
      {"a line is missing", [](auto& lines) { lines.erase(lines.begin() + 2); },
       "metrics.jsonl, line 3: this is not step 3"},
      {"a line is there twice", [](auto& lines) { lines.insert(lines.begin() + 3, lines[2]); },
       "metrics.jsonl, line 4: this is not step 4"},
      {"a line is cut", [](auto& lines) { lines[1].resize(20); }, "metrics.jsonl, line 2:1:"},
      {"a line is empty", [](auto& lines) { lines[1] = ""; }, "metrics.jsonl, line 2:1:"},
      {"a line is no object", [](auto& lines) { lines[1] = "[2]"; }, "metrics.jsonl, line 2: "},
      {"a line has no step", [](auto& lines) { lines[1] = "{\"loss\":1}"; }, "metrics.jsonl, line 2: "},
      {"a line has nothing else", [](auto& lines) { lines[1] = "{\"step\":2}"; }, "metrics.jsonl, line 2: "},
      {"a number is a text", [](auto& lines) { lines[1].insert(lines[1].find("\"box\":") + 6, "\"x\",\"y\":"); },
       "metrics.jsonl, line 2: "},
      {"a byte is not UTF-8", [](auto& lines) { lines[1][3] = '\xff'; }, "metrics.jsonl, line 2:1:"}};
  for (const auto& [what, spoil, message] : rows) {
    SCOPED_TRACE(what);
    auto lines = good;
    spoil(lines);
    put_lines(metrics_, lines);
    const std::string before = content(metrics_);
    EXPECT_THAT([&] { RunFolder(folder_, config_, ResumedRun{5}, file_system_); },
                testing::ThrowsMessage<CheckpointError>(AllOf(StartsWith(folder_.string()), HasSubstr(message))));
    EXPECT_EQ(content(metrics_), before);
  }
  fs::remove(metrics_);
  EXPECT_THROW(RunFolder(folder_, config_, ResumedRun{5}, file_system_), CheckpointError);
}

TEST_F(ResumedRunFolder, DamageBehindTheStepDoesNotMatter) {
  const auto expected = whole_logs();
  for (const std::string& damage :
       {std::string("anything"), std::string(20, '\0'), std::string(R"({"step":6,"mAP50_95":"anything"})")}) {
    train_to(5);
    for (const auto& path : {metrics_, results_, validation_}) LineWriter(path).write(damage);
    go_on_from(5);
    EXPECT_EQ(test::difference(logs(), expected), "") << damage;
  }
}

TEST_F(ResumedRunFolder, ReadsWhatWasNotFinite) {
  StepMetrics broken = metrics_of(1);
  broken.gradient_norm = std::numeric_limits<float>::infinity();
  RunFolder(folder_, config_, NewRun{}, file_system_).add(1, broken, 1);
  const std::string before = content(metrics_);
  RunFolder(folder_, config_, ResumedRun{1}, file_system_);
  EXPECT_EQ(content(metrics_), before);
}

TEST_F(ResumedRunFolder, BeginsAgainWhereOnlyTheConfigurationWasWritten) {
  const auto expected = whole_logs();
  for (const std::string header : {"", "epoch,st"}) {
    for (const auto& path : {metrics_, validation_}) fs::remove(path);
    put(results_, header);
    go_on_from(0);
    EXPECT_EQ(test::difference(logs(), expected), "") << '"' << header << '"';
  }
  for (const auto& path : {metrics_, validation_, results_}) fs::remove(path);
  go_on_from(0);
  EXPECT_EQ(test::difference(logs(), expected), "") << "without any log";
}

TEST_F(ResumedRunFolder, TheBrokenOffEpochOfAFinishedRunStandsOnce) {
  config_.steps = 9;
  train_to(9);
  { RunFolder(folder_, config_, ResumedRun{9}, file_system_).finish(4.5); }
  const auto lines = lines_of(results_);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_THAT(lines[4], StartsWith("4,9,90,4.500,"));
  RunFolder(folder_, config_, ResumedRun{9}, file_system_).finish(99);
  EXPECT_EQ(lines_of(results_), lines);
}

TEST_F(ResumedRunFolder, RefusesValidationsThatAreDamaged) {
  train_to(7);
  const auto good = lines_of(validation_);
  ASSERT_EQ(good.size(), 3u);
  for (const char* damaged : {"", "{", "[4]", "{}", R"({"step":"4"})", R"({"step":4}})"}) {
    auto lines = good;
    lines[1] = damaged;
    put_lines(validation_, lines);
    EXPECT_THAT([&] { RunFolder(folder_, config_, ResumedRun{7}, file_system_); },
                testing::ThrowsMessage<CheckpointError>(StartsWith(validation_.string() + ", line 2:")))
        << damaged;
  }
}

}  // namespace
}  // namespace gridspot
