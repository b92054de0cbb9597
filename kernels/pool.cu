// Max pooling and adaptive average pooling over NHWC, forward and backward, for the network's layers. A block takes one
// row of pixels, a thread packs of eight channels of it. Backward of overlapping windows gathers: each input element
// looks at the windows that contain it, so nothing is added atomically; either way each element is written once.
// Floor: input read once and output written once; max_pool also moves one byte of choice for each output element.
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/pack.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/check.h"
#include "kernels/pool.h"
#endif

namespace gridspot {

/// A tensor [n, height, width, channels], and where its packs are.
struct PoolPlane {
  int n, height, width, channels;

  __host__ __device__ int rows() const { return n * height; }
  __host__ __device__ int packs_in_row() const { return width * packs_for(channels); }
  __host__ __device__ std::size_t offset(int image, int y, int x, int channel) const {
    return ((std::size_t(image) * height + y) * width + x) * channels + channel;
  }
};

/// Calls visit(image, y, x, first channel, channels in the pack) for the packs of the thread's row of `plane`.
template <class Visit>
__device__ __forceinline__ void for_each_pack(const PoolPlane& plane, const Visit& visit) {
  const int image = static_cast<int>(blockIdx.x) / plane.height, y = static_cast<int>(blockIdx.x) % plane.height;
  const int packs = packs_for(plane.channels), packs_in_row = plane.packs_in_row();
  for (int i = static_cast<int>(threadIdx.x); i < packs_in_row; i += static_cast<int>(blockDim.x)) {
    const int x = i / packs, channel = i % packs * pack_width;
    visit(image, y, x, channel, pack_length(plane.channels, channel));
  }
}

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
      Pack best = {};
      std::int32_t position[pack_width] = {};
      for (int from_y = 0, i = 0; from_y < size; ++from_y)
        for (int from_x = 0; from_x < size; ++from_x, ++i) {
          const std::size_t from = in.offset(image, y * stride + from_y, x * stride + from_x, channel);
          const Pack value = load_pack(input + from, length);
          for_each_lane([&](int k) {
            const float a = value.lane[k], b = best.lane[k];
            const bool wins = (i == 0) | (a > b) | ((a != a) & (b == b));  // the first NaN wins
            best.lane[k] = wins ? a : b;
            position[k] = wins ? i : position[k];
          });
        }
      const std::size_t to = out.offset(image, y, x, channel);
      store_pack(output + to, length, best);
      StoredPack<std::uint8_t> chosen;
      for_each_lane([&](int k) { chosen.element[k] = static_cast<std::uint8_t>(position[k]); });
      store_elements(choice + to, length, chosen);
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
  const T* output_gradient;
  T* input_gradient;

  __device__ void operator()() const {
    for_each_pack(out, [this](int image, int y, int x, int channel, int length) {
      const std::size_t from = out.offset(image, y, x, channel);
      const Pack gradient = load_pack(output_gradient + from, length), chosen = load_pack(choice + from, length);
      const int rows = (y + 1 < out.height ? (y + 1) * stride : in.height) - y * stride;
      const int columns = (x + 1 < out.width ? (x + 1) * stride : in.width) - x * stride;
      T* corner = input_gradient + in.offset(image, y * stride, x * stride, channel);
      for (int to_y = 0; to_y < rows; ++to_y)
        for (int to_x = 0; to_x < columns; ++to_x) {
          const auto here = static_cast<float>(to_y < size && to_x < size ? to_y * size + to_x : -1);
          Pack part;
          for_each_lane([&](int k) { part.lane[k] = chosen.lane[k] == here ? gradient.lane[k] : 0.0f; });
          store_pack(corner + (std::size_t(to_y) * in.width + to_x) * in.channels, length, part);
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
  const T* output_gradient;
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
          const Pack gradient = load_pack(output_gradient + from, length), chosen = load_pack(choice + from, length);
          const float here = static_cast<float>((y - oy * stride) * size + (x - ox * stride));
          for_each_lane([&](int k) { sum.lane[k] += chosen.lane[k] == here ? gradient.lane[k] : 0.0f; });
        }
      store_pack(input_gradient + in.offset(image, y, x, channel), length, sum);
    });
  }
};

