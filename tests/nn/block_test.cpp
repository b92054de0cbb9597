// Blocks against the double-precision reference, on every device.
#include "nn/block.h"

#include <array>
#include <thread>

#include "tests/io/temporary_folder.h"
#include "tests/reference/bfloat16_network.h"
#include "tests/reference/pool.h"
#include "tests/support/compare.h"
#include "tests/support/device_tensor.h"
#include "tests/support/device_test.h"
#include "tests/support/environment.h"
#include "tests/support/regroup.h"

namespace gridspot {
namespace {

using reference::Tensor;
using test::Random;

struct Expected {
  Tensor output;
  reference::ConvolutionGradients gradients;
};

/// Everything that a block computes: output, gradient of the input (if wanted), of the weights, of the bias.
struct Results {
  std::vector<float> output, input_gradient, weight_gradient, bias_gradient;
};

constexpr std::array precisions{Precision::fp32, Precision::tf32, Precision::bf16};

class Blocks : public test::DeviceTest {
 protected:
  /// Sums of up to some thousand products in fp32.
  static constexpr test::Tolerance tolerance = test::float32_tolerance * 30;
  /// The same by the algorithm that the CPU may take for tf32 and bf16.
  static constexpr test::Tolerance winograd_tolerance = test::float32_tolerance * 100;

  [[nodiscard]] bool on_cuda() const { return device().kind == DeviceKind::cuda; }
  /// Of what is stored in the activations' dtype. CUDA may round a sum before it adds the bias.
  [[nodiscard]] test::Tolerance activation_tolerance(Precision precision) const {
    if (precision == Precision::bf16) return test::bfloat16_tolerance * (on_cuda() ? 16 : 1);
    return parameter_tolerance(precision);
  }
  /// Of the gradients of parameters: sums in float32, which cuDNN may give in bfloat16, of factors that CUDA rounds
  /// under tf32.
  [[nodiscard]] test::Tolerance parameter_tolerance(Precision precision) const {
    if (precision == Precision::fp32) return tolerance;
    if (!on_cuda()) return winograd_tolerance;
    return precision == Precision::bf16 ? test::bfloat16_tolerance : test::tf32_tolerance * 10;
  }

  void expect_results(const Results& actual, const Expected& expected, Precision precision) const {
    EXPECT_TRUE(test::matches(actual.output, expected.output.values, activation_tolerance(precision)));
    EXPECT_TRUE(test::matches(actual.input_gradient, expected.gradients.input.values, activation_tolerance(precision)));
    EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, parameter_tolerance(precision)));
    EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, parameter_tolerance(precision)));
  }
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

struct Values {
  std::vector<float> input, weights, bias, output_gradient;
};

Results run_block(Stream& stream, Block& block, const Values& values, const BlockOptions& options = {}) {
  const Device device = stream.device();
  const DType dtype = options.dtype();
  const test::DeviceTensor input(stream, values.input, dtype), weights(stream, values.weights, dtype),
      output_gradient(stream, values.output_gradient, dtype),
      output(device, values.output_gradient.size(), options.output_dtype()),
      input_gradient(device, options.input_gradient ? values.input.size() : 0, dtype);
  const auto bias = upload(stream, values.bias);
  const Buffer<float> weight_gradient(device, values.weights.size()), bias_gradient(device, values.bias.size());
  const Buffer<std::byte> workspace(device, block.workspace_bytes());
  block.forward(stream, {input, weights, bias, output, workspace});
  block.backward(stream,
                 {input, output, weights, output_gradient, input_gradient, weight_gradient, bias_gradient, workspace});
  stream.synchronize();
  workspace.check_red_zone();
  (void)output_gradient.values(stream);  // and its red zone
  return {output.values(stream), input_gradient.values(stream), download(stream, weight_gradient),
          download(stream, bias_gradient)};
}

Values random_values(Random& random, const ConvolutionShape& s) {
  return {random.uniforms(std::size_t(s.batch) * s.height * s.width * s.input_channels),
          random.uniforms(std::size_t(s.filters) * s.size * s.size * s.input_channels), random.uniforms(s.filters),
          random.uniforms(std::size_t(s.batch) * s.output_height() * s.output_width() * s.filters)};
}

