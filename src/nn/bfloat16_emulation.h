#pragma once
// bfloat16 on processors that know float32 alone: a float32 block with every operand widened before and every result
// rounded after. The numbers are those of bfloat16 factors and float32 sums.
#include <memory>

#include "nn/block.h"

namespace gridspot::onednn {

/// Elements of a block's tensors.
struct BlockSizes {
  std::size_t input = 0, weights = 0, output = 0;
};

/// The options of the float32 block that computes for one with these.
BlockOptions emulating_options(BlockOptions options);

class EmulatedBlock : public Block {
 public:
  /// `inner` was made with emulating_options(options).
  EmulatedBlock(std::unique_ptr<Block> inner, const BlockSizes& sizes, Activation activation,
                const BlockOptions& options);

  void forward(Stream& stream, const Forward& arguments) override;
  void backward(Stream& stream, const Backward& arguments) override;
  [[nodiscard]] std::size_t workspace_bytes() const override;
  [[nodiscard]] std::size_t prepared_bytes() const override;
  void prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) override;

 private:
  struct Workspace;
  struct Prepared;

  std::unique_ptr<Block> inner_;
  BlockSizes sizes_;
  float slope_;
  bool training_, float_output_, input_gradient_;
};

}  // namespace gridspot::onednn
