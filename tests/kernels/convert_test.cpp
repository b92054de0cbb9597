#include "kernels/convert.h"

#include "tests/support/compare.h"
#include "tests/support/device_test.h"

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

TEST_P(Convert, TransposesChannels) {
  Random random(4);
  for (const auto& [n, channels, pixels] : {std::tuple{1, 1, 1}, {2, 3, 5}, {3, 1, 40}, {1, 33, 65}}) {
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

TEST_P(Convert, RefusesSizesThatDiffer) {
  Stream stream(device());
  Buffer<float> input(device(), 3);
  Buffer<bfloat16> output(device(), 4);
  EXPECT_THROW(convert(stream, input, output), InvalidInput);
}

}  // namespace
}  // namespace gridspot
