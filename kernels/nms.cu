// Non-maximum suppression: candidates [n, slots] to detections [n, capacity], after decoding. Floor: 4 bytes read for
// each slot, 20 for each candidate, 24 written for each detection.
//
// A block takes an image. It gathers the candidates, sorts them in shared memory, and resolves them 32 at a time: the
// first warp finds which of the 32 survive one another, then all threads strike out later candidates that a survivor
// suppresses. Keys are unique, so the order in which candidates were gathered does not matter.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "kernels/iou.h"
#if GRIDSPOT_HOST_PASS
#include <bit>

#include "kernels/grid_check.h"
#include "kernels/nms.h"
#endif

namespace gridspot {

/// Falling keys are the order of suppression: the higher score, then the lower slot. No candidate has key 0. The bits
/// of positive floats rise with their values.
using CandidateKey = std::uint64_t;

__device__ __forceinline__ CandidateKey candidate_key(float score, int slot) {
  return static_cast<CandidateKey>(__float_as_uint(score)) << 32 | (0xffffffffu - static_cast<unsigned>(slot));
}
__device__ __forceinline__ int slot_of(CandidateKey key) {
  return static_cast<int>(0xffffffffu - static_cast<unsigned>(key));
}
__device__ __forceinline__ float score_of(CandidateKey key) {
  return __uint_as_float(static_cast<unsigned>(key >> 32));
}

/// Up to here sorting by rank is no slower than the network, and it needs one barrier.
inline constexpr int most_ranked = 1024;
__host__ __device__ __forceinline__ int ranked_slots(int padded_slots) {
  return padded_slots < most_ranked ? padded_slots : most_ranked;
}

/// In a block's shared memory `padded_slots` keys follow, then as many, at most `most_ranked`, sorted by rank.
struct Tile {
  static constexpr int size = 32;
  Box boxes[size];
  std::int32_t classes[size];
  unsigned suppressors[size];  // of i: bit j < i: candidate j, if it survives, suppresses i; bit i: i is no candidate
  unsigned survivors;          // bit i: candidate i survives
  int candidates;              // in the whole image
};
static_assert(sizeof(Tile) % sizeof(CandidateKey) == 0);

struct Suppress {
  static constexpr int max_block_threads = 512;
  int slots, padded_slots, capacity;  // padded_slots: a power of two
  const Box* boxes;
  const float* scores;
  const std::int32_t* classes;
  float iou_threshold;
  bool class_agnostic;
  Box* kept_boxes;
  float* kept_scores;
  std::int32_t* kept_classes;
  std::int32_t* counts;
  std::int32_t* truncated;

  __device__ int gather_candidates(const float* image_scores, Tile& tile, CandidateKey* keys) const {
    if (threadIdx.x == 0) tile.candidates = 0;
    __syncthreads();
    for (int slot = static_cast<int>(threadIdx.x); slot < slots; slot += static_cast<int>(blockDim.x))
      if (image_scores[slot] > 0) keys[atomicAdd(&tile.candidates, 1)] = candidate_key(image_scores[slot], slot);
    __syncthreads();
    return tile.candidates;
  }

  /// A key's place is the number of larger keys.
  __device__ static void sort_by_rank(const CandidateKey* keys, int count, int threads, CandidateKey* sorted) {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += threads) {
      const CandidateKey key = keys[i];
      int rank = 0;
      for (int other = 0; other < count; ++other) rank += keys[other] > key ? 1 : 0;
      sorted[rank] = key;
    }
    __syncthreads();
  }

