#pragma once
// A convolution by Winograd's algorithm as a block of networks on the CPU.
#include <cstdint>
#include <memory>

#include "nn/winograd.h"

namespace gridspot {

/// The bits depend neither on the number of threads nor, in inference, on the batch.
class WinogradBlock : public Block {
 public:
  /// Whether it is made for these, and takes fewer products: size 3, stride 1, channels and filters in groups of 8, or
  /// of 16 where the processor has AVX-512; tf32, or bf16 where the processor has no AMX.
  static bool fits(const ConvolutionShape& shape, const BlockOptions& options);

  WinogradBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options);

  void forward(Stream& stream, const Forward& arguments) override;
  void backward(Stream& stream, const Backward& arguments) override;
  [[nodiscard]] std::size_t workspace_bytes() const override;
  [[nodiscard]] std::size_t prepared_bytes() const override;
  void prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) override;

 private:
  /// What a training call's work begins with.
  [[nodiscard]] std::size_t unpooled_bytes() const;
  void run_backward(const Backward& arguments) const;

  ConvolutionShape shape_;
  DType dtype_;
  bool pools_;
  std::unique_ptr<WinogradConvolution> forward_, backward_data_;
  std::unique_ptr<WinogradWeightGradient> backward_weights_;  ///< in training
  float slope_, masked_slope_;                                ///< of the activation, and of its derivative in backward
  int threads_;
};

}  // namespace gridspot
