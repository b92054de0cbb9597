#include <gmock/gmock.h>

#include <array>
#include <limits>

#include "gridspot/error.h"
#include "kernels/average_pool.h"
#include "kernels/max_pool.h"
#include "tests/reference/activation.h"
#include "tests/reference/pool.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot {

static void PrintTo(const PoolShape& s, std::ostream* out) {
  *out << s.n << " x " << s.height << " x " << s.width << " x " << s.channels << ", window " << s.size << ", stride "
       << s.stride;
}

namespace {

using reference::Tensor;
using test::Random;

class Pool : public test::DeviceTest {
 protected:
  /// Max pooling of `values` on the device: output and choice.
  template <class T>
  std::pair<std::vector<float>, std::vector<std::uint8_t>> max_pool_of(const PoolShape& shape,
                                                                       const std::vector<float>& values) {
    const std::size_t count = std::size_t(shape.n) * shape.output_height() * shape.output_width() * shape.channels;
    std::vector<std::uint8_t> choice;
    const auto output = run([&](Stream& stream) {
      const auto input = upload(stream, test::to_dtype<T>(values));
      Buffer<T> pooled(device(), count);
      Buffer<std::uint8_t> chosen(device(), count);
      max_pool<T>(stream, shape, input, pooled, chosen);
      choice = download(stream, chosen);
      return download(stream, pooled);
    });
    return {test::to_floats(output), choice};
  }

  template <class T>
  void check_max_pool(const PoolShape& shape, const std::vector<float>& values) {
    Tensor input(shape.n, shape.height, shape.width, shape.channels);
    input.values = test::as_stored<T>(values);
    const auto expected = reference::max_pool(shape, input);
    const auto [output, choice] = max_pool_of<T>(shape, values);
    EXPECT_TRUE(test::matches(output, expected.output.values, {0, 0})) << testing::PrintToString(shape);
    EXPECT_EQ(choice, expected.choice) << testing::PrintToString(shape);
  }

  template <class T>
  void check_max_pool_backward(const PoolShape& shape, float slope, Random& random) {
    Tensor gradient(shape.n, shape.output_height(), shape.output_width(), shape.channels);
    std::vector<std::uint8_t> choice(gradient.values.size());
    for (auto& c : choice) c = static_cast<std::uint8_t>(random.integer(0, shape.size * shape.size - 1));
    const auto values = random.uniforms(choice.size());
    auto maxima = random.uniforms(slope == 1 ? 0 : choice.size());
    for (float& value : maxima)
      if (random.integer(0, 3) == 0) value = 0;  // where ReLU's input was not positive
    gradient.values = test::as_stored<T>(values);
    if (slope != 1)
      gradient.values = reference::activation_gradient(gradient.values, test::as_stored<T>(maxima), slope);
    const auto expected = reference::max_pool_backward(shape, choice, gradient);
    const auto result = run([&](Stream& stream) {
      const auto chosen = upload(stream, choice);
      const auto from = upload(stream, test::to_dtype<T>(values)), output = upload(stream, test::to_dtype<T>(maxima));
      Buffer<T> to(device(), expected.values.size());
      fill_bytes(stream, to.data(), 0x7f, to.size() * sizeof(T));  // every element has to be written
      max_pool_backward<T>(stream, shape, chosen, output, slope, from, to);
      return download(stream, to);
    });
    EXPECT_TRUE(test::matches(test::to_floats(result), expected.values, test::tolerance_of<T>()))
        << testing::PrintToString(shape) << ", slope " << slope;
  }

