#include "eval/protocol_evaluation.h"

#include <algorithm>
#include <memory>

#include "gridspot/error.h"
#include "kernels/targets.h"

namespace gridspot {

namespace {

struct BatchResult {
  std::vector<eval::Object> objects;
  std::vector<eval::Detection> detections;
  std::int64_t object_cells = 0, right_cells = 0, unplaced = 0, truncated = 0;
};

/// One thread's share of the work.
class Worker {
 public:
  Worker(const Network& network, Device device, const TestCanvases& canvases, const std::vector<float>& weights,
         const EvaluationSettings& settings)
      : head_(network.spec().detector),
        stream_(device),
        feed_(make_test_feed(device, canvases, {network.spec().mean, network.spec().deviation})),
        detector_(network, device, canvases_at_once, settings.detection),
        weights_(upload(stream_, weights)),
        cell_object_(device, std::size_t(canvases_at_once) * head_.cells * head_.cells),
        collisions_(device, canvases_at_once),
        unplaced_(device, canvases_at_once),
        step_(upload(stream_, std::vector<std::uint64_t>{0})) {}

  /// Canvases first ... first + count - 1; count <= canvases_at_once.
  BatchResult run(int first, int count) {
    feed_->fill(stream_, step_.data(), first, unplaced_);
    const DetectionsView found = detector_.run(stream_, weights_, feed_->canvases());
    BatchResult result;
    collect_objects(first, count, result);
    collect_detections(found, first, count, result);
    count_classes(count, result);
    return result;
  }

 private:
  void collect_objects(int first, int count, BatchResult& result) {
    const auto labels = labels_of(stream_, *feed_);
    const auto unplaced = download(stream_, unplaced_);
    for (int canvas = 0; canvas < count; ++canvas) {
      for (const LabelledBox& object : labels[canvas])
        result.objects.push_back({first + canvas, object.label, object.box});
      result.unplaced += unplaced[canvas];
    }
  }

  void collect_detections(const DetectionsView& found, int first, int count, BatchResult& result) {
    const std::size_t slots = std::size_t(found.n) * found.capacity;
    const auto counts = download(stream_, DeviceSpan<const std::int32_t>(found.counts, found.n));
    const auto truncated = download(stream_, DeviceSpan<const std::int32_t>(found.truncated, found.n));
    const auto boxes = download(stream_, DeviceSpan<const Box>(found.boxes, slots));
    const auto scores = download(stream_, DeviceSpan<const float>(found.scores, slots));
    const auto classes = download(stream_, DeviceSpan<const std::int32_t>(found.classes, slots));
    for (int canvas = 0; canvas < count; ++canvas) {
      result.truncated += truncated[canvas];
      for (int i = 0; i < counts[canvas]; ++i) {
        const std::size_t slot = std::size_t(canvas) * found.capacity + i;
        result.detections.push_back({first + canvas, classes[slot], scores[slot], boxes[slot]});
      }
    }
  }

  // The original study's measure: the class outputs of the cells that hold an object's centre.
  void count_classes(int count, BatchResult& result) {
    const int capacity = feed_->capacity();
    encode_targets(stream_, canvases_at_once, capacity, feed_->boxes(), feed_->labels(), head_.cells, cell_object_,
                   collisions_);
    const auto owners = download(stream_, cell_object_);
    const auto labels = download(stream_, feed_->labels());
    const auto predictions = download(stream_, detector_.predictions());
    const std::size_t cells = std::size_t(head_.cells) * head_.cells;
    for (std::size_t cell = 0; cell < count * cells; ++cell) {
      if (owners[cell] < 0) continue;
      const float* outputs = predictions.data() + cell * head_.channels() + head_.predictors * 5;
      const auto likeliest = std::max_element(outputs, outputs + head_.classes) - outputs;
      ++result.object_cells;
      if (likeliest == labels[cell / cells * capacity + owners[cell]]) ++result.right_cells;
    }
  }

  GridHead head_;
  Stream stream_;
  std::unique_ptr<CanvasFeed> feed_;
  Detector detector_;
  Buffer<float> weights_;
  Buffer<std::int32_t> cell_object_, collisions_, unplaced_;
  Buffer<std::uint64_t> step_;
};

}  // namespace

ProtocolEvaluation evaluate_detector(const NetworkSpec& spec, const std::vector<float>& weights, Device device,
                                     const TestCanvases& canvases, const EvaluationSettings& settings, int threads,
                                     const std::atomic<int>* stop_signal) {
  require(!spec.detector.classifies_only(), "network '" + spec.name + "' is a classifier: it finds no boxes");
  require_fit(canvases, spec);
  const Network network(spec);
  const int count = canvases.store ? canvases.store->view().count : settings.count;
  const auto batches = run_batches<BatchResult>(device, count, threads, stop_signal, [&] {
    return std::make_unique<Worker>(network, device, canvases, weights, settings);
  });

  ProtocolEvaluation result;
  result.stopped = batches.stopped;
  if (result.stopped) return result;
  result.seconds = batches.seconds;
  result.set.images.assign(count, {canvases.width(), canvases.height()});
  result.set.class_names = canvases.class_names();
  std::int64_t cells = 0, right = 0;
  for (const BatchResult& batch : batches.results) {
    result.set.objects.insert(result.set.objects.end(), batch.objects.begin(), batch.objects.end());
    result.set.detections.insert(result.set.detections.end(), batch.detections.begin(), batch.detections.end());
    cells += batch.object_cells;
    right += batch.right_cells;
    result.unplaced += batch.unplaced;
    result.truncated += batch.truncated;
  }
  result.class_accuracy = cells > 0 ? static_cast<double>(right) / static_cast<double>(cells) : 0;
  eval::Options options{.cells = spec.detector.cells};
  if (settings.report_threshold > 0) options.score_threshold = settings.report_threshold;
  result.evaluation = eval::evaluate(result.set, options);
  return result;
}

ProtocolEvaluation evaluate_on_protocol(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                        const GlyphSet& glyphs, const Protocol& protocol,
                                        const EvaluationSettings& settings, int threads,
                                        const std::atomic<int>* stop_signal) {
  Stream stream(device);
  const GlyphBank bank(stream, glyphs);
  return evaluate_detector(network, weights, device, {.glyphs = &bank, .protocol = protocol, .seed = settings.seed},
                           settings, threads, stop_signal);
}

}  // namespace gridspot
