#include "train/trainer.h"

#include <algorithm>

#include "gridspot/error.h"

namespace gridspot {

namespace {

/// On the CPU. More shards employ more processors and cost a little for each gradient that is summed.
int default_shards(int batch) {
  int shards = 8;
  while (shards > 1 && (batch % shards != 0 || batch / shards < 4)) shards /= 2;
  return shards;
}

bool uses_graphs(const TrainerOptions& options, Device device) {
  return options.graphs.value_or(device.kind == DeviceKind::cuda);
}

int team_size(const RunConfig& config, Device device, const TrainerOptions& options) {
  if (device.kind == DeviceKind::cuda || uses_graphs(options, device)) return 1;
  return std::min(options.threads > 0 ? options.threads : available_processors(), config.shards);
}

void check(const RunConfig& config) {
  require(config.batch > 0 && config.shards > 0 && config.batch % config.shards == 0,
          "batch " + std::to_string(config.batch) + " cannot be cut into " + std::to_string(config.shards) +
              " equal shards");
  require(config.network.input.channels == 1,
          "the network takes " + std::to_string(config.network.input.channels) + " channels; canvases have one");
}

std::string size_text(int height, int width) { return std::to_string(width) + "x" + std::to_string(height); }

}  // namespace

RunConfig resolve(RunConfig config) {
  const Device device = parse_device(config.device);
  config.gridspot = GRIDSPOT_VERSION;
  config.device = to_string(device);
  if (config.shards == 0) config.shards = device.kind == DeviceKind::cpu ? default_shards(config.batch) : 1;
  config.optimizer.schedule.steps = config.steps;
  return config;
}

void require_fit(const NetworkSpec& network, const Protocol& protocol) {
  require(protocol.height == network.input.height && protocol.width == network.input.width,
          "the network takes canvases of " + size_text(network.input.height, network.input.width) + ", the protocol " +
              protocol.name + " makes " + size_text(protocol.height, protocol.width));
}

Trainer::Trainer(RunConfig config, const char* what, int classes, const TrainerOptions& options)
    : config_((check(config), std::move(config))),
      options_(options),
      network_(config_.network),
      device_(parse_device(config_.device)),
      team_(team_size(config_, device_, options)),
      frozen_steps_(frozen_steps(config_)) {
  require(options.steps_per_launch >= 1, "a launch holds at least one step");
  require(classes == config_.network.detector.classes, std::string("the ") + what + " have " + std::to_string(classes) +
                                                           " classes, the network " +
                                                           std::to_string(config_.network.detector.classes));
}

Trainer::Trainer(RunConfig config, const GlyphSet& glyphs, const TrainerOptions& options)
    : Trainer(std::move(config), "glyphs", glyphs.classes(), options) {
  const Protocol protocol = training_protocol(config_);
  require_fit(config_.network, protocol);
  Stream stream(device_);
  bank_ = std::make_unique<GlyphBank>(stream, glyphs);
  make_replicas([&](int canvases) {
    return make_composed_feed(device_, protocol, *bank_, scene_key(protocol, Split::train, config_.seed), canvases,
                              {config_.network.mean, config_.network.deviation});
  });
}

Trainer::Trainer(RunConfig config, const CanvasSet& canvases, const TrainerOptions& options)
    : Trainer(std::move(config), "canvases", canvases.classes(), options) {
  require(canvases.height == config_.network.input.height && canvases.width == config_.network.input.width,
          "the network takes canvases of " + size_text(config_.network.input.height, config_.network.input.width) +
              ", those of " + canvases.source + " have " + size_text(canvases.height, canvases.width));
  Stream stream(device_);
  store_ = std::make_unique<CanvasStore>(stream, canvases);
  const GatherOrder order{.key = scene_key(config_.protocol, Split::train, config_.seed),
                          .shuffle = config_.training_set.shuffle,
                          .batch = config_.batch};
  make_replicas([&](int count) {
    return make_stored_feed(device_, *store_, order, count, {config_.network.mean, config_.network.deviation},
                            config_.training_set.augmentation);
  });
}

Trainer::~Trainer() = default;

void Trainer::make_replicas(const MakeFeed& make_feed) {
  for (int member = 0; member < team_.size(); ++member)
    replicas_.push_back(
        std::make_unique<Replica>(config_, network_, device_, make_feed(config_.batch / config_.shards)));
  learner_.emplace(config_, network_, main_stream(),
                   std::max(least_history, (launches_ahead + 1) * options_.steps_per_launch));
  for (std::size_t i = 0; i < launches_ahead; ++i) marks_.push_back({Event(device_)});
}

void Trainer::enqueue_step(TrainedPart part) {
  team_.run(config_.shards,
            [&](int shard, int member) { replicas_[member]->run(learner_->shard_task(shard, part), clock(member)); });
  timed(clock(0), Stage::optimizer, main_stream(), [&] { learner_->update(main_stream(), part); });
}

// A part's first step is not captured: CUDA and its libraries load kernels then.
void Trainer::launch(TrainedPart part, std::uint64_t steps) {
  const bool replays = uses_graphs(options_, device_) && clocks_ == nullptr && graphs_.contains(part);
  graphs_.try_emplace(part);
  if (!replays) {
    for (std::uint64_t i = 0; i < steps; ++i) enqueue_step(part);
    return;
  }
  Graph& graph = graphs_[part][steps];
  if (!graph)
    graph = Graph::capture(main_stream(), [&] {
      for (std::uint64_t i = 0; i < steps; ++i) enqueue_step(part);
    });
  graph.launch(main_stream());
}

std::uint64_t Trainer::advance(std::uint64_t most) {
  const bool frozen = steps_done_ < frozen_steps_;
  if (frozen) most = std::min(most, frozen_steps_ - steps_done_);
  // Between one and a full launch there are no others, so that there are few graphs.
  const std::uint64_t steps = most < options_.steps_per_launch ? 1 : options_.steps_per_launch;
  ensure(steps_done_ + steps - metrics_taken_ <= learner_->history(), "the metrics were not taken in time");
  Mark& mark = marks_[next_mark_++ % marks_.size()];
  if (!mark.event.reached()) mark.event.wait();
  launch(frozen ? TrainedPart::head : TrainedPart::all, steps);
  steps_done_ += steps;
  mark.steps = steps_done_;
  mark.event.record(main_stream());
  return steps;
}

std::vector<StepMetrics> Trainer::take_finished_metrics() {
  std::uint64_t finished = metrics_taken_;
  for (const Mark& mark : marks_)
    if (mark.steps > finished && mark.event.reached()) finished = mark.steps;
  const std::uint64_t good = std::min(finished, learner_->progress());
  if (good == metrics_taken_ && finished > good) {
    main_stream().synchronize();
    steps_done_ = good;
    for (Mark& mark : marks_) mark.steps = 0;
    throw NumericalError("step " + std::to_string(good + 1) + ": " + learner_->describe_failure(main_stream()));
  }
  std::vector<StepMetrics> metrics;
  for (; metrics_taken_ < good; ++metrics_taken_) metrics.push_back(learner_->metrics(metrics_taken_));
  return metrics;
}

std::vector<StepMetrics> Trainer::take_metrics() {
  main_stream().synchronize();
  return take_finished_metrics();
}

void Trainer::restore(const TrainerState& state) {
  learner_->restore(main_stream(), state);
  steps_done_ = metrics_taken_ = state.step;
  for (Mark& mark : marks_) mark.steps = 0;
}

std::vector<NetworkExecutor::PlannedBuffer> Trainer::memory_plan() const {
  auto plan = replicas_.front()->plan();
  for (auto& entry : plan) entry.bytes *= replicas_.size();
  const auto learner = learner_->plan();
  plan.insert(plan.end(), learner.begin(), learner.end());
  if (bank_) plan.push_back({"glyphs", bank_->bytes()});
  if (store_) plan.push_back({"the training set", store_->bytes()});
  std::erase_if(plan, [](const auto& entry) { return entry.bytes == 0; });
  std::sort(plan.begin(), plan.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return plan;
}

}  // namespace gridspot
