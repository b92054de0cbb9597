// Composition: placements -> pixels, [n, height, width] in the network's dtype, or u8 for export. Runs after
// sample_scenes; the only pass over the canvases (augmentation and normalisation are fused).
// Floor: each canvas pixel is written once (2 bytes in bf16, 4 in float32); placements (40 bytes) and glyphs (784 bytes
// for MNIST) are read once a canvas. 25 operations a sample of a pixel that a glyph reaches.
//
// A thread makes eight neighbouring pixels of one row; a block belongs to one canvas. Every thread of a block reads the
// same placements in the same order, which the first-level cache broadcasts, and skips those that do not reach it.
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/canvas_numbers.h"
#include "kernels/clutter.h"
#include "kernels/glyph_bank.h"
#include "kernels/pack.h"
#include "kernels/philox.h"
#include "kernels/placement.h"
#include "kernels/sampling.h"
#if GRIDSPOT_HOST_PASS
#include <algorithm>
#include <cmath>

#include "kernels/canvas.h"
#include "kernels/check.h"
#endif

namespace gridspot {

// What the kernel reads of a protocol.
struct CanvasRules {
  int height, width;
  float min_size, max_size;
  int max_clutter;
  float noise, min_contrast, inversion;

  // Whether anything is drawn for the canvas as a whole.
  __host__ __device__ bool has_options() const { return max_clutter > 0 || min_contrast < 1 || inversion > 0; }
};

// Drawn once for a block, in shared memory.
struct CanvasDraws {
  float contrast;
  bool inverted;
  int clutter;
};
constexpr std::size_t clutter_offset = 16;  // bytes; the shapes stand behind the draws
static_assert(sizeof(CanvasDraws) <= clutter_offset);

// A glyph of the bank: 0 outside.
struct GlyphImage {
  const std::uint8_t* pixels;
  int height, width;

  __device__ Texels2x2 texels(int row, int column) const {
    if (static_cast<unsigned>(row) < static_cast<unsigned>(height - 1) &&
        static_cast<unsigned>(column) < static_cast<unsigned>(width - 1)) [[likely]] {
      const std::uint8_t* first = pixels + row * width + column;
      return {static_cast<float>(first[0]), static_cast<float>(first[1]), static_cast<float>(first[width]),
              static_cast<float>(first[width + 1])};
    }
    return {texel(row, column), texel(row, column + 1), texel(row + 1, column), texel(row + 1, column + 1)};
  }

  __device__ float texel(int row, int column) const {
    const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(height) &&
                        static_cast<unsigned>(column) < static_cast<unsigned>(width);
    return inside ? static_cast<float>(pixels[row * width + column]) : 0.0f;
  }
};

// The glyph's share of the pixel whose centre lies (dx, dy) from the centre of its tile.
__device__ inline float glyph_value(const Placement& placement, const GlyphImage& glyph, float dx, float dy) {
  const float* m = placement.to_glyph;
  const float middle_x = 0.5f * static_cast<float>(glyph.width) - 0.5f;
  const float middle_y = 0.5f * static_cast<float>(glyph.height) - 0.5f;
  const float left = dx - 0.5f, top = dy - 0.5f;
  const auto sample = [&](float s, float t) {
    const float x = left + s, y = top + t;
    return bilinear(glyph, m[0] * x + m[1] * y + middle_x, m[2] * x + m[3] * y + middle_y);
  };
  const int samples = placement.samples;
  return sum_over_pixel(samples, sample) * (1.0f / 255.0f / static_cast<float>(samples * samples));
}

// Four independent normals.
__device__ inline void draw_normals(const CanvasRandom& random, std::uint32_t index, float (&normals)[4]) {
  constexpr float turn = 6.2831853f;
  const Philox4 draw = random.draw(Purpose::noise, index);
  const float first = sqrtf(-2 * logf(1 - uniform(draw.x))), second = sqrtf(-2 * logf(1 - uniform(draw.z)));
  normals[0] = first * cosf(turn * uniform(draw.y));
  normals[1] = first * sinf(turn * uniform(draw.y));
  normals[2] = second * cosf(turn * uniform(draw.w));
  normals[3] = second * sinf(turn * uniform(draw.w));
}

// Comparisons, because the host compiler makes library calls of fminf and fmaxf.
__device__ __forceinline__ float at_most_1(float value) { return value < 1.0f ? value : 1.0f; }
__device__ __forceinline__ float saturate(float value) { return at_most_1(value > 0.0f ? value : 0.0f); }

template <class T>
struct PixelStore {  // to a network's input
  float mean, scale;
  __device__ T operator()(float value) const { return from_float<T>((value - mean) * scale); }
};

template <>
struct PixelStore<std::uint8_t> {
  __device__ std::uint8_t operator()(float value) const {
    return static_cast<std::uint8_t>(floorf(255.0f * value + 0.5f));
  }
};

template <class T>
struct ComposeCanvases {
  static constexpr int max_block_threads = 256;
  CanvasRules rules;
  GlyphBankView bank;
  std::uint64_t key;
  CanvasNumbers numbers;
  int capacity;
  const Placement* placements;
  const std::int32_t* counts;
  unsigned blocks_per_canvas;
  float spread;  // how far interpolation carries a glyph beyond its tile: half a glyph pixel on each side
  PixelStore<T> store;
  T* output;

