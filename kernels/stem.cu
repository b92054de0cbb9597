// A network's first layer for images of one channel: 3x3 convolution, bias, (leaky) ReLU and, in a second form, the 2x2
// max pool behind them. A thread keeps the weights of eight filters in registers and moves down a strip of pixels
// (stem_strip.h).
// Floor: the image read once (4 or 2 bytes a pixel) and the output written once (4 or 2 bytes an element), pooled with
// one byte of choice for each element; the unpooled activations are never in memory. 18 operations an element of the
// convolution.
#include "kernels/pool_choice.h"
#include "kernels/stem_strip.h"

namespace gridspot {

/// Weights and biases of eight filters: a pack for each tap.
struct StemFilters {
  Pack tap[stem_taps], bias;

  template <class T>
  __device__ StemFilters(const T* weights, const float* biases, int first) : bias(unpack(load_words(biases + first))) {
    for (int i = 0; i < stem_taps; ++i) {
      const Pack part = unpack(load_words(weights + first * stem_taps + i * pack_width));
      for (int k = 0; k < pack_width; ++k) {
        const int weight = i * pack_width + k;
        tap[weight % stem_taps].lane[weight / stem_taps] = part.lane[k];
      }
    }
  }

  template <class Patch>
  __device__ Pack convolve(const Patch& patch, int dy, int dx) const {
    Pack sum = bias;
    for (int i = 0; i < stem_taps; ++i) sum += patch.at(dy, dx, i / stem_side, i % stem_side) * tap[i];
    return sum;
  }
};

template <class In, class T, int stride, bool pools>
struct StemForward {
  static constexpr int max_block_threads = stem_bound;
  using Patch = StemPatch<In, T, stride, pools>;
  StemPlan plan;
  float slope;
  const In* input;
  const T* weights;
  const float* bias;
  T* output;
  std::uint8_t* choice;

  __device__ void store(const Patch& patch, const StemFilters& filters, std::size_t place) const {
    Pack best = filters.convolve(patch, 0, 0);
    if constexpr (pools) {
      Pack position = {};
      for (int i = 1; i < Patch::positions * Patch::positions; ++i)
        keep_larger(filters.convolve(patch, i / Patch::positions, i % Patch::positions), static_cast<float>(i), best,
                    position);
      if (slope == 0)  // what is not positive becomes 0 everywhere, and the first of equals is chosen
        position = lanewise([](auto z, auto p) { return z <= 0.0f ? 0.0f : p; }, best, position);
      store_whole(choice + place, position);
    }
    store_whole(output + place, rectify(best, slope, best));
  }