/// Window `index` of the `windows` along a side of `length`: [begin, end).
__device__ __forceinline__ int window_begin(int index, int length, int windows) {
  return static_cast<int>(static_cast<long long>(index) * length / windows);
}
__device__ __forceinline__ int window_end(int index, int length, int windows) {
  return static_cast<int>((static_cast<long long>(index + 1) * length + windows - 1) / windows);
}

template <class T>
struct AdaptiveAveragePool {
  static constexpr int max_block_threads = 256;
  PoolPlane in, out;
  const T* input;
  T* output;

  __device__ void operator()() const {
    for_each_pack(out, [this](int image, int y, int x, int channel, int length) {
      const int top = window_begin(y, in.height, out.height), bottom = window_end(y, in.height, out.height);
      const int left = window_begin(x, in.width, out.width), right = window_end(x, in.width, out.width);
      Pack sum = {};
      for (int from_y = top; from_y < bottom; ++from_y)
        for (int from_x = left; from_x < right; ++from_x) {
          const Pack value = load_pack(input + in.offset(image, from_y, from_x, channel), length);
          for_each_lane([&](int k) { sum.lane[k] += value.lane[k]; });
        }
      const float share = 1.0f / static_cast<float>((bottom - top) * (right - left));
      for_each_lane([&](int k) { sum.lane[k] *= share; });
      store_pack(output + out.offset(image, y, x, channel), length, sum);
    });
  }
};

// Which windows contain a position is the same question with input and output exchanged: window i contains p where
// floor(i L / n) <= p < ceil((i + 1) L / n), that is where floor(p n / L) <= i < ceil((p + 1) n / L).
template <class T>
struct AdaptiveAveragePoolBackward {
  static constexpr int max_block_threads = 256;
  PoolPlane in, out;
  const T* output_gradient;
  T* input_gradient;

  __device__ int rows_of(int oy) const {
    return window_end(oy, in.height, out.height) - window_begin(oy, in.height, out.height);
  }
  __device__ int columns_of(int ox) const {
    return window_end(ox, in.width, out.width) - window_begin(ox, in.width, out.width);
  }

