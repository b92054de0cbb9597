#include "nn/winograd_block.h"

#include <algorithm>
#include <array>

#include "gridspot/error.h"
#include "nn/lanes.h"
#include "nn/onednn.h"

namespace gridspot {
namespace {

constexpr int tile_size = 4, kernel_size = 3, side = tile_size + kernel_size - 1, points = side * side;
constexpr int panel_width = 2 * lane_count;  // filters at a time
constexpr int panel_height = 6;              // tiles at a time: their sums for a panel of filters fill the registers
constexpr std::size_t cache_line_floats = 16;
constexpr std::size_t cached_floats = 64 * 1024;  // of tiles and products in between: half of a level-2 cache of 512 KB

using Line = std::array<Lanes, side>;

// One dimension of the transforms, for the points 0, 1, -1, 2, -2 and infinity.

Line input_line(const Line& d) {
  const Lanes even1 = d[4] - 4 * d[2], odd1 = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
  return {4 * d[0] - 5 * d[2] + d[4], even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2,
          4 * d[1] - 5 * d[3] + d[5]};
}

std::array<float, side> weight_line(float a, float b, float c) {
  return {a / 4, -(a + b + c) / 6, -(a - b + c) / 6, (a + 2 * b + 4 * c) / 24, (a - 2 * b + 4 * c) / 24, c};
}

std::array<Lanes, tile_size> output_line(const Line& m) {
  const Lanes sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  return {m[0] + sum1 + sum2, difference1 + 2 * difference2, sum1 + 4 * sum2, difference1 + 8 * difference2 + m[5]};
}

/// Products of `rows` tiles [rows, channels] and a panel of weights [channels, vectors * 8].
template <int rows, int vectors>
void multiply_panel(const float* input, int channels, const float* weights, float* products, int filters) {
  Lanes sums[rows][vectors] = {};
  for (int c = 0; c < channels; ++c, weights += vectors * lane_count) {
    Lanes weight[vectors];
    for (int j = 0; j < vectors; ++j) weight[j] = load_lanes(weights + j * lane_count);
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j) sums[i][j] += input[i * channels + c] * weight[j];
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) store_lanes(products + i * filters + j * lane_count, sums[i][j]);
}

using MultiplyPanel = void (*)(const float*, int, const float*, float*, int);

template <int vectors>
constexpr std::array<MultiplyPanel, panel_height> panels_of{multiply_panel<1, vectors>, multiply_panel<2, vectors>,
                                                            multiply_panel<3, vectors>, multiply_panel<4, vectors>,
                                                            multiply_panel<5, vectors>, multiply_panel<6, vectors>};

int tiles_along(int outputs) { return (outputs + tile_size - 1) / tile_size; }

/// Beyond the values of all tiles a cache line, so that one tile's points do not fall into the same few cache sets.
std::size_t point_stride(int tiles, int channels) { return std::size_t(tiles) * channels + cache_line_floats; }

/// The first part of `count` in as few parts of at most `most` as it takes, all about as large.
int even_part(int count, int most) {
  const int parts = (count + most - 1) / most;
  return (count + parts - 1) / parts;
}

}  // namespace

bool WinogradBlock::fits(const ConvolutionShape& s, const BlockOptions& options) {
  const auto grouped = [](int group, int channels) {
    return group == lane_count || (group == 0 && channels == lane_count);
  };
  const auto products = std::size_t(points) * tiles_along(s.output_height()) * tiles_along(s.output_width());
  const auto by_definition = std::size_t(kernel_size) * kernel_size * s.output_height() * s.output_width();
  return !options.training && options.precision == Precision::tf32 && s.size == kernel_size && s.stride == 1 &&
         grouped(options.input_group, s.input_channels) && grouped(options.output_group, s.filters) &&
         2 * products <= by_definition;
}

