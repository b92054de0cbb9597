#pragma once
// The optimiser from its publications, in double precision: AdamW (Loshchilov & Hutter 2019, algorithm 2), Adam (the
// same algorithm's other colour: the decay is a term of the gradient), SGD with momentum as torch.optim.SGD, clipping
// as torch.nn.utils.clip_grad_norm_.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/optimizer.h"
#include "tests/reference/schedule.h"

namespace gridspot::reference {

struct Optimizer {
  OptimizerSettings settings;
  std::vector<double> weights, moment1, moment2, ema;
  std::vector<std::uint8_t> decay_mask;
  double norm = 0;
  int step = 0;

  Optimizer(const OptimizerSettings& s, const std::vector<double>& initial, const std::vector<std::uint8_t>& mask)
      : settings(s),
        weights(initial),
        moment1(initial.size()),
        moment2(initial.size()),
        ema(initial),
        decay_mask(mask) {}

  void update(std::vector<double> gradient) {
    double squares = 0;
    for (const double g : gradient) squares += g * g;
    norm = std::sqrt(squares);
    if (!std::isfinite(norm)) return;
    if (settings.clip_norm > 0)
      for (double& g : gradient) g *= std::min(1.0, settings.clip_norm / (norm + 1e-6));
    for (std::size_t i = 0; i < weights.size(); ++i) update(i, gradient[i]);
    ++step;
  }

 private:
  void update(std::size_t i, double g) {
    const double rate = reference::learning_rate(settings.schedule, step),
                 decay = decay_mask[i] ? settings.weight_decay : 0;
    const double b1 = settings.beta1, b2 = settings.beta2;
    if (settings.kind != OptimizerKind::sgd) {
      const bool decoupled = settings.kind == OptimizerKind::adamw;
      if (!decoupled) g += decay * weights[i];
      moment1[i] = b1 * moment1[i] + (1 - b1) * g;
      moment2[i] = b2 * moment2[i] + (1 - b2) * g * g;
      const double mean = moment1[i] / (1 - std::pow(b1, step + 1)), square = moment2[i] / (1 - std::pow(b2, step + 1));
      weights[i] -= rate * (mean / (std::sqrt(square) + settings.epsilon) + (decoupled ? decay * weights[i] : 0));
    } else {
      moment1[i] = settings.momentum * moment1[i] + g + decay * weights[i];
      weights[i] -= rate * moment1[i];
    }
    const double d = std::min<double>(settings.ema_decay, (1.0 + step) / (10.0 + step));
    ema[i] = d * ema[i] + (1 - d) * weights[i];
  }
};

}  // namespace gridspot::reference
