// Blocks against the double-precision reference, on every device.
#include "nn/block.h"

#include <array>
#include <thread>

#include "tests/reference/convolution.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using reference::Tensor;
using test::Random;

class Blocks : public test::DeviceTest {
 protected:
  /// Sums of up to some thousand products in fp32.
  static constexpr test::Tolerance tolerance = test::float32_tolerance * 30;
};
GRIDSPOT_ON_EVERY_DEVICE(Blocks);

struct Case {
  ConvolutionShape shape;
  Activation activation = Activation::relu;
  int input_group = 0, output_group = 0;
};

std::string describe(const Case& c) {
  const ConvolutionShape& s = c.shape;
  std::string text;
  for (const int value : {s.batch, s.height, s.width, s.input_channels, s.filters, s.size, s.stride, s.padding,
                          c.input_group, c.output_group})
    text += std::to_string(value) + " ";
  return "shape " + text;
}

/// From channels-last to [n, channels / group, height, width, group] (group 0: unchanged), and back.
std::vector<float> regroup(const std::vector<float>& values, int pixels, int channels, int group, bool back) {
  if (group == 0) return values;
  std::vector<float> result(values.size());
  const int batch = static_cast<int>(values.size()) / (pixels * channels);
  for (int n = 0; n < batch; ++n)
    for (int p = 0; p < pixels; ++p)
      for (int c = 0; c < channels; ++c) {
        const std::size_t last = (std::size_t(n) * pixels + p) * channels + c;
        const std::size_t grouped =
            ((std::size_t(n) * (channels / group) + c / group) * pixels + p) * group + c % group;
        result[back ? last : grouped] = values[back ? grouped : last];
      }
  return result;
}

/// Everything that a block computes: output, gradient of the input (if wanted), of the weights, of the bias.
struct Results {
  std::vector<float> output, input_gradient, weight_gradient, bias_gradient;
};

struct Values {
  std::vector<float> input, weights, bias, output_gradient;
};

Results run_block(Stream& stream, Block& block, const Values& values, bool input_gradient_wanted = true) {
  const Device device = stream.device();
  const auto input = upload(stream, values.input), weights = upload(stream, values.weights),
             bias = upload(stream, values.bias), output_gradient = upload(stream, values.output_gradient);
  const Buffer<float> output(device, values.output_gradient.size()),
      input_gradient(device, input_gradient_wanted ? values.input.size() : 0),
      weight_gradient(device, values.weights.size()), bias_gradient(device, values.bias.size());
  const Buffer<std::byte> workspace(device, block.workspace_bytes());
  block.forward(stream, {input, weights, bias, output, workspace});
  block.backward(stream,
                 {input, output, weights, output_gradient, input_gradient, weight_gradient, bias_gradient, workspace});
  stream.synchronize();
  workspace.check_red_zone();
  output_gradient.check_red_zone();
  return {download(stream, output), download(stream, input_gradient), download(stream, weight_gradient),
          download(stream, bias_gradient)};
}

Values random_values(Random& random, const ConvolutionShape& s) {
  return {random.uniforms(std::size_t(s.batch) * s.height * s.width * s.input_channels),
          random.uniforms(std::size_t(s.filters) * s.size * s.size * s.input_channels), random.uniforms(s.filters),
          random.uniforms(std::size_t(s.batch) * s.output_height() * s.output_width() * s.filters)};
}

struct Expected {
  Tensor output;
  reference::ConvolutionGradients gradients;
};

Expected expected_results(const ConvolutionShape& s, Activation activation, const Values& values) {
  Tensor input(s.batch, s.height, s.width, s.input_channels);
  input.values = test::to_double(values.input);
  Tensor gradient(s.batch, s.output_height(), s.output_width(), s.filters);
  gradient.values = test::to_double(values.output_gradient);
  const auto weights = test::to_double(values.weights);
  const auto output = reference::convolution(s, activation, input, weights, test::to_double(values.bias));
  return {output, reference::convolution_backward(s, activation, input, output, weights, gradient)};
}

