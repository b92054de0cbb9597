#pragma once
// Winograd's algorithm for 3x3 convolutions of stride 1 on the CPU: a tile of 4x4 outputs takes 36 products a pair of
// channels instead of 144. (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", F(4x4, 3x3).)
//
//   Y = A'[(G w G') . (B' x B)]A,    dw = G'[(A y A') . (B' x B)]G
//
// with a tile's 6x6 inputs x, its outputs Y and their gradient y, the weights w, and products by element, which sum
// over channels, and in the gradient over tiles.
//
// Activations are in groups of 8 channels (see nn/block.h). Sums of large and small terms round more than those of the
// definition: about 2e-6 of the output's root mean square for 64 channels, some hundred times less than with factors
// of TF32.
#include <cstddef>
#include <cstdint>

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

/// Convolutions of one shape; immutable. Size 3, stride 1, channels and filters in groups of 8.
class WinogradConvolution {
 public:
  explicit WinogradConvolution(const ConvolutionShape& shape);

  /// Of transformed weights.
  [[nodiscard]] std::size_t weight_floats() const;
  /// Of the memory that a call of run() works in.
  [[nodiscard]] std::size_t work_floats() const;
  [[nodiscard]] int tiles() const { return grid_.count(); }

  /// From [filters, 3, 3, channels].
  void transform_weights(const float* weights, float* transformed) const;
  /// For the convolution with turned weights [channels, 3, 3, filters], which takes another's output gradient to its
  /// input gradient.
  void transform_turned_weights(const float* weights, float* transformed) const;

  /// What becomes of the sums: + bias, times `slope` where that is negative, and, with a choice, the maxima of windows
  /// of 2x2 (see kernels/max_pool.h).
  struct Output {
    float* data;
    const float* bias = nullptr;  ///< null: 0
    float slope = 1;
    std::uint8_t* choice = nullptr;
  };
  /// The outputs of tiles begin..end-1.
  void run(const float* input, const float* transformed_weights, int begin, int end, const Output& output,
           float* work) const;

 private:
  void multiply(const float* input, const float* weights, int count, float* products) const;
  void transform_output(const float* products, int first, int count, const Output& output) const;

  ConvolutionShape shape_;
  TileGrid grid_;
  int tiles_at_once_;
  std::size_t input_stride_, product_stride_;  ///< floats between the values of one point and those of the next
};

/// The gradients of such a convolution's parameters; immutable.
class WinogradWeightGradient {
 public:
  explicit WinogradWeightGradient(const ConvolutionShape& shape);

  [[nodiscard]] std::size_t work_floats() const;

  /// Writes [filters, 3, 3, channels] and [filters].
  void run(const float* input, const float* output_gradient, float* weight_gradient, float* bias_gradient,
           float* work) const;

 private:
  void transform_back(const float* sums, float* weight_gradient) const;

  ConvolutionShape shape_;
  TileGrid grid_;
  int tiles_at_once_;
  std::size_t input_stride_, gradient_stride_, sum_stride_;
};

}  // namespace gridspot
