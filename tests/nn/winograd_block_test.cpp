// Winograd's algorithm against the double-precision reference.
#include "nn/winograd_block.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/reference/convolution.h"
#include "tests/support/compare.h"
#include "tests/support/device_tensor.h"
#include "tests/support/device_test.h"
#include "tests/support/regroup.h"

namespace gridspot {
namespace {

struct Values {
  std::vector<float> input, weights, bias, output_gradient;
};

Values random_values(test::Random& random, const ConvolutionShape& s) {
  return {random.uniforms(std::size_t(s.batch) * s.height * s.width * s.input_channels),
          random.uniforms(std::size_t(s.filters) * s.size * s.size * s.input_channels), random.uniforms(s.filters),
          random.uniforms(std::size_t(s.batch) * s.output_height() * s.output_width() * s.filters)};
}

BlockOptions options_with(int threads, bool training = false, int group = 8) {
  return {.training = training, .threads = threads, .input_group = group, .output_group = group};
}

std::vector<float> grouped(const std::vector<float>& values, int pixels, int channels, int group) {
  return test::regroup(values, pixels, channels, group, false);
}

/// Those that this processor has vectors for, of which the channels and filters can be made.
std::vector<int> groups_of(const ConvolutionShape& s) {
  std::vector<int> groups;
  for (const int group : {8, 16})
    if (winograd_lanes(group) != 0 && s.input_channels % group == 0 && s.filters % group == 0) groups.push_back(group);
  return groups;
}

/// Channels-last in and out.
std::vector<float> convolve(const ConvolutionShape& s, Activation activation, const Values& values, int threads = 1,
                            int group = 8) {
  Stream stream(Device{});
  WinogradBlock block(s, activation, options_with(threads, false, group));
  const auto input = upload(stream, grouped(values.input, s.height * s.width, s.input_channels, group));
  const auto weights = upload(stream, values.weights), bias = upload(stream, values.bias);
  const int pixels = s.output_height() * s.output_width();
  const Buffer<float> output(stream.device(), std::size_t(s.batch) * pixels * s.filters);
  const Buffer<std::byte> workspace(stream.device(), block.workspace_bytes()),
      prepared(stream.device(), block.prepared_bytes());
  block.prepare(stream, weights, prepared);
  block.forward(stream, {input, weights, bias, output, workspace, {}, prepared});
  workspace.check_red_zone();
  prepared.check_red_zone();
  return test::regroup(download(stream, output), pixels, s.filters, group, true);
}

struct Trained {
  std::vector<float> output, input_gradient, weight_gradient, bias_gradient;
};

/// A step of training: forward, then backward. Channels-last in and out.
Trained train(const ConvolutionShape& s, Activation activation, const Values& values, const BlockOptions& options) {
  Stream stream(Device{});
  WinogradBlock block(s, activation, options);
  const int group = options.input_group, pixels = s.height * s.width,
            output_pixels = s.output_height() * s.output_width();
  const auto input = upload(stream, grouped(values.input, pixels, s.input_channels, group));
  const auto weights = upload(stream, values.weights), bias = upload(stream, values.bias);
  const auto output_gradient = upload(stream, grouped(values.output_gradient, output_pixels, s.filters, group));
  const Buffer<float> output(stream.device(), values.output_gradient.size()),
      input_gradient(stream.device(), options.input_gradient ? values.input.size() : 0),
      weight_gradient(stream.device(), values.weights.size()), bias_gradient(stream.device(), values.bias.size());
  const Buffer<std::byte> workspace(stream.device(), block.workspace_bytes());
  block.forward(stream, {input, weights, bias, output, workspace});
  block.backward(stream,
                 {input, output, weights, output_gradient, input_gradient, weight_gradient, bias_gradient, workspace});
  workspace.check_red_zone();
  return {test::regroup(download(stream, output), output_pixels, s.filters, group, true),
          test::regroup(download(stream, input_gradient), pixels, s.input_channels, group, true),
          download(stream, weight_gradient), download(stream, bias_gradient)};
}

/// As much as sums of so many terms between -1 and 1 lose, whether they come to much or little.
test::Tolerance tolerance_of(int terms) { return {3e-5 * std::sqrt(double(terms)), 1e-5}; }

std::string describe(const ConvolutionShape& s) {
  return std::to_string(s.batch) + " images of " + std::to_string(s.height) + " x " + std::to_string(s.width) + " x " +
         std::to_string(s.input_channels) + ", " + std::to_string(s.filters) + " filters, padding " +
         std::to_string(s.padding);
}

reference::Tensor tensor(int batch, int height, int width, int channels, const std::vector<float>& values) {
  reference::Tensor result(batch, height, width, channels);
  result.values = test::to_double(values);
  return result;
}

const std::vector<ConvolutionShape> shapes{
    {1, 4, 4, 8, 8},      {1, 6, 6, 8, 16, 3, 1, 0},  {2, 7, 11, 16, 24}, {3, 8, 5, 24, 8},
    {1, 28, 28, 64, 64},  {1, 10, 9, 8, 40, 3, 1, 2}, {2, 33, 18, 8, 16}, {1, 13, 13, 32, 32, 3, 1, 0},
    {5, 16, 16, 128, 16}, {2, 9, 21, 32, 48},         {3, 8, 8, 16, 80},  {1, 5, 30, 48, 16, 3, 1, 2},
};

TEST(Winograd, MatchesTheDefinition) {
  test::Random random(71);
  for (const ConvolutionShape& s : shapes)
    for (const Activation activation : {Activation::none, Activation::relu, Activation::leaky}) {
      SCOPED_TRACE(describe(s));
      const auto values = random_values(random, s);
      const auto input = tensor(s.batch, s.height, s.width, s.input_channels, values.input);
      const auto expected =
          reference::convolution(s, activation, input, test::to_double(values.weights), test::to_double(values.bias));
      for (const int group : groups_of(s)) {
        SCOPED_TRACE("groups of " + std::to_string(group));
        EXPECT_TRUE(test::matches(convolve(s, activation, values, 1, group), expected.values,
                                  tolerance_of(9 * s.input_channels)));
      }
    }
}

TEST(Winograd, TrainsAsTheDefinitionDoes) {
  test::Random random(73);
  for (const ConvolutionShape& s : shapes)
    for (const Activation activation : {Activation::none, Activation::relu, Activation::leaky})
      for (const bool input_gradient : {true, false}) {
        SCOPED_TRACE(describe(s) + (input_gradient ? ", with an input gradient" : ""));
        const auto values = random_values(random, s);
        const auto input = tensor(s.batch, s.height, s.width, s.input_channels, values.input);
        const auto gradient = tensor(s.batch, s.output_height(), s.output_width(), s.filters, values.output_gradient);
        const auto weights = test::to_double(values.weights);
        const auto output = reference::convolution(s, activation, input, weights, test::to_double(values.bias));
        for (const int group : groups_of(s)) {
          SCOPED_TRACE("groups of " + std::to_string(group));
          BlockOptions options = options_with(1, true, group);
          options.input_gradient = input_gradient;
          const auto actual = train(s, activation, values, options);
          EXPECT_TRUE(test::matches(actual.output, output.values, tolerance_of(9 * s.input_channels)));
          // Whether an output of almost nothing is positive is a matter of rounding: of what was rounded.
          const auto rounded = tensor(s.batch, s.output_height(), s.output_width(), s.filters, actual.output);
          const auto expected = reference::convolution_backward(s, activation, input, rounded, weights, gradient);
          const auto pixels = tolerance_of(s.batch * s.output_height() * s.output_width());
          EXPECT_TRUE(test::matches(actual.weight_gradient, expected.weights, pixels));
          EXPECT_TRUE(test::matches(actual.bias_gradient, expected.bias, pixels));
          if (input_gradient) {
            EXPECT_TRUE(test::matches(actual.input_gradient, expected.input.values, tolerance_of(9 * s.filters)));
          }
        }
      }
}

// Small integers that are exact in both dtypes, so that bfloat16 differs by the rounding of what is stored alone.
TEST(Winograd, ComputesBfloat16AsFloat32AndRoundsWhatItStores) {
  test::Random random(75);
  if (!WinogradBlock::fits({1, 8, 8, 8, 8}, {.precision = Precision::bf16, .input_group = 8, .output_group = 8}))
    GTEST_SKIP() << "oneDNN multiplies tiles of bfloat16 on this processor";
  for (const ConvolutionShape& s :
       {ConvolutionShape{2, 7, 11, 16, 24}, {2, 9, 21, 32, 48}, {1, 13, 13, 32, 32, 3, 1, 0}})
    for (const int group : groups_of(s))
      for (const bool pools : {false, true}) {
        SCOPED_TRACE(describe(s) + ", groups of " + std::to_string(group) + (pools ? ", pooled" : ""));
        const auto integers = [&](std::size_t count) {
          std::vector<float> values(count);
          for (float& value : values) value = static_cast<float>(random.integer(-8, 8));
          return values;
        };
        const std::size_t inputs = std::size_t(s.batch) * s.height * s.width * s.input_channels,
                          outputs = std::size_t(s.batch) * s.output_height() * s.output_width() * s.filters;
        const std::size_t stored =
            pools ? std::size_t(s.batch) * (s.output_height() / 2) * (s.output_width() / 2) * s.filters : outputs;
        const Values values{integers(inputs), integers(std::size_t(s.filters) * 9 * s.input_channels),
                            integers(s.filters), integers(stored)};
        struct Results {
          std::vector<float> output, input_gradient, weight_gradient, bias_gradient;
          std::vector<std::uint8_t> choice;
        };
        const auto step = [&](Precision precision) {
          BlockOptions options = options_with(1, true, group);
          options.precision = precision;
          options.pools = pools;
          Stream stream(Device{});
          WinogradBlock block(s, Activation::relu, options);
          const test::DeviceTensor input(stream, values.input, options.dtype()),
              weights(stream, values.weights, options.dtype()),
              gradient(stream, values.output_gradient, options.dtype()), output(Device{}, stored, options.dtype()),
              input_gradient(Device{}, inputs, options.dtype());
          const auto bias = upload(stream, values.bias);
          const Buffer<float> weight_gradient(Device{}, values.weights.size()), bias_gradient(Device{}, s.filters);
          const Buffer<std::uint8_t> choice(Device{}, pools ? stored : 0);
          const Buffer<std::byte> workspace(Device{}, block.workspace_bytes());
          block.forward(stream, {input, weights, bias, output, workspace, choice});
          block.backward(stream, {input, output, weights, gradient, input_gradient, weight_gradient, bias_gradient,
                                  workspace, choice});
          workspace.check_red_zone();
          return Results{output.values(stream), input_gradient.values(stream), download(stream, weight_gradient),
                         download(stream, bias_gradient), download(stream, choice)};
        };
        const Results exact = step(Precision::tf32), rounded = step(Precision::bf16);
        EXPECT_EQ(rounded.output, test::rounded(exact.output, DType::bfloat16));
        EXPECT_EQ(rounded.choice, exact.choice);
        EXPECT_EQ(rounded.input_gradient, test::rounded(exact.input_gradient, DType::bfloat16));
        EXPECT_EQ(rounded.weight_gradient, exact.weight_gradient);
        EXPECT_EQ(rounded.bias_gradient, exact.bias_gradient);
      }
}

// The next layer's backward pass may have masked it.
TEST(Winograd, MayLeaveTheGradientUnmasked) {
  test::Random random(74);
  const ConvolutionShape s{2, 9, 12, 16, 8};
  const auto values = random_values(random, s);
  BlockOptions options = options_with(1, true);
  options.masks_gradient = false;
  const auto actual = train(s, Activation::relu, values, options), linear = train(s, Activation::none, values, options);
  EXPECT_NE(actual.output, linear.output);
  EXPECT_EQ(actual.input_gradient, linear.input_gradient);
  EXPECT_EQ(actual.weight_gradient, linear.weight_gradient);
  EXPECT_EQ(actual.bias_gradient, linear.bias_gradient);
}

TEST(Winograd, GivesTheSameBitsWithAnyNumberOfThreadsAndInAnyBatch) {
  test::Random random(72);
  const ConvolutionShape three{3, 19, 30, 16, 24}, one{1, 19, 30, 16, 24};
  const auto values = random_values(random, three);
  const auto alone = convolve(three, Activation::relu, values);
  for (const int threads : {2, 3, 20}) EXPECT_TRUE(convolve(three, Activation::relu, values, threads) == alone);
  const auto pixels = static_cast<std::ptrdiff_t>(values.input.size() / 3);
  for (std::ptrdiff_t i = 0; i < 3; ++i) {
    Values image = values;
    image.input.assign(values.input.begin() + i * pixels, values.input.begin() + (i + 1) * pixels);
    const auto size = static_cast<std::ptrdiff_t>(alone.size() / 3);
    EXPECT_TRUE(convolve(one, Activation::relu, image) ==
                std::vector<float>(alone.begin() + i * size, alone.begin() + (i + 1) * size));
  }
}

TEST(Winograd, FitsWhereItTakesFewerProducts) {
  const ConvolutionShape shape{1, 28, 28, 64, 64};
  const auto fits = [&](const auto& change) {
    ConvolutionShape s = shape;
    BlockOptions options = options_with(1);
    change(s, options);
    return WinogradBlock::fits(s, options);
  };
  EXPECT_TRUE(fits([](auto&, auto&) {}));
  EXPECT_TRUE(fits([](auto& s, auto&) { s.height = s.width = 7; }));
  EXPECT_FALSE(fits([](auto& s, auto&) { s.height = s.width = 2; }));
  EXPECT_FALSE(fits([](auto& s, auto&) { s.stride = 2; }));
  EXPECT_FALSE(fits([](auto& s, auto&) { s.size = 1, s.padding = 0; }));
  EXPECT_FALSE(fits([](auto& s, auto& options) { s.input_channels = 1, options.input_group = 0; }));
  EXPECT_FALSE(fits([](auto&, auto& options) { options.output_group = 16; }));
  EXPECT_EQ(fits([](auto&, auto& options) { options.input_group = options.output_group = 16; }),
            winograd_lanes(16) == 16);
  EXPECT_FALSE(fits([](auto&, auto& options) { options.input_group = 0; }));
  EXPECT_TRUE(fits([](auto&, auto& options) { options.training = true; }));
  EXPECT_FALSE(fits([](auto&, auto& options) { options.precision = Precision::fp32; }));
  EXPECT_FALSE(fits([](auto&, auto& options) { options.precision = Precision::bf16, options.float_output = true; }));
}

}  // namespace
}  // namespace gridspot
