// Decoding alone: predictions [n, S, S, channels] to a candidate for each slot [n, slots], for those who want them
// before suppression; kernels/nms.cu decodes on its own. Floor: each prediction is read once (4 bytes), 24 bytes are
// written for each slot; classes + 5 exponentials and about 4 classes + 20 other operations for each.
#include "device/kernel.h"
#include "kernels/candidate.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/decode.h"
#include "kernels/grid_check.h"
#endif

namespace gridspot {

struct DecodeGrid {
  static constexpr int max_block_threads = 128;
  PredictedCandidates candidates;
  std::size_t count;  // slots of all images
  Box* boxes;
  float* scores;
  std::int32_t* classes;

  __device__ void operator()() const {
    const std::size_t i = global_thread();
    if (i >= count) return;
    const int slots = candidates.head.slots();
    const Candidate candidate = candidates.at(i / slots, static_cast<int>(i % slots));
    boxes[i] = candidate.box;
    scores[i] = candidate.score;
    classes[i] = candidate.label;
  }
};

GRIDSPOT_KERNEL(DecodeGrid)

#if GRIDSPOT_HOST_PASS
void decode_grid(Stream& stream, const GridHead& head, int n, float threshold, DeviceSpan<const float> predictions,
                 DeviceSpan<Box> boxes, DeviceSpan<float> scores, DeviceSpan<std::int32_t> classes) {
  const char* caller = "decode_grid";
  require_predictions(caller, head, n, threshold, predictions);
  const std::size_t count = std::size_t(n) * head.slots();
  require_elements(caller, "boxes", boxes.size, count);
  require_elements(caller, "scores", scores.size, count);
  require_elements(caller, "classes", classes.size, count);
  launch_1d(stream, count,
            DecodeGrid{{head, threshold, predictions.data}, count, boxes.data, scores.data, classes.data});
}
#endif

}  // namespace gridspot
