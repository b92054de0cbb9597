// Winograd's algorithm against the double-precision reference.
#include "nn/winograd_block.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/reference/convolution.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/regroup.h"

namespace gridspot {
namespace {

struct Values {
  std::vector<float> input, weights, bias;
};

Values random_values(test::Random& random, const ConvolutionShape& s) {
  return {random.uniforms(std::size_t(s.batch) * s.height * s.width * s.input_channels),
          random.uniforms(std::size_t(s.filters) * s.size * s.size * s.input_channels), random.uniforms(s.filters)};
}

BlockOptions options_with(int threads) {
  return {.training = false, .threads = threads, .input_group = 8, .output_group = 8};
}

/// Channels-last in and out.
std::vector<float> convolve(const ConvolutionShape& s, Activation activation, const Values& values, int threads = 1) {
  Stream stream(Device{});
  WinogradBlock block(s, activation, options_with(threads));
  const auto input = upload(
      stream, test::regroup(values.input, s.height * s.width, s.input_channels, s.input_channels > 8 ? 8 : 0, false));
  const auto weights = upload(stream, values.weights), bias = upload(stream, values.bias);
  const int pixels = s.output_height() * s.output_width();
  const Buffer<float> output(stream.device(), std::size_t(s.batch) * pixels * s.filters);
  const Buffer<std::byte> workspace(stream.device(), block.workspace_bytes()),
      prepared(stream.device(), block.prepared_bytes());
  block.prepare(stream, weights, prepared);
  block.forward(stream, {input, weights, bias, output, workspace, {}, prepared});
  workspace.check_red_zone();
  prepared.check_red_zone();
  return test::regroup(download(stream, output), pixels, s.filters, 8, true);
}

TEST(Winograd, MatchesTheDefinition) {
  test::Random random(71);
  const std::vector<ConvolutionShape> shapes{
      {1, 4, 4, 8, 8},    {1, 6, 6, 8, 16, 3, 1, 0},    {2, 7, 11, 16, 24},
      {3, 8, 5, 24, 8},   {1, 28, 28, 64, 64},          {1, 10, 9, 8, 40, 3, 1, 2},
      {2, 33, 18, 8, 16}, {1, 13, 13, 32, 32, 3, 1, 0}, {5, 16, 16, 128, 16},
  };
  for (const ConvolutionShape& s : shapes)
    for (const Activation activation : {Activation::none, Activation::relu, Activation::leaky}) {
      SCOPED_TRACE(testing::Message() << s.batch << " images of " << s.height << " x " << s.width << " x "
                                      << s.input_channels << ", " << s.filters << " filters, padding " << s.padding);
      // As much as sums of 9 * channels terms between -1 and 1 lose, whether they come to much or little.
      const test::Tolerance tolerance{1e-5 * std::sqrt(9.0 * s.input_channels), 1e-5};
      const auto values = random_values(random, s);
      reference::Tensor input(s.batch, s.height, s.width, s.input_channels);
      input.values = test::to_double(values.input);
      const auto expected =
          reference::convolution(s, activation, input, test::to_double(values.weights), test::to_double(values.bias));
      EXPECT_TRUE(test::matches(convolve(s, activation, values), expected.values, tolerance));
    }
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
  EXPECT_FALSE(fits([](auto&, auto& options) { options.input_group = 0; }));
  EXPECT_FALSE(fits([](auto&, auto& options) { options.training = true; }));
  EXPECT_FALSE(fits([](auto&, auto& options) { options.precision = Precision::fp32; }));
  EXPECT_FALSE(fits([](auto&, auto& options) { options.precision = Precision::bf16; }));
}

}  // namespace
}  // namespace gridspot
