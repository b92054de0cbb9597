#include "kernels/canvas.h"

#include <gmock/gmock.h>

#include "tests/kernels/refusals.h"
#include "tests/reference/canvas.h"
#include "tests/support/compare.h"
#include "tests/support/dtype.h"

namespace gridspot {
namespace {

using test::Glyphs;
using test::Random;

// Positions are float32 of up to a few hundred pixels and the interpolation's slope is up to 2 a glyph pixel.
constexpr test::Tolerance canvas_tolerance{2e-4, 1e-5};

struct Request {
  std::uint64_t key = 1, step = 0;
  int first_canvas = 0, n = 1;
};

// The scenes a canvas is drawn from; what they are is another test's affair.
struct Drawn {
  std::vector<Placement> placements;
  std::vector<std::int32_t> counts;
  int capacity = 0;

  [[nodiscard]] std::span<const Placement> of(int canvas) const {
    return std::span(placements).subspan(std::size_t(canvas) * capacity, counts[canvas]);
  }
};

class Canvas : public test::DeviceTest {
 protected:
  template <class T>
  std::vector<T> compose(const Protocol& protocol, const Glyphs& glyphs, Request request, Normalization normalization,
                         Drawn& drawn) {
    return run([&](Stream& stream) {
      const test::DeviceGlyphs bank(stream, glyphs);
      const auto step = upload(stream, std::vector<std::uint64_t>{request.step});
      const Scenes scenes(device(), request.n, protocol.max_glyphs);
      Buffer<T> output(device(), std::size_t(request.n) * protocol.height * protocol.width);
      sample_scenes(stream, protocol, bank.view(), request.key, {step.data(), request.first_canvas}, scenes.view());
      if constexpr (std::is_same_v<T, std::uint8_t>) {
        compose_canvases(stream, protocol, bank.view(), request.key, {step.data(), request.first_canvas}, scenes.view(),
                         output);
      } else {
        compose_canvases(stream, protocol, bank.view(), request.key, {step.data(), request.first_canvas}, scenes.view(),
                         normalization, output);
      }
      drawn = {download(stream, scenes.placements), download(stream, scenes.counts), protocol.max_glyphs};
      return download(stream, output);
    });
  }

