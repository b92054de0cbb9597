// The whole study at toy size: its files and their order, going on after a stop, and the report's numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/apps/run_program.h"
#include "train/model.h"

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

  /// Files, and of models their tensors: their configuration names the backbone's file, which lies in another folder.
  void expect_equal(const std::string& study, const std::string& other, const std::string& model) const {
    SCOPED_TRACE("model " + model + " of " + other);
    const auto file = [&](const std::string& folder, const char* name) { return folder_ / folder / model / name; };
    for (const char* name : {"metrics.jsonl", "validation.jsonl"})
      EXPECT_EQ(read_file(file(study, name), max_bytes), read_file(file(other, name), max_bytes)) << name;
    for (const char* name : {"epoch-2.safetensors", "epoch-4.safetensors", "best.safetensors"})
      EXPECT_EQ(load_model(file(study, name)).weights, load_model(file(other, name)).weights) << name;
    for (const char* milestone : {"epoch-2", "epoch-4"})
      EXPECT_EQ(read_json(evaluation(study, model, milestone)), read_json(evaluation(other, model, milestone)));
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
  EXPECT_EQ(read_json(folder_ / "study/backbone-digits/config.json")["validation"]["held_out"], 0)
      << "nothing is chosen by it";
}

// Each stop waits for a file of another stage; a kill leaves what it happens to leave.
TEST_F(Study, GoesOnAfterSignalsAndKillsToTheSameNumbers) {
  ASSERT_EQ(run_gridspot(command("whole")).exit_code, 0);
  for (const int signal : {SIGINT, SIGKILL}) {
    const std::string parts = "parts-" + std::to_string(signal);
    int stops = 0;
    for (const char* file : {"study.json", "backbone-canvases/metrics.jsonl", "backbone-digits/config.json",
                             "backbone-digits/metrics.jsonl", "A/config.json", "A/metrics.jsonl",
                             "B/epoch-2.safetensors", "C/checkpoints/latest.safetensors", "C/metrics.jsonl",
                             "A/epoch-4.safetensors", "B/evaluation/epoch-4/quick-64/images"}) {
      if (fs::exists(folder_ / parts / file)) continue;
      const auto result = run_gridspot(command(parts), signal, folder_ / parts / file);
      ASSERT_THAT(result.exit_code, testing::AnyOf(128 + signal, 0)) << file << ": " << result.error;
      if (result.exit_code != 0) ++stops;
    }
    EXPECT_GE(stops, 6) << "hardly any stage was broken off";
    const auto last = run_gridspot(command(parts));
    ASSERT_EQ(last.exit_code, 0) << last.error;
    for (const char* model : {"A", "B", "C"}) expect_equal("whole", parts, model);
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

// Models of canvases as large as those of overlap-224 are measured on these too.
TEST_F(Study, MeasuresWhatTrainingNeverSaw) {
  write_file_atomically(folder_ / "tiny.json", R"({
    "name": "tiny", "input": {"height": 224, "width": 224},
    "backbone": [{"type": "conv", "filters": 4, "stride": 4}, {"type": "conv", "filters": 4, "stride": 4}],
    "head": [{"type": "conv", "filters": 15, "stride": 2, "activation": "none"}],
    "detector": {"cells": 7, "predictors": 1, "classes": 10}})");
  const auto result = run_gridspot({"study",
                                    "--preset",
                                    (folder_ / "tiny.json").string(),
                                    "--recipe",
                                    "original",
                                    "--data",
                                    "builtin",
                                    "--images",
                                    "16",
                                    "--milestones",
                                    "1,2",
                                    "--count",
                                    "8",
                                    "--pretrain-images",
                                    "16",
                                    "--pretrain-epochs",
                                    "1",
                                    "--models",
                                    "A,C",
                                    "--json",
                                    "--out",
                                    (folder_ / "study").string()});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const Json report = parse_json(result.out, "report");
  EXPECT_EQ(report["study"]["evaluations"], (Json{"seed-224", "overlap-224"}));
  for (const Json& model : report["models"]) {
    std::vector<std::string> places;
    for (const Json& evaluation : model["evaluations"]) {
      places.push_back(evaluation["milestone"].get<std::string>() + ' ' + evaluation["protocol"].get<std::string>());
      const Json written = read_json(folder_ / "study" / evaluation["file"].get<std::string>());
      EXPECT_EQ(evaluation["mAP50"], written["mAP50"]) << places.back();
      EXPECT_EQ(written["images"], 8);
    }
    EXPECT_THAT(places, testing::UnorderedElementsAre("epoch-1 seed-224", "epoch-1 overlap-224", "epoch-2 seed-224",
                                                      "epoch-2 overlap-224"));
  }
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
    EXPECT_EQ(read_json(folder_ / more.back() / "study.json")["data"], "builtin");
  }
}

TEST_F(Study, RefusesAFolderOfAnotherStudy) {
  ASSERT_EQ(run_gridspot(command("study"), SIGINT, folder_ / "study/study.json").exit_code, 130);
  auto other = command("study");
  other.insert(other.end(), {"--seed", "2"});
  const auto result = run_gridspot(other);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("holds a study with other settings: seed 1 instead of 2; choose another folder"));
}

TEST_F(Study, GoesOnWithItsOwnSettings) {
  ASSERT_EQ(run_gridspot(command("study"), SIGINT, folder_ / "study/backbone-canvases/metrics.jsonl").exit_code, 130);
  EXPECT_EQ(read_json(folder_ / "study/study.json")["data"], (folder_ / "glyphs").string());
  const auto result = run_gridspot({"study", "--out", (folder_ / "study").string(), "--models", "A"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_TRUE(fs::exists(evaluation("study", "B", "epoch-4")));
}

TEST_F(Study, LeavesNothingBehindWhenItCannotBegin) {
  auto arguments = command("study");
  *std::find(arguments.begin(), arguments.end(), (folder_ / "glyphs").string()) = "/nowhere";
  EXPECT_EQ(run_gridspot(arguments).exit_code, 1);
  arguments = command("study");
  arguments.insert(arguments.end(), {"--protocol", "seed-224"});
  const auto result = run_gridspot(arguments);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("the network takes canvases of 64x64, the protocol seed-224 makes 224x224"));
  EXPECT_FALSE(fs::exists(folder_ / "study"));
}

TEST_F(Study, RefusesWrongSettings) {
  auto falling = command("study");
  *std::find(falling.begin(), falling.end(), "2,4") = "4,2";
  const auto result = run_gridspot(falling);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("milestones must be epochs in rising order"));
  *std::find(falling.begin(), falling.end(), "4,2") = "2,2";
  EXPECT_EQ(run_gridspot(falling).exit_code, 3);
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
