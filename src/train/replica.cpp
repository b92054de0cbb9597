#include "train/replica.h"

#include "kernels/loss.h"
#include "kernels/targets.h"

namespace gridspot {

Replica::Replica(const RunConfig& config, const Network& network, Device device, std::unique_ptr<CanvasFeed> feed)
    : config_(config),
      stream_(device),
      feed_(std::move(feed)),
      executor_(network, device, feed_->size(), {.engines = config.engines, .precision = config.precision}),
      gradient_memory_(device, feed_->size() * network.output().size() * size_of(activation_dtype(config.precision))),
      output_gradient_(gradient_memory_.data(), feed_->size() * network.output().size(),
                       activation_dtype(config.precision)),
      cell_object_(device, std::size_t(feed_->size()) * network.spec().detector.cells * network.spec().detector.cells) {
}

void Replica::sample(Stream& stream, const ShardTask& task) {
  feed_->sample(stream, {task.step, task.first_canvas}, task.unplaced);
}

void Replica::run(const ShardTask& task, StageClock* clock, bool sampled) {
  const GridHead& head = config_.network.detector;
  const CanvasNumbers numbers{task.step, task.first_canvas};
  if (!sampled) feed_->sample(stream_, numbers, task.unplaced, clock);
  feed_->draw(stream_, numbers, clock);
  timed(clock, Stage::targets, stream_, [&] {
    encode_targets(stream_, feed_->size(), feed_->capacity(), feed_->boxes(), feed_->labels(), head.cells, cell_object_,
                   task.collisions);
  });
  DeviceSpan<const float> predictions;
  timed(clock, Stage::forward, stream_,
        [&] { predictions = executor_.forward(stream_, task.weights, feed_->canvases()); });
  timed(clock, Stage::loss, stream_, [&] {
    with_type_of(output_gradient_.dtype, [&]<class T>(std::type_identity<T>) {
      grid_loss(stream_, head, config_.loss, feed_->size(), feed_->capacity(), config_.batch, predictions, cell_object_,
                feed_->boxes(), feed_->labels(), output_gradient_.as<T>("output_gradient"), task.terms);
    });
  });
  timed(clock, Stage::backward, stream_,
        [&] { executor_.backward(stream_, task.weights, output_gradient_, task.gradient, task.part); });
}

std::vector<NetworkExecutor::PlannedBuffer> Replica::plan() const {
  auto plan = executor_.plan();
  plan.insert(plan.end(), {{"canvases and their labels", feed_->bytes()},
                           {"gradient of the output", gradient_memory_.bytes()},
                           {"objects of the cells", cell_object_.size() * sizeof(std::int32_t)}});
  return plan;
}

}  // namespace gridspot
