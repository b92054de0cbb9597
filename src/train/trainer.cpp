#include "train/trainer.h"

#include <algorithm>
#include <bit>

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

int team_size(const RunConfig& config, const TrainerOptions& options) {
  if (options.devices > 1) return options.devices;
  const Device device = parse_device(config.device);
  if (device.kind == DeviceKind::cuda || uses_graphs(options, device)) return 1;
  return std::min(options.threads > 0 ? options.threads : available_processors(), config.shards);
}

std::vector<Device> devices_of(const RunConfig& config, const TrainerOptions& options) {
  const Device first = parse_device(config.device);
  std::vector<Device> devices{first};
  for (int i = 1; i < options.devices; ++i) {
    Device next{first.kind, first.index + i};
    devices.push_back(first.kind == DeviceKind::cpu ? first : parse_device(to_string(next)));
  }
  return devices;
}

void check(const TrainerOptions& options, const RunConfig& config) {
  require(options.steps_per_launch >= 1, "a launch holds at least one step");
  require(options.devices >= 1 && config.shards % std::max(options.devices, 1) == 0,
          std::to_string(config.shards) + " shards cannot be shared equally by " + std::to_string(options.devices) +
              " devices");
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
    : config_((check(config), check(options, config), std::move(config))),
      options_(options),
      network_(config_.network),
      team_(team_size(config_, options)),
      frozen_steps_(frozen_steps(config_)) {
  require(classes == config_.network.detector.classes, std::string("the ") + what + " have " + std::to_string(classes) +
                                                           " classes, the network " +
                                                           std::to_string(config_.network.detector.classes));
  for (const Device& device : devices_of(config_, options_)) {
    OnDevice& on = on_devices_.emplace_back();
    on.device = device;
    on.side.emplace(device);
  }
}

Trainer::Trainer(RunConfig config, const GlyphSet& glyphs, const TrainerOptions& options)
    : Trainer(std::move(config), "glyphs", glyphs.classes(), options) {
  const Protocol protocol = training_protocol(config_);
  require_fit(config_.network, protocol);
  for (OnDevice& on : on_devices_) {
    Stream stream(on.device);
    on.bank = std::make_unique<GlyphBank>(stream, glyphs);
    make_replicas(on, [&](int canvases) {
      return make_composed_feed(on.device, protocol, *on.bank, scene_key(protocol, Split::train, config_.seed),
                                canvases, {config_.network.mean, config_.network.deviation},
                                activation_dtype(config_.precision));
    });
  }
  finish_construction();
}

Trainer::Trainer(RunConfig config, const CanvasSet& canvases, const TrainerOptions& options)
    : Trainer(std::move(config), "canvases", canvases.classes(), options) {
  require(canvases.height == config_.network.input.height && canvases.width == config_.network.input.width,
          "the network takes canvases of " + size_text(config_.network.input.height, config_.network.input.width) +
              ", those of " + canvases.source + " have " + size_text(canvases.height, canvases.width));
  const GatherOrder order{.key = scene_key(config_.protocol, Split::train, config_.seed),
                          .shuffle = config_.training_set.shuffle,
                          .batch = config_.batch};
  for (OnDevice& on : on_devices_) {
    Stream stream(on.device);
    on.store = std::make_unique<CanvasStore>(stream, canvases);
    make_replicas(on, [&](int count) {
      return make_stored_feed(on.device, *on.store, order, count, {config_.network.mean, config_.network.deviation},
                              config_.training_set.augmentation, activation_dtype(config_.precision));
    });
  }
  finish_construction();
}

Trainer::~Trainer() = default;

void Trainer::make_replicas(OnDevice& on, const std::function<std::unique_ptr<CanvasFeed>(int canvases)>& make_feed) {
  const int replicas = options_.devices > 1 ? 1 : team_.size();
  for (int i = 0; i < replicas; ++i)
    on.replicas.push_back(
        std::make_unique<Replica>(config_, network_, on.device, make_feed(config_.batch / config_.shards)));
  on.learner.emplace(config_, network_, on.replicas.front()->stream(),
                     std::max(least_history, (launches_ahead + 1) * options_.steps_per_launch));
}

void Trainer::finish_construction() {
  std::vector<Device> devices;
  for (const OnDevice& on : on_devices_) devices.push_back(on.device);
  if (devices.size() > 1) exchange_ = make_exchange(devices);
  for (std::size_t i = 0; i < launches_ahead; ++i) marks_.push_back({Event(devices.front())});
}

bool Trainer::overlaps() const { return options_.overlap && config_.shards == options_.devices && clocks_ == nullptr; }

void Trainer::enqueue_step(int device, TrainedPart part, bool sampled, bool samples_next) {
  OnDevice& on = on_devices_[device];
  Stream& stream = on.replicas.front()->stream();
  if (exchange_) {
    const int each = config_.shards / options_.devices;
    for (int shard = device * each; shard < (device + 1) * each; ++shard)
      on.replicas.front()->run(on.learner->shard_task(shard, part), clock(device), sampled);
    exchange_->all_gather(stream, device, on.learner->shard_results(options_.devices));
  } else {
    team_.run(config_.shards, [&](int shard, int member) {
      on.replicas[member]->run(on.learner->shard_task(shard, part), clock(member), sampled);
    });
  }
  timed(clock(device), Stage::optimizer, stream, [&] {
    on.learner->finish(stream);
    // From here on the step's number is the next one's, and nothing reads the old scenes.
    if (samples_next)
      on.side->fork(stream,
                    [&](Stream& side) { on.replicas.front()->sample(side, on.learner->shard_task(device, part)); });
    on.learner->update(stream, part);
    if (samples_next) on.side->join(stream);
  });
}

void Trainer::launch(int device, TrainedPart part, std::uint64_t steps) {
  OnDevice& on = on_devices_[device];
  const auto enqueue = [&] {
    for (std::uint64_t i = 0; i < steps; ++i)
      enqueue_step(device, part, overlaps() && i > 0, overlaps() && i + 1 < steps);
  };
  if (uses_graphs(options_, on.device))
    on.launches[{part, steps}].run(on.replicas.front()->stream(), enqueue);
  else
    enqueue();
}

void Trainer::launch_everywhere(TrainedPart part, std::uint64_t steps) {
  if (!exchange_) return launch(0, part, steps);
  team_.run(options_.devices, [&](int device, int) {
    try {
      launch(device, part, steps);
    } catch (...) {
      exchange_->break_off();
      throw;
    }
  });
}

std::uint64_t Trainer::advance(std::uint64_t most) {
  const bool frozen = steps_done_ < frozen_steps_;
  if (frozen) most = std::min(most, frozen_steps_ - steps_done_);
  // Less than a full launch is a power of two, so that there are few graphs.
  const std::uint64_t steps = most < options_.steps_per_launch ? std::bit_floor(most) : options_.steps_per_launch;
  ensure(steps_done_ + steps - metrics_taken_ <= learner().history(), "the metrics were not taken in time");
  Mark& mark = marks_[next_mark_];
  if (!ready()) mark.event.wait();
  next_mark_ = (next_mark_ + 1) % marks_.size();
  launch_everywhere(frozen ? TrainedPart::head : TrainedPart::all, steps);
  steps_done_ += steps;
  mark.steps = steps_done_;
  mark.event.record(main_stream());
  return steps;
}

std::vector<StepMetrics> Trainer::take_finished_metrics() {
  std::uint64_t finished = metrics_taken_;
  for (const Mark& mark : marks_)
    if (mark.steps > finished && mark.event.reached()) finished = mark.steps;
  const std::uint64_t good = std::min(finished, learner().progress());
  if (good == metrics_taken_ && finished > good) {
    main_stream().synchronize();
    steps_done_ = good;
    for (Mark& mark : marks_) mark.steps = 0;
    throw NumericalError("step " + std::to_string(good + 1) + ": " + learner().describe_failure(main_stream()));
  }
  std::vector<StepMetrics> metrics;
  for (; metrics_taken_ < good; ++metrics_taken_) metrics.push_back(learner().metrics(metrics_taken_));
  return metrics;
}

std::vector<StepMetrics> Trainer::take_metrics() {
  main_stream().synchronize();
  return take_finished_metrics();
}

void Trainer::restore(const TrainerState& state) {
  for (OnDevice& on : on_devices_) on.learner->restore(on.replicas.front()->stream(), state);
  steps_done_ = metrics_taken_ = state.step;
  for (Mark& mark : marks_) mark.steps = 0;
}

void Trainer::set_clocks(std::vector<StageClock>* clocks) {
  main_stream().synchronize();
  clocks_ = clocks;
  for (OnDevice& on : on_devices_) on.launches.clear();
}

std::vector<NetworkExecutor::PlannedBuffer> Trainer::memory_plan() const {
  const OnDevice& on = on_devices_.front();
  auto plan = on.replicas.front()->plan();
  for (auto& entry : plan) entry.bytes *= on.replicas.size();
  const auto learner = on.learner->plan();
  plan.insert(plan.end(), learner.begin(), learner.end());
  if (on.bank) plan.push_back({"glyphs", on.bank->bytes()});
  if (on.store) plan.push_back({"the training set", on.store->bytes()});
  std::erase_if(plan, [](const auto& entry) { return entry.bytes == 0; });
  std::sort(plan.begin(), plan.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return plan;
}

}  // namespace gridspot
