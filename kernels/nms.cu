// Non-maximum suppression: candidates of arrays [n, slots] or of predictions [n, S, S, channels], decoded on the way,
// to detections [n, capacity]. Floor: 4 bytes read for each slot (its score or objectness), 20, or 4 (4 + classes), for
// each candidate, 24 written for each detection; of predictions, an exponential for each slot and classes + 4 for each
// candidate; an IoU, about 30 operations, for each survivor and each later candidate of its class.
//
// A block takes an image. It gathers the candidates, sorts their keys in shared memory, and resolves them 32 at a time:
// the first warp finds which of the 32 survive one another, then all threads strike out later candidates that a
// survivor suppresses. Keys are unique, so the order in which candidates were gathered does not matter.
#include "device/kernel.h"
#include "kernels/candidate.h"
#include "kernels/detections_view.h"
#include "kernels/iou.h"
#if GRIDSPOT_HOST_PASS
#include <bit>

#include "kernels/grid_check.h"
#include "kernels/nms.h"
#endif

namespace gridspot {

struct CandidateArrays {
  int slots;
  const Box* boxes;
  const float* scores;
  const std::int32_t* classes;

  __device__ Candidate at(std::size_t image, int slot) const {
    const std::size_t i = image * slots + slot;
    return scores[i] > 0 ? Candidate{boxes[i], scores[i], classes[i]} : Candidate{};
  }
};

/// Falling keys are the order of suppression: the higher score, then the lower slot. The bits of positive floats rise
/// with their values. The last 16 bits say as which one the candidate was gathered. No candidate has key 0.
using CandidateKey = std::uint64_t;

__device__ __forceinline__ CandidateKey candidate_key(float score, int slot, int place) {
  return static_cast<CandidateKey>(__float_as_uint(score)) << 32 | static_cast<unsigned>(0xffff - slot) << 16 |
         static_cast<unsigned>(place);
}
__device__ __forceinline__ int slot_of(CandidateKey key) { return 0xffff - static_cast<int>(key >> 16 & 0xffff); }
__device__ __forceinline__ int place_of(CandidateKey key) { return static_cast<int>(key & 0xffff); }

/// Up to here sorting by rank is no slower than the network, and it needs one barrier. As many candidates are kept in
/// shared memory, the others are taken from the source again.
inline constexpr int most_ranked = 1024;
__host__ __device__ __forceinline__ int ranked_slots(int padded_slots) {
  return padded_slots < most_ranked ? padded_slots : most_ranked;
}

/// In a block's shared memory `padded_slots` keys follow, then as many, at most `most_ranked`, sorted by rank, then as
/// many candidates.
struct Tile {
  static constexpr int size = 32;
  Candidate candidates[size];
  unsigned suppressors[size];  // of i: bit j < i: candidate j, if it survives, suppresses i; bit i: i is no candidate
  unsigned survivors;          // bit i: candidate i survives
  int gathered;                // candidates of the whole image
};
static_assert(sizeof(Tile) % sizeof(CandidateKey) == 0);

template <class Source>
struct Suppress {
  static constexpr int max_block_threads = 512;
  Source source;
  int slots, padded_slots;  // padded_slots: a power of two
  float iou_threshold;
  bool class_agnostic;
  DetectionsView detections;

  __device__ int gather_candidates(Tile& tile, CandidateKey* keys, Candidate* cached) const {
    if (threadIdx.x == 0) tile.gathered = 0;
    __syncthreads();
    for (int slot = static_cast<int>(threadIdx.x); slot < slots; slot += static_cast<int>(blockDim.x)) {
      const Candidate candidate = source.at(blockIdx.x, slot);
      if (!(candidate.score > 0)) continue;
      const int place = atomicAdd(&tile.gathered, 1);
      keys[place] = candidate_key(candidate.score, slot, place);
      if (place < most_ranked) cached[place] = candidate;
    }
    __syncthreads();
    return tile.gathered;
  }

