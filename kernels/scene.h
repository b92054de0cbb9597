#pragma once
// Scene sampling: which glyphs stand where on which canvas.
#include <cstdint>

#include "device/buffer.h"
#include "gridspot/box.h"
#include "gridspot/protocol.h"
#include "kernels/glyph_bank.h"

namespace gridspot {

/// One glyph on a canvas.
struct Placement {
  std::int32_t glyph;     ///< index in the bank
  float cx, cy;           ///< centre of the tile, canvas pixels
  float to_glyph[4];      ///< (u, v) = (m0 dx + m1 dy, m2 dx + m3 dy): offset from the centre, canvas to glyph pixels
  float reach_x, reach_y; ///< half the width and height of the transformed tile's bounding box, canvas pixels
  std::int32_t samples;   ///< samples along each side of a canvas pixel: one for each glyph pixel it covers, rounded up
};

/// The scenes of n canvases; device memory. Slots from the canvas's count on hold label -1 and are otherwise undefined.
struct SceneView {
  int n, capacity;          ///< capacity >= the protocol's max_glyphs
  Placement* placements;    ///< [n, capacity]
  Box* boxes;               ///< [n, capacity], of the protocol's kind, clipped to the canvas
  std::int32_t* labels;     ///< [n, capacity]
  std::int32_t* counts;     ///< [n]
  std::int32_t* unplaced;   ///< [n]: glyphs that found no place in `placing_attempts` tries
};

inline constexpr int placing_attempts = 64;

/// Owns the memory of a SceneView.
class Scenes {
 public:
  Scenes(Device device, int n, int capacity);
  [[nodiscard]] SceneView view() const;
  [[nodiscard]] std::size_t bytes() const;

  Buffer<Placement> placements;
  Buffer<Box> boxes;
  Buffer<std::int32_t> labels, counts, unplaced;

 private:
  int n_, capacity_;
};

/// Samples scenes first_canvas ... first_canvas + n - 1 of step *step. Scene i of step t is a function of
/// (key, t, i) alone: counter-based Philox4x32-10 (Salmon et al. 2011). `step` is device memory (so that a captured step
/// can be replayed). Enqueues on the stream. Throws InvalidInput when the bank is empty or the capacity too small.
void sample_scenes(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                   const std::uint64_t* step, int first_canvas, const SceneView& scenes);

}  // namespace gridspot