  void expect_reference(const Protocol& protocol, const Glyphs& glyphs, Request request) {
    Drawn drawn;
    const Normalization normalization{0.3f, 0.5f};
    const auto values = compose<float>(protocol, glyphs, request, normalization, drawn);
    std::vector<double> expected;
    for (int canvas = 0; canvas < request.n; ++canvas) {
      const reference::CanvasDraws draws{request.key, request.step, std::uint32_t(request.first_canvas + canvas)};
      for (const double value : reference::compose_canvas(protocol, glyphs, draws, drawn.of(canvas)))
        expected.push_back((value - double(normalization.mean)) / double(normalization.deviation));
    }
    EXPECT_TRUE(test::matches(values, expected, canvas_tolerance));
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Canvas);

struct Option {
  const char* name;
  std::function<void(Protocol&)> set;
};
const std::vector<Option> options{
    {"plain", [](Protocol&) {}},
    {"shear", [](Protocol& p) { p.max_shear = 0.4f; }},
    {"clutter", [](Protocol& p) { p.max_clutter = 64; }},
    {"noise", [](Protocol& p) { p.noise = 0.2f; }},
    {"contrast", [](Protocol& p) { p.min_contrast = 0.3f; }},
    {"inversion", [](Protocol& p) { p.inversion = 0.5f; }},
    {"everything",
     [](Protocol& p) {
       p.max_shear = 0.4f;
       p.max_clutter = 30;
       p.noise = 0.1f;
       p.min_contrast = 0.3f;
       p.inversion = 0.5f;
     }},
};

TEST_P(Canvas, MatchesTheReferenceWithEveryOption) {
  Random random(1);
  const Glyphs glyphs = test::random_glyphs(random, 13, 28, 28);
  for (const Option& option : options) {
    SCOPED_TRACE(option.name);
    Protocol protocol = find_protocol("quick-64");
    option.set(protocol);
    expect_reference(protocol, glyphs, {.key = random(), .step = random() >> 8, .first_canvas = 40, .n = 5});
  }
}

TEST_P(Canvas, MatchesTheReferenceForEveryProtocol) {
  Random random(7);
  const Glyphs glyphs = test::random_glyphs(random, 13, 28, 28);
  for (const std::string& name : protocol_names())
    for (const bool everything : {false, true}) {
      SCOPED_TRACE(name + (everything ? " with everything" : ""));
      Protocol protocol = find_protocol(name);
      if (everything) options.back().set(protocol);
      expect_reference(protocol, glyphs, {.key = random(), .step = random() >> 8});
    }
}

// Widths around a pack; packs around a warp and a block; one pixel and the longest row.
TEST_P(Canvas, TakesAnySize) {
  Random random(2);
  const Glyphs glyphs = test::random_glyphs(random, 5, 9, 9);
  for (const auto& [height, width] : {std::pair{1, 1},
                                      {1, 7},
                                      {2, 8},
                                      {3, 9},
                                      {17, 31},
                                      {33, 33},
                                      {31, 8},
                                      {32, 8},
                                      {33, 8},
                                      {255, 8},
                                      {256, 8},
                                      {257, 7},
                                      {5, 300},
                                      {1, 16384}}) {
    SCOPED_TRACE(std::to_string(height) + " x " + std::to_string(width));
    Protocol protocol = find_protocol("seed-224");
    protocol.height = height;
    protocol.width = width;
    protocol.min_size = 1;
    protocol.max_size = 6;
    protocol.max_clutter = 3;
    protocol.noise = 0.1f;
    expect_reference(protocol, glyphs, {.key = random(), .step = 5, .n = 3});
  }
}

// Glyphs that shrink to a quarter and grow to four times their size, of any proportions.
TEST_P(Canvas, TakesGlyphsOfAnySize) {
  Random random(3);
  for (const auto& [height, width] : {std::pair{28, 28}, {28, 9}, {7, 30}, {1, 1}, {1, 20}, {2, 2}, {80, 61}}) {
    const Glyphs glyphs = test::random_glyphs(random, 4, height, width);
    const auto side = float(std::max(height, width));
    for (const float size : {side / 4, side, 4 * side}) {
      SCOPED_TRACE(std::to_string(height) + " x " + std::to_string(width) + " at " + std::to_string(size));
      Protocol protocol = find_protocol("seed-224");
      protocol.height = 150;
      protocol.width = 141;
      protocol.min_size = protocol.max_size = std::clamp(size, 1.0f, 100.0f);
      protocol.max_rotation = 180;
      protocol.max_shear = 0.2f;
      expect_reference(protocol, glyphs, {.key = random(), .step = 5});
    }
  }
}

// What a glyph loses in size it loses in light: nothing is left out between the samples.
TEST_P(Canvas, KeepsTheMeanOfAGlyphThatShrinks) {
  Glyphs lines{1, 64, 64, std::vector<std::uint8_t>(64 * 64), {0}};
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < 64; column += 4) lines.pixels[std::size_t(row) * 64 + column] = 255;
  Protocol protocol = find_protocol("seed-224");
  protocol.height = protocol.width = 40;
  protocol.min_glyphs = protocol.max_glyphs = 1;
  protocol.min_size = protocol.max_size = 16;
  Drawn drawn;
  const int n = 10;
  const auto values = compose<float>(protocol, lines, {.n = n}, {}, drawn);
  for (int canvas = 0; canvas < n; ++canvas) {
    double sum = 0;
    for (int i = 0; i < 40 * 40; ++i) sum += values[std::size_t(canvas) * 40 * 40 + i];
    EXPECT_NEAR(sum, 16 * 16 / 4.0, 2) << "canvas " << canvas;
  }
}

TEST_P(Canvas, RoundsToEveryDtype) {
  Random random(4);
  const Glyphs glyphs = test::random_glyphs(random, 13, 28, 28);
  for (const int width : {64, 61}) {
    Protocol protocol = find_protocol("quick-64");
    options.back().set(protocol);
    protocol.width = width;
    const Request request{.key = 9, .step = 2, .n = 6};
    Drawn drawn;
    const Normalization normalization{0.13f, 0.31f};
    const auto plain = compose<float>(protocol, glyphs, request, {}, drawn);
    const auto normalized = compose<float>(protocol, glyphs, request, normalization, drawn);
    const auto half = compose<bfloat16>(protocol, glyphs, request, normalization, drawn);
    const auto bytes = compose<std::uint8_t>(protocol, glyphs, request, {}, drawn);
    // nvcc may contract to FMA in one kernel and not in the other, which can move a value across the middle of two.
    const int units = device().kind == DeviceKind::cuda ? 1 : 0;
    for (std::size_t i = 0; i < plain.size(); ++i) {
      ASSERT_GE(plain[i], 0);
      ASSERT_LE(plain[i], 1);
      ASSERT_NEAR(half[i].bits, from_float<bfloat16>(normalized[i]).bits, units) << "pixel " << i;
      ASSERT_NEAR(bytes[i], std::floor(255.0f * plain[i] + 0.5f), units) << "pixel " << i;
    }
  }
}

TEST_P(Canvas, AnEmptyCanvasIsBlack) {
  Random random(5);
  const Glyphs glyphs = test::random_glyphs(random, 2, 28, 28);
  Protocol protocol = find_protocol("seed-224");
  protocol.min_glyphs = protocol.max_glyphs = 0;
  Drawn drawn;
  for (const int n : {0, 1, 3}) {
    const auto values = compose<float>(protocol, glyphs, {.n = n}, {0.5f, 0.25f}, drawn);
    EXPECT_EQ(values.size(), std::size_t(n) * 224 * 224);
    EXPECT_THAT(values, testing::Each(-2.0f));
  }
}

// Noise is Gaussian of the stated deviation, independent of the neighbour.
TEST_P(Canvas, NoiseIsGaussian) {
  const Glyphs blank{1, 1, 1, {0}, {0}};
  Protocol protocol = find_protocol("seed-224");
  protocol.min_glyphs = protocol.max_glyphs = 0;
  protocol.noise = 0.05f;
  protocol.inversion = 1;  // white less what the noise takes off; the upper half is cut off
  Drawn drawn;
  const auto values = compose<float>(protocol, blank, {.key = 8}, {}, drawn);
  double below = 0, squares = 0, beyond_two = 0;
  for (const float value : values) {
    below += value < 1 ? 1 : 0;
    squares += (1.0 - value) * (1.0 - value);
    beyond_two += value < 1 - 2 * 0.05 ? 1 : 0;
  }
  const auto count = double(values.size());
  EXPECT_NEAR(below / count, 0.5, 0.01);
  EXPECT_NEAR(std::sqrt(2 * squares / count), 0.05, 0.001);
  EXPECT_NEAR(beyond_two / count, 0.02275, 0.003);
}

TEST_P(Canvas, InvertsItsShareOfTheCanvases) {
  const Glyphs blank{1, 1, 1, {0}, {0}};
  Protocol protocol = find_protocol("quick-64");
  protocol.height = protocol.width = 1;
  protocol.min_glyphs = protocol.max_glyphs = 0;
  protocol.inversion = 0.25f;
  Drawn drawn;
  const auto values = compose<float>(protocol, blank, {.key = 8, .n = 1000}, {}, drawn);
  const auto inverted = std::count(values.begin(), values.end(), 1.0f);
  EXPECT_EQ(std::count(values.begin(), values.end(), 0.0f) + inverted, 1000);
  EXPECT_NEAR(double(inverted) / 1000, 0.25, 0.04);
}

TEST_P(Canvas, RefusesWhatBreaksTheContract) {
  Random random(6);
  Stream stream(device());
  const test::DeviceGlyphs bank(stream, test::random_glyphs(random, 2, 5, 5));
  const auto step = upload(stream, std::vector<std::uint64_t>{0});
  const Protocol protocol = find_protocol("seed-224");
  const Scenes scenes(device(), 2, protocol.max_glyphs);
  sample_scenes(stream, protocol, bank.view(), 1, {step.data(), 0}, scenes.view());
  const Buffer<float> output(device(), 2 * 224 * 224);
  struct Arguments {
    Protocol protocol;
    GlyphBankView glyphs;
    int first_canvas;
    SceneView view;
    Normalization normalization;
    DeviceSpan<float> output;
  };
  const auto call = [&](const Arguments& a) {
    compose_canvases(stream, a.protocol, a.glyphs, 1, {step.data(), a.first_canvas}, a.view, a.normalization, a.output);
    stream.synchronize();
  };
  const std::string size = "compose_canvases: output must have ";
  const std::string normalization =
      "compose_canvases: the normalisation needs a finite mean and a positive, finite deviation, found ";
  test::expect_refusals(
      Arguments{protocol, bank.view(), 0, scenes.view(), {}, output}, call,
      {{[](auto& a) { a.output.size -= 1; }, size + "100352 elements, it has 100351"},
       {[](auto& a) { a.view.n = 1; }, size + "50176 elements, it has 100352"},
       {[](auto& a) { a.view.n = -2; }, "compose_canvases: the number of canvases must not be negative, it is -2"},
       {[](auto& a) { a.first_canvas = -1; }, "compose_canvases: the first canvas must not be negative, it is -1"},
       {[](auto& a) { a.glyphs.count = 0; }, "compose_canvases: the glyph bank is empty: 0 glyphs of 5 x 5"},
       {[](auto& a) { a.protocol.noise = 2; }, "protocol 'seed-224': noise must be in [0, 1]"},
       {[](auto& a) { a.normalization.deviation = 0; }, normalization + "0 and 0"},
       {[](auto& a) { a.normalization.deviation = -1; }, normalization + "0 and -1"},
       {[](auto& a) { a.normalization.mean = std::numeric_limits<float>::infinity(); }, normalization + "inf and 1"}});
}

}  // namespace
}  // namespace gridspot
