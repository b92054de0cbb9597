// The stem as a block, on every device; the kernels themselves are tested in tests/kernels/stem_test.cpp.
#include "nn/stem_block.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"
#include "tests/reference/convolution.h"
#include "tests/support/device_tensor.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

class StemBlocks : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(StemBlocks);

const ConvolutionShape shape{2, 9, 12, 1, 16, 3, 1, 1};

// Small integers, with which every sum is exact in bfloat16 too.
TEST_P(StemBlocks, GiveWhatTheDefinitionSays) {
  Random random(41);
  const auto integers = [&](std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(random.integer(-2, 2));
    return values;
  };
  const auto input = integers(2 * 9 * 12), weights = integers(16 * 9), bias = integers(16);
  reference::Tensor images(2, 9, 12, 1);
  images.values = test::to_double(input);
  const auto convolved =
      reference::convolution(shape, Activation::relu, images, test::to_double(weights), test::to_double(bias));
  const PoolShape pool{2, 9, 12, 16, 2, 2};
  const auto pooled = reference::max_pool(pool, convolved);
  for (const Precision precision : {Precision::fp32, Precision::bf16})
    for (const bool pools : {false, true})
      for (const bool masks : {false, true}) {
        SCOPED_TRACE(std::string(to_string(activation_dtype(precision))) + (pools ? ", pooled" : "") +
                     (masks ? ", masked" : ""));
        const BlockOptions options{
            .input_gradient = false, .masks_gradient = masks, .precision = precision, .pools = pools};
        ASSERT_TRUE(stem_takes(shape, options));
        const auto block = make_stem(shape, Activation::relu, options);
        const reference::Tensor& expected = pools ? pooled.output : convolved;
        const auto slopes = integers(expected.values.size());

        Stream stream(device());
        const DType dtype = options.dtype();
        const test::DeviceTensor images_there(stream, input, dtype), weights_there(stream, weights, dtype),
            gradient(stream, slopes, dtype), output(device(), slopes.size(), dtype);
        const auto bias_there = upload(stream, bias);
        const Buffer<std::uint8_t> choice(device(), pools ? slopes.size() : 0);
        const Buffer<float> weight_gradient(device(), weights.size()), bias_gradient(device(), bias.size());
        const Buffer<std::byte> workspace(device(), block->workspace_bytes());
        block->forward(stream, {images_there, weights_there, bias_there, output, workspace, choice});
        block->backward(
            stream,
            {images_there, output, weights_there, gradient, {}, weight_gradient, bias_gradient, workspace, choice});
        EXPECT_EQ(test::to_double(output.values(stream)), expected.values);
        if (pools) {
          EXPECT_EQ(download(stream, choice), pooled.choice);
        }

        reference::Tensor back = expected;
        for (std::size_t i = 0; i < slopes.size(); ++i)
          back.values[i] = masks && !(expected.values[i] > 0) ? 0 : slopes[i];
        if (pools) back = reference::max_pool_backward(pool, pooled.choice, back);
        const auto gradients =
            reference::convolution_backward(shape, Activation::none, images, convolved, test::to_double(weights), back);
        EXPECT_EQ(test::to_double(download(stream, weight_gradient)), gradients.weights);
        EXPECT_EQ(test::to_double(download(stream, bias_gradient)), gradients.bias);
      }
}

TEST(StemBlock, TakesFirstConvolutionsOfOneChannel) {
  const BlockOptions good{.input_gradient = false};
  EXPECT_TRUE(stem_takes(shape, good));
  const auto takes = [&](auto change) {
    auto [changed_shape, options] = std::pair(shape, good);
    change(changed_shape, options);
    return stem_takes(changed_shape, options);
  };
  EXPECT_TRUE(takes([](auto&, auto& o) { o.pools = true; }));
  EXPECT_TRUE(takes([](auto& s, auto&) { s.stride = 2; }));
  EXPECT_TRUE(takes([](auto&, auto& o) { o.output_group = 16; }));
  EXPECT_FALSE(takes([](auto& s, auto&) { s.input_channels = 3; }));
  EXPECT_FALSE(takes([](auto& s, auto&) { s.filters = 15; }));
  EXPECT_FALSE(takes([](auto& s, auto&) { s.filters = 136; }));
  EXPECT_FALSE(takes([](auto& s, auto&) { s.size = 5, s.padding = 2; }));
  EXPECT_FALSE(takes([](auto& s, auto&) { s.padding = 0; }));
  EXPECT_FALSE(takes([](auto& s, auto&) { s.stride = 3; }));
  EXPECT_FALSE(takes([](auto& s, auto& o) { s.height = 1, o.pools = true; }));
  EXPECT_FALSE(takes([](auto&, auto& o) { o.input_gradient = true; }));
  EXPECT_FALSE(takes([](auto&, auto& o) { o.float_output = true; }));
  EXPECT_FALSE(takes([](auto&, auto& o) { o.output_group = 8; }));
}

TEST(StemBlock, TakesThePoolIn) {
  const BlockOptions options{.input_gradient = false};
  const BlockOptions half{.input_gradient = false, .precision = Precision::bf16, .pools = true};
  const Device cuda{DeviceKind::cuda, 0};
  EXPECT_TRUE(takes_pool(cuda, shape, options));
  EXPECT_TRUE(takes_pool(cuda, shape, half));
  EXPECT_TRUE(takes_pool({}, shape, options));
  EXPECT_TRUE(takes_pool({}, shape, half));
  for (const Device device : {cuda, Device{}}) EXPECT_FALSE(takes_pool(device, shape, {}));
  EXPECT_THAT(
      [&] { make_convolution({}, shape, Activation::relu, {.pools = true}); },
      testing::ThrowsMessage<InvalidInput>("a convolution of 1 channels on cpu cannot take in the pool behind it"));
}

TEST(StemBlock, RefusesWhatBreaksTheContract) {
  const auto message = [](const char* text) { return testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(text)); };
  EXPECT_THAT([] { make_stem(shape, Activation::relu, {}); },
              message("the convolution is not one that the stem is made for"));
  Stream stream(Device{});
  const auto inference = make_stem(shape, Activation::relu, {.training = false, .input_gradient = false});
  EXPECT_EQ(inference->workspace_bytes(), 0u);
  EXPECT_THAT([&] { inference->backward(stream, {}); }, message("the stem was not built for training"));
  const auto block = make_stem(shape, Activation::relu, {.input_gradient = false});
  EXPECT_THAT([&] { block->backward(stream, {}); }, message("the stem's workspace must have"));
  const test::DeviceTensor halves({}, 16, DType::bfloat16);
  EXPECT_THAT([&] { block->forward(stream, {.input = halves}); }, message("input is bfloat16, expected float32"));
}

}  // namespace
}  // namespace gridspot
