#pragma once
#include <cstdint>
#include <vector>

#include "device/buffer.h"
#include "kernels/finish_step.h"

namespace gridspot::test {

/// Everything that the optimiser works on, on the device.
struct OptimizerState {
  Stream& stream;
  int shards;
  Buffer<float> weights, moment1, moment2, ema, shard_gradients, gradient, partial_norms, terms;
  Buffer<std::int32_t> counts;
  Buffer<StepMetrics> history;
  Buffer<StepFactors> factors;
  Buffer<bfloat16> rounded;
  Buffer<std::uint8_t> decay_mask;
  Buffer<std::uint64_t> step;

  OptimizerState(Stream& s, const std::vector<float>& initial, const std::vector<std::uint8_t>& mask, int shard_count)
      : stream(s),
        shards(shard_count),
        weights(upload(s, initial)),
        moment1(zeros(initial.size())),
        moment2(zeros(initial.size())),
        ema(upload(s, initial)),
        shard_gradients(zeros(initial.size() * shard_count)),
        gradient(zeros(initial.size())),
        partial_norms(zeros(norm_partials(initial.size()))),
        terms(zeros(3)),
        counts(upload(s, std::vector<std::int32_t>{0})),
        history(upload(s, std::vector<StepMetrics>(1))),
        factors(upload(s, std::vector<StepFactors>(2))),
        rounded(s.device(), initial.size()),
        decay_mask(upload(s, mask)),
        step(upload(s, std::vector<std::uint64_t>{0})) {}

  [[nodiscard]] Buffer<float> zeros(std::size_t count) const { return upload(stream, std::vector<float>(count)); }
  [[nodiscard]] OptimizerBuffers buffers() const {
    return {.weights = weights,
            .moment1 = moment1,
            .moment2 = moment2,
            .ema = ema,
            .rounded = rounded,
            .decay_mask = decay_mask,
            .gradient = gradient};
  }
  [[nodiscard]] StepBuffers step_buffers() const {
    return {.partial_norms = partial_norms,
            .terms = terms,
            .collisions = counts,
            .unplaced = counts,
            .history = history,
            .factors = factors,
            .step = step.data()};
  }

  /// Of parameters that were frozen before step `frozen_steps`.
  void update(const OptimizerSettings& settings, const std::vector<float>& gradients, std::uint64_t frozen_steps = 0) {
    copy_to_device(stream, shard_gradients.data(), gradients.data(), gradients.size() * sizeof(float));
    reduce_gradients(stream, shards, shard_gradients, gradient, partial_norms);
    finish_step(stream, settings, step_buffers(), frozen_steps);
    optimizer_step(stream, settings, factors.data() + 1, buffers());
  }

  /// norm, then weights, moments and average.
  [[nodiscard]] std::vector<float> everything() const {
    std::vector<float> all{download(stream, history)[0].gradient_norm};
    for (const Buffer<float>* part : {&weights, &moment1, &moment2, &ema}) {
      const auto values = download(stream, *part);
      all.insert(all.end(), values.begin(), values.end());
    }
    partial_norms.check_red_zone();
    gradient.check_red_zone();
    return all;
  }
};

}  // namespace gridspot::test
