// Each kernel that fuses several steps gives what the chain of plain kernels gives, on every device: to the last bit
// where both compute the same expressions, else within the tolerance. decode_and_suppress() is compared in
// nms_test.cpp.
#include <gtest/gtest.h>

#include "kernels/activation.h"
#include "kernels/canvas.h"
#include "kernels/convert.h"
#include "kernels/max_pool.h"
#include "kernels/stem.h"
#include "tests/kernels/optimizer_state.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"
#include "tests/support/glyphs.h"

namespace gridspot {
namespace {

using test::OptimizerState;
using test::Random;

constexpr float slopes[]{0, 0.1f, 1};
constexpr int pool_positions = 4;

template <class T>
void append(Stream& stream, std::vector<float>& all, const Buffer<T>& part) {
  const auto values = test::to_floats(download(stream, part));
  all.insert(all.end(), values.begin(), values.end());
}

class Fused : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(Fused);

/// Without the pool.
StemShape plain(StemShape shape) {
  shape.pools = false;
  return shape;
}

PoolShape pool_behind(const StemShape& s) {
  const StemShape convolution = plain(s);
  return {s.n, convolution.output_height(), convolution.output_width(), s.filters, 2, 2};
}

std::vector<StemShape> random_stems(Random& random, int count) {
  std::vector<StemShape> shapes;
  for (int i = 0; i < count; ++i)
    shapes.push_back({random.integer(1, 3), random.integer(4, 40), random.integer(4, 40), 8 * random.integer(1, 4),
                      random.integer(1, 2), true});
  return shapes;
}

std::string text(const StemShape& s) {
  return std::to_string(s.n) + " images of " + std::to_string(s.height) + " x " + std::to_string(s.width) + ", " +
         std::to_string(s.filters) + " filters, stride " + std::to_string(s.stride);
}

struct StemValues {
  explicit StemValues(Random& random, const StemShape& shape)
      : input(random.uniforms(shape.input_size())),
        weights(random.uniforms(std::size_t(shape.filters) * 9)),
        bias(random.uniforms(shape.filters)) {}
  std::vector<float> input, weights, bias;
};

template <class T>
std::vector<float> stem_and_pool(Stream& stream, const StemShape& shape, const StemValues& values, float slope,
                                 bool fused) {
  const auto input = upload(stream, test::to_dtype<T>(values.input)),
             weights = upload(stream, test::to_dtype<T>(values.weights));
  const auto bias = upload(stream, values.bias);
  const Buffer<T> output(stream.device(), shape.output_size()), convolved(stream.device(), plain(shape).output_size());
  const Buffer<std::uint8_t> choice(stream.device(), shape.output_size());
  if (fused) {
    stem_pool_forward<T>(stream, shape, input, weights, bias, slope, output, choice);
  } else {
    stem_forward<T>(stream, plain(shape), input, weights, bias, slope, convolved);
    max_pool<T>(stream, pool_behind(shape), convolved, output, choice);
  }
  return test::to_floats(download(stream, output));
}

// What was chosen may differ, where rounding makes equals of two values of a window; what is the largest may not.
TEST_P(Fused, StemWithItsPool) {
  Random random(71);
  for (const StemShape& shape : random_stems(random, 30))
    for (const float slope : slopes) {
      const StemValues values(random, shape);
      const auto both = [&]<class T>(std::type_identity<T>) {
        const auto result = [&](bool fused) {
          return run([&](Stream& stream) { return stem_and_pool<T>(stream, shape, values, slope, fused); });
        };
        EXPECT_EQ(result(true), result(false)) << text(shape) << ", slope " << slope;
      };
      both(std::type_identity<float>{});
      both(std::type_identity<bfloat16>{});
    }
}

TEST_P(Fused, StemThatRoundsItsInput) {
  Random random(72);
  for (const StemShape& pooled : random_stems(random, 15))
    for (const StemShape& shape : {pooled, plain(pooled)}) {
      const StemValues values(random, shape);
      const auto result = [&](bool fused) {
        return run([&](Stream& stream) {
          const auto input = upload(stream, values.input);
          const auto weights = upload(stream, test::to_dtype<bfloat16>(values.weights));
          const auto bias = upload(stream, values.bias);
          const Buffer<bfloat16> rounded(stream.device(), input.size()), output(stream.device(), shape.output_size());
          const Buffer<std::uint8_t> choice(stream.device(), shape.pools ? output.size() : 0);
          convert(stream, input, rounded);
          const auto forward = [&]<class In>(const Buffer<In>& from) {
            if (shape.pools)
              stem_pool_forward<bfloat16, In>(stream, shape, from, weights, bias, 0.1f, output, choice);
            else
              stem_forward<bfloat16, In>(stream, shape, from, weights, bias, 0.1f, output);
          };
          fused ? forward(input) : forward(rounded);
          std::vector<float> all;
          append(stream, all, output);
          const auto chosen = download(stream, choice);
          all.insert(all.end(), chosen.begin(), chosen.end());
          return all;
        });
      };
      EXPECT_EQ(result(true), result(false)) << text(shape) << (shape.pools ? ", pooled" : "");
    }
}

// The derivative of the activation and the pool's scattering inside of the stem's gradients. The sums run in another
// order.
template <class T>
std::vector<float> stem_gradients(Stream& stream, const StemShape& shape, const StemValues& values,
                                  const std::vector<float>& gradients, const std::vector<std::uint8_t>& choices,
                                  const std::vector<float>& outputs, float slope, bool fused) {
  const StemShape unpooled = plain(shape);
  const auto input = upload(stream, test::to_dtype<T>(values.input)),
             output = upload(stream, test::to_dtype<T>(outputs)),
             gradient = upload(stream, test::to_dtype<T>(gradients));
  const auto choice = upload(stream, choices);
  const Buffer<float> weights(stream.device(), values.weights.size()), bias(stream.device(), shape.filters);
  const Buffer<float> partials(stream.device(), stem_partials(fused ? shape : unpooled));
  if (fused) {
    stem_backward<T>(stream, shape, input, output, choice, slope, gradient, weights, bias, partials);
  } else {
    const Buffer<T> scattered(stream.device(), unpooled.output_size());
    max_pool_backward<T>(stream, pool_behind(shape), choice, output, slope, gradient, scattered);
    stem_backward<T>(stream, unpooled, input, {}, {}, 1, scattered, weights, bias, partials);
  }
  std::vector<float> all;
  append(stream, all, weights);
  append(stream, all, bias);
  return all;
}

TEST_P(Fused, StemsGradientsThroughItsPool) {
  Random random(73);
  for (const StemShape& shape : random_stems(random, 30))
    for (const float slope : slopes) {
      const StemValues values(random, shape);
      const auto gradients = random.uniforms(shape.output_size()), outputs = random.uniforms(shape.output_size());
      std::vector<std::uint8_t> choices(shape.output_size());
      for (auto& choice : choices) choice = static_cast<std::uint8_t>(random.integer(0, pool_positions - 1));
      const auto both = [&]<class T>(std::type_identity<T>) {
        const auto result = [&](bool fused) {
          return run([&](Stream& stream) {
            return stem_gradients<T>(stream, shape, values, gradients, choices, outputs, slope, fused);
          });
        };
        EXPECT_TRUE(test::matches(result(true), test::to_double(result(false)), test::float32_tolerance * 8))
            << text(shape) << ", slope " << slope;
      };
      both(std::type_identity<float>{});
      both(std::type_identity<bfloat16>{});
    }
}

TEST_P(Fused, PoolsGradientWithTheDerivativeBeforeIt) {
  Random random(74);
  for (int i = 0; i < 30; ++i) {
    const PoolShape shape{random.integer(1, 3),     random.integer(4, 24), random.integer(4, 24),
                          8 * random.integer(1, 3), random.integer(2, 3),  random.integer(1, 3)};
    const std::size_t inputs = std::size_t(shape.n) * shape.height * shape.width * shape.channels;
    const std::size_t outputs = std::size_t(shape.n) * shape.output_height() * shape.output_width() * shape.channels;
    const auto values = random.uniforms(inputs), gradients = random.uniforms(outputs);
    for (const float slope : slopes) {
      const auto result = [&](bool fused) {
        return run([&](Stream& stream) {
          auto activated = values;
          for (float& value : activated) value = value > 0 ? value : slope * value;
          const auto input = upload(stream, activated), gradient = upload(stream, gradients);
          const Buffer<float> output(device(), outputs), scattered(device(), inputs);
          const Buffer<std::uint8_t> choice(device(), outputs);
          max_pool<float>(stream, shape, input, output, choice);
          max_pool_backward<float>(stream, shape, choice, output, fused ? slope : 1, gradient, scattered);
          if (!fused) {
            const std::size_t rows = inputs / shape.channels;
            const Buffer<float> bias(device(), shape.channels),
                partials(device(), activation_partials(rows, shape.channels));
            activation_backward<float>(stream, rows, shape.channels, input, slope, scattered, bias, partials);
          }
          return download(stream, scattered);
        });
      };
      EXPECT_TRUE(test::matches(result(true), test::to_double(result(false)), test::float32_tolerance))
          << shape.n << " x " << shape.height << " x " << shape.width << " x " << shape.channels << ", windows of "
          << shape.size << " at " << shape.stride << ", slope " << slope;
    }
  }
}

TEST_P(Fused, BiasGradientWithTheDerivative) {
  Random random(75);
  for (int i = 0; i < 30; ++i) {
    const std::size_t rows = random.integer(1, 3000);
    const int channels = 8 * random.integer(1, 8);
    const auto outputs = random.uniforms(rows * channels), gradients = random.uniforms(rows * channels);
    const auto both = [&]<class T>(std::type_identity<T>) {
      for (const float slope : slopes) {
        const auto result = [&](bool fused) {
          return run([&](Stream& stream) {
            const auto output = upload(stream, test::to_dtype<T>(outputs));
            auto masked = test::to_floats(test::to_dtype<T>(gradients));
            if (!fused)
              for (std::size_t k = 0; k < masked.size(); ++k)
                if (!(outputs[k] > 0)) masked[k] *= slope;
            const auto gradient = upload(stream, test::to_dtype<T>(masked));
            const Buffer<float> bias(device(), channels), partials(device(), activation_partials(rows, channels));
            activation_backward<T>(stream, rows, channels, output, fused ? slope : 1, gradient, bias, partials);
            std::vector<float> all;
            append(stream, all, gradient);
            append(stream, all, bias);
            return all;
          });
        };
        EXPECT_EQ(result(true), result(false)) << rows << " rows of " << channels << ", slope " << slope;
      }
    };
    both(std::type_identity<float>{});
    both(std::type_identity<bfloat16>{});
  }
}

TEST_P(Fused, CanvasesRoundedAndNormalised) {
  Random random(76);
  for (int i = 0; i < 20; ++i) {
    Protocol protocol = find_protocol("quick-64");
    protocol.height = random.integer(30, 90);
    protocol.width = random.integer(30, 90);
    protocol.min_size = 10, protocol.max_size = 25;
    protocol.max_clutter = random.integer(0, 3);
    protocol.noise = random.integer(0, 1) == 0 ? 0 : 0.1f;
    const int n = random.integer(1, 3);
    const auto glyphs = test::random_glyphs(random, 5, 28, 28);
    const Normalization normalization{0.3f, 0.25f};
    const auto composed = [&]<class T>(std::type_identity<T>, Normalization of_them) {
      return run([&](Stream& stream) {
        const test::DeviceGlyphs bank(stream, glyphs);
        const auto step = upload(stream, std::vector<std::uint64_t>{std::uint64_t(i)});
        const Scenes scenes(device(), n, protocol.max_glyphs);
        const Buffer<T> output(device(), std::size_t(n) * protocol.height * protocol.width);
        sample_scenes(stream, protocol, bank.view(), 5, {step.data(), 0}, scenes.view());
        compose_canvases(stream, protocol, bank.view(), 5, {step.data(), 0}, scenes.view(), of_them, output.span());
        return download(stream, output);
      });
    };
    const auto normalised = composed(std::type_identity<float>{}, normalization);
    EXPECT_EQ(test::to_floats(composed(std::type_identity<bfloat16>{}, normalization)),
              test::to_floats(test::to_dtype<bfloat16>(normalised)));
    auto afterwards = composed(std::type_identity<float>{}, {});
    for (float& value : afterwards) value = (value - normalization.mean) * (1 / normalization.deviation);
    EXPECT_EQ(normalised, afterwards);
  }
}

// Clipping, the moving average and the rounded copy, against an update of gradients that were clipped before, after
// which the average is taken and the weights are rounded.
TEST_P(Fused, OptimizerWithClippingAverageAndRounding) {
  Random random(77);
  for (int i = 0; i < 30; ++i) {
    const std::size_t count = random.integer(1, 20000);
    const auto initial = random.uniforms(count), gradients = random.uniforms(count);
    OptimizerSettings settings{.kind = static_cast<OptimizerKind>(i % 3),
                               .weight_decay = 0.05f,
                               .clip_norm = random.uniform(0.01f, 3),
                               .ema_decay = 0.05f,
                               .schedule = {.kind = ScheduleKind::constant, .peak = 0.01f, .steps = 10}};
    float norm = 0;
    std::vector<float> rounded;
    const auto fused = run([&](Stream& stream) {
      OptimizerState state(stream, initial, std::vector<std::uint8_t>(count, 1), 1);
      state.update(settings, gradients);
      norm = state.everything()[0];
      rounded = test::to_floats(download(stream, state.rounded));
      std::vector<float> all;
      append(stream, all, state.weights);
      append(stream, all, state.ema);
      return all;
    });
    const float clip = std::min(1.0f, settings.clip_norm / (norm + 1e-6f));
    OptimizerSettings alone = settings;
    alone.clip_norm = alone.ema_decay = 0;
    auto clipped = gradients;
    for (float& gradient : clipped) gradient *= clip;
    std::vector<float> rounded_afterwards;
    auto chain = run([&](Stream& stream) {
      OptimizerState state(stream, initial, std::vector<std::uint8_t>(count, 1), 1);
      state.update(alone, clipped);
      const Buffer<bfloat16> converted(device(), count);
      convert(stream, state.weights, converted);
      rounded_afterwards = test::to_floats(download(stream, converted));
      return download(stream, state.weights);
    });
    for (std::size_t k = 0; k < count; ++k)
      chain.push_back(settings.ema_decay * initial[k] + (1 - settings.ema_decay) * chain[k]);
    EXPECT_TRUE(test::matches(fused, test::to_double(chain), test::float32_tolerance)) << count << " parameters";
    EXPECT_TRUE(test::matches(rounded, test::to_double(rounded_afterwards), test::bfloat16_tolerance));
    EXPECT_EQ(rounded,
              test::to_floats(test::to_dtype<bfloat16>({fused.begin(), fused.begin() + std::ptrdiff_t(count)})));
  }
}

}  // namespace
}  // namespace gridspot
