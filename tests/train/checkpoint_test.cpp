#include "train/checkpoint.h"

#include <gmock/gmock.h>

#include <fstream>

#include "gridspot/error.h"
#include "io/safetensors.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/tiny_run.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using test::content;
using test::refusal;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// A state whose values all differ.
TrainerState state_of(const RunConfig& config, std::uint64_t step) {
  const Network network(config.network);
  const std::size_t size = network.buffer_size();
  float next = static_cast<float>(step);
  const auto values = [&](bool wanted) {
    std::vector<float> result(wanted ? size : 0);
    for (float& value : result) value = next += 0.25f;
    return result;
  };
  const bool adamw = config.optimizer.kind == OptimizerKind::adamw, averaged = config.optimizer.ema_decay > 0;
  TrainerState state{.step = step,
                     .weights = values(true),
                     .moment1 = values(true),
                     .moment2 = values(adamw),
                     .average = values(averaged)};
  // The gaps between parameters are no parameters: they are not kept.
  std::vector<bool> used(size, false);
  for (const Parameter& parameter : network.parameters())
    std::fill_n(used.begin() + std::ptrdiff_t(parameter.offset), parameter.size, true);
  for (auto* part : {&state.weights, &state.moment1, &state.moment2, &state.average})
    for (std::size_t i = 0; i < part->size(); ++i)
      if (!used[i]) (*part)[i] = 0;
  return state;
}

void expect_equal(const TrainerState& actual, const TrainerState& expected) {
  EXPECT_EQ(actual.step, expected.step);
  EXPECT_EQ(actual.weights, expected.weights);
  EXPECT_EQ(actual.moment1, expected.moment1);
  EXPECT_EQ(actual.moment2, expected.moment2);
  EXPECT_EQ(actual.average, expected.average);
}

class CheckpointFile : public testing::Test {
 protected:
  const test::TemporaryFolder temporary_;
  const fs::path path_ = temporary_ / "checkpoint.safetensors";
  test::QuickFileSystem file_system_;
  RunConfig config_ = test::shortest_config();
};

TEST_F(CheckpointFile, GivesBackEveryStateAndTheSameBytes) {
  for (const auto kind : {OptimizerKind::adamw, OptimizerKind::sgd})
    for (const float average : {0.0f, 0.5f}) {
      config_.optimizer.kind = kind;
      config_.optimizer.ema_decay = average;
      const TrainerState state = state_of(config_, 123456789012);
      save_checkpoint(path_, config_, state, file_system_);
      expect_equal(load_checkpoint(path_, config_), state);
      const std::string bytes = content(path_);
      save_checkpoint(path_, config_, load_checkpoint(path_, config_), file_system_);
      EXPECT_EQ(content(path_), bytes);
    }
}

TEST_F(CheckpointFile, HoldsPyTorchsTensorsAndTheRun) {
  config_.optimizer.kind = OptimizerKind::adamw;
  config_.optimizer.ema_decay = 0.5f;
  save_checkpoint(path_, config_, state_of(config_, 7), file_system_);
  const TensorFile file = read_safetensors(path_);
  EXPECT_EQ(file.metadata.at("step"), "7");
  EXPECT_EQ(file.metadata.at("config"), to_json_text(config_));
  EXPECT_EQ(file.metadata.at("sha256").size(), 64u);
  std::vector<std::string> names;
  for (const Tensor& tensor : file.tensors) names.push_back(tensor.name);
  ASSERT_EQ(names.size(), 16u);
  EXPECT_EQ(names[0], "weights.backbone.conv1.weight");
  EXPECT_EQ(names[7], "moment1.head.conv1.bias");
  EXPECT_EQ(names[8], "moment2.backbone.conv1.weight");
  EXPECT_EQ(names[15], "average.head.conv1.bias");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<std::int64_t>{4, 1, 3, 3}));
}

TEST_F(CheckpointFile, OneOfAnotherRunIsRefused) {
  save_checkpoint(path_, config_, state_of(config_, 5), file_system_);
  RunConfig other = config_;
  other.seed = 2;
  EXPECT_THAT(refusal([&] { load_checkpoint(path_, other); }),
              path_.string() + ": the checkpoint belongs to a run with another configuration");
}