  __device__ void operator()() const {
    const unsigned canvas = blockIdx.x / blocks_per_canvas;
    const unsigned pack = blockIdx.x % blocks_per_canvas * blockDim.x + threadIdx.x;
    const CanvasRandom random{key, *numbers.step, static_cast<std::uint32_t>(numbers[canvas])};
    if (rules.has_options()) {
      draw_options(random);
      __syncthreads();
    }
    const auto packs_per_row = static_cast<unsigned>(packs_for(rules.width));
    const int row = static_cast<int>(pack / packs_per_row);
    const int column = static_cast<int>(pack % packs_per_row) * pack_width;
    if (row >= rules.height) return;
    StoredPack<float> values = {};
    add_glyphs(canvas, row, column, values);
    if (rules.max_clutter > 0) add_clutter(row, column, values);
    for (int i = 0; i < pack_width; ++i) values.element[i] = at_most_1(values.element[i]);
    if (rules.has_options()) set_tone(values);
    if (rules.noise > 0) add_noise(random, row, column, values);
    StoredPack<T> stored;
    for (int i = 0; i < pack_width; ++i) stored.element[i] = store(values.element[i]);
    T* place = output + (static_cast<std::size_t>(canvas) * rules.height + row) * rules.width + column;
    store_elements(place, pack_length(rules.width, column), stored);
  }

  __device__ static CanvasDraws& draws() { return *shared_memory<CanvasDraws>(); }
  __device__ ClutterShape* shapes() const {
    return shared_memory<ClutterShape>(static_cast<std::size_t>(rules.max_clutter), clutter_offset);
  }

  __device__ void draw_options(const CanvasRandom& random) const {
    if (threadIdx.x == 0) {
      const Philox4 draw = random.draw(Purpose::canvas, 0);
      draws().contrast = uniform(draw.x, rules.min_contrast, 1);
      draws().inverted = uniform(draw.y) < rules.inversion;
      draws().clutter = static_cast<int>(pick(draw.z, static_cast<std::uint32_t>(rules.max_clutter) + 1));
    }
    for (unsigned i = threadIdx.x; i < static_cast<unsigned>(rules.max_clutter); i += blockDim.x)
      shapes()[i] = draw_clutter(random, i, static_cast<float>(rules.height), static_cast<float>(rules.width),
                                 rules.min_size, rules.max_size);
  }

  __device__ void add_glyphs(unsigned canvas, int row, int column, StoredPack<float>& values) const {
    const Placement* placed = placements + static_cast<std::size_t>(canvas) * capacity;
    const int count = counts[canvas];
    for (int g = 0; g < count; ++g) {
      const Placement& placement = placed[g];
      // What is within half a canvas pixel touches the pixel.
      const float dy = static_cast<float>(row) + 0.5f - placement.cy;
      if (fabsf(dy) > placement.reach_y * spread + 0.5f) continue;
      const float reach_x = placement.reach_x * spread + 0.5f;
      const float first_dx = static_cast<float>(column) + 0.5f - placement.cx;
      if (first_dx > reach_x || first_dx + pack_width - 1 < -reach_x) continue;
      const GlyphImage glyph{bank.pixels + static_cast<std::size_t>(placement.glyph) * bank.height * bank.width,
                             bank.height, bank.width};
      for (int i = 0; i < pack_width; ++i) {
        const float dx = first_dx + static_cast<float>(i);
        if (fabsf(dx) <= reach_x) values.element[i] += glyph_value(placement, glyph, dx, dy);
      }
    }
  }

