#include "train/trainer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "gridspot/error.h"
#include "kernels/metrics.h"

namespace gridspot {

namespace {

/// On the CPU. More shards employ more processors and cost a little for each gradient that is summed.
int default_shards(int batch) {
  int shards = 8;
  while (shards > 1 && (batch % shards != 0 || batch / shards < 4)) shards /= 2;
  return shards;
}

int team_size(const RunConfig& config, Device device, int threads) {
  if (device.kind == DeviceKind::cuda) return 1;
  return std::min(threads > 0 ? threads : available_processors(), config.shards);
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

Trainer::Trainer(RunConfig config, const char* what, int classes, int threads)
    : config_((check(config), std::move(config))),
      network_(config_.network),
      device_(parse_device(config_.device)),
      team_(team_size(config_, device_, threads)),
      frozen_steps_(frozen_steps(config_)) {
  require(classes == config_.network.detector.classes, std::string("the ") + what + " have " + std::to_string(classes) +
                                                           " classes, the network " +
                                                           std::to_string(config_.network.detector.classes));
}

Trainer::Trainer(RunConfig config, const GlyphSet& glyphs, int threads)
    : Trainer(std::move(config), "glyphs", glyphs.classes(), threads) {
  const Protocol protocol = training_protocol(config_);
  require_fit(config_.network, protocol);
  Stream stream(device_);
  bank_ = std::make_unique<GlyphBank>(stream, glyphs);
  make_replicas([&](int canvases) {
    return make_composed_feed(device_, protocol, *bank_, scene_key(protocol, Split::train, config_.seed), canvases,
                              {config_.network.mean, config_.network.deviation});
  });
}

Trainer::Trainer(RunConfig config, const CanvasSet& canvases, int threads)
    : Trainer(std::move(config), "canvases", canvases.classes(), threads) {
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

void Trainer::make_replicas(const MakeFeed& make_feed) {
  for (int member = 0; member < team_.size(); ++member)
    replicas_.push_back(
        std::make_unique<Replica>(config_, network_, device_, make_feed(config_.batch / config_.shards)));
  allocate();
}

void Trainer::allocate() {
  Stream& stream = main_stream();
  const std::size_t size = network_.buffer_size();
  const auto zeros = [&](std::size_t count) {
    Buffer<float> buffer(device_, count);
    fill_bytes(stream, buffer.data(), 0, count * sizeof(float));
    return buffer;
  };
  weights_ = upload(stream, network_.initial_weights(config_.seed, config_.objectness_prior));
  moment1_ = zeros(size);
  if (has_second_moment(config_.optimizer.kind)) moment2_ = zeros(size);
  if (config_.optimizer.ema_decay > 0) ema_ = upload(stream, download(stream, weights_));
  shard_gradients_ = zeros(size * config_.shards);
  gradient_ = zeros(size);
  partial_norms_ = zeros(norm_partials(size));
  norm_ = zeros(1);
  terms_ = zeros(std::size_t(config_.batch) * 3);
  collisions_ = Buffer<std::int32_t>(device_, config_.batch);
  unplaced_ = Buffer<std::int32_t>(device_, config_.batch);
  step_ = upload(stream, std::vector<std::uint64_t>{0});
  history_ = upload(stream, std::vector<StepMetrics>(history_size));

  std::vector<std::uint8_t> mask(size, 0);
  for (const Parameter& parameter : network_.parameters())
    if (parameter.decays) std::fill_n(mask.begin() + parameter.offset, parameter.size, std::uint8_t{1});
  decay_mask_ = upload(stream, mask);
  stream.synchronize();
}

Trainer::~Trainer() = default;

void Trainer::step() {
  ensure(steps_done_ - metrics_taken_ < history_size, "take_metrics was not called in time");
  const std::size_t size = network_.buffer_size();
  const int canvases = config_.batch / config_.shards;
  const bool frozen = steps_done_ < frozen_steps_;
  team_.run(config_.shards, [&](int shard, int member) {
    const std::size_t first = std::size_t(shard) * canvases;
    replicas_[member]->run({.first_canvas = static_cast<int>(first),
                            .step = step_.data(),
                            .part = frozen ? TrainedPart::head : TrainedPart::all,
                            .weights = weights_,
                            .gradient = shard_gradients_.span().subspan(shard * size, size),
                            .terms = terms_.span().subspan(first * 3, std::size_t(canvases) * 3),
                            .collisions = collisions_.span().subspan(first, canvases),
                            .unplaced = unplaced_.span().subspan(first, canvases)},
                           clocks_ ? &clocks_->at(member) : nullptr);
  });

  Stream& stream = main_stream();
  timed(clocks_ ? &clocks_->at(0) : nullptr, Stage::optimizer, stream, [&] {
    const std::size_t backbone = network_.head_offset();
    reduce_gradients(stream, config_.shards, buffers(0, size));
    record_step(stream, step_.data(), terms_, norm_, collisions_, unplaced_, history_);
    if (frozen_steps_ == 0) {
      optimizer_step(stream, config_.optimizer, step_.data(), buffers(0, size));
    } else {
      optimizer_step(stream, config_.optimizer, step_.data(), buffers(backbone, size - backbone));
      if (!frozen) optimizer_step(stream, config_.optimizer, step_.data(), buffers(0, backbone), frozen_steps_);
    }
    // A step that is not finite is not counted. What follows repeats it, from the same weights on the same canvases.
    advance_step(stream, step_.data(), norm_.data());
  });
  ++steps_done_;
}

OptimizerBuffers Trainer::buffers(std::size_t first, std::size_t size) {
  const auto part = [&](auto& buffer) {
    return buffer.size() > 0 ? buffer.span().subspan(first, size) : buffer.span();
  };
  return {.weights = part(weights_),
          .moment1 = part(moment1_),
          .moment2 = part(moment2_),
          .ema = part(ema_),
          .decay_mask = part(decay_mask_),
          .shard_gradients = shard_gradients_,
          .gradient = part(gradient_),
          .partial_norms = partial_norms_.span().subspan(0, norm_partials(size)),
          .norm = norm_};
}

std::string Trainer::describe_failure() {
  static constexpr std::array names{"objectness", "box", "class"};
  const auto terms = download(main_stream(), terms_);
  for (std::size_t i = 0; i < terms.size(); ++i)
    if (!std::isfinite(terms[i]))
      return std::string("the ") + names[i % 3] + " loss of canvas " + std::to_string(i / 3) + " is not finite";
  const auto gradient = download(main_stream(), gradient_);
  // From the output back: the first one that broke is the last in the network.
  for (auto parameter = network_.parameters().rbegin(); parameter != network_.parameters().rend(); ++parameter)
    for (std::size_t i = parameter->offset; i < parameter->offset + parameter->size; ++i)
      if (!std::isfinite(gradient[i])) return "the gradient of '" + parameter->name + "' is not finite";
  return "the gradient's norm is beyond the range of float";
}

std::vector<StepMetrics> Trainer::take_metrics() {
  std::vector<StepMetrics> metrics;
  if (metrics_taken_ == steps_done_) return metrics;
  const auto history = download(main_stream(), history_);
  const std::uint64_t good = download(main_stream(), step_).front();
  if (metrics_taken_ == good) {
    steps_done_ = good;
    throw NumericalError("step " + std::to_string(good + 1) + ": " + describe_failure());
  }
  for (; metrics_taken_ < good; ++metrics_taken_) metrics.push_back(history[metrics_taken_ % history_size]);
  return metrics;
}

std::vector<float> Trainer::weights() { return download(main_stream(), weights_); }

std::vector<float> Trainer::inference_weights() { return ema_.size() > 0 ? download(main_stream(), ema_) : weights(); }

TrainerState Trainer::state() {
  Stream& stream = main_stream();
  return {steps_done_, download(stream, weights_), download(stream, moment1_), download(stream, moment2_),
          download(stream, ema_)};
}

void Trainer::restore(const TrainerState& state) {
  Stream& stream = main_stream();
  const auto replace = [&](const char* what, Buffer<float>& buffer, const std::vector<float>& values) {
    require(values.size() == buffer.size(), std::string("the state's ") + what + " has " +
                                                std::to_string(values.size()) + " values, the trainer's has " +
                                                std::to_string(buffer.size()));
    if (!values.empty()) buffer = upload(stream, values);
  };
  replace("weights", weights_, state.weights);
  replace("first moment", moment1_, state.moment1);
  replace("second moment", moment2_, state.moment2);
  replace("moving average", ema_, state.average);
  step_ = upload(stream, std::vector<std::uint64_t>{state.step});
  stream.synchronize();
  steps_done_ = metrics_taken_ = state.step;
}

std::vector<NetworkExecutor::PlannedBuffer> Trainer::memory_plan() const {
  auto plan = replicas_.front()->plan();
  for (auto& entry : plan) entry.bytes *= replicas_.size();
  const auto add = [&](const char* purpose, const auto& buffer) {
    plan.push_back({purpose, buffer.size() * sizeof(*buffer.data())});
  };
  add("weights", weights_);
  add("first moment", moment1_);
  add("second moment", moment2_);
  add("moving average", ema_);
  add("weight decay's mask", decay_mask_);
  add("gradient", gradient_);
  add("gradients of the shards", shard_gradients_);
  add("partial norms", partial_norms_);
  add("loss terms", terms_);
  add("collisions", collisions_);
  add("unplaced glyphs", unplaced_);
  add("metrics", history_);
  if (bank_) plan.push_back({"glyphs", bank_->bytes()});
  if (store_) plan.push_back({"the training set", store_->bytes()});
  std::erase_if(plan, [](const auto& entry) { return entry.bytes == 0; });
  std::sort(plan.begin(), plan.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return plan;
}

}  // namespace gridspot
