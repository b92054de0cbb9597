// The detection loss and its gradient: predictions and gradient [n, S, S, channels], terms [n, 3]. The trainer calls it
// once a step, between forward and backward. Floor: each prediction is read once (4 bytes), each gradient written once
// (4 bytes, 2 in bf16), 4 bytes read a cell; 2 exponentials and a logarithm a predictor, and where there is an object
// about 100 operations a predictor and an exponential a class.
//
// A block takes a canvas, a thread every 64th cell. Their partial sums are added in the order of the threads.
#include "device/kernel.h"
#include "gridspot/box.h"
#include "kernels/bfloat16.h"
#include "kernels/box_loss.h"
#include "kernels/grid_math.h"
#include "kernels/iou.h"
#if GRIDSPOT_HOST_PASS
#include <algorithm>

#include "kernels/grid_check.h"
#include "kernels/loss.h"
#endif

namespace gridspot {

/// A loss of one logit and its derivative.
struct LogitLoss {
  float loss, gradient;
};

/// BCE of a logit z to 1 is softplus(-z), to 0 softplus(z); softplus(v) = max(v, 0) + log(1 + exp(-|v|)) does not
/// overflow.
__host__ __device__ inline LogitLoss binary_cross_entropy(float logit, bool target) {
  const float wrong = target ? -logit : logit;
  const float small = expf(-fabsf(wrong));
  const float probability = (wrong >= 0 ? 1.0f : small) / (1.0f + small);
  return {fmaxf(wrong, 0) + log1pf(small), target ? -probability : probability};
}

// The class losses of a cell. Each returns the loss and writes `scale` times its gradient.

template <class T>
__host__ __device__ inline float cross_entropy(const float* logits, int classes, int label, float scale, T* gradient) {
  float largest = logits[0];
  for (int i = 1; i < classes; ++i) largest = fmaxf(largest, logits[i]);
  float sum = 0;
  for (int i = 0; i < classes; ++i) sum += expf(logits[i] - largest);
  for (int i = 0; i < classes; ++i)
    gradient[i] = from_float<T>(scale * (expf(logits[i] - largest) / sum - (i == label ? 1.0f : 0.0f)));
  if (label < 0 || label >= classes) return nanf("");
  return logf(sum) - (logits[label] - largest);
}

template <class T>
__host__ __device__ inline float squared_class_error(const float* outputs, int classes, int label, float scale,
                                                     T* gradient) {
  const float share = 1.0f / static_cast<float>(classes);
  float sum = 0;
  for (int i = 0; i < classes; ++i) {
    const float error = outputs[i] - (i == label ? 1.0f : 0.0f);
    sum += error * error;
    gradient[i] = from_float<T>(2.0f * share * scale * error);
  }
  return share * sum;
}

/// `present(i)`: whether class i is in the cell.
template <class Present, class T>
__device__ inline float multi_label_bce(const float* logits, int classes, const Present& present, float scale,
                                        T* gradient) {
  const float share = 1.0f / static_cast<float>(classes);
  float sum = 0;
  for (int i = 0; i < classes; ++i) {
    const LogitLoss bce = binary_cross_entropy(logits[i], present(i));
    sum += bce.loss;
    gradient[i] = from_float<T>(share * scale * bce.gradient);
  }
  return share * sum;
}

struct LossTerms {
  float objectness = 0, box = 0, classes = 0;
};

/// T: of the gradient.
template <class T>
struct GridLoss {
  static constexpr int max_block_threads = 64;
  GridHead head;
  LossSettings settings;
  int capacity;
  float canvas_share;  // 1 / batch
  const float* predictions;
  const std::int32_t* cell_object;
  const Box* boxes;
  const std::int32_t* labels;
  T* gradient;
  float* terms;

  /// A box with a NaN is chosen, so that the NaN shows in the loss.
  __device__ int responsible_predictor(const float* outputs, int row, int column, const Box& object) const {
    if (head.predictors == 1) return 0;
    int best = 0;
    float best_iou = -1;
    for (int predictor = 0; predictor < head.predictors; ++predictor) {
      const Box box = decode_box(head, outputs + predictor * 5 + 1, row, column).box;
      if (is_nan(box.cx + box.cy + box.w + box.h)) return predictor;
      const float overlap = iou(box, object);
      if (overlap > best_iou) {
        best_iou = overlap;
        best = predictor;
      }
    }
    return best;
  }

