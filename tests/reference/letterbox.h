#pragma once
// Letterboxing from the contract in kernels/letterbox.h, in double precision.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/reference/canvas.h"

namespace gridspot::reference {

struct Image {
  int height, width, channels;
  std::vector<std::uint8_t> pixels;

  /// In [0, 1]; beyond the edge the nearest pixel's.
  [[nodiscard]] double grey(int row, int column) const {
    row = std::clamp(row, 0, height - 1);
    column = std::clamp(column, 0, width - 1);
    const std::uint8_t* p = &pixels[(std::size_t(row) * width + column) * channels];
    return (channels == 1 ? p[0] : 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]) / 255;
  }
};

/// Values in [0, 1], [input_height, input_width], not normalised.
inline std::vector<double> letterbox(const Image& image, int input_height, int input_width) {
  const double scale = std::min(double(input_height) / image.height, double(input_width) / image.width);
  const double offset_x = (input_width - scale * image.width) / 2, offset_y = (input_height - scale * image.height) / 2;
  const int samples = std::max(1, int(std::ceil(1 / scale - 1e-3)));
  std::vector<double> input;
  for (int row = 0; row < input_height; ++row)
    for (int column = 0; column < input_width; ++column) {
      const double left = std::max(0.0, (column - offset_x) / scale);
      const double right = std::min(double(image.width), (column + 1 - offset_x) / scale);
      const double top = std::max(0.0, (row - offset_y) / scale);
      const double bottom = std::min(double(image.height), (row + 1 - offset_y) / scale);
      double sum = 0;
      if (right > left && bottom > top)
        for (int i = 0; i < samples; ++i)
          for (int j = 0; j < samples; ++j)
            sum += interpolate([&](int r, int c) { return image.grey(r, c); },
                               left + (right - left) * (j + 0.5) / samples - 0.5,
                               top + (bottom - top) * (i + 0.5) / samples - 0.5);
      input.push_back(sum / (double(samples) * samples) * (right - left) * (bottom - top) * scale * scale);
    }
  return input;
}

}  // namespace gridspot::reference
