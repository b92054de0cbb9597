#pragma once
// The algorithm of nn/winograd.h in vectors of `lanes` floats. Each width is instantiated in a file of its own
// (winograd_lanes8.cpp, winograd_lanes16.cpp), compiled for processors that have it.
#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "nn/lane_pool.h"
#include "nn/winograd.h"

namespace gridspot {

/// What winograd.cpp chooses between.
template <int lanes>
struct WinogradLanes {
  static std::unique_ptr<WinogradConvolution> convolution(const ConvolutionShape& shape, DType dtype);
  static std::unique_ptr<WinogradWeightGradient> weight_gradient(const ConvolutionShape& shape, DType dtype);
};

namespace winograd {

inline constexpr int tile_size = 4, kernel_size = 3, side = tile_size + kernel_size - 1, points = side * side;
inline constexpr std::size_t cache_line_floats = 16;

/// Of a product of matrices. The sums of a panel fill the registers, of which AVX2 has 16 and AVX-512 has 32.
template <int lanes>
inline constexpr int panel_width = 2 * lanes;  ///< columns at a time
template <int lanes>
inline constexpr int panel_height = lanes == 8 ? 6 : 12;  ///< rows at a time
/// Of tiles in between: half of a level-2 cache, which has 512 KB with AVX2 and 1 MB or more with AVX-512.
template <int lanes>
inline constexpr std::size_t cached_floats = (lanes == 8 ? 64 : 128) * 1024;

template <class Vector, std::size_t size>
using Line = std::array<Vector, size>;

// One dimension of the transforms, for the points 0, 1, -1, 2, -2 and infinity, and the transposes of two of them.

inline constexpr auto input_line = []<class V>(const Line<V, side>& d) -> Line<V, side> {  // B'
  const V even1 = d[4] - 4 * d[2], odd1 = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
  return {4 * d[0] - 5 * d[2] + d[4], even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2,
          4 * d[1] - 5 * d[3] + d[5]};
};

inline constexpr auto weight_line = []<class V>(const Line<V, kernel_size>& w) -> Line<V, side> {  // G
  const V sum1 = w[0] + w[2], sum2 = w[0] + 4 * w[2];
  constexpr float sixth = 1.0f / 6, twenty_fourth = 1.0f / 24;
  return {0.25f * w[0],
          -sixth * (sum1 + w[1]),
          -sixth * (sum1 - w[1]),
          twenty_fourth * (sum2 + 2 * w[1]),
          twenty_fourth * (sum2 - 2 * w[1]),
          w[2]};
};

inline constexpr auto weight_gradient_line = []<class V>(const Line<V, side>& m) -> Line<V, kernel_size> {  // G'
  constexpr float sixth = 1.0f / 6, twelfth = 1.0f / 12, twenty_fourth = 1.0f / 24;
  const V sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  return {0.25f * m[0] - sixth * sum1 + twenty_fourth * sum2, twelfth * difference2 - sixth * difference1,
          sixth * (sum2 - sum1) + m[5]};
};

inline constexpr auto output_line = []<class V>(const Line<V, side>& m) -> Line<V, tile_size> {  // A'
  const V sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  return {m[0] + sum1 + sum2, difference1 + 2 * difference2, sum1 + 4 * sum2, difference1 + 8 * difference2 + m[5]};
};

inline constexpr auto output_gradient_line = []<class V>(const Line<V, tile_size>& y) -> Line<V, side> {  // A
  const V even1 = y[0] + y[2], odd1 = y[1] + y[3], even2 = y[0] + 4 * y[2], odd2 = 2 * y[1] + 8 * y[3];
  return {y[0], even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, y[3]};
};

/// `line` along both dimensions: of the square from(y, x), row by row to(y, x, value).
template <class Vector, std::size_t from_size, class LineOf, class From, class To>
[[gnu::always_inline]] inline void transform_square(const LineOf& line, const From& from, const To& to) {
  constexpr int to_size = std::tuple_size_v<decltype(line(Line<Vector, from_size>{}))>;
  std::array<Line<Vector, from_size>, to_size> rows;
#pragma GCC unroll 8
  for (int x = 0; x < int(from_size); ++x) {
    Line<Vector, from_size> column;
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

/// Feature maps [batch, channels / lanes, height, width, lanes].
template <class T, int lanes>
struct Maps {
  T* data;
  int height, width, channels;
  [[nodiscard]] std::ptrdiff_t row() const { return std::ptrdiff_t(width) * lanes; }
  [[nodiscard]] std::ptrdiff_t plane() const { return height * row(); }
  [[nodiscard]] std::ptrdiff_t offset(int image, int y, int x) const {
    return std::ptrdiff_t(image) * (channels / lanes) * plane() + y * row() + x * lanes;
  }
};

/// The squares of tiles first..first+count-1, moved by `shift`, to [points, tiles, channels]. Beyond the maps is zero.
template <int from_size, class LineOf, class T, int lanes>
void transform_tiles(const LineOf& line, const Maps<const T, lanes>& maps, const TileGrid& grid, int shift, int first,
                     int count, std::size_t point_stride, float* transformed) {
  using Vector = Lanes<lanes>;
  for (int i = 0; i < count; ++i) {
    const auto [image, tile_y, tile_x] = grid.tile(first + i);
    const int top = tile_y + shift, left = tile_x + shift;
    const bool inside = top >= 0 && left >= 0 && top + from_size <= maps.height && left + from_size <= maps.width;
    const T* corner = maps.data + maps.offset(image, top, left);
    float* to = transformed + std::size_t(i) * maps.channels;
    const std::ptrdiff_t row = maps.row();
    for (int c = 0; c < maps.channels; c += lanes, corner += maps.plane(), to += lanes) {
      const auto pixel = [corner, row](int y, int x) { return load_lanes<lanes>(corner + y * row + x * lanes); };
      const auto store = [to, point_stride](int y, int x, const Vector& value) {
        store_lanes<lanes>(to + (y * side + x) * point_stride, value);
      };
      if (inside)
        transform_square<Vector, from_size>(line, pixel, store);
      else
        transform_square<Vector, from_size>(
            line,
            [&](int y, int x) {
              const bool exists = top + y >= 0 && top + y < maps.height && left + x >= 0 && left + x < maps.width;
              return exists ? pixel(y, x) : Vector{};
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

/// left [rows, depth] * right [depth, vectors * lanes], to or added to `product`.
template <int lanes, int rows, int vectors>
void multiply_panel(Matrix left, int depth, const float* right, std::ptrdiff_t right_stride, bool add, float* product,
                    std::ptrdiff_t product_stride) {
  Lanes<lanes> sums[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j)
      sums[i][j] = add ? load_lanes<lanes>(product + i * product_stride + j * lanes) : Lanes<lanes>{};
  for (int k = 0; k < depth; ++k, left.data += left.column_stride, right += right_stride) {
    Lanes<lanes> vector[vectors];
    for (int j = 0; j < vectors; ++j) vector[j] = load_lanes<lanes>(right + j * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j) sums[i][j] += left.data[i * left.row_stride] * vector[j];
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) store_lanes<lanes>(product + i * product_stride + j * lanes, sums[i][j]);
}

using MultiplyPanel = void (*)(Matrix, int, const float*, std::ptrdiff_t, bool, float*, std::ptrdiff_t);

/// By the number of rows.
template <int lanes, int vectors>
inline constexpr auto panels_of = []<int... below>(std::integer_sequence<int, below...>) {
  return std::array<MultiplyPanel, sizeof...(below)>{multiply_panel<lanes, below + 1, vectors>...};
}
(std::make_integer_sequence<int, panel_height<lanes>>());

/// The first part of `count` in as few parts of at most `most` as it takes, all about as large.
inline int even_part(int count, int most) {
  const int parts = (count + most - 1) / most;
  return (count + parts - 1) / parts;
}

/// Columns of one panel of a product [rows, columns] from `column` on.
template <int lanes>
int width_of_panel(int column, int columns) {
  return std::min(panel_width<lanes>, columns - column);
}

/// All rows of a product's panel of `width` columns.
template <int lanes>
void multiply_rows(Matrix left, int rows, int depth, const float* right, std::ptrdiff_t right_stride, int width,
                   bool add, float* product, std::ptrdiff_t product_stride) {
  const auto& kernels = width == panel_width<lanes> ? panels_of<lanes, 2> : panels_of<lanes, 1>;
  for (int i = 0, part = 0; i < rows; i += part) {
    part = even_part(rows - i, panel_height<lanes>);
    kernels[part - 1]({left.data + i * left.row_stride, left.row_stride, left.column_stride}, depth, right,
                      right_stride, add, product + i * product_stride, product_stride);
  }
}

/// Beyond the values of all rows a cache line, so that one row's points do not fall into the same few cache sets.
inline std::size_t point_stride(int rows, int channels) { return std::size_t(rows) * channels + cache_line_floats; }

/// So many that what was transformed stays in the cache, but enough to be worth a pass over 36 matrices [channels,
/// filters], which may not.
template <int lanes>
int tiles_worth_a_pass(const ConvolutionShape& s, int tiles) {
  const auto cached = static_cast<int>(cached_floats<lanes> / points / (s.input_channels + s.filters));
  const int balanced = 2 * s.input_channels * s.filters / (s.input_channels + s.filters);
  return std::clamp(std::max(cached, balanced), panel_height<lanes>, std::max(panel_height<lanes>, tiles));
}

/// To [points, panels, inputs, outputs of the panel] from weight(input, output, y, x): `lanes` outputs from `output`
/// on.
template <int lanes, class Weight>
void transform_all_weights(int inputs, int outputs, const Weight& weight, float* transformed) {
  for (int output = 0; output < outputs; output += lanes) {
    const int panel = output / panel_width<lanes> * panel_width<lanes>, width = width_of_panel<lanes>(panel, outputs);
    for (int input = 0; input < inputs; ++input) {
      float* to = transformed + std::size_t(panel) * inputs + std::size_t(input) * width + (output - panel);
      transform_square<Lanes<lanes>, kernel_size>(
          weight_line, [&](int y, int x) { return weight(input, output, y, x); },
          [to, inputs, outputs](int y, int x, const Lanes<lanes>& value) {
            store_lanes<lanes>(to + std::size_t(y * side + x) * inputs * outputs, value);
          });
    }
  }
}

template <class T, int lanes>
class Convolution : public WinogradConvolution {
 public:
  explicit Convolution(const ConvolutionShape& shape)
      : shape_(shape),
        grid_(shape.batch, shape.output_height(), shape.output_width()),
        tiles_at_once_(tiles_worth_a_pass<lanes>(shape, grid_.count())),
        input_stride_(point_stride(tiles_at_once_, shape.input_channels)),
        product_stride_(point_stride(tiles_at_once_, shape.filters)) {}

  [[nodiscard]] std::size_t weight_floats() const override {
    return std::size_t(points) * shape_.input_channels * shape_.filters;
  }
  [[nodiscard]] std::size_t work_floats() const override { return points * (input_stride_ + product_stride_); }
  [[nodiscard]] int tiles() const override { return grid_.count(); }

  void transform_weights(const void* weights, float* transformed) const override {
    const int channels = shape_.input_channels;
    const auto* values = static_cast<const T*>(weights);
    const auto weight = [&](int channel, int filter, int y, int x) {
      Lanes<lanes> value;
      for (int i = 0; i < lanes; ++i)
        value[i] =
            to_float(values[((std::size_t(filter + i) * kernel_size + y) * kernel_size + x) * channels + channel]);
      return value;
    };
    transform_all_weights<lanes>(channels, shape_.filters, weight, transformed);
  }

  void transform_turned_weights(const void* weights, float* transformed) const override {
    const int filters = shape_.filters;
    const auto* values = static_cast<const T*>(weights);
    const auto weight = [&](int channel, int filter, int y, int x) {
      const int from_y = kernel_size - 1 - y, from_x = kernel_size - 1 - x;
      return load_lanes<lanes>(
          values + ((std::size_t(channel) * kernel_size + from_y) * kernel_size + from_x) * filters + filter);
    };
    transform_all_weights<lanes>(shape_.input_channels, filters, weight, transformed);
  }

  void run(const void* input, const float* transformed_weights, int begin, int end, const Output& output,
           float* work) const override {
    const Maps<const T, lanes> maps{static_cast<const T*>(input), shape_.height, shape_.width, shape_.input_channels};
    float* products = work + points * input_stride_;
    for (int first = begin, count = 0; first < end; first += count) {
      count = even_part(end - first, tiles_at_once_);
      transform_tiles<side>(input_line, maps, grid_, -shape_.padding, first, count, input_stride_, work);
      multiply(work, transformed_weights, count, products);
      transform_output(products, first, count, output);
    }
  }

 private:
  /// [points, tiles, channels] and transformed weights to [points, tiles, filters].
  void multiply(const float* input, const float* weights, int count, float* products) const {
    const int channels = shape_.input_channels, filters = shape_.filters;
    for (int point = 0; point < points; ++point, input += input_stride_, products += product_stride_)
      for (int panel = 0; panel < filters; panel += panel_width<lanes>) {
        const int width = width_of_panel<lanes>(panel, filters);
        multiply_rows<lanes>({input, channels, 1}, count, channels, weights, width, width, false, products + panel,
                             filters);
        weights += std::size_t(width) * channels;
      }
  }

  void transform_output(const float* products, int first, int count, const Output& output) const {
    const bool pools = output.choice != nullptr;
    const int part = pools ? 2 : 1;
    const Maps<T, lanes> maps{static_cast<T*>(output.data), grid_.height / part, grid_.width / part, shape_.filters};
    const std::ptrdiff_t row_size = maps.row(), stride = static_cast<std::ptrdiff_t>(product_stride_);
    const float slope = output.slope;
    for (int i = 0; i < count; ++i) {
      const auto [image, tile_top, tile_left] = grid_.tile(first + i);
      const int top = tile_top / part, left = tile_left / part;
      const int rows = std::min(tile_size / part, maps.height - top),
                columns = std::min(tile_size / part, maps.width - left);
      std::ptrdiff_t corner = maps.offset(image, top, left);
      const float* from = products + std::size_t(i) * maps.channels;
      for (int filter = 0; filter < maps.channels; filter += lanes, corner += maps.plane(), from += lanes) {
        const Vector bias = output.bias != nullptr ? load_lanes<lanes>(output.bias + filter) : Vector{};
        const auto product = [from, stride](int y, int x) { return load_lanes<lanes>(from + (y * side + x) * stride); };
        const auto rectified = [bias, slope](const Vector& sum) {
          const Vector value = sum + bias;
          return value > 0.0f ? value : slope * value;
        };
        if (!pools) {
          T* to = maps.data + corner;
          transform_square<Vector, side>(output_line, product, [=](int y, int x, const Vector& sum) {
            if (y < rows && x < columns) store_lanes<lanes>(to + y * row_size + x * lanes, rectified(sum));
          });
          continue;
        }
        Window<lanes> windows[2][2];
        transform_square<Vector, side>(output_line, product, [&](int y, int x, const Vector& sum) {
          windows[y / 2][x / 2][y % 2 * 2 + x % 2] = rectified(sum);
        });
        for (int y = 0; y < rows; ++y)
          for (int x = 0; x < columns; ++x) {
            const auto best = maximum_of<lanes>(windows[y][x]);
            const std::ptrdiff_t to = corner + y * row_size + x * lanes;
            store_lanes<lanes>(maps.data + to, best.value);
            store_choice<lanes>(output.choice + to, best.position);
          }
      }
    }
  }

  using Vector = Lanes<lanes>;

  ConvolutionShape shape_;
  TileGrid grid_;
  int tiles_at_once_;
  std::size_t input_stride_, product_stride_;  ///< floats between the values of one point and those of the next
};

template <class T, int lanes>
class WeightGradient : public WinogradWeightGradient {
 public:
  explicit WeightGradient(const ConvolutionShape& shape)
      : shape_(shape),
        grid_(shape.batch, shape.output_height(), shape.output_width()),
        tiles_at_once_(tiles_worth_a_pass<lanes>(shape, grid_.count())),
        input_stride_(point_stride(tiles_at_once_, shape.input_channels)),
        gradient_stride_(point_stride(tiles_at_once_, shape.filters)),
        sum_stride_(point_stride(shape.input_channels, shape.filters)) {}

  [[nodiscard]] std::size_t work_floats() const override {
    return points * (input_stride_ + gradient_stride_ + sum_stride_);
  }

  void run(const void* input, const void* output_gradient, float* weight_gradient, float* bias_gradient,
           float* work) const override {
    const int channels = shape_.input_channels, filters = shape_.filters, tiles = grid_.count();
    const Maps<const T, lanes> input_maps{static_cast<const T*>(input), shape_.height, shape_.width, channels};
    const Maps<const T, lanes> gradient_maps{static_cast<const T*>(output_gradient), grid_.height, grid_.width,
                                             filters};
    float *inputs = work, *gradients = inputs + points * input_stride_, *sums = gradients + points * gradient_stride_;
    std::fill_n(bias_gradient, filters, 0.0f);
    for (int first = 0, count = 0; first < tiles; first += count) {
      count = even_part(tiles - first, tiles_at_once_);
      transform_tiles<side>(input_line, input_maps, grid_, -shape_.padding, first, count, input_stride_, inputs);
      transform_tiles<tile_size>(output_gradient_line, gradient_maps, grid_, 0, first, count, gradient_stride_,
                                 gradients);
      for (int point = 0; point < points; ++point)
        for (int panel = 0; panel < filters; panel += panel_width<lanes>)
          multiply_rows<lanes>({inputs + point * input_stride_, 1, channels}, channels, count,
                               gradients + point * gradient_stride_ + panel, filters,
                               width_of_panel<lanes>(panel, filters), first > 0, sums + point * sum_stride_ + panel,
                               filters);
      const float* tile_sums = gradients + (side + 1) * gradient_stride_;  // at the point (1, 1)
      for (int tile = 0; tile < count; ++tile, tile_sums += filters)
        for (int filter = 0; filter < filters; ++filter) bias_gradient[filter] += tile_sums[filter];
    }
    transform_back(sums, weight_gradient);
  }

  void unpool(const void* gradient, const std::uint8_t* choice, void* unpooled) const override {
    const auto* from = static_cast<const T*>(gradient);
    auto* to_plane = static_cast<T*>(unpooled);
    const int planes = shape_.batch * shape_.filters / lanes;
    const std::ptrdiff_t row_size = std::ptrdiff_t(grid_.width) * lanes;
    const int rows = grid_.height / 2, columns = grid_.width / 2;
    for (int plane = 0; plane < planes; ++plane, to_plane += grid_.height * row_size) {
      for (int y = 0; y < rows; ++y) {
        T* to = to_plane + 2 * y * row_size;
        for (int x = 0; x < columns; ++x, to += 2 * lanes, from += lanes, choice += lanes) {
          const auto value = load_lanes<lanes>(from);
          const auto chosen = load_choice<lanes>(choice);
          for (int i = 0; i < window_size; ++i)
            store_lanes<lanes>(to + i / 2 * row_size + i % 2 * lanes, where_chosen<lanes>(chosen, i, value));
        }
        if (grid_.width % 2 == 0) continue;
        store_lanes<lanes>(to, Lanes<lanes>{});
        store_lanes<lanes>(to + row_size, Lanes<lanes>{});
      }
      if (grid_.height % 2 != 0) std::fill_n(to_plane + (grid_.height - 1) * row_size, row_size, T{});
    }
  }

 private:
  /// From [points, channels, filters] to [filters, 3, 3, channels].
  void transform_back(const float* sums, float* weight_gradient) const {
    const int channels = shape_.input_channels, filters = shape_.filters;
    for (int filter = 0; filter < filters; filter += lanes)
      for (int channel = 0; channel < channels; ++channel) {
        const float* from = sums + std::size_t(channel) * filters + filter;
        transform_square<Lanes<lanes>, side>(
            weight_gradient_line, [&](int y, int x) { return load_lanes<lanes>(from + (y * side + x) * sum_stride_); },
            [&](int y, int x, const Lanes<lanes>& value) {
              for (int i = 0; i < lanes; ++i)
                weight_gradient[((std::size_t(filter + i) * kernel_size + y) * kernel_size + x) * channels + channel] =
                    value[i];
            });
      }
  }

  ConvolutionShape shape_;
  TileGrid grid_;
  int tiles_at_once_;
  std::size_t input_stride_, gradient_stride_, sum_stride_;
};

}  // namespace winograd

template <int lanes>
std::unique_ptr<WinogradConvolution> WinogradLanes<lanes>::convolution(const ConvolutionShape& shape, DType dtype) {
  if (dtype == DType::float32) return std::make_unique<winograd::Convolution<float, lanes>>(shape);
  return std::make_unique<winograd::Convolution<bfloat16, lanes>>(shape);
}

template <int lanes>
std::unique_ptr<WinogradWeightGradient> WinogradLanes<lanes>::weight_gradient(const ConvolutionShape& shape,
                                                                              DType dtype) {
  if (dtype == DType::float32) return std::make_unique<winograd::WeightGradient<float, lanes>>(shape);
  return std::make_unique<winograd::WeightGradient<bfloat16, lanes>>(shape);
}

}  // namespace gridspot
