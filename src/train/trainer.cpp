#include "train/trainer.h"

#include <algorithm>
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
  require(config.protocol.height == config.network.input.height && config.protocol.width == config.network.input.width,
          "the network takes canvases of " + std::to_string(config.network.input.width) + "x" +
              std::to_string(config.network.input.height) + ", the protocol " + config.protocol.name + " makes " +
              std::to_string(config.protocol.width) + "x" + std::to_string(config.protocol.height));
  require(config.network.input.channels == 1,
          "the network takes " + std::to_string(config.network.input.channels) + " channels; canvases have one");
}

}  // namespace

RunConfig resolve(RunConfig config) {
  const Device device = parse_device(config.device);
  config.gridspot = GRIDSPOT_VERSION;
  config.device = to_string(device);
  if (config.shards == 0) config.shards = device.kind == DeviceKind::cpu ? default_shards(config.batch) : 1;
  config.optimizer.schedule.steps = config.steps;
  return config;
}

Trainer::Trainer(RunConfig config, const GlyphSet& glyphs, int threads)
    : config_((check(config), std::move(config))),
      network_(config_.network),
      device_(parse_device(config_.device)),
      team_(team_size(config_, device_, threads)) {
  require(static_cast<int>(glyphs.class_names.size()) == config_.network.detector.classes,
          "the glyphs have " + std::to_string(glyphs.class_names.size()) + " classes, the network " +
              std::to_string(config_.network.detector.classes));
  const int canvases = config_.batch / config_.shards;
  for (int member = 0; member < team_.size(); ++member)
    replicas_.push_back(std::make_unique<Replica>(config_, network_, device_, canvases));

  Stream& stream = main_stream();
  bank_ = std::make_unique<GlyphBank>(stream, glyphs);
  const std::size_t size = network_.buffer_size();
  const auto zeros = [&](std::size_t count) {
    Buffer<float> buffer(device_, count);
    fill_bytes(stream, buffer.data(), 0, count * sizeof(float));
    return buffer;
  };
  weights_ = upload(stream, network_.initial_weights(config_.seed, config_.objectness_prior));
  moment1_ = zeros(size);
  if (config_.optimizer.kind == OptimizerKind::adamw) moment2_ = zeros(size);
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
  team_.run(config_.shards, [&](int shard, int member) {
    const std::size_t first = std::size_t(shard) * canvases;
    replicas_[member]->run(bank_->view(),
                           {.first_canvas = static_cast<int>(first),
                            .step = step_.data(),
                            .weights = weights_,
                            .gradient = shard_gradients_.span().subspan(shard * size, size),
                            .terms = terms_.span().subspan(first * 3, std::size_t(canvases) * 3),
                            .collisions = collisions_.span().subspan(first, canvases),
                            .unplaced = unplaced_.span().subspan(first, canvases)},
                           clocks_ ? &clocks_->at(member) : nullptr);
  });

  Stream& stream = main_stream();
  timed(clocks_ ? &clocks_->at(0) : nullptr, Stage::optimizer, stream, [&] {
    const OptimizerBuffers buffers{.weights = weights_,
                                   .moment1 = moment1_,
                                   .moment2 = moment2_,
                                   .ema = ema_,
                                   .decay_mask = decay_mask_,
                                   .shard_gradients = shard_gradients_,
                                   .gradient = gradient_,
                                   .partial_norms = partial_norms_,
                                   .norm = norm_};
    reduce_gradients(stream, config_.shards, buffers);
    record_step(stream, step_.data(), terms_, norm_, collisions_, unplaced_, history_);
    optimizer_step(stream, config_.optimizer, step_.data(), buffers);
    // A step that is not finite is not counted. What follows repeats it, from the same weights on the same canvases.
    advance_step(stream, step_.data(), norm_.data());
  });
  ++steps_done_;
}

std::vector<StepMetrics> Trainer::take_metrics() {
  std::vector<StepMetrics> metrics;
  if (metrics_taken_ == steps_done_) return metrics;
  const auto history = download(main_stream(), history_);
  const std::uint64_t good = download(main_stream(), step_).front();
  if (metrics_taken_ == good) {
    const StepMetrics& bad = history[good % history_size];
    const bool finite_loss = std::isfinite(bad.objectness + bad.box + bad.classes);
    steps_done_ = good;
    throw NumericalError("step " + std::to_string(good + 1) + ": the " + (finite_loss ? "gradient" : "loss") +
                         " is not finite");
  }
  for (; metrics_taken_ < good; ++metrics_taken_) metrics.push_back(history[metrics_taken_ % history_size]);
  return metrics;
}

std::vector<float> Trainer::weights() { return download(main_stream(), weights_); }

std::vector<float> Trainer::inference_weights() { return ema_.size() > 0 ? download(main_stream(), ema_) : weights(); }

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
  plan.push_back({"glyphs", bank_->bytes()});
  std::erase_if(plan, [](const auto& entry) { return entry.bytes == 0; });
  std::sort(plan.begin(), plan.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return plan;
}

}  // namespace gridspot
