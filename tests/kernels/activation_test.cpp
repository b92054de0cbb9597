#include "kernels/activation.h"

#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/reference/activation.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot {
namespace {

using test::Random;

struct Shape {
  std::size_t rows;
  int channels;
  [[nodiscard]] std::size_t count() const { return rows * channels; }
};
void PrintTo(const Shape& s, std::ostream* out) { *out << s.rows << " rows of " << s.channels << " channels"; }

// Channels around a pack, a warp, a block and a tile of 256; rows around the rows of a thread, a block and a chunk.
const std::vector<Shape> shapes{{0, 8},    {1, 1},    {3, 7},    {4, 8},     {5, 9},    {31, 15},   {32, 16},
                                {33, 31},  {1, 255},  {2, 256},  {3, 257},   {7, 4097}, {255, 33},  {256, 32},
                                {257, 24}, {2047, 1}, {2049, 1}, {8191, 40}, {4100, 8}, {5000, 64}, {100003, 3}};

class Activation : public test::DeviceTest {
 protected:
  template <class T>
  void check_forward(const Shape& shape, float slope, Random& random) {
    const auto values = random.uniforms(shape.count()), bias = random.uniforms(shape.channels);
    const auto result = run([&](Stream& stream) {
      const auto in_place = upload(stream, test::to_dtype<T>(values));
      const auto offsets = upload(stream, bias);
      bias_activation<T>(stream, shape.rows, shape.channels, offsets, slope, in_place);
      return download(stream, in_place);
    });
    const auto expected = reference::bias_activation(test::as_stored<T>(values), test::to_double(bias), slope);
    EXPECT_TRUE(test::matches(test::to_floats(result), expected, test::tolerance_of<T>()))
        << testing::PrintToString(shape) << ", slope " << slope;
  }

  struct BackwardResult {
    std::vector<float> gradient, bias_gradient;
  };

  template <class T>
  BackwardResult backward(const Shape& shape, float slope, const std::vector<float>& output,
                          const std::vector<float>& gradient) {
    BackwardResult result;
    result.bias_gradient = run([&](Stream& stream) {
      const auto activation = upload(stream, test::to_dtype<T>(output));
      const auto in_place = upload(stream, test::to_dtype<T>(gradient));
      const Buffer<float> sums(device(), shape.channels);
      const Buffer<float> partials(device(), activation_partials(shape.rows, shape.channels));
      fill_bytes(stream, sums.data(), 0x7f, shape.channels * sizeof(float));
      activation_backward<T>(stream, shape.rows, shape.channels, activation, slope, in_place, sums, partials);
      result.gradient = test::to_floats(download(stream, in_place));
      partials.check_red_zone();
      return download(stream, sums);
    });
    return result;
  }

