// Wrong calls of the program: each says in one sentence what is wrong, and ends with its exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "data/image.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "nn/network.h"
#include "tests/apps/run_program.h"
#include "train/model.h"
#include "train/recipes.h"

namespace gridspot {
namespace {

using test::run_gridspot;
using test::TemporaryFolder;
using testing::HasSubstr;

class CommandLine : public testing::Test {
 protected:
  void SetUp() override {
    save("model.safetensors", default_config("quick"));
    save("classifier.safetensors", pretrain_config(Task::digits, "quick"));
    save("small.safetensors", default_config("small"));
    write_png(folder_ / "black.png", Image(30, 50, 1));
    write("text.png", "this is no image");
    write("broken.safetensors", "12345678");
    write("config.json", R"({"network": 1})");
    write("network.json", R"({"name": "x", "input": {"height": 64, "width": 64, "chanels": 1}})");
    write("slots.json", R"({"name": "slots", "input": {"height": 92, "width": 92}, "backbone": [],
                            "head": [{"type": "conv", "filters": 15, "size": 1, "activation": "none"}],
                            "detector": {"cells": 92, "classes": 10}})");
    write("truncated.pgm", "P5 4 4 255\nabc");
    write("empty/data.yaml", "train: images\nnames: [a]\n");
    write_glyphs("cut", idx({2, 1, 1}, "a"), idx({2}, {0, 1}));
    write_glyphs("gzip", "\x1f\x8b no gzip", idx({2}, {0, 1}));
    write_glyphs("fewer", idx({2, 1, 1}, "ab"), idx({1}, {0}));
    write_glyphs("beyond", idx({2, 1, 1}, "ab"), idx({2}, {0, 7}));
    write("beyond/classes.txt", "zero\none\n");
  }

