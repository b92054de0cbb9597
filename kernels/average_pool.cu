// Adaptive average pooling over NHWC, forward and backward. Backward gathers: nothing is added atomically.
// Floor: input read once and output written once, 2 or 4 bytes an element; an addition an element of the input.
#include "kernels/pool_plane.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/average_pool.h"
#endif

namespace gridspot {

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
          sum += value;
        }
      const float share = 1.0f / static_cast<float>((bottom - top) * (right - left));
      store_pack(output + out.offset(image, y, x, channel), length, share * sum);
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
          sum += share * gradient;
        }
      store_pack(input_gradient + in.offset(image, y, x, channel), length, sum);
    });
  }
};

GRIDSPOT_KERNEL(AdaptiveAveragePool<float>)
GRIDSPOT_KERNEL(AdaptiveAveragePool<bfloat16>)
GRIDSPOT_KERNEL(AdaptiveAveragePoolBackward<float>)
GRIDSPOT_KERNEL(AdaptiveAveragePoolBackward<bfloat16>)

#if GRIDSPOT_HOST_PASS
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

#define GRIDSPOT_AVERAGE_POOL_FOR(T)                                                                              \
  template void adaptive_average_pool(Stream&, int, int, int, int, int, int, DeviceSpan<const T>, DeviceSpan<T>); \
  template void adaptive_average_pool_backward(Stream&, int, int, int, int, int, int, DeviceSpan<const T>,        \
                                               DeviceSpan<T>);
GRIDSPOT_AVERAGE_POOL_FOR(float)
GRIDSPOT_AVERAGE_POOL_FOR(bfloat16)
#undef GRIDSPOT_AVERAGE_POOL_FOR
#endif

}  // namespace gridspot