  /// Batcher's bitonic network over the next power of two.
  __device__ static void sort_by_network(CandidateKey* keys, int count, int threads) {
    const int thread = static_cast<int>(threadIdx.x);
    int padded = 1;
    while (padded < count) padded *= 2;
    for (int i = count + thread; i < padded; i += threads) keys[i] = 0;
    __syncthreads();
    for (int run = 2; run <= padded; run *= 2) {
      for (int distance = run / 2; distance > 0; distance /= 2) {
        for (int pair = thread; pair < padded / 2; pair += threads) {
          const int low = 2 * pair - (pair & (distance - 1)), high = low + distance;
          const bool falling = (low & run) == 0;
          const CandidateKey a = keys[low], b = keys[high];
          if ((a < b) == falling) {
            keys[low] = b;
            keys[high] = a;
          }
        }
        __syncthreads();
      }
    }
  }

  __device__ bool suppresses(const Box& box, std::int32_t box_class, const Box& other, std::int32_t other_class) const {
    return (class_agnostic || box_class == other_class) && iou(box, other) > iou_threshold;
  }

  /// By the first warp: which of the tile's candidates survive one another. A lane without a candidate has key 0.
  __device__ void resolve(Tile& tile, CandidateKey key, const Box* image_boxes,
                          const std::int32_t* image_classes) const {
    const int lane = static_cast<int>(threadIdx.x);
    const bool is_candidate = key != 0;
    tile.boxes[lane] = is_candidate ? image_boxes[slot_of(key)] : Box{};  // without area: suppresses nothing
    tile.classes[lane] = is_candidate ? image_classes[slot_of(key)] : -1;
    __syncwarp();
    unsigned suppressors = is_candidate ? 0 : 1u << lane;
    for (int other = 0; other < lane && is_candidate; ++other)
      if (suppresses(tile.boxes[other], tile.classes[other], tile.boxes[lane], tile.classes[lane]))
        suppressors |= 1u << other;
    tile.suppressors[lane] = suppressors;
    __syncwarp();
    if (lane != 0) return;
    unsigned survivors = 0;
    for (int i = 0; i < Tile::size; ++i)
      if ((tile.suppressors[i] & (survivors | 1u << i)) == 0) survivors |= 1u << i;
    tile.survivors = survivors;
  }

  /// Strikes a later candidate out (key 0) when one of the tile's survivors suppresses it.
  __device__ void strike_out(const Tile& tile, unsigned survivors, CandidateKey& key, const Box* image_boxes,
                             const std::int32_t* image_classes) const {
    if (key == 0) return;
    const Box box = image_boxes[slot_of(key)];
    const std::int32_t box_class = image_classes[slot_of(key)];
    for (unsigned rest = survivors; rest != 0; rest &= rest - 1) {
      const int i = __ffs(static_cast<int>(rest)) - 1;
      if (!suppresses(tile.boxes[i], tile.classes[i], box, box_class)) continue;
      key = 0;
      return;
    }
  }

  __device__ void write_detection(int place, const Box& box, float score, std::int32_t box_class) const {
    if (place >= capacity) return;
    const std::size_t entry = static_cast<std::size_t>(blockIdx.x) * capacity + place;
    kept_boxes[entry] = box;
    kept_scores[entry] = score;
    kept_classes[entry] = box_class;
  }

