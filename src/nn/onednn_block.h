#pragma once
// What convolution and product share on the CPU: primitives with the reorders around them, and the block made of three.
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "nn/bfloat16_emulation.h"
#include "nn/onednn.h"

namespace gridspot::onednn {

/// A tensor of a primitive: the caller's format and the one that the primitive works in.
struct Operand {
  int argument = 0;  ///< DNNL_ARG_SRC and the like
  dnnl::memory::desc outer, inner;
};

/// One primitive. Where the two formats of an operand differ, a copy in the primitive's format lies in the workspace
/// and is reordered before (inputs) or after (outputs).
class Pass {
 public:
  Pass(const dnnl::engine& engine, const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
       std::span<const Operand> inputs, std::span<const Operand> outputs);

  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }

  /// The pointers in the order of the operands given to the constructor.
  void run(std::byte* workspace, std::span<const void* const> inputs, std::span<void* const> outputs);

 private:
  struct Slot {
    dnnl::memory outer, inner;
    dnnl::reorder reorder;  ///< empty where the formats are the same
    dnnl::memory reorder_scratchpad;
    std::size_t inner_offset = 0, scratchpad_offset = 0;
  };
  enum class Direction { in, out };

  Slot make_slot(const Operand& operand, Direction direction);
  std::size_t reserve(const dnnl::memory::desc& desc);
  void run_reorder(const Slot& slot, const dnnl::memory& from, const dnnl::memory& to);

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::vector<Slot> inputs_, outputs_;
  dnnl::memory scratchpad_;
  std::size_t scratchpad_offset_ = 0, workspace_bytes_ = 0;
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// The passes of a convolution or a product. `backward_weights` takes input and output gradient and gives the
/// gradients of weights and bias; `backward_data` takes output gradient and weights. `prepare` reorders the weights for
/// `forward`; without it they are taken as they are.
struct Passes {
  std::unique_ptr<Pass> forward, backward_data, backward_weights, prepare;
  std::size_t prepared_weights_bytes = 0;  ///< that `prepare` writes
};

/// The activation's derivative, read off its output: gradient *= output > 0 ? 1 : slope. A slope of 1 reads nothing.
void mask_gradient(ConstTensorSpan output, float slope, TensorSpan gradient);

class OnednnBlock : public Block {
 public:
  OnednnBlock(Passes passes, Activation activation, const BlockOptions& options)
      : passes_(std::move(passes)),
        slope_(options.masks_gradient ? negative_slope(activation) : 1),
        threads_(options.threads),
        dtype_(options.dtype()),
        output_dtype_(options.output_dtype()) {}

  void forward(Stream& stream, const Forward& arguments) override;
  void backward(Stream& stream, const Backward& arguments) override;
  [[nodiscard]] std::size_t workspace_bytes() const override;
  [[nodiscard]] std::size_t prepared_bytes() const override;
  void prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) override;

 private:
  void run_backward(const Backward& arguments);

  Passes passes_;
  float slope_;  ///< masks the gradient in backward; 1 leaves it as it is
  int threads_;
  DType dtype_, output_dtype_;
};

/// make(options), or under bf16 a block that emulates it where the processor or oneDNN has nothing for it.
std::unique_ptr<Block> native_or_emulated(const BlockSizes& sizes, Activation activation, const BlockOptions& options,
                                          const std::function<std::unique_ptr<Block>(const BlockOptions&)>& make);

// Passes from descriptions of primitives (see onednn.h), whose formats may differ from `outer`.

template <class Description>
std::unique_ptr<Pass> forward_pass(const dnnl::engine& engine, const Description& description, const Formats& outer) {
  const Operand inputs[] = {{DNNL_ARG_SRC, outer.input, description.src_desc()},
                            {DNNL_ARG_WEIGHTS, outer.weights, description.weights_desc()},
                            {DNNL_ARG_BIAS, outer.bias, description.bias_desc()}};
  const Operand outputs[] = {{DNNL_ARG_DST, outer.output, description.dst_desc()}};
  return std::make_unique<Pass>(engine, dnnl::primitive(description), description.scratchpad_desc(), inputs, outputs);
}

/// Lets forward take weights in the format of the description, which `prepare` puts them in. For inference.
template <class Description>
void prepare_weights(const dnnl::engine& engine, const Description& description, Formats outer, Passes& passes) {
  const auto wanted = description.weights_desc();
  if (wanted != outer.weights) {
    const dnnl::reorder::primitive_desc reorder(engine, outer.weights, engine, wanted, attributes());
    const Operand from[] = {{DNNL_ARG_FROM, outer.weights, outer.weights}}, to[] = {{DNNL_ARG_TO, wanted, wanted}};
    passes.prepare = std::make_unique<Pass>(engine, dnnl::reorder(reorder), reorder.scratchpad_desc(), std::span(from),
                                            std::span(to));
    passes.prepared_weights_bytes = wanted.get_size();
  }
  outer.weights = wanted;
  passes.forward = forward_pass(engine, description, outer);
}

template <class Description>
std::unique_ptr<Pass> backward_data_pass(const dnnl::engine& engine, const Description& description,
                                         const Formats& outer) {
  const Operand inputs[] = {{DNNL_ARG_DIFF_DST, outer.output, description.diff_dst_desc()},
                            {DNNL_ARG_WEIGHTS, outer.weights, description.weights_desc()}};
  const Operand outputs[] = {{DNNL_ARG_DIFF_SRC, outer.input, description.diff_src_desc()}};
  return std::make_unique<Pass>(engine, dnnl::primitive(description), description.scratchpad_desc(), inputs, outputs);
}

template <class Description>
std::unique_ptr<Pass> backward_weights_pass(const dnnl::engine& engine, const Description& description,
                                            const Formats& outer) {
  const Operand inputs[] = {{DNNL_ARG_SRC, outer.input, description.src_desc()},
                            {DNNL_ARG_DIFF_DST, outer.output, description.diff_dst_desc()}};
  const Operand outputs[] = {{DNNL_ARG_DIFF_WEIGHTS, outer.weights, description.diff_weights_desc()},
                             {DNNL_ARG_DIFF_BIAS, outer.bias, description.diff_bias_desc()}};
  return std::make_unique<Pass>(engine, dnnl::primitive(description), description.scratchpad_desc(), inputs, outputs);
}

}  // namespace gridspot::onednn
