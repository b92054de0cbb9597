// Whole runs of the program, short ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "io/atomic_file.h"
#include "io/json.h"
#include "tests/apps/run_program.h"

namespace gridspot {
namespace {

using test::run_gridspot;
using test::TemporaryFolder;
using testing::HasSubstr;

constexpr std::size_t max_bytes = 64 << 20;

class Training : public testing::Test {
 protected:
  test::ProgramResult train(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"train",
                                       "--preset",
                                       "quick",
                                       "--data",
                                       "builtin",
                                       "--set",
                                       "batch=8",
                                       "--set",
                                       "shards=4",
                                       "--set",
                                       "evaluation.count=8",
                                       "--out",
                                       (folder_ / out).string()};
    if (std::find(more.begin(), more.end(), "--steps") == more.end()) more.insert(more.end(), {"--steps", "5"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_gridspot(arguments);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return read_file(folder_ / name, max_bytes); }

  TemporaryFolder folder_;
};

TEST_F(Training, OneAndTwoThreadsGiveTheSameBytes) {
  ASSERT_EQ(train("one", {"--threads", "1"}).exit_code, 0);
  ASSERT_EQ(train("two", {"--threads", "2"}).exit_code, 0);
  ASSERT_EQ(train("three", {"--threads", "3"}).exit_code, 0);
  EXPECT_EQ(file("one/model.safetensors"), file("two/model.safetensors"));
  EXPECT_EQ(file("one/model.safetensors"), file("three/model.safetensors"));
  EXPECT_EQ(file("one/metrics.jsonl"), file("two/metrics.jsonl"));
}

TEST_F(Training, SeedAndShardsChangeTheResult) {
  ASSERT_EQ(train("a").exit_code, 0);
  ASSERT_EQ(train("b", {"--seed", "2"}).exit_code, 0);
  ASSERT_EQ(train("c", {"--set", "shards=2"}).exit_code, 0);
  EXPECT_NE(file("a/metrics.jsonl"), file("b/metrics.jsonl"));
  EXPECT_NE(file("a/metrics.jsonl"), file("c/metrics.jsonl"));
}

TEST_F(Training, ARunRepeatedFromItsConfigGivesTheSameBytes) {
  ASSERT_EQ(train("first", {"--set", "optimizer.schedule.peak=0.0033", "--set", "protocol.noise=0.1", "--seed",
                            "281474976710655"})
                .exit_code,
            0);
  const auto again = run_gridspot(
      {"train", "--config", (folder_ / "first/config.json").string(), "--out", (folder_ / "second").string()});
  ASSERT_EQ(again.exit_code, 0) << again.error;
  for (const char* name : {"config.json", "model.safetensors", "metrics.jsonl"})
    EXPECT_EQ(file(std::string("first/") + name), file(std::string("second/") + name)) << name;
}

TEST_F(Training, WritesALineForEachStepAndEpoch) {
  ASSERT_EQ(train("run", {"--set", "epoch_canvases=16"}).exit_code, 0);
  const std::string metrics = file("run/metrics.jsonl"), results = file("run/results.csv");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 5);
  EXPECT_EQ(parse_json(metrics.substr(0, metrics.find('\n')), "metrics")["step"], 1);
  EXPECT_EQ(std::count(results.begin(), results.end(), '\n'), 1 + 3) << "a header, two epochs and a half";
}

TEST_F(Training, AnExistingRunIsNotOverwrittenUnasked) {
  ASSERT_EQ(train("run").exit_code, 0);
  const std::string model = file("run/model.safetensors");
  const auto again = train("run", {"--seed", "2"});
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_THAT(again.error, HasSubstr("already holds a run"));
  EXPECT_EQ(file("run/model.safetensors"), model);
  EXPECT_EQ(train("run", {"--seed", "2", "--overwrite"}).exit_code, 0);
  EXPECT_NE(file("run/model.safetensors"), model);
}

TEST_F(Training, AConfigOfOtherGlyphsIsRefused) {
  ASSERT_EQ(train("run").exit_code, 0);
  std::string config = file("run/config.json");
  const auto at = config.find("\"glyphs\": \"") + 11;
  config[at] = config[at] == '0' ? '1' : '0';
  write_file_atomically(folder_ / "other.json", config);
  const auto result =
      run_gridspot({"train", "--config", (folder_ / "other.json").string(), "--out", (folder_ / "other").string()});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("not those of the configuration"));
}

TEST_F(Training, ARepeatOnOtherDataIsRefusedUnlessAsked) {
  ASSERT_EQ(train("run").exit_code, 0);
  const auto write_idx = [&](const std::string& name, std::string dimensions, std::size_t values) {
    write_file_atomically(folder_ / name,
                          std::string("\0\0\x08", 3) + std::move(dimensions) + std::string(values, '\1'));
  };
  const std::string two("\0\0\0\2", 4);
  for (const std::string split : {"train", "t10k"}) {
    write_idx(split + "-images-idx3-ubyte", "\3" + two + two + two, 8);
    write_idx(split + "-labels-idx1-ubyte", "\1" + two, 2);
  }
  const std::vector<std::string> repeat{"train",
                                        "--config",
                                        (folder_ / "run/config.json").string(),
                                        "--data",
                                        (folder_ / "").string(),
                                        "--out",
                                        (folder_ / "again").string()};
  const auto refused = run_gridspot(repeat);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.error, HasSubstr("not those of the configuration"));
  auto asked = repeat;
  asked.insert(asked.end(), {"--set", "glyphs="});
  const auto result = run_gridspot(asked);
  EXPECT_EQ(result.exit_code, 0) << result.error;
}

