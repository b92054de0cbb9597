#pragma once
// One worker of a training step: it fetches a shard's canvases and computes the gradient of their loss.
#include <memory>

#include "data/canvas_feed.h"
#include "device/stage_clock.h"
#include "nn/network_executor.h"
#include "train/run_config.h"

namespace gridspot {

/// What a shard's step reads and where its results go; device memory.
struct ShardTask {
  int first_canvas = 0;  ///< of the shard in the batch
  const std::uint64_t* step = nullptr;
  TrainedPart part = TrainedPart::all;
  NetworkWeights weights;
  DeviceSpan<float> gradient;                     ///< [parameters]
  DeviceSpan<float> terms;                        ///< [canvases of the shard, 3]
  DeviceSpan<std::int32_t> collisions, unplaced;  ///< [canvases of the shard]
};

/// Owns a stream and the shard's activations. Everything is allocated at construction. One thread at a time.
class Replica {
 public:
  /// `feed` gives a shard's canvases at a time.
  Replica(const RunConfig& config, const Network& network, Device device, std::unique_ptr<CanvasFeed> feed);

  /// scene -> canvas -> targets -> forward -> loss -> backward, or, where the task's scene has been sampled, from the
  /// canvas on. Enqueues on stream().
  void run(const ShardTask& task, StageClock* clock = nullptr, bool sampled = false);
  /// The task's scene alone, once nothing before it reads another one. Enqueues.
  void sample(Stream& stream, const ShardTask& task);

  [[nodiscard]] Stream& stream() { return stream_; }
  [[nodiscard]] std::vector<NetworkExecutor::PlannedBuffer> plan() const;

 private:
  const RunConfig& config_;
  Stream stream_;
  std::unique_ptr<CanvasFeed> feed_;
  NetworkExecutor executor_;
  Memory gradient_memory_;
  TensorSpan output_gradient_;
  Buffer<std::int32_t> cell_object_;
};

}  // namespace gridspot
