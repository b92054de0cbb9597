#pragma once
// Inference of 3x3 convolutions of stride 1 on the CPU by Winograd's algorithm F(4x4, 3x3): a tile of 4x4 outputs takes
// 36 products a pair of channels instead of 144. (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks".)
// Sums of large and small terms round more than those of the definition: about 1.5e-6 of the output's root mean square
// for 64 channels, some hundred times less than with factors of TF32.
#include "nn/block.h"

namespace gridspot {

/// The bits depend neither on the number of threads nor on the batch.
class WinogradBlock : public Block {
 public:
  /// Whether it is made for these, and takes fewer products: size 3, stride 1, channels and filters in groups of 8,
  /// inference in tf32.
  static bool fits(const ConvolutionShape& shape, const BlockOptions& options);

  WinogradBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options);

  void forward(Stream& stream, const Forward& arguments) override;
  void backward(Stream& stream, const Backward& arguments) override;
  [[nodiscard]] std::size_t workspace_bytes() const override;
  [[nodiscard]] std::size_t prepared_bytes() const override;
  void prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) override;

 private:
  struct Tile {
    int image, y, x;  ///< of the tile's first output
  };
  [[nodiscard]] int tiles() const { return shape_.batch * tiles_down_ * tiles_across_; }
  [[nodiscard]] Tile tile(int number) const;
  [[nodiscard]] std::size_t share_floats() const;
  void transform_weights(const float* weights, float* transformed) const;
  void transform_input(const float* input, int first, int count, float* transformed) const;
  void multiply(const float* input, const float* weights, int count, float* products) const;
  void transform_output(const float* products, const float* bias, int first, int count, float* output) const;

  ConvolutionShape shape_;
  float slope_;
  int threads_;
  int tiles_across_, tiles_down_, tiles_at_once_;
  std::size_t input_stride_, product_stride_;  ///< floats between the values of one point and those of the next
};

}  // namespace gridspot
