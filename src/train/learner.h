#pragma once
// What one device holds of a training: parameters, moments, gradients, metrics, and what is done with them after the
// shards.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "device/exchange.h"
#include "device/host_visible.h"
#include "kernels/optimizer.h"
#include "kernels/step_metrics.h"
#include "nn/network.h"
#include "nn/network_executor.h"
#include "train/replica.h"
#include "train/run_config.h"

namespace gridspot {

/// All that a run needs to go on: with the configuration it decides every later step. In the layout of the network's
/// flat buffer.
struct TrainerState {
  std::uint64_t step = 0;
  std::vector<float> weights, moment1;
  std::vector<float> moment2;  ///< empty with SGD
  std::vector<float> average;  ///< where the configuration has one; else empty
};

/// Everything is allocated at construction. One thread at a time.
class Learner {
 public:
  /// Metrics of the last `history` steps are kept.
  Learner(const RunConfig& config, const Network& network, Stream& stream, std::uint64_t history);

  /// What a replica reads and writes for one of the shards.
  [[nodiscard]] ShardTask shard_task(int shard, TrainedPart part) const;

  /// What the shards have written, each buffer in equal parts for so many devices.
  [[nodiscard]] std::array<GatheredBuffer, 4> shard_results(int devices) const;

  /// After the shards: the sum of their gradients, the step's metrics, the next step's number. Enqueues.
  void finish(Stream& stream);
  /// Then the update, which leaves out a step whose loss or norm is not finite. Enqueues.
  void update(Stream& stream, TrainedPart part);

  /// Steps that changed the parameters, as far as the device has told: what an Event shows to be done counts.
  [[nodiscard]] std::uint64_t progress() const { return progress_[0]; }
  /// Of a step that progress() counts, or of the first one that failed.
  [[nodiscard]] const StepMetrics& metrics(std::uint64_t step) const { return history_[step % history_.size()]; }
  [[nodiscard]] std::uint64_t history() const { return history_.size(); }

  // These synchronise.
  [[nodiscard]] TrainerState state(Stream& stream) const;
  [[nodiscard]] std::vector<float> weights(Stream& stream) const;
  /// The moving average where the configuration has one, else the weights.
  [[nodiscard]] std::vector<float> inference_weights(Stream& stream) const;
  /// Throws InvalidInput where a size does not fit.
  void restore(Stream& stream, const TrainerState& state);
  /// Which loss term or parameter's gradient was not finite.
  [[nodiscard]] std::string describe_failure(Stream& stream) const;

  [[nodiscard]] std::vector<NetworkExecutor::PlannedBuffer> plan() const;

 private:
  /// Those of the parameters from `first` on.
  [[nodiscard]] OptimizerBuffers buffers(std::size_t first, std::size_t size) const;

  const RunConfig& config_;
  const Network& network_;
  std::uint64_t frozen_steps_;
  Buffer<float> weights_, moment1_, moment2_, ema_, shard_gradients_, partial_norms_, terms_;
  Buffer<float> sum_;                 ///< of the shards' gradients; empty where there is one
  DeviceSpan<float> gradient_;        ///< the sum, wherever it is
  Buffer<StepFactors> step_factors_;  ///< of parameters that were never frozen, of those that were
  Buffer<bfloat16> rounded_;          ///< the weights, as bf16 takes them
  Buffer<std::uint8_t> decay_mask_;
  Buffer<std::int32_t> collisions_, unplaced_;
  Buffer<std::uint64_t> step_;
  HostVisibleBuffer<StepMetrics> history_;
  HostVisibleBuffer<std::uint64_t> progress_;
};

}  // namespace gridspot
