#include "nn/bfloat16_emulation.h"

#include <utility>

#include "kernels/convert.h"
#include "nn/onednn_block.h"

namespace gridspot::onednn {

namespace {

/// Parts of a block of memory one after another; a null start only counts.
struct Parts {
  std::byte* start;
  std::size_t bytes = 0;

  DeviceSpan<std::byte> reserve(std::size_t size) {
    constexpr std::size_t alignment = 64;
    const std::size_t offset = bytes;
    bytes += (size + alignment - 1) / alignment * alignment;
    return {start == nullptr ? nullptr : start + offset, size};
  }
  DeviceSpan<float> floats(std::size_t count) {
    return {reinterpret_cast<float*>(reserve(count * sizeof(float)).data), count};
  }
};

}  // namespace

/// float32 copies of the tensors, then what the inner block needs. In inference those of the weights are prepared.
struct EmulatedBlock::Workspace {
  DeviceSpan<float> input, input_gradient, weights, output;
  DeviceSpan<std::byte> inner;
  std::size_t bytes = 0;

  Workspace(const EmulatedBlock& block, std::byte* start) {
    Parts parts{start};
    input = parts.floats(block.sizes_.input);
    input_gradient = parts.floats(block.input_gradient_ ? block.sizes_.input : 0);
    weights = parts.floats(block.training_ ? block.sizes_.weights : 0);
    output = parts.floats(block.sizes_.output);
    inner = parts.reserve(block.inner_->workspace_bytes());
    bytes = parts.bytes;
  }
};

struct EmulatedBlock::Prepared {
  DeviceSpan<float> weights;
  DeviceSpan<std::byte> inner;
  std::size_t bytes = 0;

  Prepared(const EmulatedBlock& block, std::byte* start) {
    Parts parts{start};
    weights = parts.floats(block.training_ ? 0 : block.sizes_.weights);
    inner = parts.reserve(block.inner_->prepared_bytes());
    bytes = parts.bytes;
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
      training_(options.training),
      float_output_(options.float_output),
      input_gradient_(options.training && options.input_gradient) {}

std::size_t EmulatedBlock::workspace_bytes() const { return Workspace(*this, nullptr).bytes; }

std::size_t EmulatedBlock::prepared_bytes() const { return Prepared(*this, nullptr).bytes; }

void EmulatedBlock::prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) {
  const Prepared parts(*this, prepared.data);
  convert(stream, weights.as<bfloat16>("weights"), parts.weights);
  inner_->prepare(stream, parts.weights, parts.inner);
}

void EmulatedBlock::forward(Stream& stream, const Forward& arguments) {
  require_prepared(arguments);
  const Workspace workspace(*this, arguments.workspace.data);
  const Prepared prepared(*this, const_cast<std::byte*>(arguments.prepared.data));
  const auto weights = training_ ? workspace.weights : prepared.weights;
  convert(stream, arguments.input.as<bfloat16>("input"), workspace.input);
  if (training_) convert(stream, arguments.weights.as<bfloat16>("weights"), weights);
  const auto output = float_output_ ? arguments.output.as<float>("output") : workspace.output;
  inner_->forward(stream, {workspace.input, weights, arguments.bias, output, workspace.inner, {}, prepared.inner});
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
