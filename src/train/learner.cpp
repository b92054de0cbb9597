#include "train/learner.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "gridspot/error.h"
#include "kernels/convert.h"
#include "kernels/finish_step.h"

namespace gridspot {

Learner::Learner(const RunConfig& config, const Network& network, Stream& stream, std::uint64_t history)
    : config_(config),
      network_(network),
      frozen_steps_(frozen_steps(config)),
      collisions_(stream.device(), config.batch),
      unplaced_(stream.device(), config.batch),
      history_(stream.device(), history),
      progress_(stream.device(), 1) {
  const std::size_t size = network.buffer_size();
  const auto zeros = [&](std::size_t count) {
    Buffer<float> buffer(stream.device(), count);
    fill_bytes(stream, buffer.data(), 0, count * sizeof(float));
    return buffer;
  };
  weights_ = upload(stream, network.initial_weights(config.seed, config.objectness_prior));
  rounded_ = Buffer<bfloat16>(stream.device(), config.precision == Precision::bf16 ? size : 0);
  if (rounded_.size() > 0) convert(stream, weights_, rounded_);
  moment1_ = zeros(size);
  if (has_second_moment(config.optimizer.kind)) moment2_ = zeros(size);
  if (config.optimizer.ema_decay > 0) ema_ = upload(stream, download(stream, weights_));
  shard_gradients_ = zeros(size * config.shards);
  if (config.shards > 1) sum_ = zeros(size);
  gradient_ = config.shards > 1 ? sum_ : shard_gradients_;
  partial_norms_ = zeros(norm_partials(size));
  step_factors_ = Buffer<StepFactors>(stream.device(), 2);
  terms_ = zeros(std::size_t(config.batch) * 3);
  step_ = upload(stream, std::vector<std::uint64_t>{0});

  std::vector<std::uint8_t> mask(size, 0);
  for (const Parameter& parameter : network.parameters())
    if (parameter.decays) std::fill_n(mask.begin() + parameter.offset, parameter.size, std::uint8_t{1});
  decay_mask_ = upload(stream, mask);
  stream.synchronize();
}

ShardTask Learner::shard_task(int shard, TrainedPart part) const {
  const std::size_t canvases = std::size_t(config_.batch / config_.shards), first = shard * canvases;
  const std::size_t size = network_.buffer_size();
  return {.first_canvas = static_cast<int>(first),
          .step = step_.data(),
          .part = part,
          .weights = {weights_, rounded_},
          .gradient = shard_gradients_.span().subspan(shard * size, size),
          .terms = terms_.span().subspan(first * 3, canvases * 3),
          .collisions = collisions_.span().subspan(first, canvases),
          .unplaced = unplaced_.span().subspan(first, canvases)};
}

std::array<GatheredBuffer, 4> Learner::shard_results(int devices) const {
  const auto parts = [devices](const auto& buffer) {
    return GatheredBuffer{buffer.data(), buffer.size() * sizeof(*buffer.data()) / devices};
  };
  return {parts(shard_gradients_), parts(terms_), parts(collisions_), parts(unplaced_)};
}

void Learner::finish(Stream& stream) {
  reduce_gradients(stream, config_.shards, shard_gradients_, gradient_, partial_norms_);
  // A step that is not finite is not counted. What follows repeats it, from the same weights on the same canvases.
  finish_step(stream, config_.optimizer,
              {.partial_norms = partial_norms_,
               .terms = terms_,
               .collisions = collisions_,
               .unplaced = unplaced_,
               .history = history_.span(),
               .factors = step_factors_,
               .step = step_.data(),
               .progress = progress_.data()},
              frozen_steps_);
}

void Learner::update(Stream& stream, TrainedPart part) {
  const std::size_t size = network_.buffer_size(), backbone = network_.head_offset();
  const StepFactors *always = step_factors_.data(), *thawed = always + 1;
  if (frozen_steps_ == 0) {
    optimizer_step(stream, config_.optimizer, always, buffers(0, size));
  } else {
    optimizer_step(stream, config_.optimizer, always, buffers(backbone, size - backbone));
    if (part == TrainedPart::all) optimizer_step(stream, config_.optimizer, thawed, buffers(0, backbone));
  }
}

OptimizerBuffers Learner::buffers(std::size_t first, std::size_t size) const {
  const auto part = [&](const auto& buffer) {
    return buffer.size() > 0 ? buffer.span().subspan(first, size) : buffer.span();
  };
  return {.weights = part(weights_),
          .moment1 = part(moment1_),
          .moment2 = part(moment2_),
          .ema = part(ema_),
          .rounded = part(rounded_),
          .decay_mask = part(decay_mask_),
          .gradient = gradient_.subspan(first, size)};
}

TrainerState Learner::state(Stream& stream) const {
  return {download(stream, step_).front(), download(stream, weights_), download(stream, moment1_),
          download(stream, moment2_), download(stream, ema_)};
}

std::vector<float> Learner::weights(Stream& stream) const { return download(stream, weights_); }

std::vector<float> Learner::inference_weights(Stream& stream) const {
  return download(stream, ema_.size() > 0 ? ema_ : weights_);
}

void Learner::restore(Stream& stream, const TrainerState& state) {
  const auto replace = [&](const char* what, Buffer<float>& buffer, const std::vector<float>& values) {
    require(values.size() == buffer.size(), std::string("the state's ") + what + " has " +
                                                std::to_string(values.size()) + " values, the trainer's has " +
                                                std::to_string(buffer.size()));
    copy_to_device(stream, buffer.data(), values.data(), values.size() * sizeof(float));
  };
  replace("weights", weights_, state.weights);
  replace("first moment", moment1_, state.moment1);
  replace("second moment", moment2_, state.moment2);
  replace("moving average", ema_, state.average);
  if (rounded_.size() > 0) convert(stream, weights_, rounded_);
  copy_to_device(stream, step_.data(), &state.step, sizeof state.step);
  stream.synchronize();
  *progress_.data() = state.step;
}

std::string Learner::describe_failure(Stream& stream) const {
  static constexpr std::array names{"objectness", "box", "class"};
  const auto terms = download(stream, terms_);
  for (std::size_t i = 0; i < terms.size(); ++i)
    if (!std::isfinite(terms[i]))
      return std::string("the ") + names[i % 3] + " loss of canvas " + std::to_string(i / 3) + " is not finite";
  const auto gradient = download(stream, gradient_);
  // From the output back: the first one that broke is the last in the network.
  for (auto parameter = network_.parameters().rbegin(); parameter != network_.parameters().rend(); ++parameter)
    for (std::size_t i = parameter->offset; i < parameter->offset + parameter->size; ++i)
      if (!std::isfinite(gradient[i])) return "the gradient of '" + parameter->name + "' is not finite";
  return "the gradient's norm is beyond the range of float";
}

std::vector<NetworkExecutor::PlannedBuffer> Learner::plan() const {
  std::vector<NetworkExecutor::PlannedBuffer> plan;
  const auto add = [&](const char* purpose, const auto& buffer) {
    plan.push_back({purpose, buffer.size() * sizeof(*buffer.data())});
  };
  add("weights", weights_);
  add("weights in bfloat16", rounded_);
  add("first moment", moment1_);
  add("second moment", moment2_);
  add("moving average", ema_);
  add("weight decay's mask", decay_mask_);
  add("gradient", sum_);
  add("gradients of the shards", shard_gradients_);
  add("partial norms", partial_norms_);
  add("loss terms", terms_);
  add("collisions", collisions_);
  add("unplaced glyphs", unplaced_);
  add("metrics", history_);
  return plan;
}

}  // namespace gridspot
