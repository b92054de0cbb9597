// Conversion of dtype and layout, for data that enters or leaves the network (images of a caller, weights of a
// checkpoint). Floor: each element is read once and written once, 6 bytes between dtypes, 8 between layouts; a rounding
// is one operation.
#include "device/kernel.h"
#include "kernels/pack.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/convert.h"
#endif

namespace gridspot {

// A thread takes a pack of eight elements.
template <class From, class To>
struct Convert {
  static constexpr int max_block_threads = 256;
  const From* input;
  To* output;
  std::size_t count;

  __device__ void operator()() const {
    const std::size_t first = global_thread() * pack_width;
    if (first >= count) return;
    const int length = pack_length(count, first);
    store_pack(output + first, length, load_pack(input + first, length));
  }
};

// One thread for each output element, so that writes are coalesced; the reads of a warp share their cache lines.
struct TransposeChannels {
  static constexpr int max_block_threads = 256;
  const float* input;
  float* output;
  std::size_t count, channels, pixels;

  __device__ void operator()() const {
    const std::size_t i = global_thread();
    if (i >= count) return;
    const std::size_t channel = i % channels, pixel = i / channels % pixels, image = i / channels / pixels;
    output[i] = input[(image * channels + channel) * pixels + pixel];
  }
};

GRIDSPOT_KERNEL(Convert<float, bfloat16>)
GRIDSPOT_KERNEL(Convert<bfloat16, float>)
GRIDSPOT_KERNEL(TransposeChannels)

#if GRIDSPOT_HOST_PASS
namespace {
template <class From, class To>
void convert_elements(Stream& stream, DeviceSpan<const From> input, DeviceSpan<To> output) {
  require(input.size == output.size,
          "convert: input has " + std::to_string(input.size) + " elements, output " + std::to_string(output.size));
  launch_1d(stream, input.size / pack_width + (input.size % pack_width != 0),
            Convert<From, To>{input.data, output.data, input.size});
}
}  // namespace

void convert(Stream& stream, DeviceSpan<const float> input, DeviceSpan<bfloat16> output) {
  convert_elements(stream, input, output);
}

void convert(Stream& stream, DeviceSpan<const bfloat16> input, DeviceSpan<float> output) {
  convert_elements(stream, input, output);
}

void transpose_channels(Stream& stream, DeviceSpan<const float> input, DeviceSpan<float> output, int n, int channels,
                        int pixels) {
  require(n >= 0 && channels >= 0 && pixels >= 0, "transpose_channels: a dimension is negative");
  const std::size_t count = std::size_t(n) * channels * pixels;
  require(input.size == count && output.size == count,
          "transpose_channels: input and output must have " + std::to_string(count) + " elements, they have " +
              std::to_string(input.size) + " and " + std::to_string(output.size));
  launch_1d(stream, count,
            TransposeChannels{input.data, output.data, count, std::size_t(channels), std::size_t(pixels)});
}
#endif

}  // namespace gridspot