WinogradBlock::WinogradBlock(const ConvolutionShape& shape, Activation activation, const BlockOptions& options)
    : shape_(shape),
      slope_(negative_slope(activation)),
      threads_(options.threads),
      tiles_across_(tiles_along(shape.output_width())),
      tiles_down_(tiles_along(shape.output_height())) {
  ensure(fits(shape, options), "the convolution is not one that WinogradBlock is made for");
  const auto fitting = static_cast<int>(cached_floats / points / (shape.input_channels + shape.filters));
  tiles_at_once_ = std::clamp(fitting, panel_height, std::max(panel_height, tiles()));
  input_stride_ = point_stride(tiles_at_once_, shape.input_channels);
  product_stride_ = point_stride(tiles_at_once_, shape.filters);
}

std::size_t WinogradBlock::prepared_bytes() const {
  return std::size_t(points) * shape_.input_channels * shape_.filters * sizeof(float);
}

std::size_t WinogradBlock::share_floats() const { return points * (input_stride_ + product_stride_); }

std::size_t WinogradBlock::workspace_bytes() const { return threads_ * share_floats() * sizeof(float); }

WinogradBlock::Tile WinogradBlock::tile(int number) const {
  return {number / tiles_across_ / tiles_down_, number / tiles_across_ % tiles_down_ * tile_size,
          number % tiles_across_ * tile_size};
}

/// From [filters, 3, 3, channels] to [points, panels, channels, filters of the panel].
void WinogradBlock::transform_weights(const float* weights, float* transformed) const {
  const int channels = shape_.input_channels, filters = shape_.filters;
  for (int filter = 0; filter < filters; ++filter) {
    const int panel = filter / panel_width * panel_width, width = std::min(panel_width, filters - panel);
    for (int c = 0; c < channels; ++c) {
      const auto weight = [&](int y, int x) {
        return weights[((std::size_t(filter) * kernel_size + y) * kernel_size + x) * channels + c];
      };
      std::array<std::array<float, side>, kernel_size> columns;
      for (int x = 0; x < kernel_size; ++x) columns[x] = weight_line(weight(0, x), weight(1, x), weight(2, x));
      float* to = transformed + std::size_t(panel) * channels + std::size_t(c) * width + (filter - panel);
      for (int y = 0; y < side; ++y)
        for (const float value : weight_line(columns[0][y], columns[1][y], columns[2][y])) {
          *to = value;
          to += std::size_t(channels) * filters;
        }
    }
  }
}

/// To [points, tiles, channels].
void WinogradBlock::transform_input(const float* input, int first, int count, float* transformed) const {
  const auto [batch, height, width, channels, filters, size, stride, padding] = shape_;
  const std::ptrdiff_t row_size = std::ptrdiff_t(width) * lane_count, plane_size = height * row_size;
  for (int i = 0; i < count; ++i) {
    const Tile at = tile(first + i);
    const int top = at.y - padding, left = at.x - padding;
    const bool inside = top >= 0 && left >= 0 && top + side <= height && left + side <= width;
    const float* corner = input + at.image * (channels / lane_count) * plane_size + top * row_size + left * lane_count;
    float* to = transformed + std::size_t(i) * channels;
    const auto transform = [&](const auto& pixel) {
      std::array<Line, side> columns;
      for (int x = 0; x < side; ++x)
        columns[x] = input_line({pixel(0, x), pixel(1, x), pixel(2, x), pixel(3, x), pixel(4, x), pixel(5, x)});
      for (int y = 0; y < side; ++y) {
        const Line row =
            input_line({columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y]});
        for (int x = 0; x < side; ++x) store_lanes(to + (y * side + x) * input_stride_, row[x]);
      }
    };
    for (int c = 0; c < channels; c += lane_count, corner += plane_size, to += lane_count) {
      const auto pixel = [&](int y, int x) { return load_lanes(corner + y * row_size + x * lane_count); };
      if (inside)
        transform(pixel);
      else
        transform([&](int y, int x) {
          const bool exists = top + y >= 0 && top + y < height && left + x >= 0 && left + x < width;
          return exists ? pixel(y, x) : Lanes{};
        });
    }
  }
}

