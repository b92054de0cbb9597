// The whole study at toy size: its files and their order, going on after a stop, and the report's numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/apps/run_program.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using test::run_gridspot;
using testing::HasSubstr;

constexpr std::size_t max_bytes = 64 << 20;

Json read_json(const fs::path& path) { return parse_json(read_file(path, max_bytes), path.string()); }

class Study : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* split : {"train", "t10k"}) write_glyphs(split);
  }

  /// Twelve glyphs of three classes: a bar, a block and a frame, in IDX files.
  void write_glyphs(const std::string& split) {
    constexpr int count = 12, side = 28;
    std::string pixels("\0\0\x08\x03\0\0\0\x0c\0\0\0\x1c\0\0\0\x1c", 16), labels("\0\0\x08\x01\0\0\0\x0c", 8);
    for (int glyph = 0; glyph < count; ++glyph) {
      const int kind = glyph % 3, from = 5 + glyph / 3;
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
          const bool inside = x >= from && x < side - from && y >= from && y < side - from;
          const bool edge = x < from + 3 || x >= side - from - 3 || y < from + 3 || y >= side - from - 3;
          const bool ink = kind == 0 ? inside && x < from + 4 : inside && (kind == 1 || edge);
          pixels += static_cast<char>(ink ? 255 : 0);
        }
      labels += static_cast<char>(kind);
    }
    fs::create_directories(folder_ / "glyphs");
    write_file_atomically(folder_ / "glyphs" / (split + "-images-idx3-ubyte"), pixels);
    write_file_atomically(folder_ / "glyphs" / (split + "-labels-idx1-ubyte"), labels);
  }

  [[nodiscard]] std::vector<std::string> command(const std::string& out) const {
    return {"study",
            "--preset",
            "quick",
            "--data",
            (folder_ / "glyphs").string(),
            "--images",
            "24",
            "--milestones",
            "2,4",
            "--count",
            "16",
            "--pretrain-images",
            "24",
            "--pretrain-epochs",
            "2",
            "--digit-epochs",
            "8",
            "--out",
            (folder_ / out).string()};
  }
  [[nodiscard]] fs::path evaluation(const std::string& out, const std::string& model,
                                    const std::string& milestone) const {
    return folder_ / out / model / "evaluation" / milestone / "quick-64" / "evaluation.json";
  }

  test::TemporaryFolder folder_;
};