  __device__ void add_clutter(int row, int column, StoredPack<float>& values) const {
    const float x = static_cast<float>(column) + 0.5f, y = static_cast<float>(row) + 0.5f;
    const int count = draws().clutter;
    const ClutterShape* drawn = shapes();
    for (int s = 0; s < count; ++s) {
      const ClutterShape& shape = drawn[s];
      if (fabsf(y - shape.cy) > shape.reach) continue;
      for (int i = 0; i < pack_width; ++i) values.element[i] += clutter_value(shape, x + static_cast<float>(i), y);
    }
  }

  __device__ void set_tone(StoredPack<float>& values) const {
    const float contrast = draws().contrast;
    const bool inverted = draws().inverted;
    for (float& value : values.element) value = inverted ? 1 - contrast * value : contrast * value;
  }

  __device__ void add_noise(const CanvasRandom& random, int row, int column, StoredPack<float>& values) const {
    const int first_index = row * ((rules.width + 3) / 4) + column / 4;
    for (int quarter = 0; quarter < pack_width / 4 && column + 4 * quarter < rules.width; ++quarter) {
      float normals[4];
      draw_normals(random, static_cast<std::uint32_t>(first_index + quarter), normals);
      for (int i = 0; i < 4; ++i) {
        float& value = values.element[4 * quarter + i];
        value = saturate(value + rules.noise * normals[i]);
      }
    }
  }
};

GRIDSPOT_KERNEL(ComposeCanvases<float>)
GRIDSPOT_KERNEL(ComposeCanvases<bfloat16>)
GRIDSPOT_KERNEL(ComposeCanvases<std::uint8_t>)

#if GRIDSPOT_HOST_PASS
namespace {
template <class T>
void compose(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
             CanvasNumbers numbers, const SceneView& scenes, PixelStore<T> store, DeviceSpan<T> output) {
  validate(protocol);
  require_that(bank.count > 0 && bank.height > 0 && bank.width > 0,
               "compose_canvases: the glyph bank is empty: ", bank.count, " glyphs of ", bank.height, " x ",
               bank.width);
  require_that(scenes.n >= 0, "compose_canvases: the number of canvases must not be negative, it is ", scenes.n);
  require_that(numbers.first >= 0, "compose_canvases: the first canvas must not be negative, it is ", numbers.first);
  const auto n = static_cast<std::size_t>(scenes.n);
  require_elements("compose_canvases", "output", output.size, n * protocol.height * protocol.width);
  using Kernel = ComposeCanvases<T>;
  const CanvasRules rules{protocol.height,      protocol.width, protocol.min_size,     protocol.max_size,
                          protocol.max_clutter, protocol.noise, protocol.min_contrast, protocol.inversion};
  const auto side = static_cast<float>(std::max(bank.height, bank.width));
  const std::size_t packs = static_cast<std::size_t>(packs_for(rules.width)) * rules.height;
  const unsigned blocks = blocks_for(packs, Kernel::max_block_threads);
  const std::size_t shared_bytes = rules.has_options() ? clutter_offset + rules.max_clutter * sizeof(ClutterShape) : 0;
  launch(stream,
         {.grid = {blocks_for(n * blocks, 1)}, .block = {Kernel::max_block_threads}, .shared_bytes = shared_bytes},
         Kernel{rules, bank, key, numbers, scenes.capacity, scenes.placements, scenes.counts, blocks, (side + 1) / side,
                store, output.data});
}

template <class T>
PixelStore<T> normalized_store(Normalization normalization) {
  require_that(
      normalization.deviation > 0 && std::isfinite(normalization.deviation) && std::isfinite(normalization.mean),
      "compose_canvases: the normalisation needs a finite mean and a positive, finite deviation, found ",
      normalization.mean, " and ", normalization.deviation);
  return {normalization.mean, 1 / normalization.deviation};
}
}  // namespace

void compose_canvases(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                      CanvasNumbers numbers, const SceneView& scenes, Normalization normalization,
                      DeviceSpan<float> output) {
  compose(stream, protocol, bank, key, numbers, scenes, normalized_store<float>(normalization), output);
}

void compose_canvases(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                      CanvasNumbers numbers, const SceneView& scenes, Normalization normalization,
                      DeviceSpan<bfloat16> output) {
  compose(stream, protocol, bank, key, numbers, scenes, normalized_store<bfloat16>(normalization), output);
}

void compose_canvases(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                      CanvasNumbers numbers, const SceneView& scenes, DeviceSpan<std::uint8_t> output) {
  compose(stream, protocol, bank, key, numbers, scenes, PixelStore<std::uint8_t>{}, output);
}
#endif

}  // namespace gridspot
