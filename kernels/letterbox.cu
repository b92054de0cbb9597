// Letterboxing: an image of any size, u8 [height, width, channels], to a network's input, float [input_height,
// input_width]. Called once for an image that a user brings (gridspot detect).
// Floor: the image is read once (1 byte a channel) and the input written once (4 bytes a pixel); about 10 operations a
// sample, 5 more where three channels become grey. A thread makes one input pixel.
#include "device/kernel.h"
#include "kernels/sampling.h"
#if GRIDSPOT_HOST_PASS
#include <cmath>

#include "kernels/check.h"
#include "kernels/letterbox.h"
#endif

namespace gridspot {

// Grey values of the image, 0 to 255; beyond its edge those of the nearest pixel.
struct GreyImage {
  const std::uint8_t* pixels;
  int height, width, channels;

  __device__ Texels2x2 texels(int row, int column) const {
    return {texel(row, column), texel(row, column + 1), texel(row + 1, column), texel(row + 1, column + 1)};
  }

  __device__ float texel(int row, int column) const {
    row = min(max(row, 0), height - 1);
    column = min(max(column, 0), width - 1);
    const std::uint8_t* pixel = pixels + (static_cast<std::size_t>(row) * width + column) * channels;
    if (channels == 1) return pixel[0];
    return 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2];
  }
};

// The part of the image, along one axis, that an input pixel covers, and the share of the pixel that this is.
struct Covered {
  float first, length, share;
};

__device__ inline Covered covered_by(int input_pixel, float offset, float scale, int image_size) {
  const float from = fmaxf((static_cast<float>(input_pixel) - offset) / scale, 0.0f);
  const float to = fminf((static_cast<float>(input_pixel + 1) - offset) / scale, static_cast<float>(image_size));
  const float length = fmaxf(to - from, 0.0f);
  return {from, length, fminf(length * scale, 1.0f)};
}

struct LetterboxImage {
  static constexpr int max_block_threads = 128;
  GreyImage image;
  float scale, offset_x, offset_y;
  int samples, input_height, input_width;
  float mean, inverse_deviation;
  float* output;

  __device__ void operator()() const {
    const std::size_t pixel = global_thread();
    if (pixel >= static_cast<std::size_t>(input_height) * input_width) return;
    const Covered x = covered_by(static_cast<int>(pixel % input_width), offset_x, scale, image.width);
    const Covered y = covered_by(static_cast<int>(pixel / input_width), offset_y, scale, image.height);
    float value = 0;
    if (x.share > 0 && y.share > 0) {
      const auto sample = [&](float s, float t) {
        return bilinear(image, x.first + s * x.length - 0.5f, y.first + t * y.length - 0.5f);
      };
      const float points = static_cast<float>(samples) * static_cast<float>(samples);
      value = sum_over_pixel(samples, sample) / (255.0f * points) * x.share * y.share;
    }
    output[pixel] = (value - mean) * inverse_deviation;
  }
};

GRIDSPOT_KERNEL(LetterboxImage)

#if GRIDSPOT_HOST_PASS
namespace {
void require_size(const char* what, int height, int width) {
  constexpr int limit = 65536;
  require_that(height >= 1 && width >= 1 && height <= limit && width <= limit, "letterbox: the ", what,
               " must be 1 to 65536 pixels high and wide, it is ", height, " x ", width);
}
}  // namespace

Letterbox fit_letterbox(int image_height, int image_width, int input_height, int input_width) {
  require_size("image", image_height, image_width);
  require_size("input", input_height, input_width);
  const double scale = std::min(double(input_height) / image_height, double(input_width) / image_width);
  return {static_cast<float>(scale), static_cast<float>((input_width - scale * image_width) / 2),
          static_cast<float>((input_height - scale * image_height) / 2)};
}

void letterbox_image(Stream& stream, DeviceSpan<const std::uint8_t> image, int height, int width, int channels,
                     int input_height, int input_width, Normalization normalization, DeviceSpan<float> output) {
  const Letterbox fit = fit_letterbox(height, width, input_height, input_width);
  require_that(channels == 1 || channels == 3, "letterbox_image: an image has 1 or 3 channels, this one ", channels);
  require_elements("letterbox_image", "image", image.size, std::size_t(height) * width * channels);
  require_elements("letterbox_image", "output", output.size, std::size_t(input_height) * input_width);
  require_that(
      normalization.deviation > 0 && std::isfinite(normalization.deviation) && std::isfinite(normalization.mean),
      "letterbox_image: the normalisation needs a finite mean and a positive, finite deviation, found ",
      normalization.mean, " and ", normalization.deviation);
  launch_1d(stream, output.size,
            LetterboxImage{{image.data, height, width, channels},
                           fit.scale,
                           fit.offset_x,
                           fit.offset_y,
                           samples_for(1 / fit.scale),
                           input_height,
                           input_width,
                           normalization.mean,
                           1 / normalization.deviation,
                           output.data});
}
#endif

}  // namespace gridspot
