#include "nn/winograd.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "nn/lane_pool.h"

namespace gridspot {
namespace {

constexpr int tile_size = 4, kernel_size = 3, side = tile_size + kernel_size - 1, points = side * side;
constexpr int panel_width = 2 * lane_count;  // columns of a product at a time
constexpr int panel_height = 6;              // rows at a time: the sums of a panel fill the registers
constexpr std::size_t cache_line_floats = 16;
constexpr std::size_t cached_floats = 64 * 1024;  // of tiles in between: half of a level-2 cache of 512 KB

template <std::size_t size>
using Line = std::array<Lanes, size>;

// One dimension of the transforms, for the points 0, 1, -1, 2, -2 and infinity, and the transposes of two of them.

constexpr auto input_line = [](const Line<side>& d) -> Line<side> {  // B'
  const Lanes even1 = d[4] - 4 * d[2], odd1 = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
  return {4 * d[0] - 5 * d[2] + d[4], even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2,
          4 * d[1] - 5 * d[3] + d[5]};
};

constexpr auto weight_line = [](const Line<kernel_size>& w) -> Line<side> {  // G
  const Lanes sum1 = w[0] + w[2], sum2 = w[0] + 4 * w[2];
  constexpr float sixth = 1.0f / 6, twenty_fourth = 1.0f / 24;
  return {0.25f * w[0],
          -sixth * (sum1 + w[1]),
          -sixth * (sum1 - w[1]),
          twenty_fourth * (sum2 + 2 * w[1]),
          twenty_fourth * (sum2 - 2 * w[1]),
          w[2]};
};

constexpr auto weight_gradient_line = [](const Line<side>& m) -> Line<kernel_size> {  // G'
  constexpr float sixth = 1.0f / 6, twelfth = 1.0f / 12, twenty_fourth = 1.0f / 24;
  const Lanes sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  return {0.25f * m[0] - sixth * sum1 + twenty_fourth * sum2, twelfth * difference2 - sixth * difference1,
          sixth * (sum2 - sum1) + m[5]};
};

constexpr auto output_line = [](const Line<side>& m) -> Line<tile_size> {  // A'
  const Lanes sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  return {m[0] + sum1 + sum2, difference1 + 2 * difference2, sum1 + 4 * sum2, difference1 + 8 * difference2 + m[5]};
};

constexpr auto output_gradient_line = [](const Line<tile_size>& y) -> Line<side> {  // A
  const Lanes even1 = y[0] + y[2], odd1 = y[1] + y[3], even2 = y[0] + 4 * y[2], odd2 = 2 * y[1] + 8 * y[3];
  return {y[0], even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, y[3]};
};

/// `line` along both dimensions: of the square from(y, x), row by row to(y, x, value).
template <std::size_t from_size, class LineOf, class From, class To>
[[gnu::always_inline]] inline void transform_square(const LineOf& line, const From& from, const To& to) {
  constexpr int to_size = std::tuple_size_v<decltype(line(Line<from_size>{}))>;
  std::array<Line<from_size>, to_size> rows;
#pragma GCC unroll 8
  for (int x = 0; x < int(from_size); ++x) {
    Line<from_size> column;
    for (int y = 0; y < int(from_size); ++y) column[y] = from(y, x);
    const auto transformed = line(column);
    for (int y = 0; y < to_size; ++y) rows[y][x] = transformed[y];
  }
#pragma GCC unroll 8
  for (int y = 0; y < to_size; ++y) {
    const auto row = line(rows[y]);
    for (int x = 0; x < to_size; ++x) to(y, x, row[x]);
  }
}

/// Feature maps [batch, channels / 8, height, width, 8].
template <class T>
struct Maps {
  T* data;
  int height, width, channels;
  [[nodiscard]] std::ptrdiff_t row() const { return std::ptrdiff_t(width) * lane_count; }
  [[nodiscard]] std::ptrdiff_t plane() const { return height * row(); }
  [[nodiscard]] std::ptrdiff_t offset(int image, int y, int x) const {
    return std::ptrdiff_t(image) * (channels / lane_count) * plane() + y * row() + x * lane_count;
  }
};

/// The squares of tiles first..first+count-1, moved by `shift`, to [points, tiles, channels]. Beyond the maps is zero.
template <int from_size, class LineOf>
void transform_tiles(const LineOf& line, const Maps<const float>& maps, const TileGrid& grid, int shift, int first,
                     int count, std::size_t point_stride, float* transformed) {
  for (int i = 0; i < count; ++i) {
    const auto [image, tile_y, tile_x] = grid.tile(first + i);
    const int top = tile_y + shift, left = tile_x + shift;
    const bool inside = top >= 0 && left >= 0 && top + from_size <= maps.height && left + from_size <= maps.width;
    const float* corner = maps.data + maps.offset(image, top, left);
    float* to = transformed + std::size_t(i) * maps.channels;
    const std::ptrdiff_t row = maps.row();
    for (int c = 0; c < maps.channels; c += lane_count, corner += maps.plane(), to += lane_count) {
      const auto pixel = [corner, row](int y, int x) { return load_lanes(corner + y * row + x * lane_count); };
      const auto store = [to, point_stride](int y, int x, const Lanes& value) {
        store_lanes(to + (y * side + x) * point_stride, value);
      };
      if (inside)
        transform_square<from_size>(line, pixel, store);
      else
        transform_square<from_size>(
            line,
            [&](int y, int x) {
              const bool exists = top + y >= 0 && top + y < maps.height && left + x >= 0 && left + x < maps.width;
              return exists ? pixel(y, x) : Lanes{};
            },
            store);
    }
  }
}

/// A factor of a product of matrices: floats between its rows, and between its columns.
struct Matrix {
  const float* data;
  std::ptrdiff_t row_stride, column_stride;
};

// Where loops are unrolled their arrays are registers.

/// left [rows, depth] * right [depth, vectors * 8], to or added to `product`.
template <int rows, int vectors>
void multiply_panel(Matrix left, int depth, const float* right, std::ptrdiff_t right_stride, bool add, float* product,
                    std::ptrdiff_t product_stride) {
  Lanes sums[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j)
      sums[i][j] = add ? load_lanes(product + i * product_stride + j * lane_count) : Lanes{};
  for (int k = 0; k < depth; ++k, left.data += left.column_stride, right += right_stride) {
    Lanes vector[vectors];
    for (int j = 0; j < vectors; ++j) vector[j] = load_lanes(right + j * lane_count);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j) sums[i][j] += left.data[i * left.row_stride] * vector[j];
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) store_lanes(product + i * product_stride + j * lane_count, sums[i][j]);
}

using MultiplyPanel = void (*)(Matrix, int, const float*, std::ptrdiff_t, bool, float*, std::ptrdiff_t);

template <int vectors>
constexpr std::array<MultiplyPanel, panel_height> panels_of{multiply_panel<1, vectors>, multiply_panel<2, vectors>,
                                                            multiply_panel<3, vectors>, multiply_panel<4, vectors>,
                                                            multiply_panel<5, vectors>, multiply_panel<6, vectors>};

/// The first part of `count` in as few parts of at most `most` as it takes, all about as large.
int even_part(int count, int most) {
  const int parts = (count + most - 1) / most;
  return (count + parts - 1) / parts;
}

/// Columns of one panel of a product [rows, columns] from `column` on.
int width_of_panel(int column, int columns) { return std::min(panel_width, columns - column); }

/// All rows of a product's panel of `width` columns.
void multiply_rows(Matrix left, int rows, int depth, const float* right, std::ptrdiff_t right_stride, int width,
                   bool add, float* product, std::ptrdiff_t product_stride) {
  const auto& kernels = width == panel_width ? panels_of<2> : panels_of<1>;
  for (int i = 0, part = 0; i < rows; i += part) {
    part = even_part(rows - i, panel_height);
    kernels[part - 1]({left.data + i * left.row_stride, left.row_stride, left.column_stride}, depth, right,
                      right_stride, add, product + i * product_stride, product_stride);
  }
}

int tiles_along(int outputs) { return (outputs + tile_size - 1) / tile_size; }

/// Beyond the values of all rows a cache line, so that one row's points do not fall into the same few cache sets.
std::size_t point_stride(int rows, int channels) { return std::size_t(rows) * channels + cache_line_floats; }

/// So many that what was transformed stays in the cache, but enough to be worth a pass over 36 matrices [channels,
/// filters], which may not.
int tiles_worth_a_pass(const ConvolutionShape& s, int tiles) {
  const auto cached = static_cast<int>(cached_floats / points / (s.input_channels + s.filters));
  const int balanced = 2 * s.input_channels * s.filters / (s.input_channels + s.filters);
  return std::clamp(std::max(cached, balanced), panel_height, std::max(panel_height, tiles));
}

/// To [points, panels, inputs, outputs of the panel] from weight(input, output, y, x): eight outputs from `output` on.
template <class Weight>
void transform_all_weights(int inputs, int outputs, const Weight& weight, float* transformed) {
  for (int output = 0; output < outputs; output += lane_count) {
    const int panel = output / panel_width * panel_width, width = width_of_panel(panel, outputs);
    for (int input = 0; input < inputs; ++input) {
      float* to = transformed + std::size_t(panel) * inputs + std::size_t(input) * width + (output - panel);
      transform_square<kernel_size>(
          weight_line, [&](int y, int x) { return weight(input, output, y, x); },
          [to, inputs, outputs](int y, int x, const Lanes& value) {
            store_lanes(to + std::size_t(y * side + x) * inputs * outputs, value);
          });
    }
  }
}

}  // namespace