  /// Writes the gradient of all five outputs of each predictor; the box's are 0.
  __device__ float objectness_loss(const float* outputs, int responsible, T* slopes) const {
    const float share = 1.0f / static_cast<float>(head.slots());
    float sum = 0;
    for (int predictor = 0; predictor < head.predictors; ++predictor) {
      const bool is_responsible = predictor == responsible;
      const float weight = (is_responsible ? settings.objectness_weight : settings.no_object_weight) * share;
      const LogitLoss bce = binary_cross_entropy(outputs[predictor * 5], is_responsible);
      sum += weight * bce.loss;
      slopes[predictor * 5] = from_float<T>(weight * canvas_share * bce.gradient);
      for (int i = 1; i < 5; ++i) slopes[predictor * 5 + i] = T{};
    }
    return sum;
  }

  /// `outputs` and `slopes` are the responsible predictor's x, y, w, h.
  __device__ float box_loss(const float* outputs, int row, int column, const Box& object, T* slopes) const {
    if (settings.box_weight == 0) return 0;
    const DecodedBox decoded = decode_box(head, outputs, row, column);
    const BoxLossValue value = settings.box_loss == BoxLoss::mse ? squared_box_error(decoded.box, object, head.cells)
                                                                 : distance_iou_loss(decoded.box, object);
    const float weight = settings.box_weight * canvas_share;
    slopes[0] = from_float<T>(weight * value.gradient.cx * decoded.slope.cx);
    slopes[1] = from_float<T>(weight * value.gradient.cy * decoded.slope.cy);
    slopes[2] = from_float<T>(weight * value.gradient.w * decoded.slope.w);
    slopes[3] = from_float<T>(weight * value.gradient.h * decoded.slope.h);
    return settings.box_weight * value.loss;
  }

  __device__ float class_loss(const float* outputs, int label, T* slopes) const {
    if (settings.class_weight == 0) return no_class_loss(slopes);
    const float scale = settings.class_weight * canvas_share;
    if (head.class_loss == ClassLoss::cross_entropy)
      return settings.class_weight * cross_entropy(outputs, head.classes, label, scale, slopes);
    if (head.class_loss == ClassLoss::mse)
      return settings.class_weight * squared_class_error(outputs, head.classes, label, scale, slopes);
    return settings.class_weight * multi_label_bce(
                                       outputs, head.classes, [label](int i) { return i == label; }, scale, slopes);
  }

  __device__ bool is_in_cell(std::size_t canvas, int label, int row, int column) const {
    for (std::size_t slot = canvas * capacity; slot < (canvas + 1) * capacity; ++slot)
      if (labels[slot] == label && cell_of(boxes[slot].cy, head.cells) == row &&
          cell_of(boxes[slot].cx, head.cells) == column)
        return true;
    return false;
  }

  __device__ float labels_loss(const float* outputs, std::size_t canvas, int row, int column, T* slopes) const {
    if (settings.class_weight == 0) return no_class_loss(slopes);
    const auto present = [&](int label) { return is_in_cell(canvas, label, row, column); };
    return settings.class_weight *
           multi_label_bce(outputs, head.classes, present, settings.class_weight * canvas_share, slopes);
  }

  __device__ float no_class_loss(T* slopes) const {
    for (int i = 0; i < head.classes; ++i) slopes[i] = T{};
    return 0;
  }

  __device__ void add_cell(std::size_t canvas, int cell, LossTerms& sum) const {
    const std::size_t place = canvas * head.cells * head.cells + cell;
    const float* outputs = predictions + place * head.channels();
    T* slopes = gradient + place * head.channels();
    const int row = cell / head.cells, column = cell % head.cells, object = cell_object[place];
    if (!head.classifies_only()) add_box(canvas, row, column, object, outputs, slopes, sum);
    outputs += head.predictors * 5;
    slopes += head.predictors * 5;
    if (head.class_loss == ClassLoss::multi_label)
      sum.classes += labels_loss(outputs, canvas, row, column, slopes);
    else if (object < 0)
      no_class_loss(slopes);
    else
      sum.classes += class_loss(outputs, labels[canvas * capacity + object], slopes);
  }

  __device__ void add_box(std::size_t canvas, int row, int column, int object, const float* outputs, T* slopes,
                          LossTerms& sum) const {
    if (object < 0) {
      sum.objectness += objectness_loss(outputs, -1, slopes);
      return;
    }
    const Box box = boxes[canvas * capacity + object];
    const int responsible = responsible_predictor(outputs, row, column, box);
    sum.objectness += objectness_loss(outputs, responsible, slopes);
    sum.box += box_loss(outputs + responsible * 5 + 1, row, column, box, slopes + responsible * 5 + 1);
  }