  __device__ void operator()() const {
    const auto i = static_cast<unsigned>(global_thread());
    const unsigned packs = plan.packs();
    if (i >= plan.strips * packs) return;
    const int filter = static_cast<int>(i % packs) * pack_width;
    const StemStrip strip = plan.strip(i / packs);
    const StemFilters filters(weights, bias, filter);
    Patch patch(plan.image(input, strip), plan.height, plan.width, strip.x, strip.first_row);
    std::size_t place = plan.offset(strip) + filter;
    for (int row = strip.first_row; row < strip.last_row; ++row, place += plan.row_size()) {
      patch.move_down();
      store(patch, filters, place);
    }
  }
};

#define GRIDSPOT_STEM_KERNELS_FOR(In, T)        \
  GRIDSPOT_KERNEL(StemForward<In, T, 1, false>) \
  GRIDSPOT_KERNEL(StemForward<In, T, 1, true>)  \
  GRIDSPOT_KERNEL(StemForward<In, T, 2, false>) \
  GRIDSPOT_KERNEL(StemForward<In, T, 2, true>)
GRIDSPOT_STEM_KERNELS_FOR(float, float)
GRIDSPOT_STEM_KERNELS_FOR(bfloat16, bfloat16)
GRIDSPOT_STEM_KERNELS_FOR(float, bfloat16)
#undef GRIDSPOT_STEM_KERNELS_FOR

#if GRIDSPOT_HOST_PASS
namespace {
constexpr int most_filters = 128;
constexpr std::size_t most_packs = 0x7fffffff;

std::size_t packs_of(const StemShape& shape) { return shape.output_size() / pack_width; }

template <bool pools, class T, class In>
void launch_forward(Stream& stream, const StemShape& shape, DeviceSpan<const In> input, DeviceSpan<const T> weights,
                    DeviceSpan<const float> bias, float slope, DeviceSpan<T> output, DeviceSpan<std::uint8_t> choice) {
  const std::size_t threads_at_once = std::size_t(stem_blocks_at_once) * stem_threads;
  const StemPlan plan = stem_plan(shape, threads_at_once / packs_for(shape.filters), 4, 16);
  const std::size_t threads = std::size_t(plan.strips) * plan.packs();
  const auto start = [&]<int stride>() {
    launch(
        stream, {.grid = {blocks_for(threads, stem_threads)}, .block = {stem_threads}},
        StemForward<In, T, stride, pools>{plan, slope, input.data, weights.data, bias.data, output.data, choice.data});
  };
  shape.stride == 1 ? start.template operator()<1>() : start.template operator()<2>();
}

template <class T, class In>
void require_forward(const char* who, const StemShape& shape, DeviceSpan<const In> input, DeviceSpan<const T> weights,
                     DeviceSpan<const float> bias, float slope, DeviceSpan<T> output) {
  require_stem(who, shape);
  require_stem_slope(who, slope);
  require_elements(who, "input", input.size, shape.input_size());
  require_stem_tensor(who, "weights", weights, std::size_t(shape.filters) * stem_taps);
  require_stem_tensor(who, "bias", bias, std::size_t(shape.filters));
  require_stem_tensor(who, "output", output, shape.output_size());
}
}  // namespace

bool stem_fits(const StemShape& s) {
  return s.n >= 0 && (s.stride == 1 || s.stride == 2) && s.height >= 1 && s.width >= 1 && s.filters >= pack_width &&
         s.filters % pack_width == 0 && s.filters <= most_filters && s.output_height() >= 1 && s.output_width() >= 1 &&
         packs_of(s) <= most_packs;
}

void require_stem(const char* who, const StemShape& s) {
  if (stem_fits(s)) return;
  require_that(s.n >= 0, who, ": the batch is ", s.n, ", expected at least 0");
  require_that(s.stride == 1 || s.stride == 2, who, ": the stride is ", s.stride, ", expected 1 or 2");
  require_that(s.filters >= pack_width && s.filters % pack_width == 0 && s.filters <= most_filters, who, ": ",
               s.filters, " filters, expected a multiple of ", pack_width, " up to ", most_filters);
  const bool holds_a_window = s.height >= 1 && s.width >= 1 && s.output_height() >= 1 && s.output_width() >= 1;
  require_that(holds_a_window, who, ": an image of ", s.height, " x ", s.width, " gives no output");
  require_that(false, who, ": ", s.n, " images of ", s.height, " x ", s.width, " for ", s.filters,
               " filters are more than a launch can count");
}

void require_stem_slope(const char* who, float slope) {
  require_that(slope >= 0 && slope <= 1, who, ": the slope is ", slope, ", expected 0 to 1");
}

template <class T, class In>
void stem_forward(Stream& stream, const StemShape& shape, std::type_identity_t<DeviceSpan<const In>> input,
                  DeviceSpan<const T> weights, DeviceSpan<const float> bias, float slope, DeviceSpan<T> output) {
  constexpr auto who = "stem_forward";
  require_that(!shape.pools, who, ": the shape pools, as stem_pool_forward does");
  require_forward(who, shape, input, weights, bias, slope, output);
  launch_forward<false>(stream, shape, input, weights, bias, slope, output, {});
}

template <class T, class In>
void stem_pool_forward(Stream& stream, const StemShape& shape, std::type_identity_t<DeviceSpan<const In>> input,
                       DeviceSpan<const T> weights, DeviceSpan<const float> bias, float slope, DeviceSpan<T> output,
                       DeviceSpan<std::uint8_t> choice) {
  constexpr auto who = "stem_pool_forward";
  require_that(shape.pools, who, ": the shape does not pool, as stem_forward does not");
  require_forward(who, shape, input, weights, bias, slope, output);
  require_stem_tensor(who, "choice", choice, shape.output_size());
  launch_forward<true>(stream, shape, input, weights, bias, slope, output, choice);
}

#define GRIDSPOT_STEM_FOR(In, T)                                                                                \
  template void stem_forward<T, In>(Stream&, const StemShape&, std::type_identity_t<DeviceSpan<const In>>,      \
                                    DeviceSpan<const T>, DeviceSpan<const float>, float, DeviceSpan<T>);        \
  template void stem_pool_forward<T, In>(Stream&, const StemShape&, std::type_identity_t<DeviceSpan<const In>>, \
                                         DeviceSpan<const T>, DeviceSpan<const float>, float, DeviceSpan<T>,    \
                                         DeviceSpan<std::uint8_t>);
GRIDSPOT_STEM_FOR(float, float)
GRIDSPOT_STEM_FOR(bfloat16, bfloat16)
GRIDSPOT_STEM_FOR(float, bfloat16)
#undef GRIDSPOT_STEM_FOR
#endif

}  // namespace gridspot