TEST_P(Blocks, ConvolutionsMatchTheDefinition) {
  const std::vector<Case> cases{
      {{1, 1, 1, 1, 1, 1, 1, 0}, Activation::none},
      {{1, 5, 7, 1, 16, 3, 1, 1}},
      {{3, 12, 12, 1, 8, 3, 1, 1}, Activation::leaky},
      {{1, 9, 9, 8, 8, 3, 1, 1}},
      {{3, 8, 8, 16, 32, 3, 1, 1}},
      {{2, 13, 11, 3, 5, 3, 2, 1}, Activation::leaky},
      {{1, 14, 14, 16, 24, 3, 2, 1}},
      {{3, 7, 7, 64, 15, 1, 1, 0}, Activation::none},
      {{2, 10, 6, 7, 9, 5, 1, 2}},
      {{1, 6, 6, 8, 16, 3, 1, 0}},
      {{2, 8, 8, 6, 10, 3, 4, 0}},
      {{1, 11, 11, 2, 33, 7, 3, 3}},
      {{1, 3, 3, 40, 8, 3, 1, 1}, Activation::none},
      {{2, 9, 5, 17, 31, 1, 2, 0}},
      {{1, 5, 5, 8, 8, 3, 1, 2}, Activation::leaky},
      {{4, 28, 28, 32, 64, 3, 1, 1}},
  };
  Random random(1);
  for (const auto& c : cases) {
    SCOPED_TRACE(describe(c));
    const auto values = random_values(random, c.shape);
    const auto expected = expected_results(c.shape, c.activation, values);
    Stream stream(device());
    const auto block = make_convolution(device(), c.shape, c.activation, {.precision = Precision::fp32});
    const auto actual = run_block(stream, *block, values);
    EXPECT_TRUE(test::matches(actual.output, expected.output.values, tolerance));
    EXPECT_TRUE(test::matches(actual.input_gradient, expected.gradients.input.values, tolerance));
    EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, tolerance));
    EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, tolerance));
  }
}

TEST(GroupedBlocks, GiveTheSameInEveryLayout) {
  const Device device;
  const std::vector<Case> cases{
      {{2, 9, 9, 16, 32}, Activation::relu, 8, 8},
      {{2, 9, 9, 16, 32}, Activation::relu, 16, 16},
      {{2, 9, 9, 16, 32}, Activation::leaky, 8, 0},
      {{2, 9, 9, 16, 32}, Activation::none, 0, 8},
      {{3, 8, 8, 1, 16}, Activation::relu, 0, 8},
      {{1, 7, 5, 24, 15, 1, 1, 0}, Activation::none, 8, 0},
      {{1, 12, 12, 8, 16, 3, 2, 1}, Activation::relu, 8, 16},
  };
  Random random(2);
  for (const auto& c : cases) {
    SCOPED_TRACE(describe(c));
    const ConvolutionShape& s = c.shape;
    auto values = random_values(random, s);
    const auto expected = expected_results(s, c.activation, values);
    const int pixels = s.height * s.width, output_pixels = s.output_height() * s.output_width();
    values.input = regroup(values.input, pixels, s.input_channels, c.input_group, false);
    values.output_gradient = regroup(values.output_gradient, output_pixels, s.filters, c.output_group, false);
    Stream stream(device);
    const auto block =
        make_convolution(device, s, c.activation, {.input_group = c.input_group, .output_group = c.output_group});
    const auto actual = run_block(stream, *block, values);
    const auto tolerance = test::float32_tolerance * 10;
    EXPECT_TRUE(test::matches(regroup(actual.output, output_pixels, s.filters, c.output_group, true),
                              expected.output.values, tolerance));
    EXPECT_TRUE(test::matches(regroup(actual.input_gradient, pixels, s.input_channels, c.input_group, true),
                              expected.gradients.input.values, tolerance));
    EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, tolerance));
    EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, tolerance));
  }
}

TEST(GroupedBlocks, PreferGroupsThatDivideTheChannels) {
  for (const int channels : {1, 7, 8, 15, 16, 24, 32, 40, 64, 256}) {
    const int group = preferred_group({}, channels);
    EXPECT_TRUE(group == channels || ((group == 8 || group == 16) && channels % group == 0))
        << channels << " channels in groups of " << group;
  }
}

TEST_P(Blocks, ProductsMatchTheDefinition) {
  Random random(3);
  for (const auto& [shape, activation] : {std::pair{ProductShape{1, 1, 1}, Activation::none},
                                          {{3, 7, 5}, Activation::leaky},
                                          {{16, 33, 17}, Activation::relu},
                                          {{2, 1000, 64}, Activation::relu},
                                          {{5, 64, 735}, Activation::none}}) {
    SCOPED_TRACE(std::to_string(shape.inputs) + " inputs, " + std::to_string(shape.outputs) + " outputs");
    const auto as_convolution = reference::as_convolution(shape);
    const auto values = random_values(random, as_convolution);
    const auto expected = expected_results(as_convolution, activation, values);
    Stream stream(device());
    const auto block = make_product(device(), shape, activation, {.precision = Precision::fp32});
    const auto actual = run_block(stream, *block, values);
    EXPECT_TRUE(test::matches(actual.output, expected.output.values, tolerance));
    EXPECT_TRUE(test::matches(actual.input_gradient, expected.gradients.input.values, tolerance));
    EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, tolerance));
    EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, tolerance));
  }
}

