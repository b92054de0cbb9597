#pragma once
// One pass over the flat parameter buffer: reduction over shards, clipping, update, moving average.
#include <cstdint>

#include "device/buffer.h"
#include "kernels/bfloat16.h"
#include "kernels/schedule.h"

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

/// Device memory; each [parameters] but where it says otherwise. moment2 (of SGD) and ema (ema_decay 0) may be empty.
/// The moments start at 0 and ema as a copy of the weights.
struct OptimizerBuffers {
  DeviceSpan<float> weights, moment1, moment2, ema;
  DeviceSpan<bfloat16> rounded;  ///< a copy of the weights that the update also writes; may be empty
  DeviceSpan<const std::uint8_t> decay_mask;
  DeviceSpan<const float> shard_gradients;  ///< [shards, parameters]
  DeviceSpan<float> gradient;               ///< their sum, written
  DeviceSpan<float> partial_norms;          ///< [norm_partials(parameters)] workspace of both calls
  DeviceSpan<float> norm;                   ///< [1]: the 2-norm of the gradient before clipping, written
};

std::size_t norm_partials(std::size_t parameters);

/// gradient = sum over shards in the order of their numbers; norm = its 2-norm, summed in a fixed order. Enqueues on
/// the stream; throws InvalidInput when shards < 1 or a size does not fit.
void reduce_gradients(Stream& stream, int shards, const OptimizerBuffers& buffers);

/// Updates weights, moments and ema from `gradient`, `norm` and *step (device memory, 0 for the first update). Where
/// the norm is not finite nothing is changed (the host sees it in `norm`). Enqueues on the stream; throws InvalidInput
/// when a setting is out of its range or a size does not fit. `first_update` is the step of these parameters' first
/// update, where they were frozen before: AdamW's bias correction counts from it.
void optimizer_step(Stream& stream, const OptimizerSettings& settings, const std::uint64_t* step,
                    const OptimizerBuffers& buffers, std::uint64_t first_update = 0);

/// ++*step; where `norm` (device memory) is given, only if it is finite. *progress (memory that the host sees; may be
/// null) is the same then. Enqueues on the stream.
void advance_step(Stream& stream, std::uint64_t* step, const float* norm = nullptr, std::uint64_t* progress = nullptr);

}  // namespace gridspot
