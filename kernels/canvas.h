#pragma once
// Composition of canvases from scenes.
#include <cstdint>

#include "kernels/bfloat16.h"
#include "kernels/scene.h"

namespace gridspot {

/// Network input = (value - mean) / deviation, with values in [0, 1].
struct Normalization {
  float mean = 0, deviation = 1;
};

/// Draws scenes.n canvases, [n, height, width] (one channel, so this is NHWC and NCHW at once). `key` and
/// `numbers` are those of the scenes; clutter, noise, contrast and inversion are functions of them too.
///
/// A canvas pixel is the sum of its glyphs and clutter (clutter.h), saturated at 1; then contrast, inversion, noise,
/// saturation to [0, 1], normalisation. A glyph's share is its bilinear interpolation (zero outside) averaged over
/// samples x samples points, evenly spread over the pixel.
/// Contrast, inversion and the number of clutter shapes are the words x, y and z of index 0 of purpose `canvas`; a
/// canvas is inverted where y's uniform is below `inversion`. Noise: pixel (i, j) takes of purpose `noise` the index i
/// ceil(width / 4) + floor(j / 4), whose four words give the four pixels their normals by Box and Muller's transform (x
/// and y: radius sqrt(-2 log(1 - u_x)), angle 2 pi u_y, cosine then sine; z and w likewise).
///
/// Enqueues on the stream. Throws InvalidInput when the output's size is wrong, the bank is empty, the protocol out of
/// its ranges, or the deviation not positive and finite.
void compose_canvases(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                      CanvasNumbers numbers, const SceneView& scenes, Normalization normalization,
                      DeviceSpan<float> output);
/// The same values, rounded to bfloat16.
void compose_canvases(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                      CanvasNumbers numbers, const SceneView& scenes, Normalization normalization,
                      DeviceSpan<bfloat16> output);
/// For export: round(255 value), not normalised.
void compose_canvases(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                      CanvasNumbers numbers, const SceneView& scenes, DeviceSpan<std::uint8_t> output);

}  // namespace gridspot