/// Of the values as the dtype holds them. In bfloat16 the masked gradient is rounded before the products take it. The
/// derivative of the activation is read off `found`, the block's own output, where that is given: an output near 0 may
/// lie on its other side.
Expected expected_results(const ConvolutionShape& s, Activation activation, const Values& values,
                          DType dtype = DType::float32, const std::vector<float>& found = {}) {
  const auto stored = [&](const std::vector<float>& its) { return test::to_double(test::rounded(its, dtype)); };
  Tensor input(s.batch, s.height, s.width, s.input_channels);
  input.values = stored(values.input);
  Tensor gradient(s.batch, s.output_height(), s.output_width(), s.filters);
  gradient.values = stored(values.output_gradient);
  const auto weights = stored(values.weights);
  const auto output = reference::convolution(s, activation, input, weights, test::to_double(values.bias));
  Tensor derivative = output;
  if (!found.empty()) derivative.values = test::to_double(found);
  if (dtype == DType::bfloat16) {
    gradient.values = reference::masked_bfloat16(activation, derivative.values, gradient.values);
    activation = Activation::none;
  }
  return {output, reference::convolution_backward(s, activation, input, derivative, weights, gradient)};
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
  for (const Precision precision : precisions)
    for (const auto& c : cases) {
      SCOPED_TRACE(describe(c) + to_string(activation_dtype(precision)));
      const auto values = random_values(random, c.shape);
      const BlockOptions options{.precision = precision};
      Stream stream(device());
      const auto block = make_convolution(device(), c.shape, c.activation, options);
      const auto actual = run_block(stream, *block, values, options);
      expect_results(actual, expected_results(c.shape, c.activation, values, options.dtype(), actual.output),
                     precision);
    }
}

// What the GPU computes is what the host computes. The gradients are those before the activation: an output near 0 may
// lie on its other side on the other device.
TEST_P(Blocks, AgreeWithTheHost) {
  Random random(14);
  for (int i = 0; i < 50; ++i) {
    const int size = 2 * random.integer(0, 2) + 1, stride = random.integer(1, 2);
    const bool packs = random.integer(0, 1) == 1;  // of eight channels, as tensor cores want them
    const auto channels = [&] { return packs ? 8 * random.integer(1, 5) : random.integer(1, 30); };
    const bool is_product = i % 5 == 4;
    const ConvolutionShape convolution{random.integer(1, 3),
                                       random.integer(5, 16),
                                       random.integer(5, 16),
                                       channels(),
                                       channels(),
                                       size,
                                       stride,
                                       size / 2};
    const ConvolutionShape product =
        reference::as_convolution({random.integer(1, 40), 8 * random.integer(1, 40), channels()});
    const ConvolutionShape& s = is_product ? product : convolution;
    const auto values = random_values(random, s);
    for (const Precision precision : precisions) {
      SCOPED_TRACE(describe({s}) + to_string(activation_dtype(precision)));
      const auto results = [&](Device on, Precision with) {
        const BlockOptions options{.masks_gradient = false, .precision = with};
        Stream stream(on);
        const auto block = is_product
                               ? make_product(on, {s.batch, s.input_channels, s.filters}, Activation::leaky, options)
                               : make_convolution(on, s, Activation::leaky, options);
        return run_block(stream, *block, values, options);
      };
      const auto host = results({}, precision == Precision::bf16 ? Precision::bf16 : Precision::fp32);
      const auto there = results(device(), precision);
      const auto agree = [&](const std::vector<float>& a, const std::vector<float>& b, test::Tolerance tolerated) {
        EXPECT_TRUE(test::matches(a, test::to_double(b), tolerated * 2));
      };
      agree(there.output, host.output, activation_tolerance(precision));
      agree(there.input_gradient, host.input_gradient, activation_tolerance(precision));
      agree(there.weight_gradient, host.weight_gradient, parameter_tolerance(precision));
      agree(there.bias_gradient, host.bias_gradient, parameter_tolerance(precision));
    }
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
  for (const Precision precision : precisions)
    for (const auto& c : cases) {
      const BlockOptions options{.precision = precision, .input_group = c.input_group, .output_group = c.output_group};
      SCOPED_TRACE(describe(c) + to_string(options.dtype()));
      const ConvolutionShape& s = c.shape;
      auto values = random_values(random, s);
      const auto expected = expected_results(s, c.activation, values, options.dtype());
      const int pixels = s.height * s.width, output_pixels = s.output_height() * s.output_width();
      values.input = test::regroup(values.input, pixels, s.input_channels, c.input_group, false);
      values.output_gradient = test::regroup(values.output_gradient, output_pixels, s.filters, c.output_group, false);
      Stream stream(device);
      const auto block = make_convolution(device, s, c.activation, options);
      const auto actual = run_block(stream, *block, values, options);
      const auto sums = test::float32_tolerance * (precision == Precision::fp32 ? 10 : 100);  // Winograd's algorithm
      const auto activations = precision == Precision::bf16 ? test::bfloat16_tolerance : sums;
      EXPECT_TRUE(test::matches(test::regroup(actual.output, output_pixels, s.filters, c.output_group, true),
                                expected.output.values, activations));
      EXPECT_TRUE(test::matches(test::regroup(actual.input_gradient, pixels, s.input_channels, c.input_group, true),
                                expected.gradients.input.values, activations));
      EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, sums));
      EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, sums));
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
    const auto as_convolution = reference::as_convolution(shape);
    for (const Precision precision : precisions) {
      SCOPED_TRACE(std::to_string(shape.inputs) + " inputs, " + std::to_string(shape.outputs) + " outputs, " +
                   to_string(activation_dtype(precision)));
      const auto values = random_values(random, as_convolution);
      const BlockOptions options{.precision = precision};
      Stream stream(device());
      const auto block = make_product(device(), shape, activation, options);
      const auto actual = run_block(stream, *block, values, options);
      expect_results(actual, expected_results(as_convolution, activation, values, options.dtype(), actual.output),
                     precision);
    }
  }
}