TileGrid::TileGrid(int images, int rows, int columns)
    : batch(images), height(rows), width(columns), down(tiles_along(rows)), across(tiles_along(columns)) {}

TileGrid::Tile TileGrid::tile(int number) const {
  return {number / across / down, number / across % down * tile_size, number % across * tile_size};
}

bool winograd_pays(int output_height, int output_width) {
  const auto products = std::size_t(points) * tiles_along(output_height) * tiles_along(output_width);
  return 2 * products <= std::size_t(kernel_size) * kernel_size * output_height * output_width;
}

WinogradConvolution::WinogradConvolution(const ConvolutionShape& shape)
    : shape_(shape),
      grid_(shape.batch, shape.output_height(), shape.output_width()),
      tiles_at_once_(tiles_worth_a_pass(shape, grid_.count())),
      input_stride_(point_stride(tiles_at_once_, shape.input_channels)),
      product_stride_(point_stride(tiles_at_once_, shape.filters)) {}

std::size_t WinogradConvolution::weight_floats() const {
  return std::size_t(points) * shape_.input_channels * shape_.filters;
}

std::size_t WinogradConvolution::work_floats() const { return points * (input_stride_ + product_stride_); }

void WinogradConvolution::transform_weights(const float* weights, float* transformed) const {
  const int channels = shape_.input_channels;
  const auto weight = [&](int channel, int filter, int y, int x) {
    Lanes value;
    for (int i = 0; i < lane_count; ++i)
      value[i] = weights[((std::size_t(filter + i) * kernel_size + y) * kernel_size + x) * channels + channel];
    return value;
  };
  transform_all_weights(channels, shape_.filters, weight, transformed);
}

