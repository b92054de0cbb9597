#pragma once
// Element math of the detection head, for kernels: the coding of kernels/grid.h and its derivative.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "kernels/grid.h"

namespace gridspot {

inline constexpr float largest_exponent = 4;  // of the exponential size coding

__host__ __device__ __forceinline__ bool is_nan(float value) { return value != value; }
__host__ __device__ __forceinline__ bool is_finite(float value) { return fabsf(value) <= 3.402823466e38f; }

/// Overflow of the exponential gives the right limit, 0.
__host__ __device__ __forceinline__ float sigmoid(float logit) { return 1.0f / (1.0f + expf(-logit)); }

/// The row or column of the grid that holds a centre; outside the canvas (or NaN) the nearest (or first) one.
__host__ __device__ __forceinline__ int cell_of(float center, int cells) {
  return static_cast<int>(
      fminf(fmaxf(floorf(center * static_cast<float>(cells)), 0.0f), static_cast<float>(cells - 1)));
}

/// A coordinate of a box and its derivative by the output that codes it.
struct Coordinate {
  float value, slope;
};

__host__ __device__ __forceinline__ Coordinate decode_center(float output, int cell, int cells) {
  const float share = sigmoid(output);
  return {(static_cast<float>(cell) + share) / static_cast<float>(cells),
          share * (1.0f - share) / static_cast<float>(cells)};
}

// Comparisons instead of fminf and fmaxf: they let a NaN through.
__host__ __device__ __forceinline__ Coordinate decode_size(float output, SizeCoding coding, float prior) {
  if (coding == SizeCoding::linear) return {output, 1};
  if (output < -largest_exponent) return {prior * expf(-largest_exponent), 0};
  if (output > largest_exponent) return {prior * expf(largest_exponent), 0};
  const float size = prior * expf(output);
  return {size, size};
}

/// A predictor's box, and the derivative of each of its coordinates by the output that codes it.
struct DecodedBox {
  Box box, slope;
};

/// `outputs` are the predictor's x, y, w, h.
__host__ __device__ __forceinline__ DecodedBox decode_box(const GridHead& head, const float* outputs, int row,
                                                          int column) {
  const Coordinate cx = decode_center(outputs[0], column, head.cells);
  const Coordinate cy = decode_center(outputs[1], row, head.cells);
  const Coordinate w = decode_size(outputs[2], head.size_coding, head.prior_width);
  const Coordinate h = decode_size(outputs[3], head.size_coding, head.prior_height);
  return {{cx.value, cy.value, w.value, h.value}, {cx.slope, cy.slope, w.slope, h.slope}};
}

}  // namespace gridspot
