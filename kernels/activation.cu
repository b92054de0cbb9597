// Bias and (leaky) ReLU for layers whose library does not fuse them, and their backward pass with the bias gradient.
// values are rows of channels; a thread takes packs of eight channels.
// Floor: bias_activation reads and writes each value once; activation_backward reads output and gradient once, writes
// the gradient once, and moves partial sums of at most 1/64 of that; of 2 bytes in bf16, 4 in float32. 3 operations a
// value.
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/pack.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/activation.h"
#include "kernels/check.h"
#include "kernels/chunk_sums.h"
#endif

namespace gridspot {

// A thread takes the same pack of `rows_each` neighbouring rows, so that the bias is read once for all of them.
template <class T>
struct BiasActivation {
  static constexpr int max_block_threads = 256;
  static constexpr int rows_each = 4;
  std::size_t rows;
  int channels;
  float slope;
  const float* bias;
  T* values;

  __device__ void operator()() const {
    const std::size_t i = global_thread();
    const unsigned packs = packs_for(channels);
    const std::size_t first_row = i / packs * rows_each;
    if (first_row >= rows) return;
    const int channel = static_cast<int>(i % packs) * pack_width, length = pack_length(channels, channel);
    const std::size_t last_row = min(first_row + rows_each, rows);
    const Pack offset = load_pack(bias + channel, length);
    for (std::size_t row = first_row; row < last_row; ++row) {
      T* place = values + row * channels + channel;
      const Pack z = load_pack(place, length) + offset;
      store_pack(place, length, rectify(z, slope, z));
    }
  }
};

/// How activation_backward cuts its rows and channels; it depends on the shape alone, and so does the order of the
/// sums.
struct ActivationPlan {
  static constexpr int threads = 256;
  static constexpr unsigned most_chunks = 512;
  std::size_t rows;
  int channels;

  /// Packs of a row that one block takes.
  __host__ __device__ int tile_packs() const { return min(packs_for(channels), threads / pack_width); }
  __host__ __device__ unsigned tiles() const {
    return static_cast<unsigned>((packs_for(channels) + tile_packs() - 1) / tile_packs());
  }
  /// Rows that a block works on side by side.
  __host__ __device__ unsigned lanes() const { return static_cast<unsigned>(threads / tile_packs()); }
  __host__ __device__ std::size_t rows_in_chunk() const {
    const std::size_t least = std::size_t(lanes()) * 8, share = (rows + most_chunks - 1) / most_chunks;
    return share > least ? share : least;
  }
  __host__ __device__ unsigned chunks() const {
    return static_cast<unsigned>((rows + rows_in_chunk() - 1) / rows_in_chunk());
  }
};

// First launch: block (chunk, tile). Each thread sums its pack over every lanes-th row of the chunk, then one thread
// for each channel adds the lanes.
template <class T>
struct ActivationBackward {
  static constexpr int max_block_threads = ActivationPlan::threads;
  ActivationPlan plan;
  float slope;
  const T* output;
  T* gradient;
  float* partials;

  __device__ Pack sum_of_rows(int channel, int length, unsigned lane) const {
    const std::size_t first = blockIdx.x * plan.rows_in_chunk();
    const std::size_t last = min(first + plan.rows_in_chunk(), plan.rows);
    Pack sum = {};
    for (std::size_t row = first + lane; row < last; row += plan.lanes()) {
      const std::size_t place = row * plan.channels + channel;
      Pack value = load_pack(gradient + place, length);
      if (output != nullptr) {
        const Pack activation = load_pack(output + place, length);
        value = rounded<T>(rectify(activation, slope, value));
        store_pack(gradient + place, length, value);
      }
      sum += value;
    }
    return sum;
  }

