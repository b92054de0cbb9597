// The graphs that convolutions hand to cuDNN, as far as they can be checked without a GPU, and what CUDA blocks refuse.
#include <cudnn.h>
#include <gtest/gtest.h>

#include <iostream>

#include "device/device.h"
#include "gridspot/error.h"
#include "nn/block.h"
#include "nn/conv_cudnn.h"
#include "nn/engine_cache.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/environment.h"

namespace gridspot {
namespace {

using Integers = std::vector<std::int64_t>;

struct Layer {
  const char* name;
  ConvolutionShape shape;
  std::int64_t output_height, output_width;  ///< worked out by hand
};

const Layer layers[] = {
    {"first_layer", {32, 224, 224, 1, 32}, 224, 224}, {"halving", {32, 112, 112, 32, 64, 3, 2, 1}, 56, 56},
    {"wide", {16, 56, 56, 256, 256}, 56, 56},         {"pointwise_head", {16, 7, 7, 256, 15, 1, 1, 0}, 7, 7},
    {"odd_sides", {3, 13, 9, 5, 7, 3, 2, 1}, 7, 5},   {"no_padding", {1, 10, 11, 3, 2, 5, 1, 0}, 6, 7},
    {"one_pixel", {1, 1, 1, 1, 1, 1, 1, 0}, 1, 1},    {"rows_left_over", {2, 8, 8, 6, 10, 3, 4, 0}, 2, 2},
};

class ConvolutionGraphs : public testing::TestWithParam<Layer> {};
INSTANTIATE_TEST_SUITE_P(, ConvolutionGraphs, testing::ValuesIn(layers),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST_P(ConvolutionGraphs, WriteChannelsLastTensorsOfTheBlocksShape) {
  const ConvolutionShape& s = GetParam().shape;
  const std::int64_t rows = GetParam().output_height, columns = GetParam().output_width, k = s.filters;
  const std::int64_t c = s.input_channels, h = s.height, w = s.width, r = s.size;
  for (const Activation activation : {Activation::none, Activation::relu, Activation::leaky}) {
    const auto results = cuda::validate_convolution_graphs(s, activation, {});
    ASSERT_EQ(results.size(), 4u);
    const Integers output{s.batch, k, rows, columns}, output_strides{rows * columns * k, 1, columns * k, k};
    EXPECT_EQ(results[0].graph, "fused forward");
    EXPECT_EQ(results[0].dimensions, output);
    EXPECT_EQ(results[0].strides, output_strides);
    EXPECT_EQ(results[1].graph, "forward");
    EXPECT_EQ(results[1].dimensions, output);
    EXPECT_EQ(results[1].strides, output_strides);
    EXPECT_EQ(results[2].graph, "backward weights");
    EXPECT_EQ(results[2].dimensions, (Integers{k, c, r, r}));
    EXPECT_EQ(results[2].strides, (Integers{r * r * c, 1, r * c, c}));
    EXPECT_EQ(results[3].graph, "backward data");
    EXPECT_EQ(results[3].dimensions, (Integers{s.batch, c, h, w}));
    EXPECT_EQ(results[3].strides, (Integers{h * w * c, 1, w * c, c}));
  }
}

TEST_P(ConvolutionGraphs, TakeTheDerivativeOfTheActivationBefore) {
  const ConvolutionShape& s = GetParam().shape;
  for (const Precision precision : {Precision::tf32, Precision::bf16})
    for (const Activation before : {Activation::relu, Activation::leaky}) {
      const auto results =
          cuda::validate_convolution_graphs(s, Activation::relu, {.input_activation = before, .precision = precision});
      ASSERT_EQ(results.size(), 5u);
      EXPECT_EQ(results[4].graph, "fused backward data");
      EXPECT_EQ(results[4].dimensions, (Integers{s.batch, s.input_channels, s.height, s.width}));
      EXPECT_EQ(results[4].strides, results[3].strides);
      EXPECT_EQ(results[4].dtype, activation_dtype(precision));
    }
}

TEST_P(ConvolutionGraphs, HaveTheDtypesOfTheirPrecision) {
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16})
    for (const bool float_output : {false, true}) {
      const BlockOptions options{.precision = precision, .float_output = float_output};
      std::vector<DType> dtypes;
      for (const auto& result : cuda::validate_convolution_graphs(GetParam().shape, Activation::none, options))
        dtypes.push_back(result.dtype);
      const DType output = float_output ? DType::float32 : options.dtype();
      EXPECT_EQ(dtypes, (std::vector{output, output, DType::float32, options.dtype()}));
    }
}

// cuDNN plans for a device that it knows from a description alone; the numbers are the devices' published ones.
struct Gpu {
  const char* name;
  int compute_capability, processors, shared_memory;
};

std::string description(const Gpu& gpu) {
  return R"({"deviceName": ")" + std::string(gpu.name) + R"(", "deviceVer": )" +
         std::to_string(gpu.compute_capability) + R"(, "multiProcessorCount": )" + std::to_string(gpu.processors) +
         R"(, "maxSharedMemoryPerBlockOptin": )" + std::to_string(gpu.shared_memory) + R"(,
      "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "maxThreadsPerBlock": 1024,
      "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "warpSize": 32,
      "maxSharedMemoryPerBlock": 49152, "reservedSharedMemoryPerBlock": 1024, "l2CacheSize": 52428800,
      "smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "totalGlobalMem": 85899345920, "supportCoopLaunch": 1,
      "isTccDriver": 0, "pciDeviceId": 0, "cudaDeviceId": 0, "driverVer": 13000})";
}