// What a network predicts: float32 of bfloat16 factors. 1x1 convolutions are products on CUDA.
TEST_P(Blocks, MayGiveFloatsOfBfloat16Factors) {
  Random random(7);
  const BlockOptions options{.precision = Precision::bf16, .float_output = true};
  for (const ConvolutionShape& shape :
       {ConvolutionShape{3, 7, 7, 64, 15, 1, 1, 0}, {2, 6, 6, 16, 15}, {2, 8, 8, 8, 16}, {1, 5, 5, 3, 7, 1, 1, 0}}) {
    SCOPED_TRACE(describe({shape}));
    const auto values = random_values(random, shape);
    const auto expected = expected_results(shape, Activation::none, values, DType::bfloat16);
    Stream stream(device());
    const auto block = make_convolution(device(), shape, Activation::none, options);
    const auto actual = run_block(stream, *block, values, options);
    expect_results(actual, expected, Precision::bf16);
    if (!on_cuda() || shape.size == 1) {
      EXPECT_TRUE(test::matches(actual.output, expected.output.values, tolerance));
    }
  }
  const ProductShape product{4, 100, 15};
  const auto values = random_values(random, reference::as_convolution(product));
  const auto expected = expected_results(reference::as_convolution(product), Activation::none, values, DType::bfloat16);
  Stream stream(device());
  const auto actual = run_block(stream, *make_product(device(), product, Activation::none, options), values, options);
  expect_results(actual, expected, Precision::bf16);
  EXPECT_TRUE(test::matches(actual.output, expected.output.values, tolerance));
}

// The derivative of the activation is someone else's.
TEST_P(Blocks, MayLeaveTheGradientUnmasked) {
  Random random(8);
  const ConvolutionShape shape{2, 7, 7, 8, 16}, pixel{5, 1, 1, 12, 9, 1, 1, 0};
  for (const Precision precision : precisions)
    for (const ConvolutionShape& s : {shape, pixel}) {
      SCOPED_TRACE(describe({s}) + to_string(activation_dtype(precision)));
      const auto values = random_values(random, s);
      const BlockOptions options{.masks_gradient = false, .precision = precision};
      auto expected = expected_results(s, Activation::none, values, options.dtype());
      expected.output = expected_results(s, Activation::relu, values, options.dtype()).output;
      Stream stream(device());
      const auto block = s.height == 1
                             ? make_product(device(), {s.batch, s.input_channels, s.filters}, Activation::relu, options)
                             : make_convolution(device(), s, Activation::relu, options);
      expect_results(run_block(stream, *block, values, options), expected, precision);
    }
}