TEST_F(Training, KeepsTheEvaluationOfItsLastModel) {
  const auto result = train("run", {"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const Json kept = parse_json(file("run/evaluation/final/quick-64/evaluation.json"), "evaluation.json");
  Json printed = parse_json(result.out, "train");
  EXPECT_EQ(kept["protocol"], "quick-64");
  EXPECT_EQ(kept["images"], 8);
  EXPECT_EQ(kept["mAP50"], printed["mAP50"]);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/evaluation/final/quick-64/ground_truth.json"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/evaluation.json"));
  const auto again = run_gridspot({"eval", (folder_ / "run/model.safetensors").string(), "--data", "builtin", "--count",
                                   "8", "--out", (folder_ / "again").string(), "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.error;
  EXPECT_EQ(file("again/evaluation.json"), file("run/evaluation/final/quick-64/evaluation.json"));
}

TEST_F(Training, TensorboardLeavesAnEventFile) {
  const auto event_files = [&](const std::string& run) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / run))
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
        EXPECT_GT(entry.file_size(), 100u);
        ++count;
      }
    return count;
  };
  ASSERT_EQ(train("with", {"--tensorboard"}).exit_code, 0);
  EXPECT_EQ(event_files("with"), 1);
  ASSERT_EQ(train("without").exit_code, 0);
  EXPECT_EQ(event_files("without"), 0);
  EXPECT_EQ(file("with/model.safetensors"), file("without/model.safetensors"));
}

