// Max pooling over NHWC, forward and backward. Where windows overlap, backward gathers: each input element looks at the
// windows that contain it, so nothing is added atomically; either way each element is written once.
// Floor: input read once and output written once, with one byte of choice for each output element; backward also reads
// the output where it takes the activation's derivative along. A comparison for each element of each window.
#include "kernels/pool_choice.h"
#include "kernels/pool_plane.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/max_pool.h"
#endif

namespace gridspot {

/// What reaches the maxima: the gradient of the outputs, times the derivative of an activation that came before.
template <class T>
struct MaximaGradient {
  const T* output;  ///< null where no activation came before
  const T* output_gradient;
  float slope;

  __device__ Pack at(std::size_t place, int length) const {
    const Pack gradient = load_pack(output_gradient + place, length);
    return output == nullptr ? gradient : rectify(load_pack(output + place, length), slope, gradient);
  }
};

template <class T>
struct MaxPool {
  static constexpr int max_block_threads = 256;
  PoolPlane in, out;
  int size, stride;
  const T* input;
  T* output;
  std::uint8_t* choice;

  __device__ void operator()() const {
    for_each_pack(out, [this](int image, int y, int x, int channel, int length) {
      const T* corner = input + in.offset(image, y * stride, x * stride, channel);
      Pack best = load_pack(corner, length), position = {};
      for (int from_y = 0, i = 0; from_y < size; ++from_y)
        for (int from_x = 0; from_x < size; ++from_x, ++i)
          keep_larger(load_pack(corner + (std::size_t(from_y) * in.width + from_x) * in.channels, length),
                      static_cast<float>(i), best, position);
      const std::size_t to = out.offset(image, y, x, channel);
      store_pack(output + to, length, best);
      store_pack(choice + to, length, position);
    });
  }
};

/// Where windows do not overlap: a thread takes a window and writes all of the input up to the next ones.
template <class T>
struct MaxPoolScatter {
  static constexpr int max_block_threads = 256;
  PoolPlane in, out;
  int size, stride;
  const std::uint8_t* choice;
  MaximaGradient<T> maxima;
  T* input_gradient;

  __device__ void operator()() const {
    for_each_pack(out, [this](int image, int y, int x, int channel, int length) {
      const std::size_t from = out.offset(image, y, x, channel);
      const Pack gradient = maxima.at(from, length), chosen = load_pack(choice + from, length);
      const int rows = (y + 1 < out.height ? (y + 1) * stride : in.height) - y * stride;
      const int columns = (x + 1 < out.width ? (x + 1) * stride : in.width) - x * stride;
      T* corner = input_gradient + in.offset(image, y * stride, x * stride, channel);
      for (int to_y = 0; to_y < rows; ++to_y)
        for (int to_x = 0; to_x < columns; ++to_x) {
          const auto here = static_cast<float>(to_y < size && to_x < size ? to_y * size + to_x : -1);
          store_pack(corner + (std::size_t(to_y) * in.width + to_x) * in.channels, length,
                     where_chosen(chosen, here, gradient));
        }
    });
  }
};

/// Where windows overlap: a thread gathers from the windows that contain its input.
template <class T>
struct MaxPoolBackward {
  static constexpr int max_block_threads = 256;
  PoolPlane in, out;
  int size, stride;
  const std::uint8_t* choice;
  MaximaGradient<T> maxima;
  T* input_gradient;

  /// The first window that reaches position `at` along one side.
  __device__ int first_window(int at) const { return at < size ? 0 : (at - size) / stride + 1; }
  /// The last one.
  __device__ int last_window(int at, int windows) const { return at / stride < windows ? at / stride : windows - 1; }

