// The gradients of the stem's weights and biases (stem.h). A thread keeps those of eight filters in registers, 80 sums,
// and moves down strips of pixels; what the pool left out adds nothing.
// Floor: output, its gradient (2 or 4 bytes an element each) and (pooled) the choice (1 byte) read once, the image
// once; partial sums of at most 396 blocks are written and read. 20 operations an element of the gradient; pooled, the
// four positions of a window are gone through, which makes 80.
#include "kernels/pool_choice.h"
#include "kernels/stem_strip.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/chunk_sums.h"
#endif

namespace gridspot {

/// A filter's sums: of its taps and its bias.
constexpr int stem_sums = stem_taps + 1;

/// How the sums are cut into blocks: block b takes the strips from b * strips_in_chunk on, lane l of it every lanes-th
/// from the l-th on.
struct StemChunks {
  StemPlan plan;
  unsigned strips_in_chunk;

  __host__ __device__ unsigned lanes() const { return stem_threads / plan.packs(); }
  __host__ __device__ unsigned columns() const { return static_cast<unsigned>(plan.filters * stem_sums); }
  /// A lane more than there are: it keeps the rows of two taps apart in the banks.
  __host__ __device__ unsigned shared_floats() const { return columns() * (lanes() + 1); }
};

/// What has been read of one pixel and not been used.
template <class T>
struct StemArrival {
  PackWords<T> output, gradient;
  PackWords<std::uint8_t> choice;
};

template <class T, int stride, bool pools>
struct StemBackward {
  static constexpr int max_block_threads = stem_bound;
  /// Enough bytes under way to hide the memory's latency.
  static constexpr int rows_ahead = sizeof(T) == 4 || pools ? 1 : 2;
  using Patch = StemPatch<T, T, stride, pools>;
  StemChunks chunks;
  float slope;
  const T *input, *output;  ///< output: null where the derivative is 1
  const std::uint8_t* choice;
  const T* output_gradient;
  float* partials;

  struct Sums {
    Pack tap[stem_taps], bias;

    __device__ void add(const Patch& patch, int dy, int dx, const Pack& gradient) {
      for (int i = 0; i < stem_taps; ++i) tap[i] += patch.at(dy, dx, i / stem_side, i % stem_side) * gradient;
    }
  };

  __device__ StemArrival<T> read(std::size_t place) const {
    StemArrival<T> arrival;
    arrival.gradient = load_words(output_gradient + place);
    if (output != nullptr) arrival.output = load_words(output + place);
    if constexpr (pools) arrival.choice = load_words(choice + place);
    return arrival;
  }

  __device__ void add_pixel(const Patch& patch, const StemArrival<T>& arrived, Sums& sums) const {
    Pack gradient = unpack(arrived.gradient);
    if (output != nullptr) gradient = rounded<T>(rectify(unpack(arrived.output), slope, gradient));
    sums.bias += gradient;
    if constexpr (pools) {
      const Pack chosen = unpack(arrived.choice);
      for (int i = 0; i < Patch::positions * Patch::positions; ++i)
        sums.add(patch, i / Patch::positions, i % Patch::positions,
                 where_chosen(chosen, static_cast<float>(i), gradient));
    } else {
      sums.add(patch, 0, 0, gradient);
    }
  }

  __device__ void add_strip(const StemStrip& strip, int filter, Sums& sums) const {
    const StemPlan& plan = chunks.plan;
    Patch patch(plan.image(input, strip), plan.height, plan.width, strip.x, strip.first_row);
    std::size_t place = plan.offset(strip) + filter;
    StemArrival<T> next[rows_ahead] = {};
    for (int i = 0; i < rows_ahead; ++i, place += plan.row_size())
      if (strip.first_row + i < strip.last_row) next[i] = read(place);
    for (int row = strip.first_row; row < strip.last_row; ++row, place += plan.row_size()) {
      const StemArrival<T> arrived = next[0];
      for (int i = 1; i < rows_ahead; ++i) next[i - 1] = next[i];
      if (row + rows_ahead < strip.last_row) next[rows_ahead - 1] = read(place);
      patch.move_down();
      add_pixel(patch, arrived, sums);
    }
  }

  __device__ Sums sums_of_lane(unsigned lane, int filter) const {
    Sums sums = {};
    const unsigned first = blockIdx.x * chunks.strips_in_chunk;
    const unsigned last = min(first + chunks.strips_in_chunk, chunks.plan.strips);
    for (unsigned i = first + lane; i < last; i += chunks.lanes()) add_strip(chunks.plan.strip(i), filter, sums);
    return sums;
  }

