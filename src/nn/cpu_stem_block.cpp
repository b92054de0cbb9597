#include "nn/cpu_stem_block.h"

#include <algorithm>

#include "gridspot/error.h"
#include "nn/lane_pool.h"
#include "nn/onednn.h"

namespace gridspot {
namespace {

constexpr int size = 3, taps = size * size;
constexpr int lane_count = 8;
using Vector = Lanes<lane_count>;

/// Of eight filters.
struct Filters {
  Vector tap[taps], bias;
};

/// The same sums of gradients.
struct Sums {
  Vector tap[taps] = {}, bias = {};

  void add(const Sums& other) {
    for (int i = 0; i < taps; ++i) tap[i] += other.tap[i];
    bias += other.bias;
  }
};

/// How the pixels of a window, or four in a row, lie in the padded image.
struct Patch {
  int image_width, step;                       ///< from tap to tap down, from one patch to the next in a row
  std::array<std::ptrdiff_t, window_size> to;  ///< from the first pixel's first tap to that of each
};

/// image[pixel, tap] * filters + bias, rectified.
Window<lane_count> convolve(const float* image, const Patch& patch, const Filters& filters, float slope) {
  Window<lane_count> sums;
  sums.fill(filters.bias);
#pragma GCC unroll 16
  for (int tap = 0; tap < taps; ++tap)
    for (int i = 0; i < window_size; ++i)
      sums[i] += image[patch.to[i] + tap / size * patch.image_width + tap % size] * filters.tap[tap];
  for (Vector& sum : sums) sum = sum > 0.0f ? sum : slope * sum;
  return sums;
}

/// Of pixels' gradients: `pixel` is the padded image at a pixel's first tap.
void add_products(Sums& sums, const float* pixel, int image_width, const Vector& gradient) {
#pragma GCC unroll 16
  for (int tap = 0; tap < taps; ++tap) sums.tap[tap] += pixel[tap / size * image_width + tap % size] * gradient;
}

/// Rounded as T is, eight values.
template <class T>
Vector rounded(const Vector& values) {
  T stored[lane_count];
  store_lanes<lane_count>(stored, values);
  return load_lanes<lane_count>(stored);
}

/// One row of the output's gradient: eight filters every `group` elements.
template <class T>
struct Row {
  const float* image;  ///< the row's first tap, in the padded image
  const T *output, *gradient;
  const std::uint8_t* choice;
  int count, group;
};

template <class T, bool pools, bool masked>
Sums sums_of(const Row<T>& row, const Patch& patch, float slope) {
  Sums sums;
  for (int x = 0; x < row.count; ++x) {
    const std::ptrdiff_t at = std::ptrdiff_t(x) * row.group;
    Vector gradient = load_lanes<lane_count>(row.gradient + at);
    if constexpr (masked)
      gradient = load_lanes<lane_count>(row.output + at) > Vector{} ? gradient : rounded<T>(slope * gradient);
    const float* image = row.image + std::ptrdiff_t(x) * patch.step;
    if constexpr (pools) {
      const auto choice = load_choice<lane_count>(row.choice + at);
      for (int i = 0; i < window_size; ++i)
        add_products(sums, image + patch.to[i], patch.image_width, where_chosen<lane_count>(choice, i, gradient));
    } else {
      add_products(sums, image, patch.image_width, gradient);
    }
    sums.bias += gradient;
  }
  return sums;
}

}  // namespace

bool CpuStemBlock::fits(const ConvolutionShape& s, const BlockOptions& options) {
  const int group = options.output_group == 0 ? s.filters : options.output_group;
  const bool has_windows = s.output_height() >= 2 && s.output_width() >= 2;
  return s.input_channels == 1 && s.size == size && group % lane_count == 0 && s.filters % group == 0 &&
         !options.float_output && !(options.training && options.input_gradient) && (has_windows || !options.pools);
}

CpuStemBlock::CpuStemBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options)
    : shape_(shape),
      pools_(options.pools),
      training_(options.training),
      dtype_(options.dtype()),
      rows_(shape.output_height() / (pools_ ? 2 : 1)),
      columns_(shape.output_width() / (pools_ ? 2 : 1)),
      group_(options.output_group == 0 ? shape.filters : options.output_group),
      slope_(negative_slope(activation)),
      masked_slope_(options.masks_gradient ? slope_ : 1),
      threads_(options.threads) {
  ensure(fits(shape, options), "the convolution is not one that CpuStemBlock is made for");
}

std::size_t CpuStemBlock::workspace_bytes() const {
  return threads_ * padded_size() * sizeof(float) + (training_ ? shape_.filters / lane_count * sizeof(Sums) : 0);
}

CpuStemBlock::Place CpuStemBlock::place_of(int image, int filter) const {
  const std::size_t row_stride = std::size_t(columns_) * group_, plane = rows_ * row_stride;
  return {(std::size_t(image) * (shape_.filters / group_) + filter / group_) * plane + filter % group_, row_stride};
}

/// The padded rows that output rows begin..end-1 read.
template <class T, class In>
void CpuStemBlock::pad_rows(const In* image, int begin, int end, float* padded) const {
  const auto [width, padding] = std::pair(shape_.width, shape_.padding);
  for (int y = padded_row(begin); y < std::min(padded_height(), padded_row(end) + size); ++y) {
    float* row = padded + std::size_t(y) * padded_width();
    std::fill_n(row, padded_width(), 0.0f);
    if (y >= padding && y < padding + shape_.height)
      std::transform(image + std::size_t(y - padding) * width, image + std::size_t(y - padding + 1) * width,
                     row + padding, [](In value) { return to_float(from_float<T>(to_float(value))); });
  }
}

