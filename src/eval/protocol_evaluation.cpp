#include "eval/protocol_evaluation.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "data/canvas_source.h"
#include "device/thread_team.h"
#include "gridspot/error.h"
#include "kernels/targets.h"

namespace gridspot {

namespace {

constexpr int canvases_at_once = 32;

struct BatchResult {
  std::vector<eval::Object> objects;
  std::vector<eval::Detection> detections;
  std::int64_t object_cells = 0, right_cells = 0, unplaced = 0, truncated = 0;
};

/// One thread's share of the work.
class Worker {
 public:
  Worker(const Network& network, Device device, const GlyphSet& glyphs, const std::vector<float>& weights,
         const Protocol& protocol, const EvaluationSettings& settings)
      : head_(network.spec().detector),
        normalization_{network.spec().mean, network.spec().deviation},
        stream_(device),
        bank_(stream_, glyphs),
        source_(device, protocol, bank_, Split::test, settings.seed, canvases_at_once),
        detector_(network, device, canvases_at_once, settings.detection),
        weights_(upload(stream_, weights)),
        cell_object_(device, std::size_t(canvases_at_once) * head_.cells * head_.cells),
        collisions_(device, canvases_at_once) {}

  /// Canvases first ... first + count - 1; count <= canvases_at_once.
  BatchResult run(int first, int count) {
    const auto canvases = source_.compose(stream_, first, normalization_);
    const DetectionsView found = detector_.run(stream_, weights_, canvases);
    BatchResult result;
    collect_objects(first, count, result);
    collect_detections(found, first, count, result);
    count_classes(count, result);
    return result;
  }

 private:
  void collect_objects(int first, int count, BatchResult& result) {
    const auto labels = source_.labels(stream_);
    const auto unplaced = download(stream_, source_.scenes().unplaced);
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
    const Scenes& scenes = source_.scenes();
    const int capacity = static_cast<int>(scenes.labels.size()) / canvases_at_once;
    encode_targets(stream_, canvases_at_once, capacity, scenes.boxes, scenes.labels, head_.cells, cell_object_,
                   collisions_);
    const auto owners = download(stream_, cell_object_);
    const auto labels = download(stream_, scenes.labels);
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
  Normalization normalization_;
  Stream stream_;
  GlyphBank bank_;
  CanvasSource source_;
  Detector detector_;
  Buffer<float> weights_;
  Buffer<std::int32_t> cell_object_, collisions_;
};

}  // namespace

ProtocolEvaluation evaluate_on_protocol(const NetworkSpec& spec, const std::vector<float>& weights, Device device,
                                        const GlyphSet& glyphs, const Protocol& protocol,
                                        const EvaluationSettings& settings, int threads,
                                        const std::atomic<int>* stop_signal) {
  require(protocol.height == spec.input.height && protocol.width == spec.input.width,
          "the model takes canvases of " + std::to_string(spec.input.width) + "x" + std::to_string(spec.input.height) +
              ", the protocol " + protocol.name + " makes " + std::to_string(protocol.width) + "x" +
              std::to_string(protocol.height));
  require(glyphs.classes() == spec.detector.classes, "the model knows " + std::to_string(spec.detector.classes) +
                                                         " classes, the glyphs of " + glyphs.source + " have " +
                                                         std::to_string(glyphs.classes()));
  const Network network(spec);
  const int batches = (settings.count + canvases_at_once - 1) / canvases_at_once;
  const int wanted = threads > 0 ? threads : available_processors();
  ThreadTeam team(device.kind == DeviceKind::cuda ? 1 : std::clamp(wanted, 1, std::max(1, batches)));
  std::vector<std::unique_ptr<Worker>> workers(team.size());
  team.run(team.size(), [&](int, int member) {
    workers[member] = std::make_unique<Worker>(network, device, glyphs, weights, protocol, settings);
  });

  const auto start = std::chrono::steady_clock::now();
  std::vector<BatchResult> results(batches);
  const auto stopped = [&] { return stop_signal != nullptr && *stop_signal != 0; };
  team.run(batches, [&](int batch, int member) {
    if (stopped()) return;
    const int first = batch * canvases_at_once;
    results[batch] = workers[member]->run(first, std::min(canvases_at_once, settings.count - first));
  });

  ProtocolEvaluation result;
  if (stopped()) {
    result.stopped = true;
    return result;
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.set.images.assign(settings.count, {protocol.width, protocol.height});
  result.set.class_names = glyphs.class_names;
  std::int64_t cells = 0, right = 0;
  for (const BatchResult& batch : results) {
    result.set.objects.insert(result.set.objects.end(), batch.objects.begin(), batch.objects.end());
    result.set.detections.insert(result.set.detections.end(), batch.detections.begin(), batch.detections.end());
    cells += batch.object_cells;
    right += batch.right_cells;
    result.unplaced += batch.unplaced;
    result.truncated += batch.truncated;
  }
  result.class_accuracy = cells > 0 ? static_cast<double>(right) / static_cast<double>(cells) : 0;
  result.evaluation = eval::evaluate(result.set, {.cells = spec.detector.cells});
  return result;
}

}  // namespace gridspot