  __device__ void operator()() const {
    for_each_pack(in, [this](int image, int y, int x, int channel, int length) {
      Pack sum = {};
      for (int oy = first_window(y); oy <= last_window(y, out.height); ++oy)
        for (int ox = first_window(x); ox <= last_window(x, out.width); ++ox) {
          const std::size_t from = out.offset(image, oy, ox, channel);
          const Pack gradient = maxima.at(from, length), chosen = load_pack(choice + from, length);
          const float here = static_cast<float>((y - oy * stride) * size + (x - ox * stride));
          sum += where_chosen(chosen, here, gradient);
        }
      store_pack(input_gradient + in.offset(image, y, x, channel), length, sum);
    });
  }
};

GRIDSPOT_KERNEL(MaxPool<float>)
GRIDSPOT_KERNEL(MaxPool<bfloat16>)
GRIDSPOT_KERNEL(MaxPoolScatter<float>)
GRIDSPOT_KERNEL(MaxPoolScatter<bfloat16>)
GRIDSPOT_KERNEL(MaxPoolBackward<float>)
GRIDSPOT_KERNEL(MaxPoolBackward<bfloat16>)

#if GRIDSPOT_HOST_PASS
namespace {
PoolPlane input_plane(const char* who, const PoolShape& shape) {
  const PoolPlane in{shape.n, shape.height, shape.width, shape.channels};
  require_plane(who, "the input", in);
  require_that(shape.size >= 1 && shape.size <= 15, who, ": the window's size is ", shape.size, ", expected 1 to 15");
  require_that(shape.stride >= 1, who, ": the stride is ", shape.stride, ", expected at least 1");
  require_that(shape.height >= shape.size && shape.width >= shape.size, who, ": a window of ", shape.size,
               " does not fit an input of ", shape.height, " x ", shape.width);
  return in;
}

PoolPlane output_plane(const PoolShape& shape) {
  return {shape.n, shape.output_height(), shape.output_width(), shape.channels};
}
}  // namespace

template <class T>
void max_pool(Stream& stream, const PoolShape& shape, DeviceSpan<const T> input, DeviceSpan<T> output,
              DeviceSpan<std::uint8_t> choice) {
  const PoolPlane in = input_plane("max_pool", shape), out = output_plane(shape);
  require_elements("max_pool", "input", input.size, elements(in));
  require_elements("max_pool", "output", output.size, elements(out));
  require_elements("max_pool", "choice", choice.size, elements(out));
  launch_rows(stream, out, MaxPool<T>{in, out, shape.size, shape.stride, input.data, output.data, choice.data});
}

template <class T>
void max_pool_backward(Stream& stream, const PoolShape& shape, DeviceSpan<const std::uint8_t> choice,
                       DeviceSpan<const T> output, float slope, DeviceSpan<const T> output_gradient,
                       DeviceSpan<T> input_gradient) {
  const PoolPlane in = input_plane("max_pool_backward", shape), out = output_plane(shape);
  require_elements("max_pool_backward", "choice", choice.size, elements(out));
  require_that(slope >= 0 && slope <= 1, "max_pool_backward: the slope is ", slope, ", expected 0 to 1");
  if (output.size != 0 || slope != 1) require_elements("max_pool_backward", "output", output.size, elements(out));
  require_elements("max_pool_backward", "output_gradient", output_gradient.size, elements(out));
  require_elements("max_pool_backward", "input_gradient", input_gradient.size, elements(in));
  const MaximaGradient<T> maxima{slope == 1 ? nullptr : output.data, output_gradient.data, slope};
  const auto [size, stride] = std::pair(shape.size, shape.stride);
  if (stride >= size)
    launch_rows(stream, out, MaxPoolScatter<T>{in, out, size, stride, choice.data, maxima, input_gradient.data});
  else
    launch_rows(stream, in, MaxPoolBackward<T>{in, out, size, stride, choice.data, maxima, input_gradient.data});
}

#define GRIDSPOT_MAX_POOL_FOR(T)                                                                                   \
  template void max_pool(Stream&, const PoolShape&, DeviceSpan<const T>, DeviceSpan<T>, DeviceSpan<std::uint8_t>); \
  template void max_pool_backward(Stream&, const PoolShape&, DeviceSpan<const std::uint8_t>, DeviceSpan<const T>,  \
                                  float, DeviceSpan<const T>, DeviceSpan<T>);
GRIDSPOT_MAX_POOL_FOR(float)
GRIDSPOT_MAX_POOL_FOR(bfloat16)
#undef GRIDSPOT_MAX_POOL_FOR
#endif

}  // namespace gridspot
