// Decoding: predictions [n, S, S, channels] to boxes, scores and classes [n, slots], ahead of NMS. Floor: each
// prediction is read once, 24 bytes are written for each slot.
//
// A thread decodes a cell, since the cell's predictors share the class probabilities.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "kernels/grid_math.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/decode.h"
#include "kernels/grid_check.h"
#endif

namespace gridspot {

struct LikeliestClass {
  int index;
  float probability;
};

/// A NaN among the outputs makes the probability NaN.
__host__ __device__ inline LikeliestClass likeliest_class(const float* outputs, int classes, ClassLoss loss) {
  int best = 0;
  for (int i = 1; i < classes; ++i)
    if (outputs[i] > outputs[best] || (is_nan(outputs[i]) && !is_nan(outputs[best]))) best = i;
  if (loss == ClassLoss::bce || loss == ClassLoss::multi_label) return {best, sigmoid(outputs[best])};
  float sum = 0;
  for (int i = 0; i < classes; ++i) sum += expf(outputs[i] - outputs[best]);
  return {best, 1.0f / sum};
}

__host__ __device__ __forceinline__ bool is_finite(const Box& box) {
  return is_finite(box.cx) && is_finite(box.cy) && is_finite(box.w) && is_finite(box.h);
}

struct DecodeGrid {
  static constexpr int max_block_threads = 128;
  GridHead head;
  std::size_t count;  // cells of all images
  float threshold;
  const float* predictions;
  Box* boxes;
  float* scores;
  std::int32_t* classes;

  __device__ void operator()() const {
    const std::size_t place = global_thread();
    if (place >= count) return;
    const int cell = static_cast<int>(place % (static_cast<std::size_t>(head.cells) * head.cells));
    const float* outputs = predictions + place * head.channels();
    float objectness = outputs[0];
    for (int predictor = 1; predictor < head.predictors; ++predictor)
      objectness = fmaxf(objectness, outputs[predictor * 5]);
    LikeliestClass likeliest{-1, 0};
    if (sigmoid(objectness) >= threshold)  // else no score, being at most the objectness, reaches it
      likeliest = likeliest_class(outputs + head.predictors * 5, head.classes, head.class_loss);
    for (int predictor = 0; predictor < head.predictors; ++predictor, outputs += 5) {
      const std::size_t slot = place * head.predictors + predictor;
      const float score = sigmoid(outputs[0]) * likeliest.probability;
      bool is_candidate = score >= threshold && score > 0;
      Box box = {};
      if (is_candidate) box = decode_box(head, outputs + 1, cell / head.cells, cell % head.cells).box;
      is_candidate = is_candidate && is_finite(box);
      boxes[slot] = is_candidate ? box : Box{};
      scores[slot] = is_candidate ? score : 0.0f;
      classes[slot] = is_candidate ? likeliest.index : -1;
    }
  }
};

GRIDSPOT_KERNEL(DecodeGrid)

#if GRIDSPOT_HOST_PASS
void decode_grid(Stream& stream, const GridHead& head, int n, float threshold, DeviceSpan<const float> predictions,
                 DeviceSpan<Box> boxes, DeviceSpan<float> scores, DeviceSpan<std::int32_t> classes) {
  const char* caller = "decode_grid";
  require_head(caller, head);
  require_at_least(caller, "predictors", head.predictors, 1);
  require_at_least(caller, "n", n, 0);
  require_share(caller, "threshold", threshold);
  const std::size_t count = std::size_t(n) * head.cells * head.cells, slots = count * head.predictors;
  require_elements(caller, "predictions", predictions.size, count * head.channels());
  require_elements(caller, "boxes", boxes.size, slots);
  require_elements(caller, "scores", scores.size, slots);
  require_elements(caller, "classes", classes.size, slots);
  launch_1d(stream, count, DecodeGrid{head, count, threshold, predictions.data, boxes.data, scores.data, classes.data});
}
#endif

}  // namespace gridspot