  __device__ void operator()() const {
    auto* sums = shared_memory<float>(ActivationPlan::threads * pack_width);
    const int tile_packs = plan.tile_packs(), tile_channels = tile_packs * pack_width;
    const int first_channel = static_cast<int>(blockIdx.y) * tile_channels, self = static_cast<int>(threadIdx.x);
    const int in_tile = self % tile_packs * pack_width, channel = first_channel + in_tile;
    const auto lane = static_cast<unsigned>(self / tile_packs);
    if (lane < plan.lanes() && channel < plan.channels) {
      const Pack sum = sum_of_rows(channel, pack_length(plan.channels, channel), lane);
      store_pack(sums + lane * tile_channels + in_tile, pack_width, sum);
    }
    __syncthreads();
    if (self >= tile_channels || first_channel + self >= plan.channels) return;
    float total = 0;
    for (unsigned i = 0; i < plan.lanes(); ++i) total += sums[i * tile_channels + self];
    partials[std::size_t(blockIdx.x) * plan.channels + first_channel + self] = total;
  }
};

GRIDSPOT_KERNEL(BiasActivation<float>)
GRIDSPOT_KERNEL(BiasActivation<bfloat16>)
GRIDSPOT_KERNEL(ActivationBackward<float>)
GRIDSPOT_KERNEL(ActivationBackward<bfloat16>)

#if GRIDSPOT_HOST_PASS
namespace {
void require_arguments(const char* who, int channels, float slope) {
  require_that(channels >= 1, who, ": channels is ", channels, ", expected at least 1");
  require_that(slope >= 0 && slope <= 1, who, ": the slope is ", slope, ", expected 0 to 1");
}
}  // namespace

template <class T>
void bias_activation(Stream& stream, std::size_t rows, int channels, DeviceSpan<const float> bias, float slope,
                     DeviceSpan<T> values) {
  require_arguments("bias_activation", channels, slope);
  require_elements("bias_activation", "bias", bias.size, std::size_t(channels));
  require_elements("bias_activation", "values", values.size, rows * channels);
  using Kernel = BiasActivation<T>;
  const std::size_t threads = (rows + Kernel::rows_each - 1) / Kernel::rows_each * packs_for(channels);
  launch_1d(stream, threads, Kernel{rows, channels, slope, bias.data, values.data});
}

std::size_t activation_partials(std::size_t rows, int channels) {
  require_arguments("activation_partials", channels, 0);
  return std::size_t(ActivationPlan{rows, channels}.chunks()) * channels;
}

template <class T>
void activation_backward(Stream& stream, std::size_t rows, int channels, DeviceSpan<const T> output, float slope,
                         DeviceSpan<T> gradient, DeviceSpan<float> bias_gradient, DeviceSpan<float> partials) {
  constexpr auto who = "activation_backward";
  require_arguments(who, channels, slope);
  require_elements(who, "gradient", gradient.size, rows * channels);
  if (output.size != 0 || slope != 1) require_elements(who, "output", output.size, rows * channels);
  require_elements(who, "bias_gradient", bias_gradient.size, std::size_t(channels));
  require_elements(who, "partials", partials.size, activation_partials(rows, channels));
  const ActivationPlan plan{rows, channels};
  const T* activation = slope == 1 ? nullptr : output.data;  // the identity's gradient stays as it is
  launch(stream,
         {.grid = {plan.chunks(), plan.tiles()},
          .block = {ActivationPlan::threads},
          .shared_bytes = ActivationPlan::threads * pack_width * sizeof(float)},
         ActivationBackward<T>{plan, slope, activation, gradient.data, partials.data});
  sum_chunks(stream, plan.chunks(), partials, bias_gradient);
}

#define GRIDSPOT_ACTIVATION_FOR(T)                                                                         \
  template void bias_activation(Stream&, std::size_t, int, DeviceSpan<const float>, float, DeviceSpan<T>); \
  template void activation_backward(Stream&, std::size_t, int, DeviceSpan<const T>, float, DeviceSpan<T>,  \
                                    DeviceSpan<float>, DeviceSpan<float>);
GRIDSPOT_ACTIVATION_FOR(float)
GRIDSPOT_ACTIVATION_FOR(bfloat16)
#undef GRIDSPOT_ACTIVATION_FOR
#endif

}  // namespace gridspot
