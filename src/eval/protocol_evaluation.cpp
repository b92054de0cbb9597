#include "eval/protocol_evaluation.h"

#include <memory>

#include "device/graph.h"
#include "device/host_visible.h"
#include "gridspot/error.h"
#include "kernels/cell_classes.h"
#include "kernels/targets.h"

namespace gridspot {

namespace {

struct BatchResult {
  std::vector<eval::Object> objects;
  std::vector<eval::Detection> detections;
  std::int64_t object_cells = 0, right_cells = 0, unplaced = 0, truncated = 0;
};

/// What a batch leaves for the host.
struct HostResults {
  HostResults(Device device, const CanvasFeed& feed, const DetectionsView& found)
      : boxes(device, feed.boxes().size),
        labels(device, feed.labels().size),
        unplaced(device, feed.size()),
        cells(device, feed.size()),
        counts(device, found.n),
        truncated(device, found.n),
        found_boxes(device, std::size_t(found.n) * found.capacity),
        scores(device, std::size_t(found.n) * found.capacity),
        classes(device, std::size_t(found.n) * found.capacity) {}

  HostVisibleBuffer<Box> boxes;
  HostVisibleBuffer<std::int32_t> labels, unplaced;
  HostVisibleBuffer<CellClassCounts> cells;
  HostVisibleBuffer<std::int32_t> counts, truncated;
  HostVisibleBuffer<Box> found_boxes;
  HostVisibleBuffer<float> scores;
  HostVisibleBuffer<std::int32_t> classes;
};

/// One thread's share of the work: a batch is one launch of a graph.
class Worker {
 public:
  Worker(const Network& network, Device device, const TestCanvases& canvases, const EvaluationSettings& settings)
      : head_(network.spec().detector),
        stream_(device),
        feed_(make_test_feed(device, canvases, {network.spec().mean, network.spec().deviation},
                             activation_dtype(settings.detection.precision))),
        detector_(network, device, canvases_at_once, settings.detection),
        weights_(device, network.buffer_size(), settings.detection.precision),
        cell_object_(device, std::size_t(canvases_at_once) * head_.cells * head_.cells),
        collisions_(device, canvases_at_once),
        unplaced_(device, canvases_at_once),
        cells_(device, canvases_at_once),
        step_(upload(stream_, std::vector<std::uint64_t>{0})),
        first_(device, 1),
        results_(device, *feed_, detector_.detections()) {}

  void take(const std::vector<float>& weights) { weights_.take(stream_, weights); }

  /// Canvases first ... first + count - 1; count <= canvases_at_once.
  BatchResult run(int first, int count) {
    const auto number = static_cast<std::uint64_t>(first);
    copy_to_device(stream_, first_.data(), &number, sizeof number);
    replayed_.run(stream_, [this] { enqueue(); });
    stream_.synchronize();
    BatchResult result;
    for (int canvas = 0; canvas < count; ++canvas) collect(canvas, first + canvas, result);
    return result;
  }

 private:
  void enqueue() {
    feed_->fill(stream_, {.step = step_.data(), .offset = first_.data()}, unplaced_);
    const DetectionsView found = detector_.enqueue(stream_, weights_, feed_->canvases());
    encode_targets(stream_, canvases_at_once, feed_->capacity(), feed_->boxes(), feed_->labels(), head_.cells,
                   cell_object_, collisions_);
    count_cell_classes(stream_, head_, canvases_at_once, feed_->capacity(), detector_.predictions(), cell_object_,
                       feed_->labels(), cells_);

    const std::size_t slots = std::size_t(found.n) * found.capacity, n = std::size_t(found.n);
    copy_to_host_visible(stream_, feed_->boxes(), results_.boxes);
    copy_to_host_visible(stream_, feed_->labels(), results_.labels);
    copy_to_host_visible<std::int32_t>(stream_, unplaced_, results_.unplaced);
    copy_to_host_visible<CellClassCounts>(stream_, cells_, results_.cells);
    copy_to_host_visible<std::int32_t>(stream_, {found.counts, n}, results_.counts);
    copy_to_host_visible<std::int32_t>(stream_, {found.truncated, n}, results_.truncated);
    copy_to_host_visible<Box>(stream_, {found.boxes, slots}, results_.found_boxes);
    copy_to_host_visible<float>(stream_, {found.scores, slots}, results_.scores);
    copy_to_host_visible<std::int32_t>(stream_, {found.classes, slots}, results_.classes);
  }

