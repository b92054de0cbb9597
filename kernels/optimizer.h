#pragma once
// The flat parameter buffer: the gradient's sum over shards with its norm, then, behind finish_step() (finish_step.h),
// clipping, update, moving average and rounding in one pass.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/bfloat16.h"
#include "kernels/schedule.h"
#include "kernels/step_factors.h"

namespace gridspot {

/// adam: Kingma & Ba 2015 as torch.optim.Adam, whose weight decay is an L2 term of the gradient.
enum class OptimizerKind { adamw, adam, sgd };

constexpr bool has_second_moment(OptimizerKind kind) { return kind != OptimizerKind::sgd; }

struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::adamw;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;  ///< AdamW (Loshchilov & Hutter 2019), as torch.optim.AdamW
  float momentum = 0.9f;                                ///< SGD, as torch.optim.SGD without dampening or Nesterov
  float weight_decay = 0;  ///< AdamW: decoupled; Adam, SGD: added to the clipped gradient; only where decay_mask is 1
  float clip_norm = 0;     ///< the gradient is scaled so that its global 2-norm is at most this; 0: not clipped
  float ema_decay = 0;     ///< ema = d ema + (1 - d) weights with d = min(ema_decay, (1 + t) / (10 + t)); 0: no average
  Schedule schedule;
};

/// Throws InvalidInput, in `who`'s name, when a setting is out of its range.
void require_settings(const char* who, const OptimizerSettings& settings);

/// Device memory, each [parameters]. moment2 (of SGD) and ema (ema_decay 0) may be empty. The moments start at 0 and
/// ema as a copy of the weights.
struct OptimizerBuffers {
  DeviceSpan<float> weights, moment1, moment2, ema;
  DeviceSpan<bfloat16> rounded;  ///< a copy of the weights that the update also writes; may be empty
  DeviceSpan<const std::uint8_t> decay_mask;
  DeviceSpan<const float> gradient;
};

std::size_t norm_partials(std::size_t parameters);

/// gradient [parameters] = the sum of shard_gradients [shards, parameters] in the order of their numbers. partial_norms
/// [norm_partials(parameters)] add up to the square of its 2-norm. Of one shard `gradient` may be the same memory;
/// nothing is written to it then. Enqueues on the stream; throws InvalidInput when shards < 1 or a size does not fit.
void reduce_gradients(Stream& stream, int shards, DeviceSpan<const float> shard_gradients, DeviceSpan<float> gradient,
                      DeviceSpan<float> partial_norms);

/// Updates weights, moments and ema by the gradient and `factors` (device memory), which finish_step() has written for
/// the same settings. Enqueues on the stream; throws InvalidInput when a setting is out of its range or a size does not
/// fit.
void optimizer_step(Stream& stream, const OptimizerSettings& settings, const StepFactors* factors,
                    const OptimizerBuffers& buffers);

}  // namespace gridspot
