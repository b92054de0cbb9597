#pragma once
// The training loop's engine: a batch in fixed shards, replicas, one optimiser pass; on CUDA one graph a step.
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "data/canvas_set.h"
#include "data/canvas_store.h"
#include "data/glyph_bank.h"
#include "device/event.h"
#include "device/graph.h"
#include "device/thread_team.h"
#include "train/learner.h"

namespace gridspot {

/// How the steps are run. Decides nothing of what they compute.
struct TrainerOptions {
  int threads = 0;                     ///< of the CPU; 0: one for each processor
  std::uint64_t steps_per_launch = 1;  ///< what one advance() enqueues at most
  std::optional<bool> graphs;          ///< replays captured steps: by default on CUDA. The CPU uses one thread then
};

/// On the CPU the shards are worked through by threads (at most as many as shards), on CUDA by one stream. The number
/// of shards decides the arithmetic: the result does not depend on the options. One thread may use a Trainer.
class Trainer {
 public:
  /// `config` must name a resolved device and at least one shard (see resolve). Throws InvalidInput where batch and
  /// shards or protocol and network do not fit.
  /// Canvases are composed of the glyphs, fresh at every step.
  Trainer(RunConfig config, const GlyphSet& glyphs, const TrainerOptions& options = {});
  /// Or taken from a fixed set, epoch after epoch.
  Trainer(RunConfig config, const CanvasSet& canvases, const TrainerOptions& options = {});
  ~Trainer();

  /// One step: gradient of the batch's loss, update, moving average. Enqueues; on the CPU it is done when it returns.
  void step() { advance(1); }
  /// As many steps as one launch holds, but at most `most`, which is at least 1; returns how many. The host runs at
  /// most `launches_ahead` launches ahead of the device: it waits for an older one, never for the last one.
  std::uint64_t advance(std::uint64_t most);
  static constexpr std::size_t launches_ahead = 16;

  /// The metrics of the steps that were finished since the last call, oldest first. Does not wait. At least
  /// `least_history` steps may lie between two calls. A step whose loss or gradient norm is not finite changes nothing,
  /// nor does any step after it: the steps before it are returned first, and the next call throws NumericalError that
  /// names the step and the loss term or the parameter. Weights, moments, average and steps_done are then those of the
  /// last good step.
  std::vector<StepMetrics> take_finished_metrics();
  /// The same of all steps; waits for them.
  std::vector<StepMetrics> take_metrics();
  static constexpr std::uint64_t least_history = 64;

  [[nodiscard]] std::uint64_t steps_done() const { return steps_done_; }
  [[nodiscard]] std::uint64_t steps_per_launch() const { return options_.steps_per_launch; }
  [[nodiscard]] const RunConfig& config() const { return config_; }
  [[nodiscard]] const Network& network() const { return network_; }
  /// The moving average where the configuration has one, else the weights; synchronises.
  [[nodiscard]] std::vector<float> inference_weights() { return learner_->inference_weights(main_stream()); }
  [[nodiscard]] std::vector<float> weights() { return learner_->weights(main_stream()); }
  /// Synchronises.
  [[nodiscard]] TrainerState state() { return learner_->state(main_stream()); }
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
  /// The end of a launch.
  struct Mark {
    Event event;
    std::uint64_t steps = 0;  ///< done then
  };

  Trainer(RunConfig config, const char* what, int classes, const TrainerOptions& options);
  void make_replicas(const MakeFeed& make_feed);
  void enqueue_step(TrainedPart part);
  void launch(TrainedPart part, std::uint64_t steps);
  [[nodiscard]] StageClock* clock(int member) const { return clocks_ ? &clocks_->at(member) : nullptr; }
  Stream& main_stream() { return replicas_.front()->stream(); }

  RunConfig config_;
  TrainerOptions options_;
  Network network_;
  Device device_;
  ThreadTeam team_;
  std::uint64_t frozen_steps_;
  std::unique_ptr<GlyphBank> bank_;
  std::unique_ptr<CanvasStore> store_;
  std::vector<std::unique_ptr<Replica>> replicas_;  // one for each member of the team
  std::optional<Learner> learner_;
  std::map<TrainedPart, std::map<std::uint64_t, Graph>>
      graphs_;               // by the steps of a launch; a part's first step makes its entry
  std::vector<Mark> marks_;  // of the last launches
  std::size_t next_mark_ = 0;
  std::vector<StageClock>* clocks_ = nullptr;
  std::uint64_t steps_done_ = 0, metrics_taken_ = 0;
};

/// Throws InvalidInput where the protocol's canvases are not of the size of the network's input.
void require_fit(const NetworkSpec& network, const Protocol& protocol);

/// Fills in what `auto` and 0 stand for on this machine: the device and the shards.
RunConfig resolve(RunConfig config);

}  // namespace gridspot