  void collect(int canvas, int image, BatchResult& result) const {
    const std::size_t capacity = std::size_t(feed_->capacity());
    for (std::size_t slot = canvas * capacity; slot < (canvas + 1) * capacity; ++slot)
      if (results_.labels[slot] >= 0) result.objects.push_back({image, results_.labels[slot], results_.boxes[slot]});
    const std::size_t first = canvas * (results_.scores.size() / results_.counts.size());
    for (std::size_t slot = first; slot < first + results_.counts[canvas]; ++slot)
      result.detections.push_back({image, results_.classes[slot], results_.scores[slot], results_.found_boxes[slot]});
    result.unplaced += results_.unplaced[canvas];
    result.truncated += results_.truncated[canvas];
    result.object_cells += results_.cells[canvas].cells;
    result.right_cells += results_.cells[canvas].right;
  }

  GridHead head_;
  Stream stream_;
  std::unique_ptr<CanvasFeed> feed_;
  Detector detector_;
  DeviceWeights weights_;
  Buffer<std::int32_t> cell_object_, collisions_, unplaced_;
  Buffer<CellClassCounts> cells_;
  Buffer<std::uint64_t> step_, first_;
  HostResults results_;
  ReplayedWork replayed_;
};

}  // namespace

struct DetectorEvaluator::Implementation : EvaluatorState<Worker, EvaluationSettings> {
  using EvaluatorState::EvaluatorState;
};

DetectorEvaluator::DetectorEvaluator(const NetworkSpec& spec, Device device, const TestCanvases& canvases,
                                     const EvaluationSettings& settings, int threads) {
  require(!spec.detector.classifies_only(), "network '" + spec.name + "' is a classifier: it finds no boxes");
  require_fit(canvases, spec);
  implementation_ = std::make_unique<Implementation>(spec, device, canvases, settings, threads);
}
DetectorEvaluator::~DetectorEvaluator() = default;

ProtocolEvaluation DetectorEvaluator::run(const std::vector<float>& weights, const std::atomic<int>* stop_signal) {
  auto& [network, canvases, settings, team] = *implementation_;
  const int count = team.count(), cells = network.spec().detector.cells;
  const auto batches = team.run(weights, stop_signal);
  ProtocolEvaluation result;
  result.stopped = batches.stopped;
  if (result.stopped) return result;
  result.seconds = batches.seconds;
  result.set.images.assign(count, {canvases.width(), canvases.height()});
  result.set.class_names = canvases.class_names();
  std::int64_t object_cells = 0, right_cells = 0;
  for (const BatchResult& batch : batches.results) {
    result.set.objects.insert(result.set.objects.end(), batch.objects.begin(), batch.objects.end());
    result.set.detections.insert(result.set.detections.end(), batch.detections.begin(), batch.detections.end());
    object_cells += batch.object_cells;
    right_cells += batch.right_cells;
    result.unplaced += batch.unplaced;
    result.truncated += batch.truncated;
  }
  result.class_accuracy = object_cells > 0 ? double(right_cells) / double(object_cells) : 0;
  eval::Options options{.cells = cells};
  if (settings.report_threshold > 0) options.score_threshold = settings.report_threshold;
  result.evaluation = eval::evaluate(result.set, options);
  return result;
}

ProtocolEvaluation evaluate_detector(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                     const TestCanvases& canvases, const EvaluationSettings& settings, int threads,
                                     const std::atomic<int>* stop_signal) {
  return DetectorEvaluator(network, device, canvases, settings, threads).run(weights, stop_signal);
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