  __device__ void operator()() const {
    const std::size_t first_slot = static_cast<std::size_t>(blockIdx.x) * slots;
    const Box* image_boxes = boxes + first_slot;
    const std::int32_t* image_classes = classes + first_slot;
    Tile& tile = *shared_memory<Tile>();
    auto* keys = shared_memory<CandidateKey>(padded_slots + ranked_slots(padded_slots), sizeof(Tile));

    const int candidates = gather_candidates(scores + first_slot, tile, keys);
    // Warps without a candidate leave, which makes the barriers cheaper.
    const int needed = candidates <= Tile::size ? Tile::size : (candidates + warpSize - 1) / warpSize * warpSize;
    const int thread = static_cast<int>(threadIdx.x), threads = min(static_cast<int>(blockDim.x), needed);
    if (thread >= threads) return;
    if (candidates <= most_ranked) {
      CandidateKey* sorted = keys + padded_slots;
      sort_by_rank(keys, candidates, threads, sorted);
      keys = sorted;
    } else {
      sort_by_network(keys, candidates, threads);
    }

    int kept = 0;
    for (int first = 0; first < candidates; first += Tile::size) {
      const CandidateKey key = thread < Tile::size && first + thread < candidates ? keys[first + thread] : 0;
      if (thread < Tile::size) resolve(tile, key, image_boxes, image_classes);
      __syncthreads();
      const unsigned survivors = tile.survivors;
      if (thread < Tile::size && (survivors >> thread & 1u) != 0)
        write_detection(kept + __popc(survivors & ((1u << thread) - 1)), tile.boxes[thread], score_of(key),
                        tile.classes[thread]);
      for (int i = first + Tile::size + thread; i < candidates; i += threads)
        strike_out(tile, survivors, keys[i], image_boxes, image_classes);
      kept += __popc(survivors);
      if (first + Tile::size < candidates) __syncthreads();  // the next tile takes this one's place
    }

    for (int place = kept + thread; place < capacity; place += threads) write_detection(place, Box{}, 0, -1);
    if (thread == 0) {
      counts[blockIdx.x] = kept < capacity ? kept : capacity;
      truncated[blockIdx.x] = kept < capacity ? 0 : kept - capacity;
    }
  }
};

GRIDSPOT_KERNEL(Suppress)

#if GRIDSPOT_HOST_PASS
namespace {
std::size_t elements(int n, int capacity) {
  require_at_least("Detections", "n", n, 0);
  require_at_least("Detections", "capacity", capacity, 0);
  return std::size_t(n) * capacity;
}

// The result does not depend on it. A barrier costs the host by the thread, the GPU next to nothing.
unsigned block_threads(const Stream& stream) { return stream.is_cuda() ? Suppress::max_block_threads : 64; }
}  // namespace

Detections::Detections(Device device, int n, int capacity)
    : boxes(device, elements(n, capacity)),
      scores(device, elements(n, capacity)),
      classes(device, elements(n, capacity)),
      counts(device, std::size_t(n)),
      truncated(device, std::size_t(n)),
      n_(n),
      capacity_(capacity) {}

DetectionsView Detections::view() const {
  return {n_, capacity_, boxes.data(), scores.data(), classes.data(), counts.data(), truncated.data()};
}

void suppress(Stream& stream, int n, int slots, DeviceSpan<const Box> boxes, DeviceSpan<const float> scores,
              DeviceSpan<const std::int32_t> classes, float iou_threshold, bool class_agnostic,
              const DetectionsView& detections) {
  const char* caller = "suppress";
  require_at_least(caller, "n", n, 0);
  require_at_least(caller, "slots", slots, 0);
  require_at_least(caller, "the detections' capacity", detections.capacity, 0);
  require_that(slots <= max_nms_slots, caller, ": an image may have ", max_nms_slots, " slots, it has ", slots);
  require_that(detections.n == n, caller, ": the detections must be of ", n, " images, they are of ", detections.n);
  require_share(caller, "IoU threshold", iou_threshold);
  const std::size_t count = std::size_t(n) * slots;
  require_elements(caller, "boxes", boxes.size, count);
  require_elements(caller, "scores", scores.size, count);
  require_elements(caller, "classes", classes.size, count);
  const auto padded_slots = static_cast<int>(std::bit_ceil(static_cast<unsigned>(slots)));
  launch(stream,
         {.grid = {blocks_for(n, 1)},
          .block = {block_threads(stream)},
          .shared_bytes = sizeof(Tile) + (padded_slots + ranked_slots(padded_slots)) * sizeof(CandidateKey)},
         Suppress{slots, padded_slots, detections.capacity, boxes.data, scores.data, classes.data, iou_threshold,
                  class_agnostic, detections.boxes, detections.scores, detections.classes, detections.counts,
                  detections.truncated});
}
#endif

}  // namespace gridspot
