// Scene sampling: glyph, size, rotation, shear and place of everything on a canvas, and the label boxes. The first
// kernel of a step; [n] canvases -> [n, capacity] placements, boxes and labels. One thread samples one canvas, because
// each placement depends on those before it; what is read back of them lies in the thread's own rows of the output.
// Floor: 64 bytes written for each glyph; a draw (about 100 operations) and about 20 for each of its tries, and an IoU
// for each glyph before it where the rule asks for one. The time is that of the longest chain of tries, not of memory.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "gridspot/placing.h"
#include "kernels/canvas_numbers.h"
#include "kernels/glyph_bank.h"
#include "kernels/iou.h"
#include "kernels/philox.h"
#include "kernels/placement.h"
#include "kernels/sampling.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/check.h"
#include "kernels/scene.h"
#endif

namespace gridspot {

// What the kernel reads of a protocol.
struct SceneRules {
  float height, width;
  int min_glyphs, max_glyphs;
  float min_size, max_size, max_rotation, max_shear;  // rotation in radians
  Placing placing;
  float min_iou, max_iou, max_shift;
  bool in_order;
  BoxKind box;
  int attempts;
};

// The edges of something on the canvas, in pixels; here relative to the centre of a tile.
struct Extent {
  float left, top, right, bottom;
};

// A glyph before it has its place.
struct Candidate {
  Placement placement;
  Extent label;
};

// Glyph pixels to canvas pixels, [m0 m1; m2 m3], is scale * rotation * shear; Placement::to_glyph is its inverse.
__device__ inline void set_transform(float size, float angle, float shear, int side, Placement& placement,
                                     float (&to_canvas)[4]) {
  const float scale = size / static_cast<float>(side), c = cosf(angle), s = sinf(angle);
  to_canvas[0] = scale * c;
  to_canvas[1] = scale * (shear * c - s);
  to_canvas[2] = scale * s;
  to_canvas[3] = scale * (shear * s + c);
  // The determinant of rotation * shear is 1.
  placement.to_glyph[0] = (shear * s + c) / scale;
  placement.to_glyph[1] = (s - shear * c) / scale;
  placement.to_glyph[2] = -s / scale;
  placement.to_glyph[3] = c / scale;
  const float half_side = 0.5f * static_cast<float>(side);
  placement.reach_x = half_side * (fabsf(to_canvas[0]) + fabsf(to_canvas[1]));
  placement.reach_y = half_side * (fabsf(to_canvas[2]) + fabsf(to_canvas[3]));
  const float* m = placement.to_glyph;
  const float along_x = sqrtf(m[0] * m[0] + m[2] * m[2]), along_y = sqrtf(m[1] * m[1] + m[3] * m[3]);
  placement.samples = samples_for(fmaxf(along_x, along_y));
}

// The transformed ink relative to the glyph's centre. Within a row of glyph pixels the first and the last ink column
// hold the extremes; false when the glyph has no ink.
__device__ inline bool ink_extent(const GlyphBankView& bank, int glyph, const float (&to_canvas)[4], Extent& extent) {
  const float half_width = 0.5f * static_cast<float>(bank.width), half_height = 0.5f * static_cast<float>(bank.height);
  const std::int16_t* columns = bank.row_extents + static_cast<std::size_t>(glyph) * bank.height * 2;
  bool found = false;
  for (int row = 0; row < bank.height; ++row) {
    if (columns[2 * row] == columns[2 * row + 1]) continue;
    const float u0 = columns[2 * row] - half_width, u1 = columns[2 * row + 1] - half_width;
    const float v0 = static_cast<float>(row) - half_height, v1 = v0 + 1;
    const float left = fminf(to_canvas[0] * u0, to_canvas[0] * u1) + fminf(to_canvas[1] * v0, to_canvas[1] * v1);
    const float right = fmaxf(to_canvas[0] * u0, to_canvas[0] * u1) + fmaxf(to_canvas[1] * v0, to_canvas[1] * v1);
    const float top = fminf(to_canvas[2] * u0, to_canvas[2] * u1) + fminf(to_canvas[3] * v0, to_canvas[3] * v1);
    const float bottom = fmaxf(to_canvas[2] * u0, to_canvas[2] * u1) + fmaxf(to_canvas[3] * v0, to_canvas[3] * v1);
    extent.left = found ? fminf(extent.left, left) : left;
    extent.right = found ? fmaxf(extent.right, right) : right;
    extent.top = found ? fminf(extent.top, top) : top;
    extent.bottom = found ? fmaxf(extent.bottom, bottom) : bottom;
    found = true;
  }
  return found;
}

__device__ inline Candidate draw_glyph(const SceneRules& rules, const GlyphBankView& bank, std::uint32_t canvas,
                                       Philox4 draw) {
  Candidate candidate;
  Placement& placement = candidate.placement;
  const auto count = static_cast<std::uint32_t>(bank.count);
  placement.glyph = static_cast<std::int32_t>(rules.in_order ? canvas % count : pick(draw.x, count));
  float to_canvas[4];
  set_transform(uniform(draw.y, rules.min_size, rules.max_size),
                uniform(draw.z, -rules.max_rotation, rules.max_rotation),
                uniform(draw.w, -rules.max_shear, rules.max_shear), max(bank.height, bank.width), placement, to_canvas);
  if (rules.box == BoxKind::tile || !ink_extent(bank, placement.glyph, to_canvas, candidate.label))
    candidate.label = {-placement.reach_x, -placement.reach_y, placement.reach_x, placement.reach_y};
  return candidate;
}

__device__ inline Box label_box(const Extent& label, float cx, float cy, float height, float width) {
  const float left = fmaxf(cx + label.left, 0.0f) / width, right = fminf(cx + label.right, width) / width;
  const float top = fmaxf(cy + label.top, 0.0f) / height, bottom = fminf(cy + label.bottom, height) / height;
  return {0.5f * (left + right), 0.5f * (top + bottom), right - left, bottom - top};
}

// Whether the placing rule accepts a box beside those placed earlier.
__device__ inline bool accepts(const SceneRules& rules, const Box& box, const Box* placed, int count) {
  if (rules.placing == Placing::anywhere || count == 0) return true;
  float highest = 0;
  for (int i = 0; i < count; ++i) highest = fmaxf(highest, iou(box, placed[i]));
  if (rules.placing == Placing::separated) return highest == 0;
  if (rules.placing == Placing::limited) return highest < rules.max_iou;
  return highest >= rules.min_iou && highest <= rules.max_iou;
}

struct SampleScenes {
  static constexpr int max_block_threads = 32;  // small, to spread a batch over the multiprocessors
  SceneRules rules;
  GlyphBankView bank;
  std::uint64_t key;
  CanvasNumbers numbers;
  int n, capacity;
  Placement* placements;
  Box* boxes;
  std::int32_t *labels, *counts, *unplaced;