const Gpu h100{"NVIDIA H100 80GB HBM3", 900, 132, 232448};

class ConvolutionPlans : public testing::TestWithParam<Gpu> {};
INSTANTIATE_TEST_SUITE_P(, ConvolutionPlans, testing::Values(Gpu{"NVIDIA A100-SXM4-80GB", 800, 108, 166912}, h100),
                         [](const auto& instance) {
                           return "capability_" + std::to_string(instance.param.compute_capability);
                         });

using Plan = std::vector<cuda::PlannedPass>;

/// Empty where cuDNN's format of descriptions is another one.
Plan plan(const Gpu& gpu, const ConvolutionShape& shape, Activation activation, const BlockOptions& options) {
  try {
    return cuda::plan_convolution_without_device(gpu.name, description(gpu), shape, activation, options);
  } catch (const InvalidInput& error) {
    std::cerr << error.what() << "\n";
    return {};
  }
}

TEST_P(ConvolutionPlans, HaveAnEngineForEveryPass) {
  for (const Layer& layer : layers)
    for (const Precision precision : {Precision::fp32, Precision::tf32}) {
      const auto plans = plan(GetParam(), layer.shape, Activation::relu, {.precision = precision});
      if (plans.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
      ASSERT_EQ(plans.size(), 3u) << layer.name;
      EXPECT_EQ(plans[0].graph, "fused forward") << layer.name;
      EXPECT_EQ(plans[1].graph, "backward weights") << layer.name;
      EXPECT_EQ(plans[2].graph, "backward data") << layer.name;
    }
}

// Without a driver cuDNN knows only engines compiled beforehand. None of those adds a float32 bias to bfloat16 or gives
// float32 of bfloat16: then gridspot's own kernels do.
TEST_P(ConvolutionPlans, HaveAnEngineForEveryPassInBfloat16) {
  for (const Layer& layer : layers)
    for (const bool float_output : {false, true}) {
      SCOPED_TRACE(layer.name);
      const auto plans = plan(GetParam(), layer.shape, float_output ? Activation::none : Activation::relu,
                              {.precision = Precision::bf16, .float_output = float_output});
      if (plans.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
      ASSERT_EQ(plans.size(), 3u);
      EXPECT_EQ(plans[2].graph, "backward data");
      if (cuda_device_count() > 0) continue;
      EXPECT_EQ(plans[0].graph, float_output ? "forward, widened" : "forward");
      EXPECT_EQ(plans[1].graph, "backward weights, widened");
      const ConvolutionShape& s = layer.shape;
      EXPECT_GE(plans[1].workspace_bytes, std::size_t(2) * s.filters * s.size * s.size * s.input_channels);
    }
}

TEST(ConvolutionPlan, LeavesOutWhatTheOptionsDoNotAskFor) {
  const ConvolutionShape shape{16, 56, 56, 256, 256};
  const Plan first = plan(h100, shape, Activation::relu, {.input_gradient = false});
  if (first.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[1].graph, "backward weights");
  const Plan inference = plan(h100, shape, Activation::relu, {.training = false});
  ASSERT_EQ(inference.size(), 1u);
  EXPECT_EQ(inference[0].graph, "fused forward");
}

// Only engines compiled at run time fuse the two, and those need a driver; without one there must be a plan all the
// same.
TEST(ConvolutionPlan, FusesTheDerivativeOfTheActivationBeforeWhereItCan) {
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    const Plan fused = plan(h100, {16, 56, 56, 256, 256}, Activation::relu,
                            {.input_activation = Activation::relu, .precision = precision});
    if (fused.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
    ASSERT_EQ(fused.size(), 3u);
    EXPECT_TRUE(fused[2].graph == "backward data" || cuda_device_count() > 0) << fused[2].graph;
  }
}

TEST(ConvolutionPlan, TakesTheEngineThatWasTheFastestBefore) {
  const test::TemporaryFolder folder;
  const test::Environment user("XDG_CACHE_HOME", folder.path().c_str());
  const ConvolutionShape shape{16, 56, 56, 256, 256};
  const BlockOptions options{.engines = {.autotune = true}};
  const Plan first = plan(h100, shape, Activation::relu, options);
  if (first.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
  EXPECT_FALSE(std::filesystem::exists(folder / "gridspot")) << "without a device nothing is measured";

  auto cache = EngineCache::of_user(h100.name + (", cuDNN " + std::to_string(cudnnGetVersion())));
  // Not each engine that cuDNN proposes can be built.
  Plan tuned;
  for (std::size_t i = 0; i < first.size(); ++i) {
    SCOPED_TRACE(first[i].task);
    for (const std::string& other : first[i].proposed) {
      if (other == first[i].engine) continue;
      cache.choose(first[i].task, std::vector{other}, [] { return std::size_t(0); });
      tuned = plan(h100, shape, Activation::relu, options);
      if (tuned[i].engine == other) break;
      EXPECT_EQ(tuned[i].engine, first[i].engine) << "what cannot be built is replaced by the best that can";
    }
    EXPECT_NE(tuned[i].engine, first[i].engine);
  }
  const Plan untuned = plan(h100, shape, Activation::relu, {});
  for (std::size_t i = 0; i < untuned.size(); ++i) EXPECT_EQ(untuned[i].engine, first[i].engine);
  BlockOptions nondeterministic = options;
  nondeterministic.engines.deterministic = false;
  const Plan other_task = plan(h100, shape, Activation::relu, nondeterministic);
  EXPECT_NE(other_task[0].engine, tuned[0].engine) << "what was kept is for deterministic engines";
}

TEST(ConvolutionPlan, KeepsOffTensorCoresForFp32) {
  const ConvolutionShape shape{16, 56, 56, 256, 256};
  const Plan rounded = plan(h100, shape, Activation::relu, {.precision = Precision::tf32});
  if (rounded.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
  const Plan exact = plan(h100, shape, Activation::relu, {.precision = Precision::fp32});
  ASSERT_EQ(exact.size(), rounded.size());
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_NE(exact[i].engine, rounded[i].engine) << exact[i].graph;
}

TEST(ConvolutionPlan, ComputesLeakyReluWhereCudnnDoesNot) {
  const Plan leaky = plan(h100, {32, 112, 112, 32, 64, 3, 2, 1}, Activation::leaky, {});
  if (leaky.empty()) GTEST_SKIP() << "this version of cuDNN takes other descriptions of devices";
  ASSERT_EQ(leaky.size(), 3u);
  // Only engines compiled at run time fuse a leaky ReLU, and those need a driver.
  EXPECT_TRUE(leaky[0].graph == "forward" || cuda_device_count() > 0) << leaky[0].graph;
}

const ConvolutionShape small{1, 4, 4, 8, 8};

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(CudaBlocks, RefuseADeviceThatIsNotThere) {
  const Device absent{DeviceKind::cuda, cuda_device_count()};
  const std::string name = "there is no device " + to_string(absent);
  EXPECT_THROW(make_convolution(absent, small, Activation::relu, {}), NoDevice);
  EXPECT_THROW(make_product(absent, {2, 3, 4}, Activation::relu, {}), NoDevice);
  EXPECT_EQ(message_of([&] { make_convolution(absent, small, Activation::relu, {}); }).substr(0, name.size()), name);
  EXPECT_EQ(message_of([&] { make_product(absent, {2, 3, 4}, Activation::relu, {}); }).substr(0, name.size()), name);
}

TEST(CudaBlocks, RefuseChannelsInGroups) {
  const Device device{DeviceKind::cuda, 0};
  const char* rule = "on CUDA the activations of a convolution are channels-last, not in groups of channels";
  const auto message = [&](const ConvolutionShape& shape, const BlockOptions& options) {
    return message_of([&] { make_convolution(device, shape, Activation::relu, options); });
  };
  EXPECT_EQ(message({1, 4, 4, 16, 8}, {.input_group = 8}), rule);
  EXPECT_EQ(message({1, 4, 4, 8, 16}, {.output_group = 8}), rule);
}

}  // namespace
}  // namespace gridspot
