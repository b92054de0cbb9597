#pragma once
// Image sampling: bilinear interpolation, and the average of it over a pixel, which is what keeps an image that shrinks
// from aliasing. Shared by composition and letterboxing.
#include "device/kernel.h"

namespace gridspot {

/// How many samples along each side of an output pixel give one for each of the `covered` source pixels along that
/// side. A thousandth is forgiven, so that rounding does not turn one sample into two.
__host__ __device__ __forceinline__ int samples_for(float covered) {
  const float samples = ceilf(covered - 1e-3f);
  return samples > 1.0f ? static_cast<int>(samples) : 1;
}

/// Four neighbouring texels.
struct Texels2x2 {
  float upper_left, upper_right, lower_left, lower_right;
};

/// Interpolates between the four texels nearest to (x, y); the centre of texel (0, 0) is x = y = 0.
/// `image.texels(row, column)` returns the 2 x 2 texels that begin there, whether or not they lie in the image.
template <class Image>
__device__ __forceinline__ float bilinear(const Image& image, float x, float y) {
  const float left = floorf(x), top = floorf(y);
  const float right_share = x - left, lower_share = y - top;
  const Texels2x2 t = image.texels(static_cast<int>(top), static_cast<int>(left));
  const float upper = t.upper_left + (t.upper_right - t.upper_left) * right_share;
  const float lower = t.lower_left + (t.lower_right - t.lower_left) * right_share;
  return upper + (lower - upper) * lower_share;
}

/// The sum of sample(s, t) over samples x samples points, evenly spread over the pixel: s, t in (0, 1).
template <class Sample>
__device__ __forceinline__ float sum_over_pixel(int samples, const Sample& sample) {
  if (samples == 1) return sample(0.5f, 0.5f);
  const float spacing = 1.0f / static_cast<float>(samples);
  float sum = 0;
  for (int i = 0; i < samples; ++i)
    for (int j = 0; j < samples; ++j)
      sum += sample((static_cast<float>(j) + 0.5f) * spacing, (static_cast<float>(i) + 0.5f) * spacing);
  return sum;
}

}  // namespace gridspot
