// The optimiser on the flat parameter buffer: the sum of the shards' gradients with its norm, then one pass that
// updates weights, moments and the moving average. Called once a step by the trainer.
// Floor, in bytes a parameter: reduce_gradients reads 4 of each shard and writes 4 unless there is one; optimizer_step
// reads the gradient (4) and the mask (1), and reads and writes weights, moments and average (8 each); where bf16 wants
// them it writes the rounded weights (2). Operations: 2 a shard, and about 20 (AdamW) or 10 (SGD).
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/pack.h"
#include "kernels/step_factors.h"
#if GRIDSPOT_HOST_PASS
#include "kernels/check.h"
#include "kernels/optimizer.h"
#endif

namespace gridspot {

// ---- Sum of the shards, and its norm ------------------------------------------------------------------------------

struct ReduceGradients {
  static constexpr int max_block_threads = 128;
  static constexpr int packs_each = 8;
  static constexpr std::size_t block_elements = std::size_t(max_block_threads) * packs_each * pack_width;
  int shards;
  std::size_t parameters;
  const float* shard_gradients;
  float* gradient;
  float* partial_norms;

  __device__ Pack sum_of_shards(std::size_t first, int length) const {
    Pack sum = load_pack(shard_gradients + first, length);
    for (int shard = 1; shard < shards; ++shard) sum += load_pack(shard_gradients + shard * parameters + first, length);
    return sum;
  }

  __device__ void operator()() const {
    Pack squares = {};
    for (int i = 0; i < packs_each; ++i) {
      const std::size_t pack = std::size_t(i) * max_block_threads + threadIdx.x;
      const std::size_t first = blockIdx.x * block_elements + pack * pack_width;
      if (first >= parameters) break;
      const int length = pack_length(parameters, first);
      const Pack sum = sum_of_shards(first, length);
      if (gradient != shard_gradients) store_pack(gradient + first, length, sum);
      squares += sum * sum;
    }
    float total = 0;
    for (int k = 0; k < pack_width; ++k) total += squares.lane[k];

    auto* totals = shared_memory<float>(max_block_threads);
    totals[threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.x != 0) return;
    float block_total = 0;
    for (int i = 0; i < max_block_threads; ++i) block_total += totals[i];
    partial_norms[blockIdx.x] = block_total;
  }
};

// ---- Update -------------------------------------------------------------------------------------------------------

struct UpdateArrays {
  std::size_t parameters;
  float *weights, *moment1, *moment2, *ema;  ///< ema: null where no average is kept
  bfloat16* rounded;                         ///< null where nobody wants it
  const float* gradient;
  const std::uint8_t* decay_mask;
};

__device__ __forceinline__ void store_weights(const UpdateArrays& arrays, std::size_t first, int length, float decay,
                                              const Pack& weights) {
  store_pack(arrays.weights + first, length, weights);
  if (arrays.rounded != nullptr) store_pack(arrays.rounded + first, length, weights);
  if (arrays.ema == nullptr) return;
  const Pack average = load_pack(arrays.ema + first, length);
  store_pack(arrays.ema + first, length, decay * average + (1 - decay) * weights);
}

/// AdamW with weight_decay alone, Adam with l2 alone.
struct Adam {
  static constexpr int max_block_threads = 256;
  UpdateArrays arrays;
  float beta1, beta2, epsilon, weight_decay, l2;
  const StepFactors* factors;

  __device__ void operator()() const {
    const std::size_t first = global_thread() * pack_width;
    const StepFactors f = *factors;
    if (first >= arrays.parameters || f.finite == 0) return;
    const int length = pack_length(arrays.parameters, first);
    Pack w = load_pack(arrays.weights + first, length), m = load_pack(arrays.moment1 + first, length);
    Pack v = load_pack(arrays.moment2 + first, length);
    const Pack decays = load_pack(arrays.decay_mask + first, length);
    const Pack g = f.clip * load_pack(arrays.gradient + first, length) + l2 * decays * w;
    m = m + (1 - beta1) * (g - m);
    v = beta2 * v + (1 - beta2) * (g * g);
    w = w - w * (f.learning_rate * weight_decay * decays);
    w = w - f.step_size * m / (f.root_scale * square_root(v) + epsilon);
    store_pack(arrays.moment1 + first, length, m);
    store_pack(arrays.moment2 + first, length, v);
    store_weights(arrays, first, length, f.average_decay, w);
  }
};

struct Sgd {
  static constexpr int max_block_threads = 256;
  UpdateArrays arrays;
  float momentum, weight_decay;
  const StepFactors* factors;

