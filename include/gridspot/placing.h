#pragma once
// The enumerations of a protocol that kernels read too (see protocol.h).

namespace gridspot {

/// Which placements of glyphs on a canvas are accepted. IoU is that of axis-aligned label boxes.
enum class Placing {
  anywhere,     ///< every one
  separated,    ///< no two label boxes overlap (they may touch)
  overlapping,  ///< each glyph's label box has an IoU in [min_iou, max_iou] with an earlier one, and none above max_iou
  limited,      ///< label boxes of any two have an IoU below max_iou
  centred,      ///< a single glyph, its tile's centre within max_shift of the canvas's; the tile may leave the canvas
};

/// What a label's box holds.
enum class BoxKind {
  tile,   ///< the axis-aligned box of the glyph's rotated (and sheared) square tile, margins included
  tight,  ///< the axis-aligned box of the glyph's ink (see GlyphBank) under the same transformation
};

}  // namespace gridspot