  /// A model that nobody trained.
  void save(const std::string& name, const RunConfig& config) const {
    save_model(folder_ / name, {.network = config.network,
                                .weights = Network(config.network).initial_weights(1),
                                .classes = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
                                .protocol = config.protocol.name,
                                .step = 0,
                                .config = to_json_text(config)});
  }
  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  void write_glyphs(const std::string& folder, const std::string& images, const std::string& labels) const {
    write(folder + "/train-images-idx3-ubyte", images);
    write(folder + "/train-labels-idx1-ubyte", labels);
  }
  /// An IDX file of unsigned bytes; the dimensions are below 256.
  static std::string idx(std::initializer_list<char> sizes, const std::string& values) {
    std::string bytes{'\0', '\0', '\x08', char(sizes.size())};
    for (const char size : sizes) bytes += std::string(3, '\0') + size;
    return bytes + values;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
};

TEST_F(CommandLine, WrongCallsSayWhatIsWrongAndEndWithTheirCode) {
  const std::string model = path("model.safetensors"), image = path("black.png"), run = path("run");
  const std::string classifier = path("classifier.safetensors");
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string message;
  };
  const std::vector<Case> cases{
      {{}, 2, "A subcommand is required"},
      {{"trian"}, 2, "there is no subcommand 'trian'; did you mean 'train'?"},
      {{"data", "ftech", "mnist"}, 2, "did you mean 'fetch'?"},
      {{"elephant"}, 2, "there is no subcommand 'elephant'"},
      {{"train", "--steps", "0"}, 2, "--steps"},
      {{"train", "--steps", "ten"}, 2, "--steps"},
      {{"train", "--steps", "1", "--epochs", "1"}, 2, "excludes"},
      {{"train", "--unknown"}, 2, "--unknown"},
      {{"train", "--preset", "huge", "--out", run}, 2, "huge"},
      {{"train", "--preset", path("network.json"), "--out", run}, 3, "chanels"},
      {{"train", "--preset", path("slots.json"), "--out", run}, 3, "8464 slots"},
      {{"train", "--protocol", "mnist", "--out", run}, 2, "seed-224"},
      {{"train", "--protocol", "seed-224", "--data", "builtin", "--out", run}, 3, "64x64"},
      {{"train", "--data", path("nowhere"), "--out", run}, 1, "nowhere"},
      {{"train", "--data", "builtin", "--device", "tpu", "--out", run}, 2, "unknown device 'tpu'"},
      {{"train", "--data", "builtin", "--device", "cuda:99", "--out", run}, 5, "cuda:99"},
      {{"train", "--set", "batch", "--out", run}, 2, "key=value"},
      {{"train", "--set", "bach=3", "--out", run}, 2, "no such setting"},
      {{"train", "--set", "loss=3", "--out", run}, 2, "group of settings"},
      {{"train", "--set", "batch=0", "--out", run}, 2, "batch"},
      {{"train", "--seed", "281474976710656", "--out", run}, 2, "--seed"},
      {{"train", "--set", "batch=1.5", "--out", run}, 2, "batch"},
      {{"train", "--set", "batch=7", "--set", "shards=2", "--data", "builtin", "--out", run}, 3, "shards"},
      {{"train", "--set", "optimizer.kind=rmsprop", "--out", run}, 2, "adamw"},
      {{"train", "--set", "protocol.noise=2", "--out", run}, 2, "noise"},
      {{"train", "--set", "training_set.max_glyphs=5000", "--out", run}, 2, "max_glyphs"},
      {{"train", "--config", path("config.json"), "--out", run}, 3, "network"},
      {{"train", "--config", path("missing.json"), "--out", run}, 1, "missing.json"},
      {{"train", "--config", path("config.json"), "--preset", "quick"}, 2, "--preset"},
      {{"train", "--dataset", path("nowhere"), "--out", run}, 1, "nowhere"},
      {{"train", "--dataset", path("cut"), "--out", run}, 1, "data.yaml"},
      {{"train", "--dataset", path("empty"), "--out", run}, 3, "there is no folder"},
      {{"train", "--dataset", path("config.json"), "--out", run}, 3, "config.json"},
      {{"train", "--images", "10", "--dataset", path("empty"), "--out", run}, 2, "excludes"},
      {{"train", "--images", "0", "--out", run}, 2, "--images"},
      {{"train", "--backbone", path("missing.safetensors"), "--out", run}, 2, "missing.safetensors"},
      {{"train", "--backbone", path("broken.safetensors"), "--data", "builtin", "--out", run}, 6, "broken.safetensors"},
      {{"train", "--freeze-backbone", "1", "--out", run}, 2, "--freeze-backbone needs --backbone"},
      {{"train", "--freeze-backbone", "0", "--out", run}, 2, "--freeze-backbone"},
      {{"train", "--resume", path("empty")}, 3, "empty holds no run: there is no config.json in it"},
      {{"train", "--resume", path("nowhere")}, 3, "nowhere holds no run: there is no config.json in it"},
      {{"train", "--resume", path("."), "--steps", "5"}, 2, "--steps excludes --resume"},
      {{"train", "--resume", path("."), "--set", "batch=3"}, 2, "excludes"},
      {{"train", "--resume", path("."), "--out", run}, 2, "excludes"},
      {{"train", "--resume", path(".")}, 3, "network"},
      {{"pretrain", "--data", "builtin", "--out", run}, 2, "--task is required"},
      {{"pretrain", "--task", "detection", "--out", run}, 2, "--task"},
      {{"pretrain", "--task", "digits", "--preset", "huge", "--out", run}, 2, "huge"},
      {{"pretrain", "--task", "digits", "--preset", path("slots.json"), "--out", run}, 3, "8464 slots"},
      {{"pretrain", "--task", "digits", "--protocol", "quick-64", "--data", "builtin", "--out", run}, 3, "28x28"},
      {{"pretrain", "--task", "digits", "--backbone", model, "--out", run}, 2, "--backbone"},
      {{"report", path("nowhere")}, 3, "nowhere holds neither a study (study.json) nor a run (config.json)"},
      {{"report", path("cut")}, 3, "holds neither a study"},
      {{"study", "--preset", "huge", "--out", run}, 2, "huge"},
      {{"study", "--stream", "--images", "5", "--out", run}, 2, "excludes"},
      {{"study", "--recipe", "worst", "--out", run}, 2, "--recipe"},
      {{"eval", path("missing.safetensors")}, 1, "missing.safetensors"},
      {{"eval", model, "--dataset", path("nowhere")}, 1, "nowhere"},
      {{"eval", model, "--dataset", path("empty")}, 3, "val"},
      {{"eval", model, "--dataset", path("empty"), "--protocol", "quick-64"}, 2, "excludes"},
      {{"eval", classifier, "--data", "builtin", "--coco-out", path("coco")}, 3, "is a classifier, it finds no boxes"},
      {{"eval", classifier, "--data", "builtin", "--protocol", "quick-64"}, 3, "does not show glyphs one by one"},
      {{"detect", classifier, image}, 3, "'quick-digits' is a classifier: it finds no boxes"},
      {{"eval", path("broken.safetensors")}, 6, "broken.safetensors"},
      {{"eval", path("text.png")}, 6, "text.png"},
      {{"eval", model, "--protocol", "seed-224", "--data", "builtin"}, 3, "224x224"},
      {{"train", "--data", path("cut"), "--out", run}, 3, "the file ends after 1 of 2 values"},
      {{"train", "--data", path("gzip"), "--out", run}, 3, "train-images-idx3-ubyte"},
      {{"train", "--data", path("fewer"), "--out", run}, 3, "1 labels for 2 images"},
      {{"train", "--data", path("beyond"), "--out", run}, 3, "class 7, but there are 2 classes"},
      {{"eval", model, "--set", "colour=1", "--data", "builtin"}, 2, "colour"},
      {{"eval", model, "--set", "noise=2", "--data", "builtin"}, 2, "noise"},
      {{"eval", model, "--protocol", "mnist"}, 2, "seed-224"},
      {{"eval", model, "--device", "tpu"}, 2, "unknown device 'tpu'"},
      {{"eval", model, "--seed", "281474976710656"}, 2, "--seed"},
      {{"eval", model, "--count", "-1"}, 2, "--count"},
      {{"detect", model}, 2, "images"},
      {{"detect", model, path("missing.png")}, 3, "missing.png"},
      {{"detect", model, path("text.png")}, 3, "text.png"},
      {{"detect", model, path("truncated.pgm")}, 3, "the file ends before the last sample"},
      {{"detect", model, image, "--save", path("text.png")}, 1, "text.png"},
      {{"detect", model, image, "--save", path(".")}, 2, "name another folder"},
      {{"detect", model, image, "--device", "tpu"}, 2, "unknown device 'tpu'"},
      {{"detect", image, image}, 6, "black.png"},
      {{"detect", model, image, "--threshold", "7"}, 2, "--threshold"},
      {{"data"}, 2, "subcommand"},
      {{"data", "fetch", "imagenet"}, 2, "mnist"},
      {{"data", "render", "--protocol", "nothing", "--count", "1", "--out", run, "--data", "builtin"}, 2, "nothing"},
      {{"data", "render", "--protocol", "quick-64", "--count", "1", "--out", run, "--format", "voc"}, 2, "--format"},
      {{"info", path("missing.json")}, 3, "missing.json"},
      {{"info", "missing"}, 3, "missing"},
      {{"info", path("network.json")}, 3, "chanels"},
      {{"bench", "--preset", "huge"}, 2, "huge"},
      {{"bench", "--preset", path("network.json")}, 3, "chanels"},
      {{"bench", "--set", "batch"}, 2, "key=value"},
      {{"bench", "--set", "batch=0"}, 2, "batch"},
      {{"bench", "--preset", "quick", "--preset", "small", "--set", "bach=3"}, 2, "no such setting"},
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
    std::filesystem::remove_all(folder_ / "run");  // so that one bad call is told of once
  }
}

TEST_F(CommandLine, ABackboneOfAnotherNetworkIsRefusedWithEveryName) {
  const auto result =
      run_gridspot({"train", "--data", "builtin", "--backbone", path("small.safetensors"), "--out", path("run")});
  EXPECT_EQ(result.exit_code, 6);
  const Network quick(load_network("quick")), small(load_network("small"));
  const auto find = [](const Network& network, const std::string& name) {
    return std::find_if(network.parameters().begin(), network.parameters().end(),
                        [&](const Parameter& parameter) { return parameter.name == name; });
  };
  int differing = 0;
  for (const Parameter& parameter : quick.parameters()) {
    const auto other = find(small, parameter.name);
    if (!parameter.name.starts_with("backbone.") ||
        (other != small.parameters().end() && other->shape == parameter.shape))
      continue;
    EXPECT_THAT(result.error, HasSubstr("'" + parameter.name + "' ")) << "missing, or of another shape";
    ++differing;
  }
  for (const Parameter& parameter : small.parameters()) {
    if (!parameter.name.starts_with("backbone.") || find(quick, parameter.name) != quick.parameters().end()) continue;
    EXPECT_THAT(result.error, HasSubstr("'" + parameter.name + "' belongs to no layer"));
    ++differing;
  }
  EXPECT_GT(differing, 3);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(CommandLine, HelpAndVersionGoToStdout) {
  EXPECT_THAT(run_gridspot({"--help"}).out, HasSubstr("train"));
  EXPECT_THAT(run_gridspot({"train", "--help"}).out, HasSubstr("--preset"));
  EXPECT_THAT(run_gridspot({"--version"}).out, HasSubstr("gridspot "));
}

TEST_F(CommandLine, InfoDescribesBuildPresetAndModel) {
  const Json build = parse_json(run_gridspot({"info", "--json"}).out, "info");
  EXPECT_EQ(build["presets"].size(), 5u);
  EXPECT_TRUE(build["libraries"].contains("oneDNN"));
  const Json preset = parse_json(run_gridspot({"info", "seed", "--json"}).out, "info seed");
  EXPECT_NEAR(preset["forward_flop"].get<double>(), 9.28e9, 0.01e9);
  const Json model = parse_json(run_gridspot({"info", path("model.safetensors"), "--json"}).out, "info model");
  EXPECT_EQ(model["protocol"], "quick-64");
  EXPECT_EQ(model["classes"].size(), 10u);
}

TEST_F(CommandLine, BenchMeasuresANetworkFileWithSettingsOnCanvasesOfItsSize) {
  write("tiny.json", R"({"name": "tiny", "input": {"height": 48, "width": 80},
                         "backbone": [{"type": "conv", "filters": 4, "stride": 8}],
                         "head": [{"type": "average_pool", "height": 5, "width": 5},
                                  {"type": "conv", "filters": 15, "size": 1, "activation": "none"}],
                         "detector": {"cells": 5, "classes": 10}})");
  const auto result = run_gridspot({"bench", "--preset", path("tiny.json"), "--set", "batch=6", "--set", "shards=3",
                                    "--data", "builtin", "--steps", "2", "--warmup", "1", "--device", "cpu", "--json",
                                    "--out", path("bench.json")});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(read_file(path("bench.json"), 1 << 20), result.out);
  const Json measured = parse_json(result.out, "bench");
  EXPECT_EQ(measured["settings"], Json({"batch=6", "shards=3"}));
  const Json& preset = measured["presets"].at(0);
  EXPECT_EQ(preset["protocol"], "seed-224 at 80x48");
  EXPECT_EQ(preset["training"].at(0)["batch"], 6);
  EXPECT_EQ(preset["training"].at(0)["shards"], 3);
  EXPECT_GT(preset["training"].at(0)["canvases_per_second"]["median"], 0);
  EXPECT_EQ(preset["detection"].size(), 2u);
}

TEST_F(CommandLine, BenchGoesOnWhereABatchFails) {
  const std::vector<std::string> bench{"bench", "--data",   "builtin", "--device", "cpu",   "--steps",
                                       "1",     "--warmup", "1",       "--json",   "--out", path("bench.json")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), bench.begin(), bench.end());
    return run_gridspot(more);
  };
  const auto trained = with({"--no-detection", "--batch", "7", "--batch", "6", "--set", "shards=3"});
  EXPECT_EQ(trained.exit_code, 3);
  const Json preset = parse_json(read_file(path("bench.json"), 1 << 20), "bench")["presets"].at(0);
  ASSERT_EQ(preset["training"].size(), 2u);
  EXPECT_THAT(preset["training"][0]["failure"].get<std::string>(), HasSubstr("7"));
  EXPECT_GT(preset["training"][1]["canvases_per_second"]["median"], 0);
  EXPECT_TRUE(preset["detection"].empty());
  const auto detected = with({"--no-training", "--detect-batch", "2"});
  EXPECT_EQ(detected.exit_code, 0) << detected.error;
  const Json other = parse_json(detected.out, "bench")["presets"].at(0);
  EXPECT_TRUE(other["training"].empty());
  EXPECT_EQ(other["detection"].size(), 1u);
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