  __device__ Candidate candidate_of(CandidateKey key, const Candidate* cached) const {
    return place_of(key) < most_ranked ? cached[place_of(key)] : source.at(blockIdx.x, slot_of(key));
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

  __device__ bool suppresses(const Candidate& survivor, const Candidate& other) const {
    return (class_agnostic || survivor.label == other.label) && iou(survivor.box, other.box) > iou_threshold;
  }

  /// By the first warp: which of the tile's candidates survive one another. A lane without a candidate has key 0.
  __device__ void resolve(Tile& tile, CandidateKey key, const Candidate* cached) const {
    const int lane = static_cast<int>(threadIdx.x);
    const bool is_candidate = key != 0;
    tile.candidates[lane] = is_candidate ? candidate_of(key, cached) : Candidate{};  // without area: suppresses nothing
    __syncwarp();
    unsigned suppressors = is_candidate ? 0 : 1u << lane;
    for (int other = 0; other < lane && is_candidate; ++other)
      if (suppresses(tile.candidates[other], tile.candidates[lane])) suppressors |= 1u << other;
    tile.suppressors[lane] = suppressors;
    __syncwarp();
    if (lane != 0) return;
    unsigned survivors = 0;
    for (int i = 0; i < Tile::size; ++i)
      if ((tile.suppressors[i] & (survivors | 1u << i)) == 0) survivors |= 1u << i;
    tile.survivors = survivors;
  }

  /// Strikes a later candidate out (key 0) when one of the tile's survivors suppresses it.
  __device__ void strike_out(const Tile& tile, unsigned survivors, CandidateKey& key, const Candidate* cached) const {
    if (key == 0) return;
    const Candidate candidate = candidate_of(key, cached);
    for (unsigned rest = survivors; rest != 0; rest &= rest - 1) {
      const int i = __ffs(static_cast<int>(rest)) - 1;
      if (!suppresses(tile.candidates[i], candidate)) continue;
      key = 0;
      return;
    }
  }

  __device__ void write_detection(int place, const Candidate& candidate) const {
    if (place >= detections.capacity) return;
    const std::size_t entry = static_cast<std::size_t>(blockIdx.x) * detections.capacity + place;
    detections.boxes[entry] = candidate.box;
    detections.scores[entry] = candidate.score;
    detections.classes[entry] = candidate.label;
  }

  __device__ void operator()() const {
    Tile& tile = *shared_memory<Tile>();
    const int ranked = ranked_slots(padded_slots);
    auto* keys = shared_memory<CandidateKey>(padded_slots + ranked, sizeof(Tile));
    auto* cached = shared_memory<Candidate>(ranked, sizeof(Tile) + (padded_slots + ranked) * sizeof(CandidateKey));

    const int candidates = gather_candidates(tile, keys, cached);
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
      if (thread < Tile::size) resolve(tile, key, cached);
      __syncthreads();
      const unsigned survivors = tile.survivors;
      if (thread < Tile::size && (survivors >> thread & 1u) != 0)
        write_detection(kept + __popc(survivors & ((1u << thread) - 1)), tile.candidates[thread]);
      for (int i = first + Tile::size + thread; i < candidates; i += threads)
        strike_out(tile, survivors, keys[i], cached);
      kept += __popc(survivors);
      if (first + Tile::size < candidates) __syncthreads();  // the next tile takes this one's place
    }

    for (int place = kept + thread; place < detections.capacity; place += threads) write_detection(place, Candidate{});
    if (thread == 0) {
      detections.counts[blockIdx.x] = min(kept, detections.capacity);
      detections.truncated[blockIdx.x] = max(kept - detections.capacity, 0);
    }
  }
};

GRIDSPOT_KERNEL(Suppress<CandidateArrays>)
GRIDSPOT_KERNEL(Suppress<PredictedCandidates>)

#if GRIDSPOT_HOST_PASS
namespace {
std::size_t elements(int n, int capacity) {
  require_at_least("Detections", "n", n, 0);
  require_at_least("Detections", "capacity", capacity, 0);
  return std::size_t(n) * capacity;
}

// The result does not depend on it. A barrier costs the host by the thread, the GPU next to nothing.
template <class Source>
unsigned block_threads(const Stream& stream) {
  return stream.is_cuda() ? Suppress<Source>::max_block_threads : 64;
}

std::size_t shared_bytes(int padded_slots) {
  return sizeof(Tile) + padded_slots * sizeof(CandidateKey) +
         ranked_slots(padded_slots) * (sizeof(CandidateKey) + sizeof(Candidate));
}

void require_suppressible(const char* caller, int n, int slots, float iou_threshold, const DetectionsView& detections) {
  require_at_least(caller, "n", n, 0);
  require_at_least(caller, "slots", slots, 0);
  require_at_least(caller, "the detections' capacity", detections.capacity, 0);
  require_that(slots <= max_nms_slots, caller, ": an image may have ", max_nms_slots, " slots, it has ", slots);
  require_that(detections.n == n, caller, ": the detections must be of ", n, " images, they are of ", detections.n);
  require_share(caller, "IoU threshold", iou_threshold);
}

template <class Source>
void launch_suppress(Stream& stream, int slots, const Source& source, float iou_threshold, bool class_agnostic,
                     const DetectionsView& detections) {
  const auto padded_slots = static_cast<int>(std::bit_ceil(static_cast<unsigned>(slots)));
  launch(stream,
         {.grid = {blocks_for(detections.n, 1)},
          .block = {block_threads<Source>(stream)},
          .shared_bytes = shared_bytes(padded_slots)},
         Suppress<Source>{source, slots, padded_slots, iou_threshold, class_agnostic, detections});
}
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
  require_suppressible(caller, n, slots, iou_threshold, detections);
  const std::size_t count = std::size_t(n) * slots;
  require_elements(caller, "boxes", boxes.size, count);
  require_elements(caller, "scores", scores.size, count);
  require_elements(caller, "classes", classes.size, count);
  launch_suppress(stream, slots, CandidateArrays{slots, boxes.data, scores.data, classes.data}, iou_threshold,
                  class_agnostic, detections);
}

void decode_and_suppress(Stream& stream, const GridHead& head, int n, float score_threshold,
                         DeviceSpan<const float> predictions, float iou_threshold, bool class_agnostic,
                         const DetectionsView& detections) {
  const char* caller = "decode_and_suppress";
  require_predictions(caller, head, n, score_threshold, predictions);
  require_suppressible(caller, n, head.slots(), iou_threshold, detections);
  launch_suppress(stream, head.slots(), PredictedCandidates{head, score_threshold, predictions.data}, iou_threshold,
                  class_agnostic, detections);
}
#endif

}  // namespace gridspot
