#include "kernels/stem.h"

#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/reference/convolution.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot {

static void PrintTo(const StemShape& s, std::ostream* out) {
  *out << s.n << " images of " << s.height << " x " << s.width << ", " << s.filters << " filters, stride " << s.stride
       << (s.pools ? ", pooled" : "");
}

namespace {

using reference::Tensor;
using test::Random;

struct Values {
  std::vector<float> input, weights, bias;
};

struct Pooled {
  std::vector<float> output;
  std::vector<std::uint8_t> choice;
};

struct Gradients {
  std::vector<float> weights, bias;
};

ConvolutionShape convolution_of(const StemShape& s) { return {s.n, s.height, s.width, 1, s.filters, 3, s.stride, 1}; }

PoolShape pool_of(const StemShape& s) {
  const auto convolution = convolution_of(s);
  return {s.n, convolution.output_height(), convolution.output_width(), s.filters, 2, 2};
}

Tensor tensor_of(int n, int height, int width, int channels, const std::vector<double>& values) {
  Tensor tensor(n, height, width, channels);
  tensor.values = values;
  return tensor;
}

StemShape pooled(StemShape shape) {
  shape.pools = true;
  return shape;
}

class Stem : public test::DeviceTest {
 protected:
  /// Sums of up to some thousand products in fp32.
  static constexpr test::Tolerance sums_tolerance = test::float32_tolerance * 30;

  /// Output and, if pooled, choice.
  template <class T>
  Pooled forward(const StemShape& shape, Activation activation, const Values& values) {
    const std::size_t outputs = shape.output_size();
    const float slope = negative_slope(activation);
    const auto both = run([&](Stream& stream) {
      const auto input = upload(stream, test::to_dtype<T>(values.input));
      const auto weights = upload(stream, test::to_dtype<T>(values.weights));
      const auto bias = upload(stream, values.bias);
      const Buffer<T> output(device(), outputs);
      const Buffer<std::uint8_t> choice(device(), shape.pools ? outputs : 0);
      fill_bytes(stream, output.data(), 0x7f, outputs * sizeof(T));  // every element has to be written
      fill_bytes(stream, choice.data(), 0x7f, choice.size());
      if (shape.pools)
        stem_pool_forward<T>(stream, shape, input, weights, bias, slope, output, choice);
      else
        stem_forward<T>(stream, shape, input, weights, bias, slope, output);
      auto result = test::to_floats(download(stream, output));
      const auto chosen = download(stream, choice);
      result.insert(result.end(), chosen.begin(), chosen.end());
      return result;
    });
    return {{both.begin(), both.begin() + std::ptrdiff_t(outputs)},
            {both.begin() + std::ptrdiff_t(outputs), both.end()}};
  }

  template <class T>
  Gradients backward(const StemShape& shape, float slope, const std::vector<float>& images,
                     const std::vector<float>& outputs, const std::vector<std::uint8_t>& choices,
                     const std::vector<float>& output_gradients) {
    const auto both = run([&](Stream& stream) {
      const auto input = upload(stream, test::to_dtype<T>(images)), output = upload(stream, test::to_dtype<T>(outputs));
      const auto choice = upload(stream, choices);
      const auto stored = test::to_dtype<T>(output_gradients);
      const auto gradient = upload(stream, stored);
      const Buffer<float> weights(device(), std::size_t(shape.filters) * 9), bias(device(), shape.filters),
          partials(device(), stem_partials(shape));
      fill_bytes(stream, weights.data(), 0x7f, weights.size() * sizeof(float));
      fill_bytes(stream, bias.data(), 0x7f, bias.size() * sizeof(float));
      stem_backward<T>(stream, shape, input, output, choice, slope, gradient, weights, bias, partials);
      stream.synchronize();
      partials.check_red_zone();
      const auto afterwards = download(stream, gradient);
      EXPECT_EQ(test::difference_between("the output's gradient before and after", std::as_bytes(std::span(stored)),
                                         std::as_bytes(std::span(afterwards))),
                "");
      auto result = download(stream, weights);
      const auto biases = download(stream, bias);
      result.insert(result.end(), biases.begin(), biases.end());
      return result;
    });
    const std::ptrdiff_t weights = shape.filters * 9;
    return {{both.begin(), both.begin() + weights}, {both.begin() + weights, both.end()}};
  }