TEST_F(Training, PlanPrintsEveryBufferAndTrainsNothing) {
  const auto result = train("run", {"--plan"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.out, HasSubstr("activations of backbone.conv1"));
  EXPECT_THAT(result.out, HasSubstr("total"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  const Json plan = parse_json(train("run", {"--plan", "--json"}).out, "plan")["planned_bytes"];
  std::size_t sum = 0;
  for (const auto& [purpose, bytes] : plan.items())
    if (purpose != "total") sum += bytes.get<std::size_t>();
  EXPECT_EQ(plan["total"], sum);
}

TEST_F(Training, ASignalStopsTheRunCleanlyWithAModel) {
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
    const auto folder = folder_ / std::to_string(signal);
    const auto result = run_gridspot({"train", "--preset", "quick", "--data", "builtin", "--set", "batch=16", "--steps",
                                      "100000", "--out", folder.string()},
                                     signal, folder / "metrics.jsonl");
    EXPECT_EQ(result.exit_code, code) << result.error;
    const auto eval =
        run_gridspot({"eval", (folder / "model.safetensors").string(), "--data", "builtin", "--count", "4", "--json"});
    EXPECT_EQ(eval.exit_code, 0) << eval.error;
    const std::string metrics = read_file(folder / "metrics.jsonl", max_bytes);
    const Json info = parse_json(run_gridspot({"info", (folder / "model.safetensors").string(), "--json"}).out, "info");
    EXPECT_EQ(info["step"].get<long>(), std::count(metrics.begin(), metrics.end(), '\n'));
  }
}

TEST_F(Training, AStoppedRunThatGoesOnEndsAsOneThatWasNeverStopped) {
  std::vector<std::string> arguments{"train", "--preset", "quick", "--data", "builtin"};
  for (const char* setting :
       {"batch=8", "shards=4", "epoch_canvases=80", "checkpoint_every=7", "validation.count=8", "evaluation.count=0"})
    arguments.insert(arguments.end(), {"--set", setting});
  arguments.insert(arguments.end(), {"--steps", "150", "--out"});
  const auto train_in = [&](const std::string& out, int signal) {
    auto all = arguments;
    all.push_back((folder_ / out).string());
    return run_gridspot(all, signal, folder_ / (out + "/metrics.jsonl"));
  };
  const auto whole = train_in("whole", 0);
  ASSERT_EQ(whole.exit_code, 0) << whole.error;
  const auto stopped = train_in("stopped", SIGINT);
  ASSERT_EQ(stopped.exit_code, 130) << stopped.error;
  EXPECT_THAT(stopped.error, HasSubstr("Go on with: gridspot train --resume " + (folder_ / "stopped").string()));
  EXPECT_NE(file("stopped/model.safetensors"), file("whole/model.safetensors"));
  for (int i = 0; i < 2; ++i) {  // the second time there is nothing left to be done
    const auto resumed = run_gridspot({"train", "--resume", (folder_ / "stopped").string(), "--threads", "1"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.error;
    for (const char* name : {"model.safetensors", "best.safetensors", "metrics.jsonl", "validation.jsonl",
                             "config.json", "checkpoints/latest.safetensors"})
      EXPECT_EQ(file(std::string("stopped/") + name), file(std::string("whole/") + name)) << name;
  }
}

TEST_F(Training, ASignalStopsTheEvaluationToo) {
  const auto folder = folder_ / "run";
  const auto result = run_gridspot({"train", "--preset", "quick", "--data", "builtin", "--set", "batch=16", "--steps",
                                    "2", "--set", "evaluation.count=1000000", "--out", folder.string()},
                                   SIGINT, folder / "checkpoints/step-000000000002.safetensors");
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.error, HasSubstr("Stopped before the evaluation"));
  EXPECT_FALSE(std::filesystem::exists(folder / "evaluation/final/quick-64/evaluation.json"));
  const auto eval = run_gridspot(
      {"eval", (folder / "model.safetensors").string(), "--data", "builtin", "--count", "1000000"}, SIGINT);
  EXPECT_EQ(eval.exit_code, 130);
  EXPECT_THAT(eval.error, HasSubstr("Stopped before the evaluation"));
  const auto bench = run_gridspot({"bench", "--data", "builtin", "--steps", "1000000"}, SIGINT);
  EXPECT_EQ(bench.exit_code, 130);
  EXPECT_THAT(bench.error, HasSubstr("Stopped"));
}

TEST_F(Training, ALossThatIsNotFiniteEndsTheRunWithCodeSeven) {
  const auto result =
      train("run", {"--steps", "60", "--set", "optimizer.schedule.peak=1000", "--set", "optimizer.schedule.warmup=0",
                    "--set", "optimizer.clip_norm=0", "--set", "optimizer.kind=sgd"});
  EXPECT_EQ(result.exit_code, 7) << result.error;
  EXPECT_THAT(result.error, HasSubstr("is not finite"));
}

TEST_F(Training, EvalHasTheKeysThatOthersRead) {
  ASSERT_EQ(train("run").exit_code, 0);
  const auto result = run_gridspot({"eval", (folder_ / "run/model.safetensors").string(), "--data", "builtin",
                                    "--count", "40", "--json", "--coco-out", (folder_ / "coco").string()});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const Json json = parse_json(result.out, "eval");
  for (const char* key : {"mAP50", "mAP50_95", "per_class", "collision_ceiling"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["images"], 40);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "coco/ground_truth.json"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "coco/detections.json"));
  EXPECT_EQ(json["truncated"], 0);
  const auto one = run_gridspot({"eval", (folder_ / "run/model.safetensors").string(), "--data", "builtin", "--count",
                                 "40", "--json", "--threads", "1"});
  EXPECT_EQ(json["mAP50"], parse_json(one.out, "eval")["mAP50"]) << "the number of threads changed the result";
}

TEST_F(Training, EvalUsesTheProtocolOfTheTrainingUnlessToldOtherwise) {
  ASSERT_EQ(train("run", {"--set", "protocol.box=tile", "--set", "protocol.noise=0.3"}).exit_code, 0);
  const auto ground_truth = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(), {"eval", (folder_ / "run/model.safetensors").string(), "--data", "builtin", "--count",
                               "8", "--coco-out", (folder_ / name).string()});
    const auto result = run_gridspot(more);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return file(name + "/ground_truth.json") + file(name + "/detections.json");
  };
  const auto trained = ground_truth("trained", {});
  EXPECT_EQ(ground_truth("same", {"--protocol", "quick-64", "--set", "box=tile", "--set", "noise=0.3"}), trained);
  EXPECT_NE(ground_truth("named", {"--protocol", "quick-64"}), trained);
  EXPECT_NE(ground_truth("changed", {"--set", "box=tight"}), trained);
}

}  // namespace
}  // namespace gridspot
