#pragma once
// The training loop's engine: a batch in fixed shards, replicas, one optimiser pass.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/canvas_set.h"
#include "data/canvas_store.h"
#include "data/glyph_bank.h"
#include "device/thread_team.h"
#include "kernels/step_metrics.h"
#include "nn/network.h"
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

/// On the CPU the shards are worked through by threads (at most as many as shards), on CUDA by one stream. The number
/// of shards decides the arithmetic: the result does not depend on the number of threads. One thread may use a Trainer.
class Trainer {
 public:
  /// `config` must name a resolved device and at least one shard (see resolve). Throws InvalidInput where batch and
  /// shards or protocol and network do not fit. `threads` 0: one for each processor.
  /// Canvases are composed of the glyphs, fresh at every step.
  Trainer(RunConfig config, const GlyphSet& glyphs, int threads = 0);
  /// Or taken from a fixed set, epoch after epoch.
  Trainer(RunConfig config, const CanvasSet& canvases, int threads = 0);
  ~Trainer();

  /// One step: gradient of the batch's loss, update, moving average. Enqueues; on the CPU it is done when it returns.
  void step();

  /// The metrics of the steps since the last call, oldest first; synchronises. At most `history_size` steps may lie
  /// between two calls. A step whose loss or gradient norm is not finite changes nothing, nor does any step after it:
  /// the steps before it are returned first, and the next call throws NumericalError that names the step and the loss
  /// term or the parameter. Weights, moments, average and steps_done are then those of the last good step.
  std::vector<StepMetrics> take_metrics();
  static constexpr std::uint64_t history_size = 64;
  /// After how many steps the metrics should be taken: only then the host waits for CUDA; on the CPU a step is done
  /// when it returns.
  [[nodiscard]] std::uint64_t steps_between_metrics() const {
    return device_.kind == DeviceKind::cuda ? history_size / 2 : 1;
  }

  [[nodiscard]] std::uint64_t steps_done() const { return steps_done_; }
  [[nodiscard]] const RunConfig& config() const { return config_; }
  [[nodiscard]] const Network& network() const { return network_; }
  /// The moving average where the configuration has one, else the weights; synchronises.
  [[nodiscard]] std::vector<float> inference_weights();
  [[nodiscard]] std::vector<float> weights();
  /// Synchronises.
  [[nodiscard]] TrainerState state();
  /// Goes on from there. Throws InvalidInput where a size does not fit.
  void restore(const TrainerState& state);
  /// The glyphs on the device; nullptr with a fixed set.
  [[nodiscard]] const GlyphBank* glyphs() const { return bank_.get(); }
  /// Measures every step from now on, stage by stage (and slows it down); nullptr ends that.
  void set_clocks(std::vector<StageClock>* clocks) { clocks_ = clocks; }

  /// Every buffer, largest first; those of the replicas are added up.
  [[nodiscard]] std::vector<NetworkExecutor::PlannedBuffer> memory_plan() const;
  [[nodiscard]] int threads() const { return team_.size(); }

 private:
  using MakeFeed = std::function<std::unique_ptr<CanvasFeed>(int canvases)>;

  Trainer(RunConfig config, const char* what, int classes, int threads);
  void make_replicas(const MakeFeed& make_feed);
  void allocate();
  /// Those of the parameters from `first` on.
  OptimizerBuffers buffers(std::size_t first, std::size_t size);
  [[nodiscard]] std::string describe_failure();
  Stream& main_stream() { return replicas_.front()->stream(); }

  RunConfig config_;
  Network network_;
  Device device_;
  ThreadTeam team_;
  std::uint64_t frozen_steps_;
  std::vector<std::unique_ptr<Replica>> replicas_;  // one for each member of the team
  std::unique_ptr<GlyphBank> bank_;
  std::unique_ptr<CanvasStore> store_;
  Buffer<float> weights_, moment1_, moment2_, ema_, shard_gradients_, gradient_, partial_norms_, norm_, terms_;
  Buffer<std::uint8_t> decay_mask_;
  Buffer<std::int32_t> collisions_, unplaced_;
  Buffer<std::uint64_t> step_;
  Buffer<StepMetrics> history_;
  std::vector<StageClock>* clocks_ = nullptr;
  std::uint64_t steps_done_ = 0, metrics_taken_ = 0;
};

/// Throws InvalidInput where the protocol's canvases are not of the size of the network's input.
void require_fit(const NetworkSpec& network, const Protocol& protocol);

/// Fills in what `auto` and 0 stand for on this machine: the device and the shards.
RunConfig resolve(RunConfig config);

}  // namespace gridspot
