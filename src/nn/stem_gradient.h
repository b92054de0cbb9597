#pragma once
// The backward pass of a network's first convolution on the CPU, for images of one channel. oneDNN pads the one channel
// to eight there and takes eight times as long; this reads the output and its gradient once, masks as it goes, and
// writes nothing but the gradients of weights and bias.
#include <cstddef>

#include "nn/block.h"

namespace gridspot {

class StemGradient {
 public:
  /// Whether it is made for the shape: one input channel, size 3, filters in groups of 8.
  static bool fits(const ConvolutionShape& shape);

  /// `slope` masks the output's gradient (see negative_slope; 1 leaves it as it is). `output_group` as in BlockOptions
  /// (0: all filters), a multiple of 8.
  StemGradient(const ConvolutionShape& shape, float slope, int output_group);

  [[nodiscard]] std::size_t workspace_bytes() const;

  /// Ignores input_gradient and leaves output_gradient as it is. Sums in a fixed order: rows, images.
  void run(const Block::Backward& arguments) const;

 private:
  [[nodiscard]] int padded_width() const { return shape_.width + 2 * shape_.padding; }
  [[nodiscard]] int padded_height() const { return shape_.height + 2 * shape_.padding; }
  void pad(const float* image, float* padded) const;

  ConvolutionShape shape_;
  float slope_;
  int group_;
};

}  // namespace gridspot