TEST_F(CommandLine, DetectDrawsImagesOfOneNameIntoFilesOfTheirOwn) {
  for (const char* name : {"a", "b", "c"}) {
    std::filesystem::create_directories(folder_ / name);
    write_png(folder_ / name / "1.png", Image(20, 20, 1));
  }
  write_pgm(folder_ / "c/1.pgm", Image(20, 20, 1));
  const auto result = run_gridspot({"detect", path("model.safetensors"), path("a/1.png"), path("b/1.png"),
                                    path("c/1.pgm"), "--json", "--save", path("drawn")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  const Json images = parse_json(result.out, "detect")["images"];
  for (const auto& [image, name] : {std::pair{0, "1.png"}, {1, "1-2.png"}, {2, "1-3.png"}}) {
    EXPECT_EQ(images[image]["drawn"], path("drawn") + "/" + name);
    EXPECT_TRUE(std::filesystem::exists(folder_ / "drawn" / name));
  }
}

// With threshold 0 and without suppression every slot is a detection.
TEST_F(CommandLine, DetectTellsWhatIsBeyondTheCapacity) {
  const auto result = run_gridspot({"detect", path("model.safetensors"), path("black.png"), "--threshold", "0", "--nms",
                                    "1", "--capacity", "10", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  const Json image = parse_json(result.out, "detect")["images"][0];
  EXPECT_EQ(image["detections"].size(), 10u);
  EXPECT_EQ(image["truncated"], load_network("quick").detector.slots() - 10);
  EXPECT_THAT(result.error, HasSubstr("left out"));
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
