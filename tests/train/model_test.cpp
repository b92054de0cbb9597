#include "train/model.h"
#include "train/recipes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"

namespace gridspot {
namespace {

using testing::HasSubstr;
constexpr std::size_t max_bytes = 64 << 20;

class ModelFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ =
        std::filesystem::temp_directory_path() / ("gridspot-checkpoint-" + std::to_string(::getpid()) + ".safetensors");
    model_.network = load_network("quick");
    model_.weights = Network(model_.network).initial_weights(3);
    for (int i = 0; i < 10; ++i) model_.classes.push_back("class " + std::to_string(i));
    model_.protocol = "quick-64";
    model_.step = 123456789012;
    model_.config = "{\"seed\": 1}";
    save_model(path_, model_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  /// Saves `file` as it is and expects that loading fails with CheckpointError.
  void expect_refused(const TensorFile& file, const std::string& message) {
    write_safetensors(path_, file);
    try {
      load_model(path_);
      ADD_FAILURE() << "was accepted";
    } catch (const CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }

  std::filesystem::path path_;
  Model model_;
};

TEST_F(ModelFile, GivesBackWhatWasSaved) {
  const Model loaded = load_model(path_);
  EXPECT_EQ(loaded.weights, model_.weights);
  EXPECT_EQ(loaded.classes, model_.classes);
  EXPECT_EQ(loaded.protocol, model_.protocol);
  EXPECT_EQ(loaded.step, model_.step);
  EXPECT_EQ(loaded.config, model_.config);
  EXPECT_EQ(to_json(loaded.network), to_json(model_.network));
}

TEST_F(ModelFile, TheSameModelGivesTheSameBytes) {
  const std::string first = read_file(path_, max_bytes);
  save_model(path_, load_model(path_));
  EXPECT_EQ(read_file(path_, max_bytes), first);
}

TEST_F(ModelFile, ConvolutionsHavePyTorchsShape) {
  const TensorFile file = read_safetensors(path_);
  EXPECT_EQ(file.tensors[2].name, "backbone.conv2.weight");
  EXPECT_EQ(file.tensors[2].shape, (std::vector<std::int64_t>{32, 16, 3, 3}));
}

TEST_F(ModelFile, DamagedOnesAreRefusedWithTheReason) {
  const TensorFile good = read_safetensors(path_);
  for (const char* key : {"network", "classes", "protocol", "step", "config"}) {
    TensorFile file = good;
    file.metadata.erase(key);
    expect_refused(file, key);
  }
  TensorFile file = good;
  file.metadata["step"] = "-1";
  expect_refused(file, "'step' is '-1'");
  file = good;
  for (const char* classes : {"[1]", R"("0123456789")", R"({"0": "zero"})", "null", "10"}) {
    file.metadata["classes"] = classes;
    expect_refused(file, "list of names");
  }
  file = good;
  file.metadata["classes"] = R"(["one"])";
  expect_refused(file, "names 1 classes");
  file = good;
  file.metadata["network"] = "{}";
  expect_refused(file, "network");
  file = good;
  file.tensors.pop_back();
  expect_refused(file, "is missing");
  file = good;
  file.tensors.push_back({"extra", {1}, {0}});
  expect_refused(file, "'extra' belongs to no layer");
  file = good;
  file.tensors[0].shape = {1, 16, 3, 3};
  expect_refused(file, "the network needs [16, 1, 3, 3]");
}

TEST_F(ModelFile, ATruncatedOneIsRefused) {
  const std::size_t header_end = 8192;
  for (std::size_t length = std::filesystem::file_size(path_); length > 0;) {
    length -= std::min<std::size_t>(length, length <= header_end ? 1 : 1009);
    std::filesystem::resize_file(path_, length);
    EXPECT_THROW(load_model(path_), CheckpointError) << length << " bytes";
  }
}

TEST_F(ModelFile, HoldsTheRunsConfiguration) {
  EXPECT_THROW(config_of(model_), CheckpointError);
  RunConfig config = default_config("quick");
  config.protocol.noise = 0.25f;
  model_.config = to_json_text(config);
  EXPECT_EQ(config_of(model_).protocol.noise, 0.25f);
}

TEST_F(ModelFile, AMissingFileIsNoCheckpointError) { EXPECT_THROW(load_model(path_.string() + ".missing"), IoError); }

}  // namespace
}  // namespace gridspot
