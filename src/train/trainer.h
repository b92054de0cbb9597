#pragma once
// The training loop's engine: a batch in fixed shards, replicas, one optimiser pass; on CUDA one graph a step.
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "data/canvas_set.h"
#include "data/canvas_store.h"
#include "data/glyph_bank.h"
#include "device/event.h"
#include "device/exchange.h"
#include "device/graph.h"
#include "device/side_stream.h"
#include "device/thread_team.h"
#include "train/learner.h"

namespace gridspot {

/// How the steps are run. Decides nothing of what they compute.
struct TrainerOptions {
  int threads = 0;  ///< of the CPU; 0: one for each processor
  int devices = 1;  ///< the configuration's and those that follow it, each with its share of the shards
  std::uint64_t steps_per_launch = 1;  ///< what one advance() enqueues at most
  std::optional<bool> graphs;          ///< replays captured steps: by default on CUDA. The CPU uses one thread then
  /// Within a launch, where a device has one shard, the next step's scenes are sampled beside the optimiser's pass.
  /// What a StageClock measures runs one after the other all the same.
  bool overlap = false;
};

/// On the CPU the shards are worked through by threads (at most as many as shards), on a CUDA device by one stream.
/// Several devices each hold all parameters, tell each other the gradients of their shards and do the same update. The
/// number of shards decides the arithmetic: the result does not depend on the options. On the CPU several devices are
/// threads with memory of their own, which shows without GPUs what several of them would do. One thread may use a
/// Trainer.
class Trainer {
 public:
  /// `config` must name a resolved device and at least one shard (see resolve). Throws InvalidInput where batch and
  /// shards, shards and devices or protocol and network do not fit.
  /// Canvases are composed of the glyphs, fresh at every step.
  Trainer(RunConfig config, const GlyphSet& glyphs, const TrainerOptions& options = {});
  /// Or taken from a fixed set, epoch after epoch.
  Trainer(RunConfig config, const CanvasSet& canvases, const TrainerOptions& options = {});
  ~Trainer();

  /// One step: gradient of the batch's loss, update, moving average. Enqueues; on the CPU it is done when it returns.
  void step() { advance(1); }
  /// As many steps as one launch holds, but at most `most`, which is at least 1; returns how many. The host runs at
  /// most `launches_ahead` launches ahead of the device: where as many are under way it waits for the oldest, never for
  /// the last one.
  std::uint64_t advance(std::uint64_t most);
  /// Whether advance() would not wait, for a host that has other work.
  [[nodiscard]] bool ready() const { return marks_[next_mark_].event.reached(); }
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
  [[nodiscard]] std::vector<float> inference_weights() { return learner().inference_weights(main_stream()); }
  [[nodiscard]] std::vector<float> weights() { return learner().weights(main_stream()); }
  /// Synchronises.
  [[nodiscard]] TrainerState state() { return learner().state(main_stream()); }
  /// Goes on from there. Throws InvalidInput where a size does not fit.
  void restore(const TrainerState& state);
  /// The glyphs on the (first) device; nullptr with a fixed set.
  [[nodiscard]] const GlyphBank* glyphs() const { return on_devices_.front().bank.get(); }
  /// Measures every step from now on, stage by stage: one clock for each of threads(), to be taken after each
  /// advance(). nullptr ends that. Steps are captured anew; synchronises.
  void set_clocks(std::vector<StageClock>* clocks);

  /// Every buffer of the (first) device, largest first; those of its replicas are added up.
  [[nodiscard]] std::vector<NetworkExecutor::PlannedBuffer> memory_plan() const;
  [[nodiscard]] int threads() const { return team_.size(); }

 private:
  struct OnDevice {
    Device device;
    std::unique_ptr<GlyphBank> bank;
    std::unique_ptr<CanvasStore> store;
    std::vector<std::unique_ptr<Replica>> replicas;  ///< of one device for each thread, of several one each
    std::optional<Learner> learner;
    std::optional<SideStream> side;
    std::map<std::pair<TrainedPart, std::uint64_t>, ReplayedWork> launches;  ///< of so many steps
  };
  /// The end of a launch.
  struct Mark {
    Event event;
    std::uint64_t steps = 0;  ///< done then
  };

  Trainer(RunConfig config, const char* what, int classes, const TrainerOptions& options);
  void make_replicas(OnDevice& on, const std::function<std::unique_ptr<CanvasFeed>(int canvases)>& make_feed);
  void finish_construction();
  void enqueue_step(int device, TrainedPart part, bool sampled, bool samples_next);
  [[nodiscard]] bool overlaps() const;
  void launch(int device, TrainedPart part, std::uint64_t steps);
  void launch_everywhere(TrainedPart part, std::uint64_t steps);
  [[nodiscard]] StageClock* clock(int member) const { return clocks_ ? &clocks_->at(member) : nullptr; }
  Stream& main_stream() { return on_devices_.front().replicas.front()->stream(); }
  [[nodiscard]] const Learner& learner() const { return *on_devices_.front().learner; }

  RunConfig config_;
  TrainerOptions options_;
  Network network_;
  ThreadTeam team_;  // works through the shards of one device, or has a member for each of several
  std::uint64_t frozen_steps_;
  std::unique_ptr<Exchange> exchange_;  // between several devices
  std::vector<OnDevice> on_devices_;
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
