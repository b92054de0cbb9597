// Canvases that show the glyphs of a bank as they are.
#include <algorithm>

#include "kernels/canvas.h"
#include "kernels/scene.h"
#include "tests/support/glyphs.h"

namespace gridspot {
namespace {

using test::Glyphs;
using test::Random;

class UnalteredCanvas : public test::DeviceTest {
 protected:
  std::vector<std::uint8_t> compose(const Protocol& protocol, const Glyphs& glyphs, std::uint64_t key,
                                    std::uint64_t step_number, int first_canvas, int n) {
    return run([&](Stream& stream) {
      const test::DeviceGlyphs bank(stream, glyphs);
      const auto step = upload(stream, std::vector<std::uint64_t>{step_number});
      const Scenes scenes(device(), n, protocol.max_glyphs);
      const Buffer<std::uint8_t> canvases(device(), std::size_t(n) * protocol.height * protocol.width);
      sample_scenes(stream, protocol, bank.view(), key, {step.data(), first_canvas}, scenes.view());
      compose_canvases(stream, protocol, bank.view(), key, {step.data(), first_canvas}, scenes.view(), canvases);
      return download(stream, canvases);
    });
  }
};
GRIDSPOT_ON_EVERY_DEVICE(UnalteredCanvas);

// Bit for bit, on banks whose glyphs have the canvas's size; the bank is gone through more than once.
TEST_P(UnalteredCanvas, IsTheGlyphOfItsNumber) {
  Random random(10);
  constexpr int first = 5, n = 18;
  for (const int side : {28, 9, 1}) {
    const Glyphs glyphs = test::random_glyphs(random, 7, side, side);
    Protocol protocol = find_protocol("digits-28");
    protocol.height = protocol.width = side;
    protocol.noise = 0.3f;
    protocol.inversion = 1;
    protocol.max_clutter = 5;
    const auto canvases = compose(unaltered(protocol), glyphs, random(), random() >> 8, first, n);
    const std::size_t size = std::size_t(side) * side;
    for (int canvas = 0; canvas < n; ++canvas) {
      const int glyph = (first + canvas) % glyphs.count;
      const std::span expected(&glyphs.pixels[glyph * size], size), found(&canvases[canvas * size], size);
      const auto [wrong, right] = std::mismatch(found.begin(), found.end(), expected.begin());
      EXPECT_EQ(wrong, found.end()) << "glyphs of " << side << " pixels a side: canvas " << canvas << " is not glyph "
                                    << glyph << " at pixel " << wrong - found.begin() << ": " << int(*wrong) << ", not "
                                    << int(*right);
    }
  }
}

// On a larger canvas the glyph is enlarged to fill it, and stays in the middle.
TEST_P(UnalteredCanvas, FillsALargerCanvas) {
  const Glyphs full{1, 7, 7, std::vector<std::uint8_t>(49, 255), {4}};
  Protocol protocol = find_protocol("digits-28");
  protocol.height = 28;
  protocol.width = 36;
  const auto canvas = compose(unaltered(protocol), full, 1, 0, 0, 1);
  for (int row = 2; row < 26; ++row)
    for (int column = 0; column < 36; ++column) {
      const std::uint8_t value = canvas[row * 36 + column];
      if (column >= 6 && column < 30) {
        EXPECT_EQ(value, 255) << "row " << row << ", column " << column;
      } else if (column < 2 || column >= 34) {
        EXPECT_EQ(value, 0) << "row " << row << ", column " << column;
      }
    }
}

}  // namespace
}  // namespace gridspot
