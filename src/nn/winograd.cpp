#include "nn/winograd.h"

#include "gridspot/error.h"
#include "nn/winograd_lanes.h"

namespace gridspot {

extern template struct WinogradLanes<8>;
#if GRIDSPOT_WITH_AVX512
extern template struct WinogradLanes<16>;
#endif

namespace {

using winograd::tile_size;

int tiles_along(int outputs) { return (outputs + tile_size - 1) / tile_size; }

bool has_avx512() {
#if GRIDSPOT_WITH_AVX512
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

}  // namespace

TileGrid::TileGrid(int images, int rows, int columns)
    : batch(images), height(rows), width(columns), down(tiles_along(rows)), across(tiles_along(columns)) {}

TileGrid::Tile TileGrid::tile(int number) const {
  return {number / across / down, number / across % down * tile_size, number % across * tile_size};
}

bool winograd_pays(int output_height, int output_width) {
  const auto products = std::size_t(winograd::points) * tiles_along(output_height) * tiles_along(output_width);
  return 2 * products <= std::size_t(winograd::kernel_size) * winograd::kernel_size * output_height * output_width;
}

int winograd_lanes(int group) { return group == 8 || (group == 16 && has_avx512()) ? group : 0; }

std::unique_ptr<WinogradConvolution> make_winograd_convolution(const ConvolutionShape& shape, DType dtype, int lanes) {
#if GRIDSPOT_WITH_AVX512
  if (lanes == 16) return WinogradLanes<16>::convolution(shape, dtype);
#endif
  ensure(lanes == 8, "there are no vectors of so many lanes");
  return WinogradLanes<8>::convolution(shape, dtype);
}

std::unique_ptr<WinogradWeightGradient> make_winograd_weight_gradient(const ConvolutionShape& shape, DType dtype,
                                                                      int lanes) {
#if GRIDSPOT_WITH_AVX512
  if (lanes == 16) return WinogradLanes<16>::weight_gradient(shape, dtype);
#endif
  ensure(lanes == 8, "there are no vectors of so many lanes");
  return WinogradLanes<8>::weight_gradient(shape, dtype);
}

}  // namespace gridspot