TEST_F(Study, TrainsEachModelToEachMilestoneInOrder) {
  auto arguments = command("study");
  arguments.push_back("--json");
  const auto result = run_gridspot(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.error;
  std::vector<fs::path> order{folder_ / "study/study.json"};
  for (const auto& [backbone, protocol] :
       {std::pair{"backbone-canvases", "quick-64"}, {"backbone-digits", "digits-28"}}) {
    order.push_back(folder_ / "study" / backbone / "model.safetensors");
    order.push_back(folder_ / "study" / backbone / "evaluation/final" / protocol / "evaluation.json");
  }
  for (const char* milestone : {"epoch-2", "epoch-4"})
    for (const char* model : {"A", "B", "C"}) {
      order.push_back(folder_ / "study" / model / (std::string(milestone) + ".safetensors"));
      order.push_back(evaluation("study", model, milestone));
    }
  order.push_back(folder_ / "study/report.html");
  for (const fs::path& path : order) ASSERT_TRUE(fs::exists(path)) << path;
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_LE(fs::last_write_time(order[i - 1]), fs::last_write_time(order[i])) << order[i - 1] << " and " << order[i];

  // What the report says is what the evaluations say.
  const Json report = parse_json(result.out, "report");
  ASSERT_EQ(report["models"].size(), 3u);
  for (const Json& model : report["models"]) {
    ASSERT_EQ(model["evaluations"].size(), 2u);
    for (const Json& shown : model["evaluations"]) {
      const Json written = read_json(evaluation("study", model["name"], shown["milestone"]));
      for (const char* key : {"mAP50", "mAP50_95", "class_accuracy", "collision_ceiling", "errors", "confusion_matrix"})
        EXPECT_EQ(shown[key], written[key]) << model["name"] << ' ' << shown["milestone"] << ' ' << key;
    }
  }
  const std::string page = read_file(folder_ / "study/report.html", max_bytes);
  EXPECT_EQ(run_gridspot({"report", (folder_ / "study").string()}).exit_code, 0);
  EXPECT_EQ(read_file(folder_ / "study/report.html", max_bytes), page);
}

TEST_F(Study, ModelsDifferInNothingButTheirBackbones) {
  ASSERT_EQ(run_gridspot(command("study")).exit_code, 0);
  const auto without_backbone = [&](const char* model) {
    Json config = read_json(folder_ / "study" / model / "config.json");
    EXPECT_EQ(config["backbone"]["file"].get<std::string>().empty(), model == std::string("C"));
    config.erase("backbone");
    return config;
  };
  EXPECT_EQ(without_backbone("A"), without_backbone("B"));
  EXPECT_EQ(without_backbone("A"), without_backbone("C"));
}

TEST_F(Study, GoesOnAfterASignalToTheSameBytes) {
  ASSERT_EQ(run_gridspot(command("whole")).exit_code, 0);
  // Each waits for a file of another stage.
  for (const char* file : {"backbone-canvases/metrics.jsonl", "backbone-digits/metrics.jsonl", "A/metrics.jsonl",
                           "B/epoch-2.safetensors", "C/metrics.jsonl", "A/epoch-4.safetensors"}) {
    if (fs::exists(folder_ / "parts" / file)) continue;
    const auto result = run_gridspot(command("parts"), SIGINT, folder_ / "parts" / file);
    ASSERT_THAT(result.exit_code, testing::AnyOf(130, 0)) << file << ": " << result.error;
  }
  const auto last = run_gridspot(command("parts"));
  ASSERT_EQ(last.exit_code, 0) << last.error;
  for (const char* model : {"A", "B", "C"}) {
    for (const char* name : {"epoch-2.safetensors", "epoch-4.safetensors", "metrics.jsonl", "validation.jsonl"}) {
      // Config and models name the backbone's file, which lies in the other study's folder.
      const bool states_path = std::string(name).ends_with("safetensors") && model != std::string("C");
      if (states_path) continue;
      EXPECT_EQ(read_file(folder_ / "whole" / model / name, max_bytes),
                read_file(folder_ / "parts" / model / name, max_bytes))
          << model << '/' << name;
    }
    for (const char* milestone : {"epoch-2", "epoch-4"})
      EXPECT_EQ(read_json(evaluation("whole", model, milestone)), read_json(evaluation("parts", model, milestone)));
  }
}

TEST_F(Study, ModelsCanJoinLater) {
  const auto with_models = [&](const char* models) {
    auto arguments = command("study");
    *std::find(arguments.begin(), arguments.end(), "2,4") = "1";
    arguments.insert(arguments.end(), {"--models", models});
    return run_gridspot(arguments);
  };
  ASSERT_EQ(with_models("C").exit_code, 0);
  const std::string first = read_file(folder_ / "study/C/epoch-1.safetensors", max_bytes);
  const auto more = with_models("A-all,A");
  ASSERT_EQ(more.exit_code, 0) << more.error;
  EXPECT_EQ(read_file(folder_ / "study/C/epoch-1.safetensors", max_bytes), first);
  std::vector<std::string> names;
  const Json study = read_json(folder_ / "study/study.json");
  for (const Json& model : study["models"]) names.push_back(model["name"]);
  EXPECT_THAT(names, testing::ElementsAre("C", "A-all", "A"));
  const Json backbone =
      read_json(folder_ / "study/backbone-cells-fresh-long/evaluation/final/quick-64/evaluation.json");
  EXPECT_EQ(backbone["task"], "cells");
  EXPECT_THAT(read_file(folder_ / "study/report.html", max_bytes), HasSubstr("What another pre-training than A"));
}

TEST_F(Study, OfTheOriginalRecipeAndOfFreshCanvases) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--recipe", "original"}, {"--stream"}}) {
    std::vector<std::string> arguments{
        "study",    "--preset", "quick",        "--data", "builtin",
        "--models", "C",        "--milestones", "1",      "--count",
        "8",        "--epoch",  "32",           "--out",  (folder_ / more.back()).string()};
    if (more.size() == 2) arguments.insert(arguments.end(), {"--images", "32"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_gridspot(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.error;
    const Json config = read_json(folder_ / more.back() / "C/config.json");
    EXPECT_EQ(config["optimizer"]["kind"], more.size() == 2 ? "adam" : "adamw");
    EXPECT_EQ(config["training_set"]["images"], more.size() == 2 ? 32 : 0);
  }
}

TEST_F(Study, RefusesAFolderOfAnotherStudy) {
  ASSERT_EQ(run_gridspot(command("study"), SIGINT, folder_ / "study/study.json").exit_code, 130);
  auto other = command("study");
  other.insert(other.end(), {"--seed", "2"});
  const auto result = run_gridspot(other);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("holds a study with other settings"));
}

TEST_F(Study, RefusesWrongSettings) {
  auto falling = command("study");
  *std::find(falling.begin(), falling.end(), "2,4") = "4,2";
  const auto result = run_gridspot(falling);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("milestones must be epochs in rising order"));
  auto models = command("study");
  models.insert(models.end(), {"--models", "A,D"});
  EXPECT_EQ(run_gridspot(models).exit_code, 2);
  models.back() = "A,B,A";
  const auto twice = run_gridspot(models);
  EXPECT_EQ(twice.exit_code, 3);
  EXPECT_THAT(twice.error, HasSubstr("a study's model 'A' is named twice"));
  EXPECT_FALSE(fs::exists(folder_ / "study"));
}

}  // namespace
}  // namespace gridspot
