#include "kernels/convert.h"

#include <cmath>
#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot {
namespace {

using test::Random;

class Convert : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(Convert);

TEST_P(Convert, RoundsToBfloat16WithinHalfAUnit) {
  Random random(3);
  for (const std::size_t count : {0, 1, 31, 32, 33, 255, 256, 257, 10000}) {
    const auto values = random.uniforms(count, -100, 100);
    const auto back = run([&](Stream& stream) {
      const auto input = upload(stream, values);
      Buffer<bfloat16> half(device(), count);
      Buffer<float> output(device(), count);
      convert(stream, input, half);
      convert(stream, DeviceSpan<const bfloat16>(half), output);
      return download(stream, output);
    });
    // bfloat16 keeps 8 significant bits: half a unit in the last place is 2^-9 of the value at most.
    EXPECT_TRUE(test::matches(back, test::to_double(values), {0, 1.0 / 256})) << count << " elements";
  }
}

TEST_P(Convert, RoundsHalfwayCasesToEven) {
  // 1 + 2^-8 lies halfway between 1 and 1 + 2^-7; 1 + 3 * 2^-8 halfway between 1 + 2^-7 and 1 + 2^-6.
  const std::vector<float> values{1.0f + 1.0f / 256, 1.0f + 3.0f / 256};
  const auto halves = run([&](Stream& stream) {
    const auto input = upload(stream, values);
    Buffer<bfloat16> output(device(), values.size());
    convert(stream, input, output);
    return download(stream, output);
  });
  EXPECT_EQ(to_float(halves[0]), 1.0f);
  EXPECT_EQ(to_float(halves[1]), 1.0f + 1.0f / 64);
}

TEST_P(Convert, KeepsSpecialValues) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values{nan, -nan, infinity, -infinity, 3.4e38f, -0.0f};
  const auto halves = run([&](Stream& stream) {
    const auto input = upload(stream, values);
    Buffer<bfloat16> output(device(), values.size());
    convert(stream, input, output);
    return test::to_floats(download(stream, output));
  });
  // The largest bfloat16 is (2 - 2^-7) 2^127, about 3.39e38; half a unit above it lies 3.396e38.
  EXPECT_TRUE(test::matches(halves, {{nan, nan, infinity, -infinity, infinity, 0}}, {0, 0}));
  EXPECT_TRUE(std::signbit(halves[5]));
}

// Elements around a warp and a block, none and one.
TEST_P(Convert, TransposesChannels) {
  Random random(4);
  for (const auto& [n, channels, pixels] : {std::tuple{0, 3, 5},
                                            {2, 0, 5},
                                            {1, 1, 1},
                                            {2, 3, 5},
                                            {1, 31, 1},
                                            {2, 4, 4},
                                            {1, 11, 3},
                                            {3, 1, 40},
                                            {1, 5, 51},
                                            {4, 8, 8},
                                            {1, 257, 1},
                                            {1, 33, 65}}) {
    const auto values = random.uniforms(std::size_t(n) * channels * pixels);
    const auto result = run([&](Stream& stream) {
      const auto input = upload(stream, values);
      Buffer<float> output(device(), values.size());
      transpose_channels(stream, input, output, n, channels, pixels);
      return download(stream, output);
    });
    for (int image = 0; image < n; ++image)
      for (int channel = 0; channel < channels; ++channel)
        for (int pixel = 0; pixel < pixels; ++pixel)
          ASSERT_EQ(result[(image * pixels + pixel) * channels + channel],
                    values[(image * channels + channel) * pixels + pixel])
              << "image " << image << " channel " << channel << " pixel " << pixel;
  }
}

TEST_P(Convert, RefusesWhatDoesNotFit) {
  struct Arguments {
    std::size_t input = 12, output = 12;
    int n = 2, channels = 3, pixels = 2;
  };
  Stream stream(device());
  const auto to_bfloat16 = [&](const Arguments& a) {
    const auto input = upload(stream, std::vector<float>(a.input));
    const Buffer<bfloat16> output(device(), a.output);
    convert(stream, input, output);
    stream.synchronize();
  };
  test::expect_refusals(Arguments{}, to_bfloat16,
                        {{[](auto& a) { a.input = 11; }, "convert: input has 11 elements, output 12"},
                         {[](auto& a) { a.output = 0; }, "convert: input has 12 elements, output 0"}});
  const auto transpose = [&](const Arguments& a) {
    const auto input = upload(stream, std::vector<float>(a.input));
    const Buffer<float> output(device(), a.output);
    transpose_channels(stream, input, output, a.n, a.channels, a.pixels);
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{}, transpose,
      {{[](auto& a) { a.n = -2; }, "transpose_channels: a dimension is negative"},
       {[](auto& a) { a.channels = -3, a.pixels = -2; }, "transpose_channels: a dimension is negative"},
       {[](auto& a) { a.input = 11; },
        "transpose_channels: input and output must have 12 elements, they have 11 and 12"},
       {[](auto& a) { a.pixels = 3; },
        "transpose_channels: input and output must have 18 elements, they have 12 and 12"}});
}

}  // namespace
}  // namespace gridspot
