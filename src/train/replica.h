#pragma once
// One worker of a training step: it composes a shard's canvases and computes the gradient of their loss.
#include "data/glyph_bank.h"
#include "device/stage_clock.h"
#include "kernels/scene.h"
#include "nn/network_executor.h"
#include "train/run_config.h"

namespace gridspot {

/// What a shard's step reads and where its results go; device memory.
struct ShardTask {
  int first_canvas = 0;  ///< of the shard in the batch
  const std::uint64_t* step = nullptr;
  DeviceSpan<const float> weights;
  DeviceSpan<float> gradient;                     ///< [parameters]
  DeviceSpan<float> terms;                        ///< [canvases of the shard, 3]
  DeviceSpan<std::int32_t> collisions, unplaced;  ///< [canvases of the shard]
};

/// Owns a stream and the shard's activations. Everything is allocated at construction. One thread at a time.
class Replica {
 public:
  Replica(const RunConfig& config, const Network& network, Device device, int canvases);

  /// scene -> canvas -> targets -> forward -> loss -> backward. Enqueues on stream().
  void run(const GlyphBankView& glyphs, const ShardTask& task, StageClock* clock = nullptr);

  [[nodiscard]] Stream& stream() { return stream_; }
  [[nodiscard]] std::vector<NetworkExecutor::PlannedBuffer> plan() const;

 private:
  const RunConfig& config_;
  int canvases_;
  std::uint64_t key_;
  Stream stream_;
  NetworkExecutor executor_;
  Scenes scenes_;
  Buffer<float> canvas_, output_gradient_;
  Buffer<std::int32_t> cell_object_;
};

}  // namespace gridspot
