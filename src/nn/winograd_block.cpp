#include "nn/winograd_block.h"

#include <algorithm>

#include "gridspot/error.h"
#include "nn/onednn_block.h"

namespace gridspot {
namespace {

/// The convolution that takes the output's gradient to the input's.
ConvolutionShape turned(const ConvolutionShape& s) {
  return {.batch = s.batch,
          .height = s.output_height(),
          .width = s.output_width(),
          .input_channels = s.filters,
          .filters = s.input_channels,
          .size = s.size,
          .stride = s.stride,
          .padding = s.size - 1 - s.padding};
}

int group_of(int group, int channels) { return group == 0 ? channels : group; }

bool fits_precision(const BlockOptions& options) {
  if (options.precision == Precision::bf16) return !onednn::multiplies_bfloat16_tiles() && !options.float_output;
  return options.precision == Precision::tf32;
}

}  // namespace

bool WinogradBlock::fits(const ConvolutionShape& s, const BlockOptions& options) {
  const int group = group_of(options.input_group, s.input_channels);
  return fits_precision(options) && s.size == 3 && s.stride == 1 && winograd_lanes(group) != 0 &&
         group == group_of(options.output_group, s.filters) && winograd_pays(s.output_height(), s.output_width()) &&
         (!options.pools || (s.output_height() >= 2 && s.output_width() >= 2));
}

WinogradBlock::WinogradBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options)
    : shape_(shape),
      dtype_(options.dtype()),
      pools_(options.pools),
      slope_(negative_slope(activation)),
      masked_slope_(options.masks_gradient ? slope_ : 1),
      threads_(options.threads) {
  ensure(fits(shape, options), "the convolution is not one that WinogradBlock is made for");
  const int lanes = winograd_lanes(group_of(options.input_group, shape.input_channels));
  forward_ = make_winograd_convolution(shape, dtype_, lanes);
  if (!options.training) return;
  backward_weights_ = make_winograd_weight_gradient(shape, dtype_, lanes);
  if (options.input_gradient) backward_data_ = make_winograd_convolution(turned(shape), dtype_, lanes);
}

std::size_t WinogradBlock::prepared_bytes() const {
  return backward_weights_ ? 0 : forward_->weight_floats() * sizeof(float);
}

std::size_t WinogradBlock::unpooled_bytes() const {
  if (!pools_) return 0;
  const auto elements = std::size_t(shape_.batch) * shape_.output_height() * shape_.output_width() * shape_.filters;
  return elements * size_of(dtype_);  // a multiple of a vector's bytes
}

std::size_t WinogradBlock::workspace_bytes() const {
  if (!backward_weights_) return threads_ * forward_->work_floats() * sizeof(float);
  const auto with_weights = [](const WinogradConvolution& pass) { return pass.weight_floats() + pass.work_floats(); };
  const std::size_t backward =
      std::max(backward_weights_->work_floats(), backward_data_ ? with_weights(*backward_data_) : 0);
  return std::max(with_weights(*forward_) * sizeof(float), unpooled_bytes() + backward * sizeof(float));
}

void WinogradBlock::prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) {
  if (backward_weights_) return;
  weights.require_dtype("weights", dtype_);
  stream.submit([this, from = weights.data, prepared](Stream&) {
    forward_->transform_weights(from, reinterpret_cast<float*>(prepared.data));
  });
}

void WinogradBlock::forward(Stream& stream, const Forward& arguments) {
  arguments.input.require_dtype("input", dtype_);
  arguments.weights.require_dtype("weights", dtype_);
  arguments.output.require_dtype("output", dtype_);
  require_prepared(arguments);
  stream.submit([this, arguments](Stream&) {
    const WinogradConvolution::Output output{arguments.output.data, arguments.bias.data, slope_,
                                             pools_ ? arguments.choice.data : nullptr};
    auto* work = reinterpret_cast<float*>(arguments.workspace.data);
    if (backward_weights_) {
      float* transformed = work + forward_->work_floats();
      forward_->transform_weights(arguments.weights.data, transformed);
      return forward_->run(arguments.input.data, transformed, 0, forward_->tiles(), output, work);
    }
    const auto* prepared = reinterpret_cast<const float*>(arguments.prepared.data);
    onednn::run_on_threads(threads_, [&](int member) {
      const auto begin = [&](int of) { return static_cast<int>(std::int64_t(forward_->tiles()) * of / threads_); };
      forward_->run(arguments.input.data, prepared, begin(member), begin(member + 1), output,
                    work + member * forward_->work_floats());
    });
  });
}

void WinogradBlock::run_backward(const Backward& arguments) const {
  onednn::mask_gradient(arguments.output, masked_slope_, arguments.output_gradient);
  const void* gradient = arguments.output_gradient.data;
  if (pools_) {
    backward_weights_->unpool(gradient, arguments.choice.data, arguments.workspace.data);
    gradient = arguments.workspace.data;
  }
  auto* work = reinterpret_cast<float*>(arguments.workspace.data + unpooled_bytes());
  backward_weights_->run(arguments.input.data, gradient, arguments.weight_gradient.data, arguments.bias_gradient.data,
                         work);
  if (!backward_data_) return;
  float* transformed = work + backward_data_->work_floats();
  backward_data_->transform_turned_weights(arguments.weights.data, transformed);
  backward_data_->run(gradient, transformed, 0, backward_data_->tiles(), {arguments.input_gradient.data}, work);
}

void WinogradBlock::backward(Stream& stream, const Backward& arguments) {
  ensure(backward_weights_ != nullptr, "the block was not built for training");
  arguments.input.require_dtype("input", dtype_);
  arguments.weights.require_dtype("weights", dtype_);
  arguments.output_gradient.require_dtype("output_gradient", dtype_);
  arguments.input_gradient.require_dtype("input_gradient", dtype_);
  stream.submit([this, arguments](Stream&) { run_backward(arguments); });
}

}  // namespace gridspot
