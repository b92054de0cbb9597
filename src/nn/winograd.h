#pragma once
// Winograd's algorithm for 3x3 convolutions of stride 1 on the CPU: a tile of 4x4 outputs takes 36 products a pair of
// channels instead of 144. (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", F(4x4, 3x3).)
//
//   Y = A'[(G w G') . (B' x B)]A,    dw = G'[(A y A') . (B' x B)]G
//
// with a tile's 6x6 inputs x, its outputs Y and their gradient y, the weights w, and products by element, which sum
// over channels, and in the gradient over tiles.
//
// Activations are in groups of as many channels as a vector has lanes (see nn/block.h), float32 or bfloat16; whatever
// their dtype, everything in between is float32. Sums of large and small terms round more than those of the
// definition: about 2e-6 of the output's root mean square for 64 channels, some hundred times less than with factors
// of TF32.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "nn/block.h"

namespace gridspot {

/// The tiles of a batch of feature maps, numbered by rows, images.
struct TileGrid {
  int batch = 0, height = 0, width = 0;  ///< of the maps

  TileGrid(int images, int rows, int columns);
  [[nodiscard]] int count() const { return batch * down * across; }
  struct Tile {
    int image, y, x;  ///< of its first pixel
  };
  [[nodiscard]] Tile tile(int number) const;

  int down = 0, across = 0;
};

/// Whether the outputs fill enough of their tiles for the algorithm to take at most half of the definition's products.
bool winograd_pays(int output_height, int output_width);

/// Convolutions of one shape and dtype; immutable. Size 3, stride 1. Memory without a type is of the dtype.
class WinogradConvolution {
 public:
  virtual ~WinogradConvolution() = default;

  /// Of transformed weights.
  [[nodiscard]] virtual std::size_t weight_floats() const = 0;
  /// Of the memory that a call of run() works in.
  [[nodiscard]] virtual std::size_t work_floats() const = 0;
  [[nodiscard]] virtual int tiles() const = 0;

  /// From [filters, 3, 3, channels].
  virtual void transform_weights(const void* weights, float* transformed) const = 0;
  /// For the convolution with turned weights [channels, 3, 3, filters], which takes another's output gradient to its
  /// input gradient.
  virtual void transform_turned_weights(const void* weights, float* transformed) const = 0;

  /// What becomes of the sums: + bias, times `slope` where that is negative, and, with a choice, the maxima of windows
  /// of 2x2 (see kernels/max_pool.h).
  struct Output {
    void* data;
    const float* bias = nullptr;  ///< null: 0
    float slope = 1;
    std::uint8_t* choice = nullptr;
  };
  /// The outputs of tiles begin..end-1.
  virtual void run(const void* input, const float* transformed_weights, int begin, int end, const Output& output,
                   float* work) const = 0;
};

/// The gradients of such a convolution's parameters; immutable.
class WinogradWeightGradient {
 public:
  virtual ~WinogradWeightGradient() = default;

  [[nodiscard]] virtual std::size_t work_floats() const = 0;

  /// Writes [filters, 3, 3, channels] and [filters].
  virtual void run(const void* input, const void* output_gradient, float* weight_gradient, float* bias_gradient,
                   float* work) const = 0;

  /// The output's gradient of that of its maxima, where a pool is part of the convolution.
  virtual void unpool(const void* gradient, const std::uint8_t* choice, void* unpooled) const = 0;
};

/// The lanes of a vector with which groups of so many channels are computed here: 8, or 16 where the processor has
/// AVX-512; 0 where none fits.
int winograd_lanes(int group);

/// Of channels and filters in groups of `lanes`, one of those that winograd_lanes() gives.
std::unique_ptr<WinogradConvolution> make_winograd_convolution(const ConvolutionShape& shape, DType dtype, int lanes);
std::unique_ptr<WinogradWeightGradient> make_winograd_weight_gradient(const ConvolutionShape& shape, DType dtype,
                                                                      int lanes);

}  // namespace gridspot
