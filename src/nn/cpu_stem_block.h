#pragma once
// A network's first convolution on the CPU, for images of one channel: forward with bias, activation and the pool
// behind it, and the gradients of its parameters. oneDNN pads the one channel to eight in backward and takes eight
// times as long; this reads the output's gradient once, masks as it goes, and what is pooled is never in memory.
#include "nn/block.h"

namespace gridspot {

/// Computes in float32 whatever the dtype of the activations; the bits do not depend on the number of threads.
class CpuStemBlock : public Block {
 public:
  /// Whether it is made for these: one input channel, size 3, filters in groups of a multiple of 8, no
  /// gradient of the input.
  static bool fits(const ConvolutionShape& shape, const BlockOptions& options);

  CpuStemBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options);

  void forward(Stream& stream, const Forward& arguments) override;
  /// Leaves output_gradient as it is. Sums in a fixed order: rows, images.
  void backward(Stream& stream, const Backward& arguments) override;
  [[nodiscard]] bool rounds_input() const override { return true; }
  [[nodiscard]] std::size_t workspace_bytes() const override;

 private:
  /// Of eight filters in a group: where their first pixel lies, and floats from row to row.
  struct Place {
    std::size_t first, row_stride;
  };
  [[nodiscard]] Place place_of(int image, int filter) const;
  [[nodiscard]] int padded_width() const { return shape_.width + 2 * shape_.padding; }
  [[nodiscard]] int padded_height() const { return shape_.height + 2 * shape_.padding; }
  [[nodiscard]] std::size_t padded_size() const { return std::size_t(padded_width()) * padded_height(); }
  [[nodiscard]] int padded_row(int output_row) const { return output_row * shape_.stride * (pools_ ? 2 : 1); }
  /// Pixels are In and count as rounded to T.
  template <class T, class In>
  void pad_rows(const In* image, int begin, int end, float* padded) const;
  template <class T, class In>
  void run_forward(const Forward& arguments, int member) const;
  template <class T>
  void run_backward(const Backward& arguments) const;

  ConvolutionShape shape_;
  bool pools_, training_;
  DType dtype_;
  int rows_, columns_;  ///< of the output
  int group_;
  float slope_, masked_slope_;  ///< of the activation, and of its derivative in backward
  int threads_;
};

}  // namespace gridspot