// Where the block says so, its input gradient is that before the activation which gave the input.
TEST_P(Blocks, MayTakeTheDerivativeOfTheActivationBefore) {
  Random random(9);
  const ConvolutionShape shape{2, 9, 7, 16, 32};
  for (const Precision precision : precisions)
    for (const Activation before : {Activation::relu, Activation::leaky}) {
      const auto values = random_values(random, shape);  // inputs of both signs
      const BlockOptions options{.input_activation = before, .precision = precision};
      Stream stream(device());
      const auto block = make_convolution(device(), shape, Activation::relu, options);
      const auto actual = run_block(stream, *block, values, options);
      auto expected = expected_results(shape, Activation::relu, values, options.dtype(), actual.output);
      if (block->masks_input_gradient())
        for (std::size_t i = 0; i < values.input.size(); ++i)
          if (values.input[i] <= 0) expected.gradients.input.values[i] *= negative_slope(before);
      SCOPED_TRACE(std::string(to_string(activation_dtype(precision))) +
                   (block->masks_input_gradient() ? ", masked" : ""));
      expect_results(actual, expected, precision);
    }
}

TEST_P(Blocks, GiveTheSameWithMeasuredEngines) {
  const test::TemporaryFolder folder;
  const test::Environment user("XDG_CACHE_HOME", folder.path().c_str());
  Random random(10);
  const ConvolutionShape shape{4, 14, 14, 16, 24}, pixel{5, 1, 1, 64, 40, 1, 1, 0};
  for (const Precision precision : precisions)
    for (const bool deterministic : {true, false})
      for (const ConvolutionShape& s : {shape, pixel}) {
        SCOPED_TRACE(describe({s}) + to_string(activation_dtype(precision)));
        const auto values = random_values(random, s);
        const BlockOptions options{.engines = {.deterministic = deterministic, .autotune = true},
                                   .precision = precision};
        Stream stream(device());
        for (int time = 0; time < 2; ++time) {  // measured, then read
          const auto block =
              s.height == 1 ? make_product(device(), {s.batch, s.input_channels, s.filters}, Activation::relu, options)
                            : make_convolution(device(), s, Activation::relu, options);
          const auto actual = run_block(stream, *block, values, options);
          expect_results(actual, expected_results(s, Activation::relu, values, options.dtype(), actual.output),
                         precision);
        }
      }
  EXPECT_EQ(std::filesystem::exists(folder / "gridspot/engines.json"), on_cuda());
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
  for (const Precision precision : precisions)
    for (const auto& c : cases) {
      SCOPED_TRACE(describe(c) + to_string(activation_dtype(precision)));
      const ConvolutionShape& s = c.shape;
      const auto values = random_values(random, s);
      const BlockOptions options{.input_gradient = false, .precision = precision, .output_group = c.output_group};
      const int pixels = s.output_height() * s.output_width();
      auto regrouped = values;
      regrouped.output_gradient = test::regroup(values.output_gradient, pixels, s.filters, c.output_group, false);
      Stream stream(device());
      const auto block = make_convolution(device(), s, c.activation, options);
      const auto actual = run_block(stream, *block, regrouped, options);
      const auto expected = expected_results(s, c.activation, values, options.dtype(),
                                             test::regroup(actual.output, pixels, s.filters, c.output_group, true));
      EXPECT_TRUE(test::matches(actual.weight_gradient, expected.gradients.weights, parameter_tolerance(precision)));
      EXPECT_TRUE(test::matches(actual.bias_gradient, expected.gradients.bias, parameter_tolerance(precision)));
    }
}

