#include "nn/stem_gradient.h"

#include <algorithm>

#include "gridspot/error.h"
#include "nn/lanes.h"

namespace gridspot {
namespace {

constexpr int size = 3, taps = size * size;

/// Sums for eight filters: one for each tap of their kernels, and the bias.
struct Sums {
  Lanes tap[taps] = {}, bias = {};

  void add(const Sums& other) {
    for (int i = 0; i < taps; ++i) tap[i] += other.tap[i];
    bias += other.bias;
  }
};

/// One row of the output.
struct Row {
  const float* image;  ///< the row's first tap, in the padded image
  int image_width, stride, count;
  const float *output, *gradient;  ///< eight filters every `group` floats
  int group;
  float slope;
};

template <bool masked>
Sums sums_of(const Row& row) {
  Sums sums;
  [[maybe_unused]] const Lanes slope = row.slope - Lanes{};
  for (int x = 0; x < row.count; ++x) {
    Lanes gradient = load_lanes(row.gradient + std::ptrdiff_t(x) * row.group);
    if constexpr (masked)
      gradient = load_lanes(row.output + std::ptrdiff_t(x) * row.group) > Lanes{} ? gradient : Lanes(slope * gradient);
    const float* corner = row.image + std::ptrdiff_t(x) * row.stride;
    for (int i = 0; i < taps; ++i)
      sums.tap[i] += corner[std::ptrdiff_t(i / size) * row.image_width + i % size] * gradient;
    sums.bias += gradient;
  }
  return sums;
}

}  // namespace

bool StemGradient::fits(const ConvolutionShape& shape) {
  return shape.input_channels == 1 && shape.size == size && shape.filters % lane_count == 0;
}

StemGradient::StemGradient(const ConvolutionShape& shape, float slope, int output_group)
    : shape_(shape), slope_(slope), group_(output_group == 0 ? shape.filters : output_group) {
  ensure(fits(shape) && group_ % lane_count == 0, "the shape is not one that StemGradient is made for");
}

std::size_t StemGradient::workspace_bytes() const {
  return (std::size_t(padded_width()) * padded_height()) * sizeof(float) + shape_.filters / lane_count * sizeof(Sums);
}

void StemGradient::pad(const float* image, float* padded) const {
  std::fill_n(padded, std::size_t(padded_width()) * padded_height(), 0.0f);
  for (int y = 0; y < shape_.height; ++y)
    std::copy_n(image + std::size_t(y) * shape_.width, shape_.width,
                padded + std::size_t(y + shape_.padding) * padded_width() + shape_.padding);
}

void StemGradient::run(const Block::Backward& arguments) const {
  const int rows = shape_.output_height(), columns = shape_.output_width();
  const std::size_t image_size = std::size_t(shape_.height) * shape_.width;
  const std::size_t output_size = std::size_t(rows) * columns * shape_.filters;
  const std::size_t row_size = std::size_t(columns) * group_;
  const auto row_sums = slope_ == 1 ? sums_of<false> : sums_of<true>;
  const float* images = arguments.input.as<float>("input").data;
  const float* gradients = arguments.output_gradient.as<float>("output_gradient").data;
  const float* outputs = slope_ == 1 ? gradients : arguments.output.as<float>("output").data;
  auto* totals = reinterpret_cast<Sums*>(arguments.workspace.data);
  auto* padded = reinterpret_cast<float*>(totals + shape_.filters / lane_count);
  std::fill_n(totals, shape_.filters / lane_count, Sums{});
  for (int image = 0; image < shape_.batch; ++image) {
    pad(images + image * image_size, padded);
    for (int filter = 0; filter < shape_.filters; filter += lane_count) {
      const std::size_t first = image * output_size + std::size_t(filter / group_) * rows * row_size + filter % group_;
      Sums sums;
      for (int y = 0; y < rows; ++y)
        sums.add(row_sums({padded + std::size_t(y) * shape_.stride * padded_width(), padded_width(), shape_.stride,
                           columns, outputs + first + y * row_size, gradients + first + y * row_size, group_, slope_}));
      totals[filter / lane_count].add(sums);
    }
  }
  for (int filter = 0; filter < shape_.filters; ++filter) {
    const Sums& sums = totals[filter / lane_count];
    for (int i = 0; i < taps; ++i) arguments.weight_gradient.data[filter * taps + i] = sums.tap[i][filter % lane_count];
    arguments.bias_gradient.data[filter] = sums.bias[filter % lane_count];
  }
}

}  // namespace gridspot