/// [points, tiles, channels] and transformed weights to [points, tiles, filters].
void WinogradBlock::multiply(const float* input, const float* weights, int count, float* products) const {
  const int channels = shape_.input_channels, filters = shape_.filters;
  for (int point = 0; point < points; ++point, input += input_stride_, products += product_stride_)
    for (int panel = 0; panel < filters; panel += panel_width) {
      const auto& kernels = filters - panel >= panel_width ? panels_of<2> : panels_of<1>;
      for (int i = 0, rows = 0; i < count; i += rows) {
        rows = even_part(count - i, panel_height);
        kernels[rows - 1](input + std::size_t(i) * channels, channels, weights,
                          products + std::size_t(i) * filters + panel, filters);
      }
      weights += std::size_t(std::min(panel_width, filters - panel)) * channels;
    }
}

/// And bias and activation.
void WinogradBlock::transform_output(const float* products, const float* bias, int first, int count,
                                     float* output) const {
  const int height = shape_.output_height(), width = shape_.output_width(), filters = shape_.filters;
  const std::ptrdiff_t row_size = std::ptrdiff_t(width) * lane_count, plane_size = height * row_size;
  for (int i = 0; i < count; ++i) {
    const Tile at = tile(first + i);
    const int rows = std::min(tile_size, height - at.y), columns = std::min(tile_size, width - at.x);
    float* corner = output + at.image * (filters / lane_count) * plane_size + at.y * row_size + at.x * lane_count;
    for (int filter = 0; filter < filters; filter += lane_count, corner += plane_size) {
      const float* from = products + std::size_t(i) * filters + filter;
      const auto point = [&](int y, int x) { return load_lanes(from + (y * side + x) * product_stride_); };
      const Lanes offset = load_lanes(bias + filter);
      std::array<std::array<Lanes, tile_size>, side> lines;
      for (int x = 0; x < side; ++x)
        lines[x] = output_line({point(0, x), point(1, x), point(2, x), point(3, x), point(4, x), point(5, x)});
      for (int y = 0; y < rows; ++y) {
        const auto row = output_line({lines[0][y], lines[1][y], lines[2][y], lines[3][y], lines[4][y], lines[5][y]});
        for (int x = 0; x < columns; ++x) {
          const Lanes value = row[x] + offset;
          store_lanes(corner + y * row_size + x * lane_count, value > 0.0f ? value : slope_ * value);
        }
      }
    }
  }
}

void WinogradBlock::prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared) {
  const float* from = weights.as<float>("weights").data;
  stream.submit([this, from, prepared](Stream&) { transform_weights(from, reinterpret_cast<float*>(prepared.data)); });
}

void WinogradBlock::forward(Stream& stream, const Forward& arguments) {
  const float* input = arguments.input.as<float>("input").data;
  float* output = arguments.output.as<float>("output").data;
  require_prepared(arguments);
  const auto* weights = reinterpret_cast<const float*>(arguments.prepared.data);
  auto* shares = reinterpret_cast<float*>(arguments.workspace.data);
  stream.submit([this, input, output, weights, shares, bias = arguments.bias.data](Stream&) {
    onednn::run_on_threads(threads_, [&](int member) {
      const auto begin = static_cast<int>(std::int64_t(tiles()) * member / threads_);
      const auto end = static_cast<int>(std::int64_t(tiles()) * (member + 1) / threads_);
      float* transformed = shares + member * share_floats();
      float* products = transformed + points * input_stride_;
      for (int first = begin, count = 0; first < end; first += count) {
        count = even_part(end - first, tiles_at_once_);
        transform_input(input, first, count, transformed);
        multiply(transformed, weights, count, products);
        transform_output(products, bias, first, count, output);
      }
    });
  });
}

void WinogradBlock::backward(Stream&, const Backward&) { ensure(false, "the block was not built for training"); }

}  // namespace gridspot