// Channels-last in and out. A choice may differ from the reference's where values are almost equal.
TEST_P(Blocks, MayTakeInThePoolBehindThem) {
  const std::vector<Case> cases{
      {{2, 9, 12, 1, 16}},
      {{3, 20, 17, 1, 24, 3, 2, 1}, Activation::leaky},
      {{1, 28, 31, 1, 8}, Activation::none},
      {{2, 9, 12, 8, 16}},
      {{3, 8, 8, 32, 24}, Activation::leaky},
      {{1, 7, 13, 16, 8}},
      {{2, 6, 10, 8, 8, 3, 1, 0}},
  };
  const int group = on_cuda() ? 0 : 8;
  Random random(12);
  int taken = 0;
  for (const Precision precision : {Precision::fp32, Precision::tf32})
    for (const auto& c : cases)
      for (const bool masks : {true, false}) {
        const ConvolutionShape& s = c.shape;
        const int input_group = s.input_channels == 1 ? 0 : group;
        BlockOptions options{.input_gradient = s.input_channels > 1,
                             .masks_gradient = masks,
                             .precision = precision,
                             .pools = true,
                             .input_group = input_group,
                             .output_group = group};
        if (!takes_pool(device(), s, options)) continue;
        ++taken;
        SCOPED_TRACE(describe(c) + (masks ? ", masked" : ""));
        auto values = random_values(random, s);
        const PoolShape pool{s.batch, s.output_height(), s.output_width(), s.filters, 2, 2};
        Tensor input(s.batch, s.height, s.width, s.input_channels);
        input.values = test::to_double(values.input);
        const auto weights = test::to_double(values.weights);
        const auto convolved = reference::convolution(s, c.activation, input, weights, test::to_double(values.bias));
        const auto pooled = reference::max_pool(pool, convolved).output;
        values.output_gradient = random.uniforms(pooled.values.size());

        Stream stream(device());
        const auto block = make_convolution(device(), s, c.activation, options);
        const int pixels = s.height * s.width, pooled_pixels = pool.output_height() * pool.output_width();
        const auto images = upload(stream, test::regroup(values.input, pixels, s.input_channels, input_group, false));
        const auto its_weights = upload(stream, values.weights), bias = upload(stream, values.bias);
        const auto gradient =
            upload(stream, test::regroup(values.output_gradient, pooled_pixels, s.filters, group, false));
        const Buffer<float> output(device(), pooled.values.size()),
            input_gradient(device(), options.input_gradient ? values.input.size() : 0),
            weight_gradient(device(), weights.size()), bias_gradient(device(), values.bias.size());
        const Buffer<std::uint8_t> choice(device(), pooled.values.size());
        const Buffer<std::byte> workspace(device(), block->workspace_bytes());
        block->forward(stream, {images, its_weights, bias, output, workspace, choice});
        const auto outputs = download(stream, output);
        block->backward(stream, {images, output, its_weights, gradient, input_gradient, weight_gradient, bias_gradient,
                                 workspace, choice});
        workspace.check_red_zone();
        choice.check_red_zone();
        const auto actual = test::regroup(outputs, pooled_pixels, s.filters, group, true);
        const auto chosen = test::regroup(download(stream, choice), pooled_pixels, s.filters, group, true);
        EXPECT_TRUE(test::matches(actual, pooled.values, parameter_tolerance(precision)));

        std::vector<float> maxima;
        Tensor back = pooled;
        reference::for_each_element(pooled, [&](int image, int y, int x, int channel) {
          const std::size_t i = pooled.index(image, y, x, channel);
          maxima.push_back(
              static_cast<float>(convolved.at(image, 2 * y + chosen[i] / 2, 2 * x + chosen[i] % 2, channel)));
          const double slope = masks && !(actual[i] > 0) ? negative_slope(c.activation) : 1;
          back.values[i] = slope * values.output_gradient[i];
        });
        EXPECT_TRUE(test::matches(maxima, pooled.values, parameter_tolerance(precision)));
        const auto expected = reference::convolution_backward(s, Activation::none, input, convolved, weights,
                                                              reference::max_pool_backward(pool, chosen, back));
        EXPECT_TRUE(test::matches(download(stream, weight_gradient), expected.weights, parameter_tolerance(precision)));
        EXPECT_TRUE(test::matches(download(stream, bias_gradient), expected.bias, parameter_tolerance(precision)));
        if (options.input_gradient) {
          EXPECT_TRUE(
              test::matches(test::regroup(download(stream, input_gradient), pixels, s.input_channels, group, true),
                            expected.input.values, parameter_tolerance(precision)));
        }

        options.training = options.input_gradient = false;
        for (const int threads : {1, 3}) {
          options.threads = threads;
          const auto inference = make_convolution(device(), s, c.activation, options);
          const Buffer<float> again(device(), output.size());
          const Buffer<std::uint8_t> its_choice(device(), choice.size());
          const Buffer<std::byte> its_workspace(device(), inference->workspace_bytes()),
              prepared(device(), inference->prepared_bytes());
          inference->prepare(stream, its_weights, prepared);
          inference->forward(stream, {images, its_weights, bias, again, its_workspace, its_choice, prepared});
          its_workspace.check_red_zone();
          EXPECT_EQ(download(stream, again), outputs);
          EXPECT_EQ(download(stream, its_choice), download(stream, choice));
        }
      }
  EXPECT_GE(taken, 6);
}