  __device__ void operator()() const {
    const std::size_t first = global_thread() * pack_width;
    const StepFactors f = *factors;
    if (first >= arrays.parameters || f.finite == 0) return;
    const int length = pack_length(arrays.parameters, first);
    Pack w = load_pack(arrays.weights + first, length), m = load_pack(arrays.moment1 + first, length);
    const Pack gradient = load_pack(arrays.gradient + first, length);
    const Pack decays = load_pack(arrays.decay_mask + first, length);
    m = momentum * m + (f.clip * gradient + weight_decay * decays * w);
    w = w - f.learning_rate * m;
    store_pack(arrays.moment1 + first, length, m);
    store_weights(arrays, first, length, f.average_decay, w);
  }
};

GRIDSPOT_KERNEL(ReduceGradients)
GRIDSPOT_KERNEL(Adam)
GRIDSPOT_KERNEL(Sgd)

#if GRIDSPOT_HOST_PASS
namespace {
void require_setting(const char* who, bool in_range, const char* name, double value, const char* range) {
  require_that(in_range, who, ": ", name, " is ", value, ", expected ", range);
}
}  // namespace

void require_settings(const char* who, const OptimizerSettings& s) {
  require_setting(who, s.beta1 >= 0 && s.beta1 < 1, "beta1", s.beta1, "0 to 1, 1 excluded");
  require_setting(who, s.beta2 >= 0 && s.beta2 < 1, "beta2", s.beta2, "0 to 1, 1 excluded");
  require_setting(who, s.epsilon > 0, "epsilon", s.epsilon, "more than 0");
  require_setting(who, s.momentum >= 0 && s.momentum < 1, "momentum", s.momentum, "0 to 1, 1 excluded");
  require_setting(who, s.weight_decay >= 0, "weight_decay", s.weight_decay, "at least 0");
  require_setting(who, s.clip_norm >= 0, "clip_norm", s.clip_norm, "at least 0");
  require_setting(who, s.ema_decay >= 0 && s.ema_decay < 1, "ema_decay", s.ema_decay, "0 to 1, 1 excluded");
  require_setting(who, s.schedule.peak >= 0, "schedule.peak", s.schedule.peak, "at least 0");
  require_setting(who, s.schedule.steps >= 1, "schedule.steps", double(s.schedule.steps), "at least 1");
}

std::size_t norm_partials(std::size_t parameters) { return blocks_for(parameters, ReduceGradients::block_elements); }

void reduce_gradients(Stream& stream, int shards, DeviceSpan<const float> shard_gradients, DeviceSpan<float> gradient,
                      DeviceSpan<float> partial_norms) {
  constexpr auto who = "reduce_gradients";
  const std::size_t parameters = gradient.size;
  require_that(shards >= 1, who, ": shards is ", shards, ", expected at least 1");
  require_elements(who, "shard_gradients", shard_gradients.size, shards * parameters);
  require_elements(who, "partial_norms", partial_norms.size, norm_partials(parameters));
  launch(stream,
         {.grid = {blocks_for(parameters, ReduceGradients::block_elements)},
          .block = {ReduceGradients::max_block_threads},
          .shared_bytes = ReduceGradients::max_block_threads * sizeof(float)},
         ReduceGradients{shards, parameters, shard_gradients.data, gradient.data, partial_norms.data});
}

void optimizer_step(Stream& stream, const OptimizerSettings& settings, const StepFactors* factors,
                    const OptimizerBuffers& buffers) {
  constexpr auto who = "optimizer_step";
  const std::size_t parameters = buffers.gradient.size;
  const bool adam = has_second_moment(settings.kind), averaged = settings.ema_decay > 0;
  require_settings(who, settings);
  require_elements(who, "weights", buffers.weights.size, parameters);
  require_elements(who, "moment1", buffers.moment1.size, parameters);
  if (adam) require_elements(who, "moment2", buffers.moment2.size, parameters);
  if (averaged) require_elements(who, "ema", buffers.ema.size, parameters);
  if (buffers.rounded.size > 0) require_elements(who, "rounded", buffers.rounded.size, parameters);
  require_elements(who, "decay_mask", buffers.decay_mask.size, parameters);

  const UpdateArrays arrays{parameters,
                            buffers.weights.data,
                            buffers.moment1.data,
                            buffers.moment2.data,
                            averaged ? buffers.ema.data : nullptr,
                            buffers.rounded.size > 0 ? buffers.rounded.data : nullptr,
                            buffers.gradient.data,
                            buffers.decay_mask.data};
  const std::size_t threads = (parameters + pack_width - 1) / pack_width;
  const float decoupled = settings.kind == OptimizerKind::adamw ? settings.weight_decay : 0;
  if (adam)
    launch_1d(stream, threads,
              Adam{arrays, settings.beta1, settings.beta2, settings.epsilon, decoupled,
                   settings.weight_decay - decoupled, factors});
  else
    launch_1d(stream, threads, Sgd{arrays, settings.momentum, settings.weight_decay, factors});
}
#endif

}  // namespace gridspot
