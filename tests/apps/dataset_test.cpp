// Training and evaluation on the canvases of a folder in YOLO's layout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/apps/run_program.h"

namespace gridspot {
namespace {

using test::run_gridspot;
using test::TemporaryFolder;
using testing::HasSubstr;

class Dataset : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* split : {"train", "test"}) {
      const std::string out = std::string(split) == "train" ? set_ : path("other");
      const auto render = run_gridspot({"data", "render", "--protocol", "quick-64", "--count", "12", "--data",
                                        "builtin", "--split", split, "--format", "yolo", "--out", out});
      ASSERT_EQ(render.exit_code, 0) << render.error;
    }
    set_validation("../other/images");
  }
  void set_validation(const std::string& images) {
    std::string yaml = file("set/data.yaml");
    const auto line = yaml.find("val: ");
    write_file_atomically(folder_ / "set/data.yaml",
                          yaml.replace(line, yaml.find('\n', line) - line, "val: " + images));
  }

  test::ProgramResult train(const std::string& out, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"train", "--dataset", set_, "--out", path(out), "--json"});
    for (const char* setting : {"batch=8", "shards=2", "evaluation.count=8"})
      more.insert(more.end(), {"--set", setting});
    return run_gridspot(more);
  }
  static Json output(const test::ProgramResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return parse_json(result.out, "stdout");
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] std::string file(const std::string& name) const { return read_file(folder_ / name, 64 << 20); }

  TemporaryFolder folder_;
  std::string set_ = path("set");
};

TEST_F(Dataset, IsWhatARunTrainsAndIsMeasuredOn) {
  const Json trained = output(train("run", {"--epochs", "2"}));
  EXPECT_EQ(trained["protocol"], "val");
  EXPECT_EQ(trained["images"], 12) << "all there are, whatever evaluation.count is";
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/evaluation/final/val/evaluation.json"));
  const Json config = parse_json(file("run/config.json"), "config.json");
  EXPECT_EQ(config["epoch_canvases"], 12);
  EXPECT_EQ(config["steps"], 3) << "2 * 12 / 8";

  const std::string model = path("run/model.safetensors");
  const Json named = output(run_gridspot({"eval", model, "--dataset", set_, "--json"}));
  EXPECT_EQ(named["protocol"], "val");
  EXPECT_EQ(named["images"], 12) << "all there are";
  const Json yaml = output(run_gridspot({"eval", model, "--dataset", set_ + "/data.yaml", "--json"}));
  EXPECT_EQ(yaml["per_class"], named["per_class"]);
  const Json unnamed = output(run_gridspot({"eval", model, "--json"}));
  EXPECT_EQ(unnamed["per_class"], named["per_class"]) << "what it was trained on";
  const Json protocol =
      output(run_gridspot({"eval", model, "--protocol", "quick-64", "--data", "builtin", "--count", "4", "--json"}));
  EXPECT_EQ(protocol["protocol"], "quick-64");
  EXPECT_EQ(protocol["images"], 4);
}

TEST_F(Dataset, IsNotMeasuredOnWhatItWasTrainedOn) {
  set_validation("images");  // as data render writes it
  const auto trained = train("run", {"--epochs", "2"});
  EXPECT_EQ(trained.exit_code, 0) << trained.error;
  EXPECT_THAT(trained.error, HasSubstr("set has no val or test split of its own: no evaluation"));
  EXPECT_EQ(trained.out, "");
  EXPECT_EQ(file("run/validation.jsonl"), "");
  EXPECT_EQ(output(run_gridspot({"eval", path("run/model.safetensors"), "--dataset", set_, "--json"}))["images"], 12)
      << "unless it is asked for";
}

TEST_F(Dataset, SaysThatAFolderIsTakenInThePlaceOfAnother) {
  write_file_atomically(folder_ / "set/data.yaml", file("set/data.yaml") + "path: /nowhere\n");
  const auto trained = train("run", {"--steps", "1"});
  EXPECT_EQ(trained.exit_code, 0) << trained.error;
  EXPECT_THAT(trained.error, HasSubstr("data.yaml: there is no folder '/nowhere', its path; " + set_ + " is taken"));
  const auto strict = train("strict", {"--steps", "1", "--strict"});
  EXPECT_EQ(strict.exit_code, 3);
  EXPECT_THAT(strict.error, HasSubstr("there is no folder '/nowhere', its path"));
}

TEST_F(Dataset, SaysWhatOfDataYamlIsNotUsed) {
  write_file_atomically(folder_ / "set/data.yaml", file("set/data.yaml") + "download: https://example.org/set.zip\n");
  const auto trained = train("run", {"--steps", "1"});
  EXPECT_EQ(trained.exit_code, 0) << trained.error;
  EXPECT_THAT(trained.error,
              HasSubstr("not used of data.yaml: download (nothing that it names is executed or downloaded)"));
}

TEST_F(Dataset, CanBeResumedFromElsewhere) {
  const std::string there = "cd '" + path("") + "' && '" GRIDSPOT_PROGRAM "' train --dataset set --steps 2 --out run " +
                            "--set batch=8 --set shards=2 --set evaluation.count=0 2> first.log";
  ASSERT_EQ(std::system(there.c_str()), 0) << file("first.log");
  const auto resumed = run_gridspot({"train", "--resume", path("run")});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.error;
}

TEST_F(Dataset, RepeatsARunAndRefusesOtherCanvases) {
  output(train("run", {"--steps", "2"}));
  const auto repeat = [&](const std::string& out) {
    return run_gridspot({"train", "--config", path("run/config.json"), "--out", path(out)});
  };
  ASSERT_EQ(repeat("again").exit_code, 0);
  EXPECT_EQ(file("again/model.safetensors"), file("run/model.safetensors"));
  std::filesystem::copy_file(path("set/images/000001.png"), path("set/images/000002.png"),
                             std::filesystem::copy_options::overwrite_existing);
  const auto refused = repeat("other");
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.error, HasSubstr("not those of the configuration"));
}

TEST_F(Dataset, LeavesBadPairsOutUnlessItIsStrict) {
  output(train("run", {"--steps", "1"}));
  const std::string model = path("run/model.safetensors");
  for (const char* set : {"set", "other"})
    write_file_atomically(folder_ / set / "labels/000003.txt", "99 0.5 0.5 0.1 0.1\n");
  const auto with_one_bad = run_gridspot({"eval", model, "--dataset", set_, "--json"});
  EXPECT_EQ(output(with_one_bad)["images"], 11);
  EXPECT_THAT(with_one_bad.error, HasSubstr("000003.txt"));
  for (const auto& strict :
       {run_gridspot({"eval", model, "--dataset", set_, "--strict"}), train("strict", {"--steps", "1", "--strict"})}) {
    EXPECT_EQ(strict.exit_code, 3);
    EXPECT_THAT(strict.error, HasSubstr("000003.txt"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "strict"));
}

}  // namespace
}  // namespace gridspot