TEST_P(Blocks, InferenceGivesTheSameOutput) {
  Random random(5);
  const ConvolutionShape shape{2, 8, 8, 8, 16};
  const auto values = random_values(random, shape);
  for (const Precision precision : precisions) {
    const DType dtype = activation_dtype(precision);
    SCOPED_TRACE(to_string(dtype));
    const auto expected = expected_results(shape, Activation::leaky, values, dtype);
    Stream stream(device());
    const auto block =
        make_convolution(device(), shape, Activation::leaky, {.training = false, .precision = precision});
    const test::DeviceTensor input(stream, values.input, dtype), weights(stream, values.weights, dtype),
        output(device(), expected.output.values.size(), dtype);
    const auto bias = upload(stream, values.bias);
    const Buffer<std::byte> workspace(device(), block->workspace_bytes()), prepared(device(), block->prepared_bytes());
    block->prepare(stream, weights, prepared);
    block->forward(stream, {input, weights, bias, output, workspace, {}, prepared});
    EXPECT_TRUE(test::matches(output.values(stream), expected.output.values, activation_tolerance(precision)));
    prepared.check_red_zone();
    if (prepared.size() == 0) continue;
    EXPECT_THROW(block->forward(stream, {input, weights, bias, output, workspace}), InvalidInput);
  }
}

TEST_P(Blocks, TwoBlocksAtOnceGiveTheSameBitsAsOne) {
  Random random(6);
  const ConvolutionShape shape{2, 16, 16, 8, 24};
  const auto values = random_values(random, shape);
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    const BlockOptions options{.precision = precision};
    std::array<Results, 3> results;
    const auto work = [&](Results& result) {
      Stream stream(device());
      const auto block = make_convolution(device(), shape, Activation::relu, options);
      for (int repetition = 0; repetition < 3; ++repetition) result = run_block(stream, *block, values, options);
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
}

TEST_P(Blocks, RefuseTensorsOfAnotherDtype) {
  const ConvolutionShape shape{1, 4, 4, 8, 8};
  const std::vector<float> activations(128), weights(576), bias(8);
  Stream stream(device());
  for (const Precision precision : precisions) {
    const BlockOptions options{.precision = precision};
    const DType right = options.dtype(), wrong = right == DType::float32 ? DType::bfloat16 : DType::float32;
    const auto block = make_convolution(device(), shape, Activation::relu, options);
    const Buffer<std::byte> workspace(device(), block->workspace_bytes());
    const auto its_bias = upload(stream, bias);
    const Buffer<float> weight_gradient(device(), weights.size()), bias_gradient(device(), bias.size());
    const auto forward = [&](DType input, DType weight, DType output) {
      block->forward(stream,
                     {test::DeviceTensor(stream, activations, input), test::DeviceTensor(stream, weights, weight),
                      its_bias, test::DeviceTensor(stream, activations, output), workspace});
      stream.synchronize();
    };
    const auto backward = [&](DType input, DType weight, DType output_gradient, DType input_gradient) {
      block->backward(
          stream,
          {test::DeviceTensor(stream, activations, input), test::DeviceTensor(stream, activations, right),
           test::DeviceTensor(stream, weights, weight), test::DeviceTensor(stream, activations, output_gradient),
           test::DeviceTensor(stream, activations, input_gradient), weight_gradient, bias_gradient, workspace});
      stream.synchronize();
    };
    EXPECT_NO_THROW(forward(right, right, right));
    EXPECT_THROW(forward(wrong, right, right), InvalidInput);
    EXPECT_THROW(forward(right, wrong, right), InvalidInput);
    EXPECT_THROW(forward(right, right, wrong), InvalidInput);
    EXPECT_NO_THROW(backward(right, right, right, right));
    EXPECT_THROW(backward(wrong, right, right, right), InvalidInput);
    EXPECT_THROW(backward(right, wrong, right, right), InvalidInput);
    EXPECT_THROW(backward(right, right, wrong, right), InvalidInput);
    EXPECT_THROW(backward(right, right, right, wrong), InvalidInput);
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
  EXPECT_THROW(make_convolution(cpu, good, Activation::relu, {.float_output = true}), InvalidInput);
  EXPECT_THROW(make_product(cpu, {1, 1, 1}, Activation::leaky, {.float_output = true}), InvalidInput);
}

}  // namespace
}  // namespace gridspot