  template <class T>
  void check_backward(const Shape& shape, float slope, Random& random) {
    auto output = random.uniforms(shape.count());
    for (float& value : output)
      if (random.integer(0, 3) == 0) value = 0;  // where ReLU's input was not positive
    const auto gradient = random.uniforms(shape.count());
    const auto result = backward<T>(shape, slope, output, gradient);
    const auto expected =
        reference::activation_gradient(test::as_stored<T>(gradient), test::as_stored<T>(output), slope);
    EXPECT_TRUE(test::matches(result.gradient, expected, test::tolerance_of<T>()))
        << testing::PrintToString(shape) << ", slope " << slope;
    // The bias gradient is defined as the sum of what was stored.
    const auto sums = reference::column_sums(test::to_double(result.gradient), shape.channels);
    EXPECT_TRUE(test::matches(result.bias_gradient, sums, test::float32_tolerance * 16))
        << testing::PrintToString(shape) << ", slope " << slope;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Activation);

TEST_P(Activation, AddsTheBiasAndActivates) {
  Random random(21);
  for (const Shape& shape : shapes)
    for (const float slope : {0.0f, 0.1f, 1.0f}) {
      check_forward<float>(shape, slope, random);
      check_forward<bfloat16>(shape, slope, random);
    }
}

TEST_P(Activation, GradientAndBiasGradient) {
  Random random(22);
  for (const Shape& shape : shapes)
    for (const float slope : {0.0f, 0.1f}) {
      check_backward<float>(shape, slope, random);
      check_backward<bfloat16>(shape, slope, random);
    }
}

// Beyond 512 x 8 x 256 rows a chunk grows with the number of rows.
TEST_P(Activation, MoreRowsThanTheLeastChunksHold) {
  Random random(24);
  check_backward<float>({1'100'003, 1}, 0, random);
}

TEST_P(Activation, IdentityNeedsNoOutput) {
  Random random(23);
  const Shape shape{300, 40};
  const auto gradient = random.uniforms(shape.count());
  const auto result = backward<float>(shape, 1, {}, gradient);
  EXPECT_EQ(result.gradient, gradient);
  const auto sums = reference::column_sums(test::to_double(gradient), shape.channels);
  EXPECT_TRUE(test::matches(result.bias_gradient, sums, test::float32_tolerance));
}

TEST_P(Activation, NoRowsGiveNoBiasGradient) {
  EXPECT_EQ(backward<float>({0, 9}, 0, {}, {}).bias_gradient, std::vector<float>(9, 0.0f));
}

TEST_P(Activation, NanReachesTheBiasGradientOfItsChannelAlone) {
  const Shape shape{50, 3};
  std::vector<float> output(shape.count(), 1.0f), gradient(shape.count(), 1.0f);
  gradient[20 * 3 + 1] = std::numeric_limits<float>::quiet_NaN();
  const auto sums = backward<float>(shape, 0, output, gradient).bias_gradient;
  EXPECT_EQ(sums[0], 50);
  EXPECT_TRUE(std::isnan(sums[1]));
  EXPECT_EQ(sums[2], 50);
}

TEST_P(Activation, RefusesWhatBreaksTheContract) {
  struct Arguments {
    int channels = 3;
    float slope = 0;
    std::size_t values = 12, bias = 3, output = 12, partials = activation_partials(4, 3);
  };
  Stream stream(device());
  const auto zeros = [&](std::size_t count) { return upload(stream, std::vector<float>(count)); };
  const auto forward = [&](const Arguments& a) {
    bias_activation<float>(stream, 4, a.channels, zeros(a.bias), a.slope, zeros(a.values));
    stream.synchronize();
  };
  test::expect_refusals(Arguments{}, forward,
                        {{[](auto& a) { a.channels = 0; }, "bias_activation: channels is 0, expected at least 1"},
                         {[](auto& a) { a.slope = -0.5f; }, "bias_activation: the slope is -0.5, expected 0 to 1"},
                         {[](auto& a) { a.slope = 2; }, "bias_activation: the slope is 2, expected 0 to 1"},
                         {[](auto& a) { a.slope = std::numeric_limits<float>::quiet_NaN(); },
                          "bias_activation: the slope is nan, expected 0 to 1"},
                         {[](auto& a) { a.bias = 4; }, "bias_activation: bias must have 3 elements, it has 4"},
                         {[](auto& a) { a.values = 13; }, "bias_activation: values must have 12 elements, it has 13"}});
  const auto backward = [&](const Arguments& a) {
    activation_backward<float>(stream, 4, a.channels, zeros(a.output), a.slope, zeros(a.values), zeros(a.bias),
                               zeros(a.partials));
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{}, backward,
      {{[](auto& a) { a.channels = 0; }, "activation_backward: channels is 0, expected at least 1"},
       {[](auto& a) { a.slope = 1.5f; }, "activation_backward: the slope is 1.5, expected 0 to 1"},
       {[](auto& a) { a.values = 11; }, "activation_backward: gradient must have 12 elements, it has 11"},
       {[](auto& a) { a.output = 0; }, "activation_backward: output must have 12 elements, it has 0"},
       {[](auto& a) { a.slope = 1, a.output = 5; }, "activation_backward: output must have 12 elements, it has 5"},
       {[](auto& a) { a.bias = 2; }, "activation_backward: bias_gradient must have 3 elements, it has 2"},
       {[](auto& a) { a.partials = 0; }, "activation_backward: partials must have " +
                                             std::to_string(activation_partials(4, 3)) + " elements, it has 0"}});
}

}  // namespace
}  // namespace gridspot
