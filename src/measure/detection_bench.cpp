#include "measure/detection_bench.h"

#include <algorithm>
#include <numeric>

#include "data/canvas_source.h"
#include "device/graph.h"
#include "kernels/decode.h"
#include "nn/detector.h"
#include "nn/precision_names.h"

namespace gridspot::measure {

namespace {

constexpr std::size_t cache_bytes = std::size_t(64) << 20, most_sets = Detector::most_graphs;

struct Candidates {
  float score_threshold = 0;
  double per_image = 0;
};

/// Random weights find nothing in particular, so the threshold decides how much suppression has to do: twice as many
/// candidates as there are glyphs.
Candidates choose_candidates(const RunConfig& config, Stream& stream, int batch, DeviceSpan<const float> predictions) {
  const GridHead& head = config.network.detector;
  const std::size_t slots = std::size_t(batch) * head.slots();
  const Buffer<Box> boxes(stream.device(), slots);
  const Buffer<float> all_scores(stream.device(), slots);
  const Buffer<std::int32_t> classes(stream.device(), slots);
  decode_grid(stream, head, batch, 0, predictions, boxes, all_scores, classes);
  auto scores = download(stream, all_scores);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  const std::size_t wanted = std::size_t(batch) * (config.protocol.min_glyphs + config.protocol.max_glyphs);
  const float threshold = scores[std::min(wanted, scores.size()) - 1];
  const auto above = std::upper_bound(scores.begin(), scores.end(), threshold, std::greater<>()) - scores.begin();
  return {threshold, static_cast<double>(above) / batch};
}

}  // namespace

Json bench_detection(const RunConfig& asked, const GlyphSet& glyphs, int batch, const Ceilings& ceilings,
                     const BenchOptions& options, const std::atomic<int>& stop) {
  RunConfig config = asked;
  config.protocol.noise = 0.1f;  // so that no two cells have the same score
  const Device device = parse_device(config.device);
  const Network network(config.network);
  Stream stream(device);
  const GlyphBank bank(stream, glyphs);
  CanvasSource source(device, config.protocol, bank, Split::test, 1, batch);
  const DeviceWeights weights(stream, network.initial_weights(1), config.precision);

  const std::size_t input_bytes = config.network.input.size() * batch * sizeof(float);
  const std::size_t sets = std::clamp<std::size_t>(cache_bytes / input_bytes + 1, 2, most_sets);
  std::vector<Buffer<float>> inputs;
  for (std::size_t set = 0; set < sets; ++set) {
    const auto canvases =
        source.compose(stream, static_cast<int>(set) * batch, {config.network.mean, config.network.deviation});
    inputs.emplace_back(device, canvases.size);
    copy_on_device(stream, inputs.back().data(), canvases.data, input_bytes);
  }
  stream.synchronize();

  const int threads = options.trainer.threads > 0 ? options.trainer.threads : available_processors();
  Detector detector(network, device, batch,
                    {.precision = config.precision, .engines = config.engines, .threads = threads});
  detector.enqueue(stream, weights, inputs[0]);
  const Candidates candidates = choose_candidates(config, stream, batch, detector.predictions());
  detector.set_score_threshold(candidates.score_threshold);
  std::size_t next = 0;
  const auto run = [&] {
    detector.run(stream, weights, inputs[next++ % sets]);
    stream.synchronize();
  };
  Repetition warmup = options.warmup;
  warmup.least = std::max(warmup.least, static_cast<int>(2 * sets));  // captures
  time_each(warmup, stop, run);
  const auto each = time_each(options.measured, stop, run);
  const Spread seconds = spread_of(each);

  struct TimedCall {
    StageClock clock;
    ReplayedWork work;
  };
  std::vector<TimedCall> calls(sets);  // a graph and its clock for each set
  const auto timed_call = [&] {
    const std::size_t set = next++ % sets;
    calls[set].work.run(stream, [&] { detector.enqueue(stream, weights, inputs[set], &calls[set].clock); });
    calls[set].clock.take();
    stream.synchronize();
  };
  time_each({static_cast<int>(2 * sets)}, stop, timed_call);  // captures
  for (TimedCall& call : calls) call.clock.reset();
  const auto timed = time_each({std::max(1, options.measured.least / 4)}, stop, timed_call);
  StageClock clock;
  for (const TimedCall& call : calls) clock.add(call.clock);
  const DetectionsView found = detector.detections();
  const auto counts = download(stream, DeviceSpan<const std::int32_t>(found.counts, batch));
  const Workload workload{.network = &network,
                          .batch = batch,
                          .precision = config.precision,
                          .candidates = candidates.per_image,
                          .detections = found.capacity};
  return {{"batch", batch},
          {"precision", name_of(precision_names, config.precision)},
          {"threads", device.kind == DeviceKind::cpu ? detector.threads() : 1},
          {"calls", each.size()},
          {"input_sets", sets},
          {"milliseconds", to_json(seconds, 1e3)},
          {"images_per_second", batch / seconds.median},
          {"candidates_per_image", candidates.per_image},
          {"detections_per_image", std::accumulate(counts.begin(), counts.end(), 0.0) / batch},
          {"planned_bytes_total", detector.bytes()},
          {"stages", stages_json(clock, {Stage::forward, Stage::nms}, double(timed.size()),
                                 [&](Stage stage) { return floor_of(stage, workload, ceilings); })}};
}

}  // namespace gridspot::measure
