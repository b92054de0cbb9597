// From a classifier to a detector with its backbone, as users go about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/apps/run_program.h"
#include "train/model.h"

namespace gridspot {
namespace {

using test::run_gridspot;
using test::TemporaryFolder;
using testing::HasSubstr;

class Pretraining : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] Json json(const std::string& name) const {
    return parse_json(read_file(folder_ / name, 64 << 20), name);
  }

  /// Small steps, few canvases to be measured on.
  test::ProgramResult run(std::vector<std::string> arguments, const std::string& out) {
    arguments.insert(arguments.end(), {"--data", "builtin", "--out", path(out)});
    for (const char* setting : {"batch=8", "shards=2", "epoch_canvases=16", "validation.count=8", "evaluation.count=8"})
      arguments.insert(arguments.end(), {"--set", setting});
    return run_gridspot(arguments);
  }

  /// The backbone's share of a model's flat buffer.
  [[nodiscard]] std::vector<float> backbone_of(const std::string& run) const {
    const Model model = load_model(folder_ / (run + "/model.safetensors"));
    const Network network(model.network);
    return {model.weights.begin(), model.weights.begin() + std::ptrdiff_t(network.head_offset())};
  }
  [[nodiscard]] std::vector<float> head_of(const std::string& run) const {
    const Model model = load_model(folder_ / (run + "/model.safetensors"));
    const Network network(model.network);
    return {model.weights.begin() + std::ptrdiff_t(network.head_offset()), model.weights.end()};
  }

  TemporaryFolder folder_;
};

TEST_F(Pretraining, OnDigitsIsMeasuredOnEveryTestGlyph) {
  const auto result = run({"pretrain", "--task", "digits", "--steps", "4", "--json"}, "digits");
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const Json printed = parse_json(result.out, "pretrain");
  EXPECT_EQ(printed["task"], "digits");
  EXPECT_EQ(printed["protocol"], "digits-28");
  EXPECT_EQ(printed["canvases"], 4000) << "every builtin test glyph, whatever evaluation.count is";
  EXPECT_FALSE(printed.contains("exact_match"));
  std::int64_t confusions = 0, right = 0;
  for (int i = 0; i < 10; ++i) {
    right += printed["confusion_matrix"][i][i].get<std::int64_t>();
    for (const auto& count : printed["confusion_matrix"][i]) confusions += count.get<std::int64_t>();
  }
  EXPECT_EQ(confusions, 4000);
  EXPECT_DOUBLE_EQ(printed["accuracy"].get<double>(), double(right) / 4000);
  Json kept = json("digits/evaluation/final/digits-28/evaluation.json");
  EXPECT_EQ(kept["accuracy"], printed["accuracy"]);
  EXPECT_THAT(read_file(folder_ / "digits/validation.jsonl", 1 << 20), HasSubstr("\"accuracy\""));

  const auto eval = run_gridspot({"eval", path("digits/model.safetensors"), "--data", "builtin", "--json"});
  ASSERT_EQ(eval.exit_code, 0) << eval.error;
  EXPECT_EQ(parse_json(eval.out, "eval")["confusion_matrix"], printed["confusion_matrix"]);
  const auto table = run_gridspot({"eval", path("digits/model.safetensors"), "--data", "builtin"});
  EXPECT_THAT(table.out, HasSubstr("digits-28, 4000 canvases: accuracy "));
}

TEST_F(Pretraining, OnCanvasesIsMeasuredOnWhatIsOnThem) {
  const auto result = run({"pretrain", "--task", "canvases", "--steps", "4", "--json"}, "canvases");
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const Json printed = parse_json(result.out, "pretrain");
  EXPECT_EQ(printed["task"], "canvases");
  EXPECT_EQ(printed["protocol"], "quick-64");
  EXPECT_EQ(printed["canvases"], 8);
  for (const char* key : {"exact_match", "macro_F1", "micro_F1"}) EXPECT_TRUE(printed.contains(key)) << key;
  for (const char* key : {"accuracy", "confusion_matrix"}) EXPECT_FALSE(printed.contains(key)) << key;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "canvases/evaluation/final/quick-64/evaluation.json"));
  const auto eval = run_gridspot(
      {"eval", path("canvases/model.safetensors"), "--data", "builtin", "--count", "8", "--json", "--threads", "1"});
  ASSERT_EQ(eval.exit_code, 0) << eval.error;
  EXPECT_EQ(parse_json(eval.out, "eval")["per_class"], printed["per_class"]);
  const auto table = run_gridspot({"eval", path("canvases/model.safetensors"), "--data", "builtin", "--count", "8"});
  EXPECT_THAT(table.out, HasSubstr("quick-64, 8 canvases: exact match "));
}