  __device__ void operator()() const {
    const std::size_t canvas = global_thread();
    if (canvas >= static_cast<std::size_t>(n)) return;
    const CanvasRandom random{key, *numbers.step, static_cast<std::uint32_t>(numbers[canvas])};
    const std::size_t row = canvas * capacity;
    const auto range = static_cast<std::uint32_t>(rules.max_glyphs - rules.min_glyphs + 1);
    const int drawn = rules.min_glyphs + static_cast<int>(pick(random.draw(Purpose::placement, 0).x, range));
    int count = 0;
    for (int g = 0; g < drawn; ++g) {
      const std::uint32_t index = 1 + static_cast<std::uint32_t>(g) * (rules.attempts + 1);
      Candidate candidate = draw_glyph(rules, bank, random.canvas, random.draw(Purpose::placement, index));
      Box box;
      if (!find_place(random, index + 1, boxes + row, count, candidate, box)) continue;
      placements[row + count] = candidate.placement;
      boxes[row + count] = box;
      labels[row + count] = bank.labels[candidate.placement.glyph];
      ++count;
    }
    if (rules.placing == Placing::overlapping && count == 1) count = 0;
    for (int slot = count; slot < capacity; ++slot) labels[row + slot] = -1;
    counts[canvas] = count;
    unplaced[canvas] = drawn - count;
  }

  __device__ bool find_place(const CanvasRandom& random, std::uint32_t first_index, const Box* placed, int count,
                             Candidate& candidate, Box& box) const {
    Placement& placement = candidate.placement;
    const Extent inside = centres(placement);
    if (inside.left > inside.right || inside.top > inside.bottom) return false;
    for (int attempt = 0; attempt < rules.attempts; ++attempt) {
      const Philox4 draw = random.draw(Purpose::placement, first_index + attempt);
      Extent range = inside;
      if (rules.placing == Placing::overlapping && count > 0)
        range = touching(inside, candidate.label, placed[pick(draw.z, static_cast<std::uint32_t>(count))]);
      placement.cx = uniform(draw.x, range.left, range.right);
      placement.cy = uniform(draw.y, range.top, range.bottom);
      box = label_box(candidate.label, placement.cx, placement.cy, rules.height, rules.width);
      if (accepts(rules, box, placed, count)) return true;
    }
    return false;
  }

