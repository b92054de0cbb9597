#include "nn/winograd_block.h"

#include <algorithm>

#include "gridspot/error.h"
#include "nn/lane_pool.h"
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

}  // namespace

bool WinogradBlock::fits(const ConvolutionShape& s, const BlockOptions& options) {
  const auto grouped = [](int group, int channels) {
    return group == lane_count || (group == 0 && channels == lane_count);
  };
  return options.precision == Precision::tf32 && s.size == 3 && s.stride == 1 &&
         grouped(options.input_group, s.input_channels) && grouped(options.output_group, s.filters) &&
         winograd_pays(s.output_height(), s.output_width()) &&
         (!options.pools || (s.output_height() >= 2 && s.output_width() >= 2));
}

WinogradBlock::WinogradBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options)
    : shape_(shape),
      pools_(options.pools),
      forward_(shape),
      slope_(negative_slope(activation)),
      masked_slope_(options.masks_gradient ? slope_ : 1),
      threads_(options.threads) {
  ensure(fits(shape, options), "the convolution is not one that WinogradBlock is made for");
  if (!options.training) return;
  backward_weights_.emplace(shape);
  if (options.input_gradient) backward_data_.emplace(turned(shape));
}

std::size_t WinogradBlock::prepared_bytes() const {
  return backward_weights_ ? 0 : forward_.weight_floats() * sizeof(float);
}

std::size_t WinogradBlock::unpooled_floats() const {
  return pools_ ? std::size_t(shape_.batch) * shape_.output_height() * shape_.output_width() * shape_.filters : 0;
}

std::size_t WinogradBlock::workspace_bytes() const {
  if (!backward_weights_) return threads_ * forward_.work_floats() * sizeof(float);
  const auto with_weights = [](const WinogradConvolution& pass) { return pass.weight_floats() + pass.work_floats(); };
  const std::size_t backward =
      std::max(backward_weights_->work_floats(), backward_data_ ? with_weights(*backward_data_) : 0);
  return std::max(with_weights(forward_), unpooled_floats() + backward) * sizeof(float);
}

void WinogradBlock::prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) {
  if (backward_weights_) return;
  const float* from = weights.as<float>("weights").data;
  stream.submit(
      [this, from, prepared](Stream&) { forward_.transform_weights(from, reinterpret_cast<float*>(prepared.data)); });
}

void WinogradBlock::forward(Stream& stream, const Forward& arguments) {
  const float* input = arguments.input.as<float>("input").data;
  const float* weights = arguments.weights.as<float>("weights").data;
  float* result = arguments.output.as<float>("output").data;
  require_prepared(arguments);
  const auto* prepared = reinterpret_cast<const float*>(arguments.prepared.data);
  auto* work = reinterpret_cast<float*>(arguments.workspace.data);
  const WinogradConvolution::Output output{result, arguments.bias.data, slope_,
                                           pools_ ? arguments.choice.data : nullptr};
  stream.submit([=, this](Stream&) {
    if (backward_weights_) {
      float* transformed = work + forward_.work_floats();
      forward_.transform_weights(weights, transformed);
      return forward_.run(input, transformed, 0, forward_.tiles(), output, work);
    }
    onednn::run_on_threads(threads_, [&](int member) {
      const auto begin = [&](int of) { return static_cast<int>(std::int64_t(forward_.tiles()) * of / threads_); };
      forward_.run(input, prepared, begin(member), begin(member + 1), output, work + member * forward_.work_floats());
    });
  });
}

void WinogradBlock::unpool(const float* gradient, const std::uint8_t* choice, float* unpooled) const {
  const int planes = shape_.batch * shape_.filters / lane_count, height = shape_.output_height();
  const std::ptrdiff_t row_size = std::ptrdiff_t(shape_.output_width()) * lane_count;
  const int rows = height / 2, columns = shape_.output_width() / 2;
  for (int plane = 0; plane < planes; ++plane, unpooled += height * row_size) {
    for (int y = 0; y < rows; ++y) {
      float* to = unpooled + 2 * y * row_size;
      for (int x = 0; x < columns; ++x, to += 2 * lane_count, gradient += lane_count, choice += lane_count) {
        const Lanes value = load_lanes(gradient);
        const IntLanes chosen = load_choice(choice);
        for (int i = 0; i < window_size; ++i)
          store_lanes(to + i / 2 * row_size + i % 2 * lane_count, where_chosen(chosen, i, value));
      }
      if (shape_.output_width() % 2 == 0) continue;
      store_lanes(to, Lanes{});
      store_lanes(to + row_size, Lanes{});
    }
    if (height % 2 != 0) std::fill_n(unpooled + (height - 1) * row_size, row_size, 0.0f);
  }
}

void WinogradBlock::run_backward(const Backward& arguments) const {
  onednn::mask_gradient(arguments.output, masked_slope_, arguments.output_gradient);
  const auto* gradient = static_cast<const float*>(arguments.output_gradient.data);
  auto* work = reinterpret_cast<float*>(arguments.workspace.data);
  if (pools_) {
    unpool(gradient, arguments.choice.data, work);
    gradient = work;
    work += unpooled_floats();
  }
  backward_weights_->run(static_cast<const float*>(arguments.input.data), gradient, arguments.weight_gradient.data,
                         arguments.bias_gradient.data, work);
  if (!backward_data_) return;
  float* transformed = work + backward_data_->work_floats();
  backward_data_->transform_turned_weights(static_cast<const float*>(arguments.weights.data), transformed);
  backward_data_->run(gradient, transformed, 0, backward_data_->tiles(),
                      {static_cast<float*>(arguments.input_gradient.data)}, work);
}

void WinogradBlock::backward(Stream& stream, const Backward& arguments) {
  ensure(backward_weights_.has_value(), "the block was not built for training");
  arguments.input.require_dtype("input", DType::float32);
  arguments.weights.require_dtype("weights", DType::float32);
  arguments.output_gradient.require_dtype("output_gradient", DType::float32);
  arguments.input_gradient.require_dtype("input_gradient", DType::float32);
  stream.submit([this, arguments](Stream&) { run_backward(arguments); });
}

}  // namespace gridspot