template <class T, class In>
void CpuStemBlock::run_forward(const Forward& arguments, int member) const {
  const int all_rows = shape_.batch * rows_, width = padded_width(), stride = shape_.stride;
  const auto begin = [&](int of) { return static_cast<int>(std::int64_t(all_rows) * of / threads_); };
  const T* weights = arguments.weights.as<T>("weights").data;
  const In* images = arguments.input.as<In>("input").data;
  T* outputs = arguments.output.as<T>("output").data;
  float* padded = reinterpret_cast<float*>(arguments.workspace.data) + member * padded_size();
  const int at_once = pools_ ? 1 : window_size;  // outputs a patch
  const Patch patch = pools_ ? Patch{width, 2 * stride, {0, stride, stride * width, stride * width + stride}}
                             : Patch{width, window_size * stride, {0, stride, 2 * stride, 3 * stride}};
  for (int row = begin(member); row < begin(member + 1);) {
    const int image = row / rows_, first = row % rows_, last = std::min(rows_, first + begin(member + 1) - row);
    row += last - first;
    pad_rows<T>(images + std::size_t(image) * shape_.height * shape_.width, first, last, padded);
    for (int filter = 0; filter < shape_.filters; filter += lane_count) {
      Filters filters{.tap = {}, .bias = load_lanes<lane_count>(arguments.bias.data + filter)};
      for (int i = 0; i < lane_count; ++i)
        for (int tap = 0; tap < taps; ++tap) filters.tap[tap][i] = to_float(weights[(filter + i) * taps + tap]);
      const Place place = place_of(image, filter);
      for (int y = first; y < last; ++y) {
        const float* pixels = padded + std::size_t(padded_row(y)) * width;
        const std::size_t to = place.first + y * place.row_stride;
        int x = 0;
        for (; x + at_once <= columns_; x += at_once, pixels += patch.step) {
          const auto window = convolve(pixels, patch, filters, slope_);
          const std::size_t at = to + std::size_t(x) * group_;
          if (pools_) {
            const auto best = maximum_of<lane_count>(window);
            store_lanes<lane_count>(outputs + at, best.value);
            store_choice<lane_count>(arguments.choice.data + at, best.position);
          } else {
            for (int i = 0; i < window_size; ++i)
              store_lanes<lane_count>(outputs + at + std::size_t(i) * group_, window[i]);
          }
        }
        for (; x < columns_; ++x, pixels += stride)
          store_lanes<lane_count>(outputs + to + std::size_t(x) * group_,
                                  convolve(pixels, {width, 0, {}}, filters, slope_)[0]);
      }
    }
  }
}

template <class T>
void CpuStemBlock::run_backward(const Backward& arguments) const {
  const int width = padded_width(), stride = shape_.stride;
  const bool masked = masked_slope_ != 1;
  const auto row_sums = pools_   ? masked ? sums_of<T, true, true> : sums_of<T, true, false>
                          : masked ? sums_of<T, false, true>
                                 : sums_of<T, false, false>;
  const T* images = arguments.input.as<T>("input").data;
  const T* gradients = ConstTensorSpan(arguments.output_gradient).as<T>("output_gradient").data;
  const T* outputs = masked ? arguments.output.as<T>("output").data : gradients;
  const Patch patch{width, (pools_ ? 2 : 1) * stride, {0, stride, stride * width, stride * width + stride}};
  auto* totals = reinterpret_cast<Sums*>(arguments.workspace.data);
  auto* padded = reinterpret_cast<float*>(totals + shape_.filters / lane_count);
  std::fill_n(totals, shape_.filters / lane_count, Sums{});
  for (int image = 0; image < shape_.batch; ++image) {
    pad_rows<T>(images + std::size_t(image) * shape_.height * shape_.width, 0, rows_, padded);
    for (int filter = 0; filter < shape_.filters; filter += lane_count) {
      const Place place = place_of(image, filter);
      Sums sums;
      for (int y = 0; y < rows_; ++y) {
        const std::size_t from = place.first + y * place.row_stride;
        sums.add(row_sums({padded + std::size_t(padded_row(y)) * width, outputs + from, gradients + from,
                           arguments.choice.data + (pools_ ? from : 0), columns_, group_},
                          patch, masked_slope_));
      }
      totals[filter / lane_count].add(sums);
    }
  }
  for (int filter = 0; filter < shape_.filters; ++filter) {
    const Sums& sums = totals[filter / lane_count];
    for (int i = 0; i < taps; ++i) arguments.weight_gradient.data[filter * taps + i] = sums.tap[i][filter % lane_count];
    arguments.bias_gradient.data[filter] = sums.bias[filter % lane_count];
  }
}

void CpuStemBlock::forward(Stream& stream, const Forward& arguments) {
  const bool rounds = !training_ && arguments.input.dtype == DType::float32;
  if (!rounds) arguments.input.require_dtype("input", dtype_);
  arguments.weights.require_dtype("weights", dtype_);
  arguments.output.require_dtype("output", dtype_);
  stream.submit([this, arguments, rounds](Stream&) {
    with_type_of(dtype_, [&]<class T>(std::type_identity<T>) {
      onednn::run_on_threads(threads_, [&](int member) {
        rounds ? run_forward<T, float>(arguments, member) : run_forward<T, T>(arguments, member);
      });
    });
  });
}

void CpuStemBlock::backward(Stream& stream, const Backward& arguments) {
  arguments.input.require_dtype("input", dtype_);
  arguments.output_gradient.require_dtype("output_gradient", dtype_);
  ensure(training_, "the block was not built for training");
  stream.submit([this, arguments](Stream&) {
    with_type_of(dtype_, [&]<class T>(std::type_identity<T>) { run_backward<T>(arguments); });
  });
}

}  // namespace gridspot