TEST_P(Blocks, TheFirstLayerGivesNoInputGradient) {
  const bool grouped = device().kind == DeviceKind::cpu;
  const std::vector<Case> cases{
      {{2, 8, 8, 1, 8}},
      {{3, 20, 17, 1, 24}, Activation::leaky},
      {{3, 20, 17, 1, 24}, Activation::leaky, 0, grouped ? 8 : 0},
      {{2, 9, 13, 1, 16, 3, 2, 1}, Activation::none, 0, grouped ? 8 : 0},
      {{1, 10, 7, 1, 32, 3, 3, 0}, Activation::relu, 0, grouped ? 16 : 0},
      {{1, 3, 3, 1, 8, 3, 1, 2}},
      {{1, 1, 1, 1, 8, 3, 1, 1}},
      {{2, 8, 8, 1, 7}},
      {{2, 8, 8, 3, 8}, Activation::leaky},
      {{2, 8, 8, 1, 8, 5, 1, 2}},
  };
  Random random(4);
  for (const auto& c : cases) {
    SCOPED_TRACE(describe(c));
    const ConvolutionShape& s = c.shape;
    auto values = random_values(random, s);
    const auto expected = expected_results(s, c.activation, values);
    values.output_gradient =
        regroup(values.output_gradient, s.output_height() * s.output_width(), s.filters, c.output_group, false);
    Stream stream(device());
    const auto block =
        make_convolution(device(), s, c.activation,
                         {.input_gradient = false, .precision = Precision::fp32, .output_group = c.output_group});
    const auto actual = run_block(stream, *block, values, false);
    EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, tolerance));
    EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, tolerance));
  }
}

TEST_P(Blocks, InferenceGivesTheSameOutput) {
  Random random(5);
  const ConvolutionShape shape{2, 8, 8, 8, 16};
  const auto values = random_values(random, shape);
  const auto expected = expected_results(shape, Activation::leaky, values);
  Stream stream(device());
  const auto block =
      make_convolution(device(), shape, Activation::leaky, {.training = false, .precision = Precision::fp32});
  const auto input = upload(stream, values.input), weights = upload(stream, values.weights),
             bias = upload(stream, values.bias);
  const Buffer<float> output(device(), expected.output.values.size());
  const Buffer<std::byte> workspace(device(), block->workspace_bytes());
  block->forward(stream, {input, weights, bias, output, workspace});
  EXPECT_TRUE(test::matches(download(stream, output), expected.output.values, tolerance));
}

TEST_P(Blocks, TwoBlocksAtOnceGiveTheSameBitsAsOne) {
  Random random(6);
  const ConvolutionShape shape{2, 16, 16, 8, 24};
  const auto values = random_values(random, shape);
  std::array<Results, 3> results;
  const auto work = [&](Results& result) {
    Stream stream(device());
    const auto block = make_convolution(device(), shape, Activation::relu, {});
    for (int repetition = 0; repetition < 3; ++repetition) result = run_block(stream, *block, values);
  };
  work(results[0]);
  { std::jthread first(work, std::ref(results[1])), second(work, std::ref(results[2])); }
  for (const int i : {1, 2}) {
    EXPECT_EQ(results[i].output, results[0].output);
    EXPECT_EQ(results[i].input_gradient, results[0].input_gradient);
    EXPECT_EQ(results[i].weight_gradient, results[0].weight_gradient);
    EXPECT_EQ(results[i].bias_gradient, results[0].bias_gradient);
  }
}

TEST(BlockShapes, ThatCannotBeAreRefused) {
  const Device cpu;
  const ConvolutionShape good{1, 4, 4, 8, 8};
  const auto with = [&](auto change) {
    ConvolutionShape shape = good;
    change(shape);
    return shape;
  };
  for (const auto& shape :
       {with([](auto& s) { s.batch = 0; }), with([](auto& s) { s.height = 0; }), with([](auto& s) { s.width = -1; }),
        with([](auto& s) { s.input_channels = 0; }), with([](auto& s) { s.filters = 0; }),
        with([](auto& s) { s.size = 0; }), with([](auto& s) { s.stride = 0; }), with([](auto& s) { s.padding = -1; }),
        with([](auto& s) { s.padding = 3; }), with([](auto& s) { s.size = 7; })})
    EXPECT_THROW(make_convolution(cpu, shape, Activation::relu, {}), InvalidInput);
  EXPECT_THROW(make_convolution(cpu, good, Activation::relu, {.input_group = 3}), InvalidInput);
  EXPECT_THROW(make_convolution(cpu, good, Activation::relu, {.output_group = 16}), InvalidInput);
  EXPECT_THROW(make_product(cpu, {0, 1, 1}, Activation::relu, {}), InvalidInput);
  EXPECT_THROW(make_product(cpu, {1, 1, 0}, Activation::relu, {}), InvalidInput);
}

}  // namespace
}  // namespace gridspot