  __device__ void operator()() const {
    for_each_pack(in, [this](int image, int y, int x, int channel, int length) {
      Pack sum = {};
      for (int oy = window_begin(y, out.height, in.height); oy < window_end(y, out.height, in.height); ++oy)
        for (int ox = window_begin(x, out.width, in.width); ox < window_end(x, out.width, in.width); ++ox) {
          const Pack gradient = load_pack(output_gradient + out.offset(image, oy, ox, channel), length);
          const float share = 1.0f / static_cast<float>(rows_of(oy) * columns_of(ox));
          for_each_lane([&](int k) { sum.lane[k] += gradient.lane[k] * share; });
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
GRIDSPOT_KERNEL(AdaptiveAveragePool<float>)
GRIDSPOT_KERNEL(AdaptiveAveragePool<bfloat16>)
GRIDSPOT_KERNEL(AdaptiveAveragePoolBackward<float>)
GRIDSPOT_KERNEL(AdaptiveAveragePoolBackward<bfloat16>)

#if GRIDSPOT_HOST_PASS
namespace {
std::size_t elements(const PoolPlane& plane) {
  return std::size_t(plane.n) * plane.height * plane.width * plane.channels;
}

void require_plane(const char* who, const char* name, const PoolPlane& plane) {
  require_that(plane.n >= 0, who, ": ", name, " has a batch of ", plane.n, ", expected at least 0");
  require_that(plane.height >= 1, who, ": ", name, " has height ", plane.height, ", expected at least 1");
  require_that(plane.width >= 1, who, ": ", name, " has width ", plane.width, ", expected at least 1");
  require_that(plane.channels >= 1, who, ": ", name, " has ", plane.channels, " channels, expected at least 1");
  require_that(std::size_t(plane.n) * plane.height <= 0x7fffffff, who, ": ", name, " has ", plane.n, " x ",
               plane.height, " rows, more than a grid can hold");
  require_that(std::size_t(plane.width) * plane.channels <= 0x7fffffff, who, ": ", name, " has rows of ", plane.width,
               " x ", plane.channels, " elements, more than a block can count");
}

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

/// One block for each row of `plane`, with a thread for each pack of it as far as a block goes.
template <class Kernel>
void launch_rows(Stream& stream, const PoolPlane& plane, const Kernel& kernel) {
  const unsigned warps = (static_cast<unsigned>(plane.packs_in_row()) + 31) / 32;
  launch(stream,
         {.grid = {static_cast<unsigned>(plane.rows())},
          .block = {std::min(warps * 32, unsigned(Kernel::max_block_threads))}},
         kernel);
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
                       DeviceSpan<const T> output_gradient, DeviceSpan<T> input_gradient) {
  const PoolPlane in = input_plane("max_pool_backward", shape), out = output_plane(shape);
  require_elements("max_pool_backward", "choice", choice.size, elements(out));
  require_elements("max_pool_backward", "output_gradient", output_gradient.size, elements(out));
  require_elements("max_pool_backward", "input_gradient", input_gradient.size, elements(in));
  if (shape.stride >= shape.size)
    return launch_rows(
        stream, out,
        MaxPoolScatter<T>{in, out, shape.size, shape.stride, choice.data, output_gradient.data, input_gradient.data});
  launch_rows(
      stream, in,
      MaxPoolBackward<T>{in, out, shape.size, shape.stride, choice.data, output_gradient.data, input_gradient.data});
}

template <class T>
void adaptive_average_pool(Stream& stream, int n, int height, int width, int channels, int output_height,
                           int output_width, DeviceSpan<const T> input, DeviceSpan<T> output) {
  const PoolPlane in{n, height, width, channels}, out{n, output_height, output_width, channels};
  require_plane("adaptive_average_pool", "the input", in);
  require_plane("adaptive_average_pool", "the output", out);
  require_elements("adaptive_average_pool", "input", input.size, elements(in));
  require_elements("adaptive_average_pool", "output", output.size, elements(out));
  launch_rows(stream, out, AdaptiveAveragePool<T>{in, out, input.data, output.data});
}

template <class T>
void adaptive_average_pool_backward(Stream& stream, int n, int height, int width, int channels, int output_height,
                                    int output_width, DeviceSpan<const T> output_gradient,
                                    DeviceSpan<T> input_gradient) {
  const PoolPlane in{n, height, width, channels}, out{n, output_height, output_width, channels};
  require_plane("adaptive_average_pool_backward", "the input", in);
  require_plane("adaptive_average_pool_backward", "the output", out);
  require_elements("adaptive_average_pool_backward", "output_gradient", output_gradient.size, elements(out));
  require_elements("adaptive_average_pool_backward", "input_gradient", input_gradient.size, elements(in));
  launch_rows(stream, in, AdaptiveAveragePoolBackward<T>{in, out, output_gradient.data, input_gradient.data});
}

#define GRIDSPOT_POOL_FOR(T)                                                                                       \
  template void max_pool(Stream&, const PoolShape&, DeviceSpan<const T>, DeviceSpan<T>, DeviceSpan<std::uint8_t>); \
  template void max_pool_backward(Stream&, const PoolShape&, DeviceSpan<const std::uint8_t>, DeviceSpan<const T>,  \
                                  DeviceSpan<T>);                                                                  \
  template void adaptive_average_pool(Stream&, int, int, int, int, int, int, DeviceSpan<const T>, DeviceSpan<T>);  \
  template void adaptive_average_pool_backward(Stream&, int, int, int, int, int, int, DeviceSpan<const T>,         \
                                               DeviceSpan<T>);
GRIDSPOT_POOL_FOR(float)
GRIDSPOT_POOL_FOR(bfloat16)
#undef GRIDSPOT_POOL_FOR
#endif

}  // namespace gridspot