  /// A thread for each term adds the block's partial sums.
  __device__ void write_terms(const LossTerms& sum) const {
    const unsigned thread = threadIdx.x, threads = blockDim.x;
    float* partial = shared_memory<float>(3 * threads);
    partial[thread] = sum.objectness;
    partial[threads + thread] = sum.box;
    partial[2 * threads + thread] = sum.classes;
    __syncthreads();
    if (thread >= 3) return;
    float total = 0;
    for (unsigned i = 0; i < threads; ++i) total += partial[thread * threads + i];
    terms[blockIdx.x * std::size_t{3} + thread] = total;
  }

  __device__ void operator()() const {
    LossTerms sum;
    const int cells = head.cells * head.cells;
    for (int cell = static_cast<int>(threadIdx.x); cell < cells; cell += static_cast<int>(blockDim.x))
      add_cell(blockIdx.x, cell, sum);
    write_terms(sum);
  }
};

GRIDSPOT_KERNEL(GridLoss<float>)
GRIDSPOT_KERNEL(GridLoss<bfloat16>)

#if GRIDSPOT_HOST_PASS
namespace {
void require_weight(const char* name, float weight) {
  if (!std::isfinite(weight) || weight < 0)
    throw InvalidInput(std::string("grid_loss: ") + name + " must be finite and not negative, it is " +
                       std::to_string(weight));
}

template <class T>
void launch_loss(Stream& stream, const GridHead& head, const LossSettings& settings, int n, int capacity, int batch,
                 DeviceSpan<const float> predictions, DeviceSpan<const std::int32_t> cell_object,
                 DeviceSpan<const Box> boxes, DeviceSpan<const std::int32_t> labels, DeviceSpan<T> gradient,
                 DeviceSpan<float> terms) {
  const char* caller = "grid_loss";
  require_head(caller, head);
  require_weight("objectness_weight", settings.objectness_weight);
  require_weight("no_object_weight", settings.no_object_weight);
  require_weight("box_weight", settings.box_weight);
  require_weight("class_weight", settings.class_weight);
  require_at_least(caller, "n", n, 0);
  require_at_least(caller, "capacity", capacity, 0);
  require_at_least(caller, "batch", batch, std::max(n, 1));
  const std::size_t count = std::size_t(n), cells = std::size_t(head.cells) * head.cells;
  require_elements(caller, "predictions", predictions.size, count * cells * head.channels());
  require_elements(caller, "cell_object", cell_object.size, count * cells);
  require_elements(caller, "boxes", boxes.size, count * capacity);
  require_elements(caller, "labels", labels.size, count * capacity);
  require_elements(caller, "gradient", gradient.size, predictions.size);
  require_elements(caller, "terms", terms.size, count * 3);
  const auto threads =
      static_cast<unsigned>(std::min<std::size_t>(GridLoss<T>::max_block_threads, (cells + 31) / 32 * 32));
  launch(stream, {.grid = {blocks_for(count, 1)}, .block = {threads}, .shared_bytes = 3 * threads * sizeof(float)},
         GridLoss<T>{head, settings, capacity, 1.0f / static_cast<float>(batch), predictions.data, cell_object.data,
                     boxes.data, labels.data, gradient.data, terms.data});
}
}  // namespace

void grid_loss(Stream& stream, const GridHead& head, const LossSettings& settings, int n, int capacity, int batch,
               DeviceSpan<const float> predictions, DeviceSpan<const std::int32_t> cell_object,
               DeviceSpan<const Box> boxes, DeviceSpan<const std::int32_t> labels, DeviceSpan<float> gradient,
               DeviceSpan<float> terms) {
  launch_loss(stream, head, settings, n, capacity, batch, predictions, cell_object, boxes, labels, gradient, terms);
}

void grid_loss(Stream& stream, const GridHead& head, const LossSettings& settings, int n, int capacity, int batch,
               DeviceSpan<const float> predictions, DeviceSpan<const std::int32_t> cell_object,
               DeviceSpan<const Box> boxes, DeviceSpan<const std::int32_t> labels, DeviceSpan<bfloat16> gradient,
               DeviceSpan<float> terms) {
  launch_loss(stream, head, settings, n, capacity, batch, predictions, cell_object, boxes, labels, gradient, terms);
}
#endif

}  // namespace gridspot