  template <class T>
  void check_adaptive(const PoolShape& shape, int output_height, int output_width, Random& random) {
    const auto [n, height, width, channels, size, stride] = shape;
    Tensor input(n, height, width, channels), gradient(n, output_height, output_width, channels);
    const auto values = random.uniforms(input.values.size()), slopes = random.uniforms(gradient.values.size());
    input.values = test::as_stored<T>(values);
    gradient.values = test::as_stored<T>(slopes);
    const auto forward = run([&](Stream& stream) {
      const auto from = upload(stream, test::to_dtype<T>(values));
      Buffer<T> to(device(), gradient.values.size());
      adaptive_average_pool<T>(stream, n, height, width, channels, output_height, output_width, from, to);
      return download(stream, to);
    });
    const auto backward = run([&](Stream& stream) {
      const auto from = upload(stream, test::to_dtype<T>(slopes));
      Buffer<T> to(device(), input.values.size());
      fill_bytes(stream, to.data(), 0x7f, to.size() * sizeof(T));
      adaptive_average_pool_backward<T>(stream, n, height, width, channels, output_height, output_width, from, to);
      return download(stream, to);
    });
    const auto name =
        testing::PrintToString(shape) + " to " + std::to_string(output_height) + " x " + std::to_string(output_width);
    EXPECT_TRUE(test::matches(test::to_floats(forward),
                              reference::adaptive_average_pool(input, output_height, output_width).values,
                              test::tolerance_of<T>()))
        << name;
    EXPECT_TRUE(test::matches(test::to_floats(backward),
                              reference::adaptive_average_pool_backward(gradient, height, width).values,
                              test::tolerance_of<T>()))
        << name;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Pool);

// Channels around a pack of eight; rows around a warp and a block; windows that overlap, that leave gaps, that do not
// divide the side, that are the whole side; no image.
const std::vector<PoolShape> shapes{
    {0, 4, 4, 8, 2, 2},   {1, 1, 1, 1, 1, 1},    {1, 2, 2, 1, 2, 2},   {2, 4, 6, 7, 2, 2},   {1, 5, 7, 8, 2, 2},
    {3, 7, 7, 9, 3, 2},   {1, 9, 8, 15, 3, 1},   {2, 8, 8, 16, 2, 3},  {1, 6, 62, 8, 2, 2},  {1, 4, 64, 8, 2, 2},
    {1, 2, 66, 8, 2, 2},  {1, 15, 15, 3, 15, 1}, {1, 17, 16, 2, 5, 4}, {1, 4, 510, 8, 2, 2}, {1, 4, 512, 8, 2, 2},
    {2, 5, 514, 9, 2, 2}, {2, 64, 64, 40, 2, 2}};

TEST_P(Pool, MaxIsTheFirstLargestOfItsWindow) {
  Random random(11);
  for (const PoolShape& shape : shapes) {
    std::vector<float> values(std::size_t(shape.n) * shape.height * shape.width * shape.channels);
    for (float& value : values) value = static_cast<float>(random.integer(-3, 3));  // ties in most windows
    check_max_pool<float>(shape, values);
    check_max_pool<bfloat16>(shape, values);
  }
}

TEST_P(Pool, MaxOfSpecialValues) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<std::vector<float>, int>> windows{
      {{1, nan, 5, nan}, 1},
      {{nan, 1, 2, 3}, 0},
      {{1, 2, infinity, nan}, 3},
      {{-infinity, -infinity, -infinity, -infinity}, 0},
      {{-infinity, -3e38f, -infinity, -infinity}, 1},
      {{-0.0f, 0.0f, -0.0f, 0.0f}, 0},
  };
  for (const auto& [window, position] : windows) {
    const PoolShape shape{1, 2, 2, 1, 2, 2};
    const auto [output, choice] = max_pool_of<float>(shape, window);
    EXPECT_EQ(choice[0], position) << testing::PrintToString(window);
    check_max_pool<float>(shape, window);
    check_max_pool<bfloat16>(shape, window);
  }
}

TEST_P(Pool, MaxBackwardSendsEachGradientThroughTheActivationToItsChoice) {
  Random random(12);
  for (const PoolShape& shape : shapes)
    for (const float slope : {0.0f, 0.1f, 1.0f}) {
      check_max_pool_backward<float>(shape, slope, random);
      check_max_pool_backward<bfloat16>(shape, slope, random);
    }
}

TEST_P(Pool, AdaptiveAverageAndItsGradient) {
  Random random(13);
  const std::vector<std::array<int, 6>> cases{// n, height, width, channels, output height, output width
                                              {0, 4, 4, 8, 2, 2},      {1, 1, 1, 1, 1, 1},     {1, 28, 28, 8, 7, 7},
                                              {2, 10, 13, 9, 7, 7},    {1, 3, 5, 7, 7, 7},     {2, 6, 6, 16, 6, 6},
                                              {1, 9, 31, 1, 1, 1},     {1, 20, 300, 8, 5, 33}, {1, 7, 64, 33, 3, 1},
                                              {1, 65, 40, 15, 32, 31}, {1, 2, 256, 8, 1, 257}};
  for (const auto& [n, height, width, channels, output_height, output_width] : cases) {
    check_adaptive<float>({n, height, width, channels}, output_height, output_width, random);
    check_adaptive<bfloat16>({n, height, width, channels}, output_height, output_width, random);
  }
}

TEST_P(Pool, ViewsThatAreNotAligned) {
  Random random(14);
  const PoolShape shape{1, 4, 4, 8, 2, 2};
  const auto values = random.uniforms(4 * 4 * 8 + 1);
  const auto aligned = max_pool_of<float>(shape, {values.begin() + 1, values.end()}).first;
  const auto shifted = run([&](Stream& stream) {
    const auto input = upload(stream, values);
    Buffer<float> output(device(), 2 * 2 * 8 + 3);
    Buffer<std::uint8_t> choice(device(), 2 * 2 * 8 + 5);
    max_pool<float>(stream, shape, DeviceSpan<const float>(input).subspan(1, 128), output.span().subspan(3, 32),
                    choice.span().subspan(5, 32));
    return download(stream, output.span().subspan(3, 32));
  });
  EXPECT_EQ(shifted, aligned);
}

TEST_P(Pool, RefusesWhatBreaksTheContract) {
  struct Case {
    PoolShape shape;
    std::size_t input, output, choice;
    std::string message;
  };
  const PoolShape good{1, 4, 4, 1, 2, 2};
  const std::vector<Case> cases{
      {{-1, 4, 4, 1, 2, 2}, 16, 4, 4, "has a batch of -1"},
      {{1, 0, 4, 1, 2, 2}, 16, 4, 4, "has height 0, expected at least 1"},
      {{1, 4, 0, 1, 2, 2}, 16, 4, 4, "has width 0, expected at least 1"},
      {{1, 4, 4, 0, 2, 2}, 16, 4, 4, "has 0 channels, expected at least 1"},
      {{1, 4, 4, 1, 0, 2}, 16, 4, 4, "the window's size is 0, expected 1 to 15"},
      {{1, 16, 16, 1, 16, 2}, 256, 1, 1, "the window's size is 16, expected 1 to 15"},
      {{1, 4, 4, 1, 2, 0}, 16, 4, 4, "the stride is 0, expected at least 1"},
      {{1, 4, 3, 1, 4, 1}, 12, 4, 4, "a window of 4 does not fit an input of 4 x 3"},
      {{1 << 20, 1 << 20, 4, 1, 2, 2}, 16, 4, 4, "more than a grid can hold"},
      {{1, 4, 1 << 30, 8, 2, 2}, 16, 4, 4, "more than a block can count"},
      {good, 15, 4, 4, "input must have 16 elements, it has 15"},
      {good, 16, 5, 4, "output must have 4 elements, it has 5"},
      {good, 16, 4, 3, "choice must have 4 elements, it has 3"},
  };
  Stream stream(device());
  for (const Case& c : cases) {
    const Buffer<float> input(device(), c.input), output(device(), c.output);
    const Buffer<std::uint8_t> choice(device(), c.choice);
    EXPECT_THAT([&] { max_pool<float>(stream, c.shape, input, output, choice); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("max_pool: ")));
    EXPECT_THAT([&] { max_pool<float>(stream, c.shape, input, output, choice); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(c.message)));
    EXPECT_THROW(max_pool_backward<float>(stream, c.shape, choice, output, 0, output, input), InvalidInput)
        << c.message;
  }
  const Buffer<float> sixteen(device(), 16), four(device(), 4), one(device(), 1);
  const Buffer<std::uint8_t> choice(device(), 4);
  EXPECT_THROW(max_pool_backward<float>(stream, good, choice, four, 1.5f, four, sixteen), InvalidInput);
  EXPECT_THROW(max_pool_backward<float>(stream, good, choice, {}, 0.1f, four, sixteen), InvalidInput);
  EXPECT_THROW(adaptive_average_pool<float>(stream, 1, 2, 2, 1, 0, 1, four, one), InvalidInput);
  EXPECT_THROW(adaptive_average_pool<float>(stream, 1, 2, 2, 1, 1, 1, four, four), InvalidInput);
  EXPECT_THROW(adaptive_average_pool<float>(stream, 1, 2, 3, 1, 1, 1, four, one), InvalidInput);
  EXPECT_THROW(adaptive_average_pool_backward<float>(stream, 1, 2, 2, 1, 1, 1, four, four), InvalidInput);
  EXPECT_THROW(adaptive_average_pool_backward<float>(stream, 1, 2, 2, 1, 1, 1, one, one), InvalidInput);
}

}  // namespace
}  // namespace gridspot