void WinogradConvolution::transform_turned_weights(const float* weights, float* transformed) const {
  const int filters = shape_.filters;
  const auto weight = [&](int channel, int filter, int y, int x) {
    const int from_y = kernel_size - 1 - y, from_x = kernel_size - 1 - x;
    return load_lanes(weights + ((std::size_t(channel) * kernel_size + from_y) * kernel_size + from_x) * filters +
                      filter);
  };
  transform_all_weights(shape_.input_channels, filters, weight, transformed);
}

/// [points, tiles, channels] and transformed weights to [points, tiles, filters].
void WinogradConvolution::multiply(const float* input, const float* weights, int count, float* products) const {
  const int channels = shape_.input_channels, filters = shape_.filters;
  for (int point = 0; point < points; ++point, input += input_stride_, products += product_stride_)
    for (int panel = 0; panel < filters; panel += panel_width) {
      const int width = width_of_panel(panel, filters);
      multiply_rows({input, channels, 1}, count, channels, weights, width, width, false, products + panel, filters);
      weights += std::size_t(width) * channels;
    }
}

void WinogradConvolution::transform_output(const float* products, int first, int count, const Output& output) const {
  const bool pools = output.choice != nullptr;
  const int part = pools ? 2 : 1;
  const Maps<float> maps{output.data, grid_.height / part, grid_.width / part, shape_.filters};
  const std::ptrdiff_t row_size = maps.row(), stride = static_cast<std::ptrdiff_t>(product_stride_);
  const float slope = output.slope;
  for (int i = 0; i < count; ++i) {
    const auto [image, tile_top, tile_left] = grid_.tile(first + i);
    const int top = tile_top / part, left = tile_left / part;
    const int rows = std::min(tile_size / part, maps.height - top),
              columns = std::min(tile_size / part, maps.width - left);
    std::ptrdiff_t corner = maps.offset(image, top, left);
    const float* from = products + std::size_t(i) * maps.channels;
    for (int filter = 0; filter < maps.channels; filter += lane_count, corner += maps.plane(), from += lane_count) {
      const Lanes bias = output.bias != nullptr ? load_lanes(output.bias + filter) : Lanes{};
      const auto product = [from, stride](int y, int x) { return load_lanes(from + (y * side + x) * stride); };
      const auto rectified = [bias, slope](const Lanes& sum) {
        const Lanes value = sum + bias;
        return value > 0.0f ? value : slope * value;
      };
      if (!pools) {
        float* to = output.data + corner;
        transform_square<side>(output_line, product, [=](int y, int x, const Lanes& sum) {
          if (y < rows && x < columns) store_lanes(to + y * row_size + x * lane_count, rectified(sum));
        });
        continue;
      }
      Window windows[2][2];
      transform_square<side>(output_line, product, [&](int y, int x, const Lanes& sum) {
        windows[y / 2][x / 2][y % 2 * 2 + x % 2] = rectified(sum);
      });
      for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x) {
          const Maximum best = maximum_of(windows[y][x]);
          const std::ptrdiff_t to = corner + y * row_size + x * lane_count;
          store_lanes(output.data + to, best.value);
          store_choice(output.choice + to, best.position);
        }
    }
  }
}