TEST_F(Pretraining, OnFixedCanvasesLearnsFromAsManyAsWereAskedFor) {
  const auto result = run({"pretrain", "--task", "digits", "--images", "24", "--epochs", "2"}, "fixed");
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const Json config = json("fixed/config.json");
  EXPECT_EQ(config["training_set"]["images"], 24);
  EXPECT_EQ(config["epoch_canvases"], 24);
  EXPECT_EQ(config["steps"], 6) << "2 * 24 / 8";
}

// Two epochs of two steps: the head learns alone in the first.
TEST_F(Pretraining, GivesADetectorItsBackbone) {
  for (const std::string task : {"digits", "canvases"}) {
    SCOPED_TRACE(task);
    ASSERT_EQ(run({"pretrain", "--task", task, "--steps", "3"}, task).exit_code, 0);
    const std::vector<std::string> detector{"train", "--backbone", path(task + "/model.safetensors"),
                                            "--freeze-backbone", "1"};
    const auto detect_with = [&](const std::string& steps, const std::string& out) {
      auto arguments = detector;
      arguments.insert(arguments.end(), {"--steps", steps});
      return run(arguments, out);
    };
    const auto frozen = detect_with("2", task + "-frozen");
    ASSERT_EQ(frozen.exit_code, 0) << frozen.error;
    EXPECT_THAT(frozen.error, HasSubstr("taken: backbone.conv1.weight backbone.conv1.bias"));
    EXPECT_THAT(frozen.error, HasSubstr("left: head.fc1"));
    EXPECT_EQ(backbone_of(task + "-frozen"), backbone_of(task)) << "frozen";
    const auto longer = detect_with("4", task + "-trained");
    ASSERT_EQ(longer.exit_code, 0) << longer.error;
    EXPECT_NE(backbone_of(task + "-trained"), backbone_of(task)) << "two steps of its own";
    EXPECT_NE(head_of(task + "-trained"), head_of(task + "-frozen"));
    const Json backbone = json(task + "-trained/config.json")["backbone"];
    EXPECT_EQ(backbone["frozen_epochs"], 1);
    EXPECT_EQ(backbone["digest"].get<std::string>().size(), 64u);

    const auto repeated =
        run_gridspot({"train", "--config", path(task + "-trained/config.json"), "--out", path(task + "-repeated")});
    ASSERT_EQ(repeated.exit_code, 0) << repeated.error;
    EXPECT_EQ(read_file(folder_ / (task + "-repeated/model.safetensors"), 64 << 20),
              read_file(folder_ / (task + "-trained/model.safetensors"), 64 << 20));
  }
}

TEST_F(Pretraining, ARepeatWithAnotherBackboneIsRefused) {
  ASSERT_EQ(run({"pretrain", "--task", "digits", "--steps", "1"}, "first").exit_code, 0);
  ASSERT_EQ(run({"pretrain", "--task", "digits", "--steps", "1", "--seed", "2"}, "second").exit_code, 0);
  ASSERT_EQ(run({"train", "--backbone", path("first/model.safetensors"), "--steps", "1"}, "detector").exit_code, 0);
  std::filesystem::copy_file(path("second/model.safetensors"), path("first/model.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  const auto repeated = run_gridspot({"train", "--config", path("detector/config.json"), "--out", path("again")});
  EXPECT_EQ(repeated.exit_code, 3);
  EXPECT_THAT(repeated.error, HasSubstr("not those of the configuration"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "again"));
}

}  // namespace
}  // namespace gridspot
