#include "train/replica.h"

#include "kernels/canvas.h"
#include "kernels/targets.h"

namespace gridspot {

Replica::Replica(const RunConfig& config, const Network& network, Device device, int canvases)
    : config_(config),
      canvases_(canvases),
      key_(scene_key(config.protocol, Split::train, config.seed)),
      stream_(device),
      executor_(network, device, canvases, {.precision = config.precision}),
      scenes_(device, canvases, config.protocol.max_glyphs),
      canvas_(device, canvases * network.spec().input.size()),
      output_gradient_(device, canvases * network.output().size()),
      cell_object_(device, std::size_t(canvases) * network.spec().detector.cells * network.spec().detector.cells) {}

void Replica::run(const GlyphBankView& glyphs, const ShardTask& task, StageClock* clock) {
  const GridHead& head = config_.network.detector;
  const int capacity = config_.protocol.max_glyphs;
  SceneView scenes = scenes_.view();
  scenes.unplaced = task.unplaced.data;
  timed(clock, Stage::scene, stream_,
        [&] { sample_scenes(stream_, config_.protocol, glyphs, key_, task.step, task.first_canvas, scenes); });
  timed(clock, Stage::canvas, stream_, [&] {
    compose_canvases(stream_, config_.protocol, glyphs, key_, task.step, task.first_canvas, scenes,
                     {config_.network.mean, config_.network.deviation}, canvas_);
  });
  timed(clock, Stage::targets, stream_, [&] {
    encode_targets(stream_, canvases_, capacity, scenes_.boxes, scenes_.labels, head.cells, cell_object_,
                   task.collisions);
  });
  DeviceSpan<const float> predictions;
  timed(clock, Stage::forward, stream_, [&] { predictions = executor_.forward(stream_, task.weights, canvas_); });
  timed(clock, Stage::loss, stream_, [&] {
    grid_loss(stream_, head, config_.loss, canvases_, capacity, config_.batch, predictions, cell_object_, scenes_.boxes,
              scenes_.labels, output_gradient_, task.terms);
  });
  timed(clock, Stage::backward, stream_,
        [&] { executor_.backward(stream_, task.weights, output_gradient_, task.gradient); });
}

std::vector<NetworkExecutor::PlannedBuffer> Replica::plan() const {
  auto plan = executor_.plan();
  plan.insert(plan.end(), {{"scenes", scenes_.bytes()},
                           {"canvases", canvas_.size() * sizeof(float)},
                           {"gradient of the output", output_gradient_.size() * sizeof(float)},
                           {"objects of the cells", cell_object_.size() * sizeof(std::int32_t)}});
  return plan;
}

}  // namespace gridspot
