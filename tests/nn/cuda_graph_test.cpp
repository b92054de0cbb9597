// The graphs that convolutions hand to cuDNN, as far as they can be checked without a GPU, and what CUDA blocks refuse.
#include <gtest/gtest.h>

#include "device/device.h"
#include "gridspot/error.h"
#include "nn/block.h"
#include "nn/conv_cudnn.h"

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
    const auto results = cuda::validate_convolution_graphs(s, activation);
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