  static Values random_values(Random& random, const StemShape& s) {
    return {random.uniforms(s.input_size()), random.uniforms(std::size_t(s.filters) * 9), random.uniforms(s.filters)};
  }

  /// The convolution with its activation, before any pool.
  template <class T>
  static Tensor convolved(const StemShape& s, Activation activation, const Values& values) {
    return reference::convolution(convolution_of(s), activation,
                                  tensor_of(s.n, s.height, s.width, 1, test::as_stored<T>(values.input)),
                                  test::as_stored<T>(values.weights), test::to_double(values.bias));
  }

  template <class T>
  void check_forward(const StemShape& shape, Activation activation, Random& random) {
    const auto values = random_values(random, shape);
    const Tensor convolution = convolved<T>(shape, activation, values);
    const auto expected = shape.pools ? reference::max_pool(pool_of(shape), convolution).output : convolution;
    EXPECT_TRUE(test::matches(forward<T>(shape, activation, values).output, expected.values, test::tolerance_of<T>()))
        << testing::PrintToString(shape) << ", slope " << negative_slope(activation);
  }

  template <class T>
  void check_backward(const StemShape& shape, Activation activation, Random& random) {
    const std::size_t count = shape.output_size();
    const auto images = random.uniforms(shape.input_size()), gradient = random.uniforms(count);
    auto output = random.uniforms(activation == Activation::none ? 0 : count);
    for (float& value : output)
      if (random.integer(0, 3) == 0) value = 0;  // where ReLU's input was not positive
    std::vector<std::uint8_t> choice(shape.pools ? count : 0);
    for (auto& each : choice) each = static_cast<std::uint8_t>(random.integer(0, 3));
    const auto actual = backward<T>(shape, negative_slope(activation), images, output, choice, gradient);

    auto masked = test::to_floats(test::to_dtype<T>(gradient));
    for (std::size_t i = 0; i < output.size(); ++i)
      if (!(output[i] > 0)) masked[i] *= negative_slope(activation);
    const auto convolution = convolution_of(shape);
    Tensor at_convolution =
        tensor_of(shape.n, shape.output_height(), shape.output_width(), shape.filters, test::as_stored<T>(masked));
    if (shape.pools) at_convolution = reference::max_pool_backward(pool_of(shape), choice, at_convolution);
    const auto expected = reference::convolution_backward(
        convolution, Activation::none, tensor_of(shape.n, shape.height, shape.width, 1, test::as_stored<T>(images)),
        at_convolution, std::vector<double>(actual.weights.size()), at_convolution);
    EXPECT_TRUE(test::matches(actual.weights, expected.weights, sums_tolerance))
        << testing::PrintToString(shape) << ", slope " << negative_slope(activation);
    EXPECT_TRUE(test::matches(actual.bias, expected.bias, sums_tolerance))
        << testing::PrintToString(shape) << ", slope " << negative_slope(activation);
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Stem);

constexpr Activation activations[]{Activation::none, Activation::relu, Activation::leaky};

// No image; sides of one pixel, odd and even ones, such that a pool leaves a row or a column out; filters that leave
// threads idle; strips of one row and of several, the last of them shorter; a width at which lanes take several strips.
const std::vector<StemShape> shapes{{0, 4, 4, 8, 1},   {1, 2, 2, 8, 1},   {1, 3, 3, 8, 2},     {2, 3, 5, 16, 1},
                                    {1, 5, 4, 16, 2},  {1, 6, 7, 24, 1},  {2, 9, 13, 32, 2},   {1, 17, 33, 64, 1},
                                    {1, 33, 4, 40, 2}, {3, 28, 28, 8, 1}, {1, 40, 11, 128, 1}, {2, 64, 64, 16, 1}};
const StemShape wide{1, 2, 6402, 128, 1}, tall{1, 90, 200, 128, 1};

TEST_P(Stem, ConvolvesAddsTheBiasAndActivates) {
  Random random(31);
  std::vector<StemShape> cases = shapes;
  cases.insert(cases.end(), {{1, 1, 1, 8, 1}, {2, 1, 1, 16, 2}, {1, 1, 9, 8, 1}, {3, 7, 1, 8, 2}, wide});
  for (const StemShape& shape : cases)
    for (const Activation activation : activations) {
      check_forward<float>(shape, activation, random);
      check_forward<bfloat16>(shape, activation, random);
    }
}

TEST_P(Stem, PoolsWhatItConvolves) {
  Random random(32);
  for (const StemShape& shape : shapes)
    for (const Activation activation : activations) {
      check_forward<float>(pooled(shape), activation, random);
      check_forward<bfloat16>(pooled(shape), activation, random);
    }
}

// Small integers: every sum is exact, and most windows have ties.
TEST_P(Stem, ChoosesTheFirstLargestOfItsWindowAndTheFirstNan) {
  Random random(33);
  for (const StemShape& shape : shapes)
    for (const Activation activation : activations) {
      const auto integers = [&](std::size_t count) {
        std::vector<float> values(count);
        for (float& value : values) value = static_cast<float>(random.integer(-1, 1));
        return values;
      };
      const StemShape s = pooled(shape);
      Values values{integers(s.input_size()), integers(std::size_t(s.filters) * 9), integers(s.filters)};
      for (float& value : values.input)
        if (random.integer(0, 60) == 0) value = std::numeric_limits<float>::quiet_NaN();
      const auto expected = reference::max_pool(pool_of(s), convolved<float>(s, activation, values));
      const auto actual = forward<float>(s, activation, values), rounded = forward<bfloat16>(s, activation, values);
      EXPECT_TRUE(test::matches(actual.output, expected.output.values, test::float32_tolerance))
          << testing::PrintToString(s);
      EXPECT_EQ(actual.choice, expected.choice) << testing::PrintToString(s) << negative_slope(activation);
      EXPECT_EQ(rounded.choice, expected.choice) << testing::PrintToString(s) << negative_slope(activation);
    }
}

TEST_P(Stem, GradientsOfWeightsAndBias) {
  Random random(34);
  std::vector<StemShape> cases = shapes;
  cases.insert(cases.end(), {{1, 1, 1, 8, 1}, {2, 1, 1, 16, 2}, {1, 1, 9, 8, 1}, {3, 7, 1, 8, 2}});
  for (const StemShape& shape : cases)
    for (const Activation activation : activations) {
      check_backward<float>(shape, activation, random);
      check_backward<bfloat16>(shape, activation, random);
    }
  for (const StemShape& shape : {wide, tall}) {
    check_backward<float>(shape, Activation::relu, random);
    check_backward<bfloat16>(shape, Activation::none, random);
  }
}

TEST_P(Stem, GradientsThroughThePool) {
  Random random(35);
  for (const StemShape& shape : shapes)
    for (const Activation activation : activations) {
      check_backward<float>(pooled(shape), activation, random);
      check_backward<bfloat16>(pooled(shape), activation, random);
    }
  check_backward<float>(pooled(wide), Activation::leaky, random);
  check_backward<bfloat16>(pooled(tall), Activation::relu, random);
}

// Central differences of the forward pass, for all filters at once: none reads another's weights. The values keep every
// output away from the activation's kink and every maximum ahead of its rivals, so that each output is linear.
TEST_P(Stem, GradientsAreThoseOfTheForwardPass) {
  Random random(36);
  for (const StemShape& shape : {StemShape{2, 10, 12, 16, 1}, {2, 10, 12, 16, 1, true}, {1, 13, 16, 8, 2}}) {
    Values values = random_values(random, shape);
    for (int i = 0; i < shape.n * shape.height; ++i)
      for (int x = 0; x < shape.width; ++x)
        values.input[std::size_t(i) * shape.width + x] = static_cast<float>((i * 2 + x + i / 2) % 4);
    for (int filter = 0; filter < shape.filters; ++filter) {
      for (int tap = 0; tap < 9; ++tap) values.weights[filter * 9 + tap] *= 0.05f;
      values.weights[filter * 9 + 4] = filter % 2 == 0 ? 4 : -4;
      values.bias[filter] = filter % 4 < 2 ? 30 : -30;
    }
    const auto forward_pass = forward<float>(shape, Activation::leaky, values);
    const auto gradient = random.uniforms(shape.output_size());
    const auto actual =
        backward<float>(shape, leaky_slope, values.input, forward_pass.output, forward_pass.choice, gradient);

    constexpr float step = 0.125f;
    const auto losses = [&](int tap, float change) {
      Values changed = values;
      for (int filter = 0; filter < shape.filters; ++filter)
        (tap < 9 ? changed.weights[filter * 9 + tap] : changed.bias[filter]) += change;
      const auto output = forward<float>(shape, Activation::leaky, changed).output;
      std::vector<double> sums(shape.filters);
      for (std::size_t i = 0; i < output.size(); ++i) sums[i % shape.filters] += double(output[i]) * gradient[i];
      return sums;
    };
    for (int tap = 0; tap <= 9; ++tap) {
      const auto above = losses(tap, step), below = losses(tap, -step);
      std::vector<double> expected(shape.filters);
      std::vector<float> found(shape.filters);
      for (int filter = 0; filter < shape.filters; ++filter) {
        expected[filter] = (above[filter] - below[filter]) / (2 * step);
        found[filter] = tap < 9 ? actual.weights[filter * 9 + tap] : actual.bias[filter];
      }
      EXPECT_TRUE(test::matches(found, expected, {1e-3, 1e-3})) << testing::PrintToString(shape) << ", tap " << tap;
    }
  }
}

TEST_P(Stem, NanReachesTheGradientsOfItsFilterAlone) {
  const StemShape shape{1, 5, 5, 16, 1};
  std::vector<float> gradient(shape.output_size(), 1.0f);
  gradient[12 * 16 + 3] = std::numeric_limits<float>::quiet_NaN();
  const auto actual = backward<float>(shape, 1, std::vector<float>(25, 1.0f), {}, {}, gradient);
  for (int filter = 0; filter < 16; ++filter) {
    EXPECT_EQ(std::isnan(actual.bias[filter]), filter == 3);
    for (int tap = 0; tap < 9; ++tap) EXPECT_EQ(std::isnan(actual.weights[filter * 9 + tap]), filter == 3);
  }
}

struct Arguments {
  StemShape shape{1, 4, 5, 8, 1};
  float slope = 0;
  std::size_t input = 20, weights = 72, bias = 8, output = 160, choice = 0, gradient = 160, partials = 80;
  std::size_t shift = 0;  ///< of the output, in elements
};

using Refusals = std::vector<test::Refusal<Arguments>>;

/// What all three calls refuse.
Refusals common_refusals(const std::string& who) {
  return {
      {[](auto& a) { a.shape.n = -1; }, who + ": the batch is -1, expected at least 0"},
      {[](auto& a) { a.shape.stride = 3; }, who + ": the stride is 3, expected 1 or 2"},
      {[](auto& a) { a.shape.stride = 0; }, who + ": the stride is 0, expected 1 or 2"},
      {[](auto& a) { a.shape.filters = 0; }, who + ": 0 filters, expected a multiple of 8 up to 128"},
      {[](auto& a) { a.shape.filters = 12; }, who + ": 12 filters, expected a multiple of 8 up to 128"},
      {[](auto& a) { a.shape.filters = 136; }, who + ": 136 filters, expected a multiple of 8 up to 128"},
      {[](auto& a) { a.shape.height = 0; }, who + ": an image of 0 x 5 gives no output"},
      {[](auto& a) { a.shape.width = -2; }, who + ": an image of 4 x -2 gives no output"},
      {[](auto& a) { a.shape.n = a.shape.height = a.shape.width = 1 << 14; },
       who + ": 16384 images of 16384 x 16384 for 8 filters are more than a launch can count"},
      {[](auto& a) { a.slope = -0.5f; }, who + ": the slope is -0.5, expected 0 to 1"},
      {[](auto& a) { a.slope = 2; }, who + ": the slope is 2, expected 0 to 1"},
      {[](auto& a) { a.slope = std::numeric_limits<float>::quiet_NaN(); }, who + ": the slope is nan, expected 0 to 1"},
      {[](auto& a) { a.input = 19; }, who + ": input must have 20 elements, it has 19"},
      {[](auto& a) { a.weights = 71; },
       who + ": weight" + (who == "stem_backward" ? "_gradient" : "s") + " must have 72 elements, it has 71"},
      {[](auto& a) { a.bias = 9; },
       who + ": bias" + (who == "stem_backward" ? "_gradient" : "") + " must have 8 elements, it has 9"},
      {[](auto& a) { a.shift = 1; }, who + ": output must be aligned to 16 bytes"}};
}

TEST_P(Stem, RefusesWhatBreaksTheContract) {
  Stream stream(device());
  const auto floats = [&](std::size_t count) { return Buffer<float>(device(), count); };
  const auto shifted = [](const Buffer<float>& buffer, const Arguments& a) {
    return buffer.span().subspan(a.shift, a.output);
  };
  const auto forward_call = [&](const Arguments& a) {
    const auto input = floats(a.input), weights = floats(a.weights), bias = floats(a.bias),
               output = floats(a.output + 1);
    stem_forward<float>(stream, a.shape, input, weights, bias, a.slope, shifted(output, a));
    stream.synchronize();
  };
  auto rows = common_refusals("stem_forward");
  rows.push_back({[](auto& a) { a.output = 159; }, "stem_forward: output must have 160 elements, it has 159"});
  rows.push_back({[](auto& a) { a.shape.pools = true; }, "stem_forward: the shape pools, as stem_pool_forward does"});
  test::expect_refusals(Arguments{}, forward_call, rows);

  const auto pool_call = [&](const Arguments& a) {
    const auto input = floats(a.input), weights = floats(a.weights), bias = floats(a.bias),
               output = floats(a.output + 1);
    const Buffer<std::uint8_t> choice(device(), a.choice);
    stem_pool_forward<float>(stream, a.shape, input, weights, bias, a.slope, shifted(output, a), choice);
    stream.synchronize();
  };
  rows = common_refusals("stem_pool_forward");
  rows.push_back({[](auto& a) { a.shape.height = 1; }, "stem_pool_forward: an image of 1 x 5 gives no output"});
  rows.push_back({[](auto& a) { a.output = 33; }, "stem_pool_forward: output must have 32 elements, it has 33"});
  rows.push_back({[](auto& a) { a.choice = 0; }, "stem_pool_forward: choice must have 32 elements, it has 0"});
  rows.push_back(
      {[](auto& a) { a.shape.pools = false; }, "stem_pool_forward: the shape does not pool, as stem_forward does not"});
  test::expect_refusals(Arguments{.shape = {1, 4, 5, 8, 1, true}, .output = 32, .choice = 32}, pool_call, rows);

  const auto backward_call = [&](const Arguments& a) {
    const auto input = floats(a.input), output = floats(a.output + 1), gradient = floats(a.gradient),
               weights = floats(a.weights), bias = floats(a.bias), partials = floats(a.partials);
    fill_bytes(stream, output.data(), 0, output.size() * sizeof(float));
    const Buffer<std::uint8_t> choice(device(), a.choice);
    stem_backward<float>(stream, a.shape, input, shifted(output, a), choice, a.slope, gradient, weights, bias,
                         partials);
    stream.synchronize();
  };
  rows = common_refusals("stem_backward");
  rows.push_back({[](auto& a) { a.output = 0; }, "stem_backward: output must have 160 elements, it has 0"});
  rows.push_back(
      {[](auto& a) { a.slope = 1, a.output = 5; }, "stem_backward: output must have 160 elements, it has 5"});
  rows.push_back({[](auto& a) { a.choice = 160; }, "stem_backward: choice must have 0 elements, it has 160"});
  rows.push_back(
      {[](auto& a) { a.gradient = 161; }, "stem_backward: output_gradient must have 160 elements, it has 161"});
  rows.push_back({[](auto& a) { a.partials = 79; }, "stem_backward: partials must have 80 elements, it has 79"});
  test::expect_refusals(Arguments{}, backward_call, rows);
  EXPECT_THROW(stem_partials({1, 4, 4, 9}), InvalidInput);
}

}  // namespace
}  // namespace gridspot
