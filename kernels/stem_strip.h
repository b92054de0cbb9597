#pragma once
// What the stem's kernels share: a thread takes a pack of eight filters and moves down a strip, some rows of one column
// of the output, with the pixels that it sees of the image in registers. Neighbouring threads take neighbouring packs,
// then neighbouring columns.
#include "device/kernel.h"
#include "kernels/pack.h"
#if GRIDSPOT_HOST_PASS
#include <algorithm>

#include "kernels/check.h"
#include "kernels/stem.h"
#endif

namespace gridspot {

constexpr int stem_side = 3, stem_taps = stem_side * stem_side;

/// What every launch is cut for: an H100 has 132 multiprocessors, and three blocks of the stem fit one (with at most
/// 168 registers a thread, to which the bound holds the compiler). The device is not asked, because the order of the
/// gradients' sums is to depend on the shape alone.
constexpr unsigned stem_threads = 128, stem_blocks_each = 3, stem_blocks_at_once = 132 * stem_blocks_each;
constexpr int stem_bound = stem_blocks_each * stem_threads;

/// The part of a column that one thread takes.
struct StemStrip {
  int image, x, first_row, last_row;
};

/// The tensors, and how the output is cut.
struct StemPlan {
  int height, width;  ///< of an image
  int out_height, out_width, filters;
  int strip_rows;
  unsigned strips_in_column, strips;  ///< strips: of all images

  __host__ __device__ unsigned packs() const { return static_cast<unsigned>(filters / pack_width); }
  __host__ __device__ std::size_t row_size() const { return std::size_t(out_width) * filters; }

  __device__ StemStrip strip(unsigned i) const {
    const unsigned columns = static_cast<unsigned>(out_width), above = i / columns;
    const int first_row = static_cast<int>(above % strips_in_column) * strip_rows;
    return {static_cast<int>(above / strips_in_column), static_cast<int>(i % columns), first_row,
            min(first_row + strip_rows, out_height)};
  }
  /// Where the strip's first pixel begins in the output.
  __device__ std::size_t offset(const StemStrip& s) const {
    return (std::size_t(s.image) * out_height + s.first_row) * row_size() + std::size_t(s.x) * filters;
  }
  template <class T>
  __device__ const T* image(const T* images, const StemStrip& s) const {
    return images + std::size_t(s.image) * height * width;
  }
};

/// The square of the image that an output pixel sees, zeros outside the image, on its way down a strip. The rows that
/// the next pixel sees first are under way while this one is computed.
/// Pixels are In and count as rounded to T.
template <class In, class T, int stride, bool pools>
class StemPatch {
 public:
  static constexpr int positions = pools ? 2 : 1;  ///< of the filter along a side
  static constexpr int step = stride * positions;
  static constexpr int side = stride * (positions - 1) + stem_side;

  /// Above the pixel in row `row` and column `x` of the output: move_down() comes to it.
  __device__ StemPatch(const In* image, int height, int width, int x, int row)
      : height_(height),
        width_(width),
        y_(row * step - 1),
        touches_left_(x == 0),
        touches_right_(x * step - 1 + side > width),
        pixel_(image + std::ptrdiff_t(y_) * width + (x * step - 1)) {
    for (int i = 0; i < side - step; ++i) read_row(rows_[step + i]);
    read_next();
  }

  __device__ void move_down() {
    for (int i = 0; i < side - step; ++i)
      for (int j = 0; j < side; ++j) rows_[i][j] = rows_[i + step][j];
    for (int i = 0; i < step; ++i)
      for (int j = 0; j < side; ++j) rows_[side - step + i][j] = next_[i][j];
    read_next();
  }

  /// What the filter's position (dy, dx) puts under its tap (y, x).
  __device__ float at(int dy, int dx, int y, int x) const { return rows_[dy * stride + y][dx * stride + x]; }

 private:
  __device__ void read_next() {
    for (int i = 0; i < step; ++i) read_row(next_[i]);
  }
  // Only the outermost rows and columns can lie outside: the filter's centre never does.
  __device__ void read_row(float (&row)[side]) {
    const bool inside = static_cast<unsigned>(y_) < static_cast<unsigned>(height_);
    for (int j = 0; j < side; ++j) {
      const bool outside = !inside || (j == 0 && touches_left_) || (j == side - 1 && touches_right_);
      row[j] = outside ? 0.0f : pixel(j);
    }
    pixel_ += width_;
    ++y_;
  }
  __device__ float pixel(int column) const {
    if constexpr (std::is_same_v<In, T>) return to_float(pixel_[column]);
    return to_float(from_float<T>(to_float(pixel_[column])));
  }

  int height_, width_, y_;
  bool touches_left_, touches_right_;
  const In* pixel_;  ///< in row y_, which is read next
  float rows_[side][side], next_[step][side];
};

#if GRIDSPOT_HOST_PASS

/// Cuts every column into about `wanted / columns` strips of `least` to `most` rows.
inline StemPlan stem_plan(const StemShape& shape, std::size_t wanted, int least, int most) {
  const int rows = shape.output_height();
  const std::size_t columns = std::max<std::size_t>(std::size_t(shape.n) * shape.output_width(), 1);
  const auto in_column = static_cast<int>(std::clamp<std::size_t>(wanted / columns, 1, rows));
  const int strip_rows = std::clamp((rows + in_column - 1) / in_column, least, most);
  const auto strips = static_cast<unsigned>((rows + strip_rows - 1) / strip_rows);
  return {
      shape.height,  shape.width, rows,   shape.output_width(),
      shape.filters, strip_rows,  strips, static_cast<unsigned>(shape.n * std::size_t(strips) * shape.output_width())};
}

/// Throws InvalidInput unless stem_fits(shape).
void require_stem(const char* who, const StemShape& shape);
void require_stem_slope(const char* who, float slope);

/// Of eight-filter packs.
template <class T>
void require_stem_tensor(const char* who, const char* name, DeviceSpan<T> tensor, std::size_t elements) {
  require_elements(who, name, tensor.size, elements);
  require_that(reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0, who, ": ", name,
               " must be aligned to 16 bytes");
}

#endif

}  // namespace gridspot
