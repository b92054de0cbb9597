#include "nn/bfloat16_emulation.h"

#include <utility>

#include "kernels/convert.h"
#include "nn/onednn_block.h"

namespace gridspot::onednn {

/// float32 copies of the tensors, then what the inner block needs.
struct EmulatedBlock::Workspace {
  DeviceSpan<float> input, input_gradient, weights, output;
  DeviceSpan<std::byte> inner;
  std::size_t bytes = 0;

  Workspace(const EmulatedBlock& block, std::byte* start) {
    const auto reserve = [&](std::size_t size) {
      constexpr std::size_t alignment = 64;
      const std::size_t offset = bytes;
      bytes += (size + alignment - 1) / alignment * alignment;
      return start == nullptr ? nullptr : start + offset;
    };
    const auto floats = [&](std::size_t count) {
      return DeviceSpan<float>(reinterpret_cast<float*>(reserve(count * sizeof(float))), count);
    };
    input = floats(block.sizes_.input);
    input_gradient = floats(block.input_gradient_ ? block.sizes_.input : 0);
    weights = floats(block.sizes_.weights);
    output = floats(block.sizes_.output);
    const std::size_t inner_bytes = block.inner_->workspace_bytes();
    inner = {reserve(inner_bytes), inner_bytes};
  }
};

BlockOptions emulating_options(BlockOptions options) {
  options.precision = Precision::fp32;
  options.masks_gradient = false;  // what the products take is the masked gradient, rounded
  options.float_output = false;
  return options;
}

EmulatedBlock::EmulatedBlock(std::unique_ptr<Block> inner, const BlockSizes& sizes, Activation activation,
                             const BlockOptions& options)
    : inner_(std::move(inner)),
      sizes_(sizes),
      slope_(options.masks_gradient ? negative_slope(activation) : 1),
      float_output_(options.float_output),
      input_gradient_(options.training && options.input_gradient) {}

std::size_t EmulatedBlock::workspace_bytes() const { return Workspace(*this, nullptr).bytes; }

void EmulatedBlock::forward(Stream& stream, const Forward& arguments) {
  const Workspace workspace(*this, arguments.workspace.data);
  convert(stream, arguments.input.as<bfloat16>("input"), workspace.input);
  convert(stream, arguments.weights.as<bfloat16>("weights"), workspace.weights);
  const auto output = float_output_ ? arguments.output.as<float>("output") : workspace.output;
  inner_->forward(stream, {workspace.input, workspace.weights, arguments.bias, output, workspace.inner});
  if (!float_output_) convert(stream, output, arguments.output.as<bfloat16>("output"));
}

void EmulatedBlock::backward(Stream& stream, const Backward& arguments) {
  const Workspace workspace(*this, arguments.workspace.data);
  stream.submit([output = arguments.output, slope = slope_, gradient = arguments.output_gradient](Stream&) {
    mask_gradient(output, slope, gradient);
  });
  convert(stream, arguments.output_gradient.as<bfloat16>("output_gradient"), workspace.output);
  convert(stream, arguments.input.as<bfloat16>("input"), workspace.input);
  convert(stream, arguments.weights.as<bfloat16>("weights"), workspace.weights);
  inner_->backward(stream, {workspace.input,
                            {},  // the output, which nothing is masked by
                            workspace.weights,
                            workspace.output,
                            workspace.input_gradient,
                            arguments.weight_gradient,
                            arguments.bias_gradient,
                            workspace.inner});
  convert(stream, workspace.input_gradient, arguments.input_gradient.as<bfloat16>("input_gradient"));
}

}  // namespace gridspot::onednn