  __device__ void operator()() const {
    auto* shared = shared_memory<float>(chunks.shared_floats());
    const auto filters = static_cast<unsigned>(chunks.plan.filters);
    const unsigned packs = chunks.plan.packs(), lanes = chunks.lanes(), lane = threadIdx.x / packs;
    if (lane < lanes) {
      const auto filter = static_cast<int>(threadIdx.x % packs) * pack_width;
      const Sums sums = sums_of_lane(lane, filter);
      float* own = shared + lane * filters + filter;
      for (int i = 0; i < stem_sums; ++i)
        store_whole(own + i * (lanes + 1) * filters, i < stem_taps ? sums.tap[i] : sums.bias);
    }
    __syncthreads();
    for (unsigned column = threadIdx.x; column < chunks.columns(); column += stem_threads) {
      const unsigned sum = column / filters, filter = column % filters;
      const float* of_lanes = shared + sum * (lanes + 1) * filters + filter;
      float total = 0;
      for (unsigned i = 0; i < lanes; ++i) total += of_lanes[i * filters];
      const unsigned place = sum < stem_taps ? filter * stem_taps + sum : stem_taps * filters + filter;
      partials[std::size_t(blockIdx.x) * chunks.columns() + place] = total;
    }
  }
};

#define GRIDSPOT_STEM_KERNELS_FOR(T)         \
  GRIDSPOT_KERNEL(StemBackward<T, 1, false>) \
  GRIDSPOT_KERNEL(StemBackward<T, 1, true>)  \
  GRIDSPOT_KERNEL(StemBackward<T, 2, false>) \
  GRIDSPOT_KERNEL(StemBackward<T, 2, true>)
GRIDSPOT_STEM_KERNELS_FOR(float)
GRIDSPOT_STEM_KERNELS_FOR(bfloat16)
#undef GRIDSPOT_STEM_KERNELS_FOR

#if GRIDSPOT_HOST_PASS
namespace {

// As many blocks as run at once, each lane of them with one strip of up to 32 rows, or several.
StemChunks chunks_of(const StemShape& shape) {
  constexpr std::size_t most_rows = 32;
  const std::size_t lanes = stem_threads / packs_for(shape.filters), at_once = stem_blocks_at_once * lanes;
  const std::size_t pixels = shape.output_size() / shape.filters;
  const auto rounds_for = [at_once](std::size_t strips) {
    return std::max<std::size_t>((strips + at_once - 1) / at_once, 1);
  };
  const StemPlan plan =
      stem_plan(shape, rounds_for(pixels / most_rows) * at_once, shape.pools ? 2 : 4, shape.output_height());
  return {plan, static_cast<unsigned>(rounds_for(plan.strips) * lanes)};
}

unsigned block_count(const StemChunks& chunks) { return blocks_for(chunks.plan.strips, chunks.strips_in_chunk); }

}  // namespace

std::size_t stem_partials(const StemShape& shape) {
  require_stem("stem_partials", shape);
  const StemChunks chunks = chunks_of(shape);
  return std::size_t(block_count(chunks)) * chunks.columns();
}

template <class T>
void stem_backward(Stream& stream, const StemShape& shape, DeviceSpan<const T> input, DeviceSpan<const T> output,
                   DeviceSpan<const std::uint8_t> choice, float slope, DeviceSpan<const T> output_gradient,
                   DeviceSpan<float> weight_gradient, DeviceSpan<float> bias_gradient, DeviceSpan<float> partials) {
  constexpr auto who = "stem_backward";
  require_stem(who, shape);
  require_stem_slope(who, slope);
  const std::size_t outputs = shape.output_size();
  require_elements(who, "input", input.size, shape.input_size());
  if (output.size != 0 || slope != 1) require_stem_tensor(who, "output", output, outputs);
  require_stem_tensor(who, "choice", choice, shape.pools ? outputs : 0);
  require_stem_tensor(who, "output_gradient", output_gradient, outputs);
  require_elements(who, "weight_gradient", weight_gradient.size, std::size_t(shape.filters) * stem_taps);
  require_elements(who, "bias_gradient", bias_gradient.size, std::size_t(shape.filters));
  require_elements(who, "partials", partials.size, stem_partials(shape));
  const StemChunks chunks = chunks_of(shape);
  const auto start = [&]<int stride, bool pools>() {
    launch(stream,
           {.grid = {block_count(chunks)},
            .block = {stem_threads},
            .shared_bytes = chunks.shared_floats() * sizeof(float)},
           StemBackward<T, stride, pools>{chunks, slope, input.data, slope == 1 ? nullptr : output.data, choice.data,
                                          output_gradient.data, partials.data});
  };
  if (shape.pools)
    shape.stride == 1 ? start.template operator()<1, true>() : start.template operator()<2, true>();
  else
    shape.stride == 1 ? start.template operator()<1, false>() : start.template operator()<2, false>();
  sum_chunks(stream, block_count(chunks), partials, weight_gradient, bias_gradient);
}

#define GRIDSPOT_STEM_FOR(T)                                                                                 \
  template void stem_backward(Stream&, const StemShape&, DeviceSpan<const T>, DeviceSpan<const T>,           \
                              DeviceSpan<const std::uint8_t>, float, DeviceSpan<const T>, DeviceSpan<float>, \
                              DeviceSpan<float>, DeviceSpan<float>);
GRIDSPOT_STEM_FOR(float)
GRIDSPOT_STEM_FOR(bfloat16)
#undef GRIDSPOT_STEM_FOR
#endif

}  // namespace gridspot
