// Wrong calls of the program: each says in one sentence what is wrong, and ends with its exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "data/image.h"
#include "io/json.h"
#include "nn/network.h"
#include "tests/apps/run_program.h"
#include "train/checkpoint.h"

namespace gridspot {
namespace {

using test::run_gridspot;
using test::TemporaryFolder;
using testing::HasSubstr;

class CommandLine : public testing::Test {
 protected:
  void SetUp() override {
    NetworkSpec spec = load_network("quick");
    const Network network(spec);
    save_model(folder_ / "model.safetensors", {.network = spec,
                                               .weights = network.initial_weights(1),
                                               .classes = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
                                               .protocol = "quick-64",
                                               .step = 0,
                                               .config = "{}"});
    write_png(folder_ / "black.png", Image(30, 50, 1));
    write("text.png", "this is no image");
    write("broken.safetensors", "12345678");
    write("config.json", R"({"network": 1})");
    write("network.json", R"({"name": "x", "input": {"height": 64, "width": 64, "chanels": 1}})");
  }

  void write(const std::string& name, const std::string& content) const { std::ofstream(folder_ / name) << content; }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
};

TEST_F(CommandLine, WrongCallsSayWhatIsWrongAndEndWithTheirCode) {
  const std::string model = path("model.safetensors"), image = path("black.png"), run = path("run");
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string message;
  };
  const std::vector<Case> cases{
      {{}, 2, "A subcommand is required"},
      {{"trian"}, 2, "A subcommand is required"},
      {{"train", "--steps", "0"}, 2, "--steps"},
      {{"train", "--steps", "ten"}, 2, "--steps"},
      {{"train", "--steps", "1", "--epochs", "1"}, 2, "excludes"},
      {{"train", "--unknown"}, 2, "--unknown"},
      {{"train", "--preset", "huge", "--out", run}, 3, "huge"},
      {{"train", "--preset", path("network.json"), "--out", run}, 3, "chanels"},
      {{"train", "--protocol", "mnist", "--out", run}, 3, "seed-224"},
      {{"train", "--protocol", "seed-224", "--data", "builtin", "--out", run}, 3, "64x64"},
      {{"train", "--data", path("nowhere"), "--out", run}, 1, "nowhere"},
      {{"train", "--data", "builtin", "--device", "tpu", "--out", run}, 3, "unknown device 'tpu'"},
      {{"train", "--data", "builtin", "--device", "cuda:99", "--out", run}, 5, "cuda:99"},
      {{"train", "--set", "batch", "--out", run}, 3, "key=value"},
      {{"train", "--set", "bach=3", "--out", run}, 3, "no such setting"},
      {{"train", "--set", "loss=3", "--out", run}, 3, "group of settings"},
      {{"train", "--set", "batch=0", "--out", run}, 3, "batch"},
      {{"train", "--seed", "281474976710656", "--out", run}, 3, "seed"},
      {{"train", "--set", "batch=1.5", "--out", run}, 3, "batch"},
      {{"train", "--set", "batch=7", "--data", "builtin", "--out", run}, 3, "shards"},
      {{"train", "--set", "optimizer.kind=adam", "--out", run}, 3, "adamw"},
      {{"train", "--set", "protocol.noise=2", "--out", run}, 3, "noise"},
      {{"train", "--config", path("config.json"), "--out", run}, 3, "network"},
      {{"train", "--config", path("missing.json"), "--out", run}, 1, "missing.json"},
      {{"train", "--config", path("config.json"), "--preset", "quick"}, 3, "--preset"},
      {{"eval", path("missing.safetensors")}, 1, "missing.safetensors"},
      {{"eval", path("broken.safetensors")}, 6, "broken.safetensors"},
      {{"eval", path("text.png")}, 6, "text.png"},
      {{"eval", model, "--protocol", "seed-224", "--data", "builtin"}, 3, "224x224"},
      {{"eval", model, "--set", "colour=1", "--data", "builtin"}, 3, "colour"},
      {{"eval", model, "--count", "-1"}, 2, "--count"},
      {{"detect", model}, 2, "images"},
      {{"detect", model, path("missing.png")}, 3, "missing.png"},
      {{"detect", model, path("text.png")}, 3, "text.png"},
      {{"detect", image, image}, 6, "black.png"},
      {{"detect", model, image, "--threshold", "7"}, 2, "--threshold"},
      {{"data"}, 2, "subcommand"},
      {{"data", "fetch", "imagenet"}, 3, "mnist"},
      {{"data", "render", "--protocol", "nothing", "--count", "1", "--out", run, "--data", "builtin"}, 3, "nothing"},
      {{"data", "render", "--protocol", "quick-64", "--count", "1", "--out", run, "--format", "voc"}, 2, "--format"},
      {{"info", path("missing.json")}, 3, "missing.json"},
      {{"info", "missing"}, 3, "missing"},
      {{"info", path("network.json")}, 3, "chanels"},
      {{"bench", "--preset", "huge"}, 3, "huge"},
  };
  for (const Case& one : cases) {
    std::string call = "gridspot";
    for (const std::string& argument : one.arguments) call += " " + argument;
    SCOPED_TRACE(call);
    const auto result = run_gridspot(one.arguments);
    EXPECT_EQ(result.exit_code, one.exit_code) << result.error;
    EXPECT_THAT(result.error, HasSubstr(one.message));
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run" / "config.json")) << "a wrong call left a run behind";
  }
}

TEST_F(CommandLine, HelpAndVersionGoToStdout) {
  EXPECT_THAT(run_gridspot({"--help"}).out, HasSubstr("train"));
  EXPECT_THAT(run_gridspot({"train", "--help"}).out, HasSubstr("--preset"));
  EXPECT_THAT(run_gridspot({"--version"}).out, HasSubstr("gridspot "));
}

TEST_F(CommandLine, InfoDescribesBuildPresetAndModel) {
  const Json build = parse_json(run_gridspot({"info", "--json"}).out, "info");
  EXPECT_EQ(build["presets"].size(), 4u);
  const Json preset = parse_json(run_gridspot({"info", "seed", "--json"}).out, "info seed");
  EXPECT_NEAR(preset["forward_flop"].get<double>(), 9.28e9, 0.01e9);
  const Json model = parse_json(run_gridspot({"info", path("model.safetensors"), "--json"}).out, "info model");
  EXPECT_EQ(model["protocol"], "quick-64");
  EXPECT_EQ(model["classes"].size(), 10u);
}

TEST_F(CommandLine, DetectReportsABadImageAndGoesOn) {
  const auto result = run_gridspot(
      {"detect", path("model.safetensors"), path("text.png"), path("black.png"), "--json", "--save", path("drawn")});
  EXPECT_EQ(result.exit_code, 3);
  const Json json = parse_json(result.out, "detect");
  ASSERT_EQ(json["images"].size(), 2u);
  EXPECT_TRUE(json["images"][0].contains("error"));
  EXPECT_EQ(json["images"][1]["width"], 50);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "drawn" / "black.png"));
}

TEST_F(CommandLine, RenderWritesLabelledCanvases) {
  for (const std::string format : {"yolo", "coco"}) {
    const auto result = run_gridspot({"data", "render", "--protocol", "quick-64", "--count", "3", "--seed", "5",
                                      "--data", "builtin", "--format", format, "--out", path(format)});
    EXPECT_EQ(result.exit_code, 0) << result.error;
    EXPECT_EQ(read_image(folder_ / (format + "/images/000002.png")).width, 64);
  }
  EXPECT_TRUE(std::filesystem::exists(folder_ / "yolo/labels/000002.txt"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "coco/annotations.json"));
}

}  // namespace
}  // namespace gridspot
