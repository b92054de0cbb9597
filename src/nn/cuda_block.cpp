#include "nn/cuda_block.h"

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <utility>

#include "device/cuda.h"
#include "kernels/activation.h"
#include "kernels/check.h"
#include "kernels/convert.h"

namespace gridspot::cuda {

namespace {

void require_tensor(const std::string& block, const char* name, ConstTensorSpan tensor, std::size_t elements,
                    DType dtype = DType::float32) {
  tensor.require_dtype(name, dtype);
  require_elements(block.c_str(), name, tensor.size, elements);
  require_that(reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0, block, ": ", name,
               " must be aligned to 16 bytes");
}

class WidenedPass : public Pass {
 public:
  WidenedPass(std::unique_ptr<Pass> pass, std::size_t elements) : pass_(std::move(pass)), elements_(elements) {}

  void run(Stream& stream, const Operands& operands) override {
    const DeviceSpan result(static_cast<bfloat16*>(operands.workspace), elements_);
    Operands inner = operands;
    inner.result = result.data;
    inner.workspace = static_cast<std::byte*>(operands.workspace) + result_bytes();
    pass_->run(stream, inner);
    convert(stream, result, DeviceSpan(static_cast<float*>(operands.result), elements_));
  }
  [[nodiscard]] std::size_t workspace_bytes() const override { return result_bytes() + pass_->workspace_bytes(); }

 private:
  [[nodiscard]] std::size_t result_bytes() const {
    constexpr std::size_t alignment = 256;
    return (elements_ * sizeof(bfloat16) + alignment - 1) / alignment * alignment;
  }

  std::unique_ptr<Pass> pass_;
  std::size_t elements_;
};

std::size_t workspace_of(const std::unique_ptr<Pass>& pass) { return pass ? pass->workspace_bytes() : 0; }

}  // namespace

std::unique_ptr<Pass> widened(std::unique_ptr<Pass> pass, std::size_t elements) {
  return std::make_unique<WidenedPass>(std::move(pass), elements);
}

void use_device(Device device) {
  std::string reason;
  const int count = device_count(&reason);
  if (device.index >= 0 && device.index < count) return make_current(device.index);
  throw NoDevice("there is no device " + to_string(device) + ": " +
                 (count == 0 ? reason : "CUDA finds " + std::to_string(count)));
}

std::string describe(const ConvolutionShape& shape) {
  std::ostringstream text;
  text << shape.size << "x" << shape.size << " convolution, stride " << shape.stride << ", padding " << shape.padding
       << ", of " << shape.batch << " x " << shape.height << " x " << shape.width << " x " << shape.input_channels
       << " to " << shape.filters << " filters";
  return text.str();
}

std::string describe(const ProductShape& shape) {
  std::ostringstream text;
  text << "product of " << shape.batch << " x " << shape.inputs << " with " << shape.outputs << " outputs";
  return text.str();
}

CudaBlock::CudaBlock(Device device, std::string name, const Extents& extents, Activation activation,
                     const BlockOptions& options, Passes passes)
    : device_(device),
      name_(std::move(name)),
      extents_(extents),
      slope_(negative_slope(activation)),
      options_(options),
      passes_(std::move(passes)) {
  // The calls follow each other on one stream, so all of them use the same bytes.
  workspace_bytes_ = std::max(
      {workspace_of(passes_.forward), workspace_of(passes_.backward_weights), workspace_of(passes_.backward_data)});
  if (passes_.backward_weights) workspace_bytes_ = std::max(workspace_bytes_, partials() * sizeof(float));
}

std::size_t CudaBlock::partials() const { return activation_partials(extents_.rows, extents_.channels); }

void CudaBlock::require_workspace(DeviceSpan<std::byte> workspace) const {
  require_that(workspace.size >= workspace_bytes_, name_, ": the workspace must have ", workspace_bytes_,
               " bytes, it has ", workspace.size);
  require_that(reinterpret_cast<std::uintptr_t>(workspace.data) % 256 == 0, name_,
               ": the workspace must be aligned to 256 bytes");
}

void CudaBlock::forward(Stream& stream, const Forward& arguments) {
  const std::size_t channels = std::size_t(extents_.channels);
  require_tensor(name_, "input", arguments.input, extents_.input, options_.dtype());
  require_tensor(name_, "weights", arguments.weights, extents_.weights, options_.dtype());
  require_tensor(name_, "bias", arguments.bias, channels);
  require_tensor(name_, "output", arguments.output, extents_.rows * channels, options_.output_dtype());
  require_workspace(arguments.workspace);
  make_current(device_.index);
  passes_.forward->run(stream, {.first = arguments.input.data,
                                .second = arguments.weights.data,
                                .bias = arguments.bias.data,
                                .result = arguments.output.data,
                                .workspace = arguments.workspace.data});
  if (passes_.fused) return;
  with_type_of(options_.output_dtype(), [&]<class T>(std::type_identity<T>) {
    bias_activation<T>(stream, extents_.rows, extents_.channels, arguments.bias, slope_,
                       arguments.output.as<T>("output"));
  });
}

void CudaBlock::backward(Stream& stream, const Backward& arguments) {
  const std::size_t channels = std::size_t(extents_.channels), outputs = extents_.rows * channels;
  require_that(passes_.backward_weights != nullptr, name_, ": the block was not built for training");
  require_tensor(name_, "input", arguments.input, extents_.input, options_.dtype());
  require_tensor(name_, "weights", arguments.weights, extents_.weights, options_.dtype());
  require_tensor(name_, "output_gradient", arguments.output_gradient, outputs, options_.dtype());
  require_tensor(name_, "input_gradient", arguments.input_gradient, passes_.backward_data ? extents_.input : 0,
                 options_.dtype());
  require_tensor(name_, "weight_gradient", arguments.weight_gradient, extents_.weights);
  require_tensor(name_, "bias_gradient", arguments.bias_gradient, channels);
  require_workspace(arguments.workspace);
  make_current(device_.index);
  const float slope = options_.masks_gradient ? slope_ : 1;
  with_type_of(options_.dtype(), [&]<class T>(std::type_identity<T>) {
    const auto output = slope == 1 ? DeviceSpan<const T>() : arguments.output.as<T>("output");
    activation_backward<T>(stream, extents_.rows, extents_.channels, output, slope,
                           arguments.output_gradient.as<T>("output_gradient"), arguments.bias_gradient,
                           {reinterpret_cast<float*>(arguments.workspace.data), partials()});
  });
  passes_.backward_weights->run(stream, {.first = arguments.input.data,
                                         .second = arguments.output_gradient.data,
                                         .result = arguments.weight_gradient.data,
                                         .workspace = arguments.workspace.data});
  if (passes_.backward_data)
    passes_.backward_data->run(stream, {.first = arguments.output_gradient.data,
                                        .second = arguments.weights.data,
                                        .input = arguments.input.data,
                                        .result = arguments.input_gradient.data,
                                        .workspace = arguments.workspace.data});
}

}  // namespace gridspot::cuda