  // Where the tile's centre may be.
  __device__ Extent centres(const Placement& placement) const {
    if (rules.placing == Placing::centred) {
      const float cx = 0.5f * rules.width, cy = 0.5f * rules.height;
      return {cx - rules.max_shift, cy - rules.max_shift, cx + rules.max_shift, cy + rules.max_shift};
    }
    return {placement.reach_x, placement.reach_y, rules.width - placement.reach_x, rules.height - placement.reach_y};
  }

  // The centres inside the canvas at which the label would touch the box. Where there are none the range is reversed or
  // beyond the canvas's inner part; it is then cut down to one line, and the try fails for want of overlap.
  __device__ Extent touching(const Extent& inside, const Extent& label, const Box& box) const {
    const float left = (box.cx - 0.5f * box.w) * rules.width, right = (box.cx + 0.5f * box.w) * rules.width;
    const float top = (box.cy - 0.5f * box.h) * rules.height, bottom = (box.cy + 0.5f * box.h) * rules.height;
    const float first_x = fminf(fmaxf(left - label.right, inside.left), inside.right);
    const float first_y = fminf(fmaxf(top - label.bottom, inside.top), inside.bottom);
    return {first_x, first_y, fmaxf(fminf(right - label.left, inside.right), first_x),
            fmaxf(fminf(bottom - label.top, inside.bottom), first_y)};
  }
};

GRIDSPOT_KERNEL(SampleScenes)

#if GRIDSPOT_HOST_PASS
namespace {
std::size_t slots_of(int n, int capacity) {
  require_that(n >= 0 && capacity >= 0, "scenes: n and capacity must not be negative, they are ", n, " and ", capacity);
  return static_cast<std::size_t>(n) * static_cast<std::size_t>(capacity);
}

SceneRules rules_of(const Protocol& protocol) {
  constexpr double radians = 3.14159265358979323846 / 180;
  return {.height = static_cast<float>(protocol.height),
          .width = static_cast<float>(protocol.width),
          .min_glyphs = protocol.min_glyphs,
          .max_glyphs = protocol.max_glyphs,
          .min_size = protocol.min_size,
          .max_size = protocol.max_size,
          .max_rotation = static_cast<float>(protocol.max_rotation * radians),
          .max_shear = protocol.max_shear,
          .placing = protocol.placing,
          .min_iou = protocol.min_iou,
          .max_iou = protocol.max_iou,
          .max_shift = protocol.max_shift,
          .in_order = protocol.in_order,
          .box = protocol.box,
          .attempts = placing_attempts};
}
}  // namespace

Scenes::Scenes(Device device, int n, int capacity)
    : placements(device, slots_of(n, capacity)),
      boxes(device, slots_of(n, capacity)),
      labels(device, slots_of(n, capacity)),
      counts(device, static_cast<std::size_t>(n)),
      unplaced(device, static_cast<std::size_t>(n)),
      n_(n),
      capacity_(capacity) {}

SceneView Scenes::view() const {
  return {n_, capacity_, placements.data(), boxes.data(), labels.data(), counts.data(), unplaced.data()};
}

std::size_t Scenes::bytes() const {
  return placements.span().size * sizeof(Placement) + boxes.span().size * sizeof(Box) +
         (labels.size() + counts.size() + unplaced.size()) * sizeof(std::int32_t);
}

void sample_scenes(Stream& stream, const Protocol& protocol, const GlyphBankView& bank, std::uint64_t key,
                   CanvasNumbers numbers, const SceneView& scenes) {
  validate(protocol);
  require_that(bank.count > 0 && bank.height > 0 && bank.width > 0,
               "sample_scenes: the glyph bank is empty: ", bank.count, " glyphs of ", bank.height, " x ", bank.width);
  require_that(scenes.n >= 0, "sample_scenes: the number of canvases must not be negative, it is ", scenes.n);
  require_that(numbers.first >= 0, "sample_scenes: the first canvas must not be negative, it is ", numbers.first);
  require_that(scenes.capacity >= protocol.max_glyphs, "sample_scenes: the scenes hold ", scenes.capacity,
               " glyphs a canvas, protocol '", protocol.name, "' places up to ", protocol.max_glyphs);
  launch_1d(stream, static_cast<std::size_t>(scenes.n),
            SampleScenes{rules_of(protocol), bank, key, numbers, scenes.n, scenes.capacity, scenes.placements,
                         scenes.boxes, scenes.labels, scenes.counts, scenes.unplaced});
}
#endif

}  // namespace gridspot