// With a right digest, as somebody's own tool would write it.
TEST_F(CheckpointFile, OneThatIsNotWholeIsRefusedWithTheReason) {
  save_checkpoint(path_, config_, state_of(config_, 5), file_system_);
  const TensorFile good = read_safetensors(path_);
  const auto expect_refused = [&](const char* reason, auto change) {
    TensorFile file = good;
    change(file);
    write_safetensors(path_, file);
    EXPECT_THAT(refusal([&] { load_checkpoint(path_, config_); }),
                AllOf(StartsWith(path_.string()), HasSubstr(reason)));
  };
  expect_refused("the metadata has no 'sha256'", [](TensorFile& file) { file.metadata.erase("sha256"); });
  expect_refused("the metadata has no 'config'", [](TensorFile& file) { file.metadata.erase("config"); });
  expect_refused("the metadata has no 'step'", [](TensorFile& file) { file.metadata.erase("step"); });
  for (const char* step : {"", "-1", "1.5", "12345678901234567890"})
    expect_refused("expected a number", [&](TensorFile& file) { file.metadata["step"] = step; });
  expect_refused("'moment1.head.conv1.bias' is missing", [](TensorFile& file) { file.tensors.pop_back(); });
  expect_refused("'average.x' is not of this run", [](TensorFile& file) {
    file.tensors.push_back({"average.x", {1}, {0}});
  });
  expect_refused("'weights.backbone.conv1.bias' has shape [2, 2], the network needs [4]", [](TensorFile& file) {
    file.tensors[1].shape = {2, 2};
  });
  write_safetensors(path_, good);
  EXPECT_EQ(load_checkpoint(path_, config_).step, 5u);
  EXPECT_THROW(load_checkpoint(temporary_ / "none", config_), IoError);
}

class CheckpointFolderTest : public CheckpointFile {
 protected:
  void save(int keep, std::initializer_list<std::uint64_t> steps) {
    CheckpointFolder checkpoints(folder_, keep, file_system_);
    for (const std::uint64_t step : steps) checkpoints.save(config_, state_of(config_, step));
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  static std::string name(const std::string& step) {
    return "step-" + std::string(12 - step.size(), '0') + step + ".safetensors";
  }
  const fs::path folder_ = temporary_ / "run" / "checkpoints";
};

TEST_F(CheckpointFolderTest, KeepsTheNewestAndTurnsTheLink) {
  save(1, {9});
  EXPECT_THAT(names(), ElementsAre("latest.safetensors", name("9")));
  save(3, {10, 99, 1000, 1001});
  EXPECT_THAT(names(), ElementsAre("latest.safetensors", name("99"), name("1000"), name("1001")));
  EXPECT_EQ(fs::read_symlink(folder_ / "latest.safetensors"), name("1001"));
  EXPECT_EQ(content(folder_ / "latest.safetensors"), content(folder_ / name("1001")));
  save(3, {1001});
  EXPECT_THAT(names(), ElementsAre("latest.safetensors", name("99"), name("1000"), name("1001")));
  save(1, {2000});
  EXPECT_THAT(names(), ElementsAre("latest.safetensors", name("2000")));
}

TEST_F(CheckpointFolderTest, LeavesOtherFilesAlone) {
  save(1, {1});
  const std::vector<std::string> others{"step-.safetensors", "step-00x.safetensors", "my-step-000000000001.safetensors",
                                        "step-000000000001.safetensors.bak"};
  for (const std::string& other : others) std::ofstream(folder_ / other) << "mine";
  save(1, {2});
  for (const std::string& other : others) EXPECT_EQ(content(folder_ / other), "mine") << other;
  EXPECT_FALSE(fs::exists(folder_ / name("1")));
}

TEST_F(CheckpointFolderTest, FindsTheNewestThatIsWhole) {
  save(3, {3, 6, 9});
  const auto newest = [&] { return CheckpointFolder(folder_, 3, file_system_).newest(config_); };
  expect_equal(newest().state.value(), state_of(config_, 9));
  EXPECT_TRUE(newest().refused.empty());
  std::ofstream(folder_ / name("9"), std::ios::app) << "x";
  expect_equal(newest().state.value(), state_of(config_, 6));
  EXPECT_THAT(newest().refused, ElementsAre(StartsWith((folder_ / name("9")).string())));
  fs::resize_file(folder_ / name("6"), 0);
  expect_equal(newest().state.value(), state_of(config_, 3));
  fs::remove(folder_ / name("3"));
  EXPECT_FALSE(newest().state);
  EXPECT_THAT(newest().refused,
              ElementsAre(StartsWith((folder_ / name("9")).string()), StartsWith((folder_ / name("6")).string())));
}

}  // namespace
}  // namespace gridspot