void WinogradConvolution::run(const float* input, const float* transformed_weights, int begin, int end,
                              const Output& output, float* work) const {
  const Maps<const float> maps{input, shape_.height, shape_.width, shape_.input_channels};
  float* products = work + points * input_stride_;
  for (int first = begin, count = 0; first < end; first += count) {
    count = even_part(end - first, tiles_at_once_);
    transform_tiles<side>(input_line, maps, grid_, -shape_.padding, first, count, input_stride_, work);
    multiply(work, transformed_weights, count, products);
    transform_output(products, first, count, output);
  }
}

WinogradWeightGradient::WinogradWeightGradient(const ConvolutionShape& shape)
    : shape_(shape),
      grid_(shape.batch, shape.output_height(), shape.output_width()),
      tiles_at_once_(tiles_worth_a_pass(shape, grid_.count())),
      input_stride_(point_stride(tiles_at_once_, shape.input_channels)),
      gradient_stride_(point_stride(tiles_at_once_, shape.filters)),
      sum_stride_(point_stride(shape.input_channels, shape.filters)) {}

std::size_t WinogradWeightGradient::work_floats() const {
  return points * (input_stride_ + gradient_stride_ + sum_stride_);
}

void WinogradWeightGradient::run(const float* input, const float* output_gradient, float* weight_gradient,
                                 float* bias_gradient, float* work) const {
  const int channels = shape_.input_channels, filters = shape_.filters, tiles = grid_.count();
  float *inputs = work, *gradients = inputs + points * input_stride_, *sums = gradients + points * gradient_stride_;
  std::fill_n(bias_gradient, filters, 0.0f);
  for (int first = 0, count = 0; first < tiles; first += count) {
    count = even_part(tiles - first, tiles_at_once_);
    transform_tiles<side>(input_line, {input, shape_.height, shape_.width, channels}, grid_, -shape_.padding, first,
                          count, input_stride_, inputs);
    transform_tiles<tile_size>(output_gradient_line, {output_gradient, grid_.height, grid_.width, filters}, grid_, 0,
                               first, count, gradient_stride_, gradients);
    for (int point = 0; point < points; ++point)
      for (int panel = 0; panel < filters; panel += panel_width)
        multiply_rows({inputs + point * input_stride_, 1, channels}, channels, count,
                      gradients + point * gradient_stride_ + panel, filters, width_of_panel(panel, filters), first > 0,
                      sums + point * sum_stride_ + panel, filters);
    const float* tile_sums = gradients + (side + 1) * gradient_stride_;  // at the point (1, 1)
    for (int tile = 0; tile < count; ++tile, tile_sums += filters)
      for (int filter = 0; filter < filters; ++filter) bias_gradient[filter] += tile_sums[filter];
  }
  transform_back(sums, weight_gradient);
}

/// From [points, channels, filters] to [filters, 3, 3, channels].
void WinogradWeightGradient::transform_back(const float* sums, float* weight_gradient) const {
  const int channels = shape_.input_channels, filters = shape_.filters;
  for (int filter = 0; filter < filters; filter += lane_count)
    for (int channel = 0; channel < channels; ++channel) {
      const float* from = sums + std::size_t(channel) * filters + filter;
      transform_square<side>(
          weight_gradient_line, [&](int y, int x) { return load_lanes(from + (y * side + x) * sum_stride_); },
          [&](int y, int x, const Lanes& value) {
            for (int i = 0; i < lane_count; ++i)
              weight_gradient[((std::size_t(filter + i) * kernel_size + y) * kernel_size + x) * channels + channel] =
                  value[i];
          });
    }
}

}  // namespace gridspot
