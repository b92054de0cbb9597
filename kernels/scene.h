#pragma once
// Scene sampling: which glyphs stand where on which canvas.
#include <cstdint>

#include "device/buffer.h"
#include "gridspot/box.h"
#include "gridspot/protocol.h"
#include "kernels/canvas_numbers.h"
#include "kernels/glyph_bank.h"
#include "kernels/placement.h"

namespace gridspot {

/// The scenes of n canvases; device memory. Slots from the canvas's count on hold label -1 and are otherwise undefined.
struct SceneView {
  int n, capacity;         ///< capacity >= the protocol's max_glyphs
  Placement* placements;   ///< [n, capacity], in the order of placing
  Box* boxes;              ///< [n, capacity], of the protocol's kind, clipped to the canvas
  std::int32_t* labels;    ///< [n, capacity]
  std::int32_t* counts;    ///< [n]
  std::int32_t* unplaced;  ///< [n]: glyphs that found no place and were left out
};

/// How many places are tried for a glyph before it is left out.
inline constexpr int placing_attempts = 64;

/// Owns the memory of a SceneView.
class Scenes {
 public:
  /// Throws InvalidInput for a negative n or capacity, OutOfMemory.
  Scenes(Device device, int n, int capacity);
  [[nodiscard]] SceneView view() const;
  [[nodiscard]] std::size_t bytes() const;

  Buffer<Placement> placements;
  Buffer<Box> boxes;
  Buffer<std::int32_t> labels, counts, unplaced;

 private:
  int n_, capacity_;
};

/// Samples the n scenes that `numbers` names. Scene i of step t is a function of (protocol, bank, key, t, i) alone.
/// Enqueues on the stream. Throws InvalidInput when the bank is empty, the protocol out of its ranges
/// (validate) or the capacity below its max_glyphs.
///
/// The draws (philox.h, purpose `placement`, words of index 0, 1, ...; u is a word's uniform in [0, 1)):
/// * index 0: word x picks the number of glyphs.
/// * glyph g = 0, 1, ... takes the indices from 1 + g (placing_attempts + 1) on. The first: x picks the glyph of the
/// bank (with in_order it is the canvas's number modulo the bank's count),
///   y is the size, z the rotation, w the shear. Each further one is a try of the place: x and y are the centre,
///   uniform where the transformed tile lies wholly inside the canvas (with `centred`, within max_shift of the
///   canvas's centre); with `overlapping`, from the second placed glyph
///   on, z picks one placed earlier, and x and y are uniform in that part of the range where the two label boxes touch.
/// The first try that the placing rule accepts is taken. A glyph whose tile the canvas cannot hold, or whose tries all
/// fail, is left out and counted in `unplaced`. With `overlapping` a glyph that would end alone on its canvas is left
/// out as well: such a canvas holds no glyph or at least two.
///
/// Geometry: the glyph, centred in a square of its larger side, is scaled to `size`, sheared (x += shear y), then
/// rotated (from x towards y, downwards). The tight box is that of the transformed squares of all ink pixels; a glyph
/// without ink has the box of its tile.
void sample_scenes(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                   CanvasNumbers numbers, const SceneView& scenes);

}  // namespace gridspot
