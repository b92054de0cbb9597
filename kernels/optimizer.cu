// The optimiser on the flat parameter buffer: the sum of the shards' gradients with its norm, then one pass that
// updates weights, moments and the moving average. Called once a step by the trainer. Floor: reduce_gradients reads
// each shard once and writes the sum; optimizer_step reads the gradient and the mask once, and reads and writes
// weights, moments and average once; where bf16 wants them it writes the rounded weights too.
#include "device/kernel.h"
#include "kernels/bfloat16.h"
#include "kernels/pack.h"
#include "kernels/schedule.h"
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
      store_pack(gradient + first, length, sum);
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

struct FinishNorm {
  static constexpr int max_block_threads = 128;
  std::size_t partials;
  const float* partial_norms;
  float* norm;

  __device__ void operator()() const {
    float total = 0;
    for (std::size_t i = threadIdx.x; i < partials; i += max_block_threads) total += partial_norms[i];
    auto* totals = shared_memory<float>(max_block_threads);
    totals[threadIdx.x] = total;
    __syncthreads();
    if (threadIdx.x != 0) return;
    float sum = 0;
    for (int i = 0; i < max_block_threads; ++i) sum += totals[i];
    *norm = sqrtf(sum);
  }
};

// ---- Update -------------------------------------------------------------------------------------------------------

/// What is the same for every parameter of a step.
struct StepFactors {
  float finite;  ///< 0: the norm is not finite, leave everything as it is
  float learning_rate;
  float clip;        ///< the gradient is multiplied by it
  float step_size;   ///< Adam: learning_rate / (1 - beta1^n), n the updates so far, this one included
  float root_scale;  ///< Adam: 1 / sqrt(1 - beta2^n)
  float average_decay;
};

/// 1 - beta^t without cancellation for beta near 1.
__host__ __device__ inline double bias_correction(float beta, double t) {
  return beta == 0 ? 1.0 : -expm1(t * log(double(beta)));
}

// One thread, so that the cosines and powers are not computed once for each parameter.
struct PrepareStep {
  static constexpr int max_block_threads = 32;
  Schedule schedule;
  float beta1, beta2, clip_norm, ema_decay;
  std::uint64_t first_update;
  const std::uint64_t* step;
  const float* norm;
  StepFactors* factors;

  __device__ void operator()() const {
    const double t = double(*step), updates = t - double(first_update) + 1;
    StepFactors f;
    f.finite = *norm - *norm == 0 ? 1.0f : 0.0f;
    f.learning_rate = gridspot::learning_rate(schedule, *step);
    f.clip = clip_norm > 0 ? min(1.0f, clip_norm / (*norm + 1e-6f)) : 1.0f;
    f.step_size = static_cast<float>(f.learning_rate / bias_correction(beta1, updates));
    f.root_scale = static_cast<float>(1 / sqrt(bias_correction(beta2, updates)));
    f.average_decay = static_cast<float>(min(double(ema_decay), (1 + t) / (10 + t)));
    *factors = f;
  }
};

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

struct AdvanceStep {
  static constexpr int max_block_threads = 32;
  std::uint64_t* step;
  const float* norm;
  std::uint64_t* progress;

  __device__ void operator()() const {
    if (norm == nullptr || *norm - *norm == 0) ++*step;
    if (progress != nullptr) *progress = *step;
  }
};

GRIDSPOT_KERNEL(ReduceGradients)
GRIDSPOT_KERNEL(FinishNorm)
GRIDSPOT_KERNEL(PrepareStep)
GRIDSPOT_KERNEL(Adam)
GRIDSPOT_KERNEL(Sgd)
GRIDSPOT_KERNEL(AdvanceStep)

#if GRIDSPOT_HOST_PASS
namespace {
void require_workspace(const char* who, const OptimizerBuffers& buffers) {
  require_elements(who, "partial_norms", buffers.partial_norms.size, norm_partials(buffers.gradient.size));
  require_elements(who, "norm", buffers.norm.size, 1);
}

void require_setting(bool in_range, const char* name, double value, const char* range) {
  require_that(in_range, "optimizer_step: ", name, " is ", value, ", expected ", range);
}

void require_settings(const OptimizerSettings& s) {
  require_setting(s.beta1 >= 0 && s.beta1 < 1, "beta1", s.beta1, "0 to 1, 1 excluded");
  require_setting(s.beta2 >= 0 && s.beta2 < 1, "beta2", s.beta2, "0 to 1, 1 excluded");
  require_setting(s.epsilon > 0, "epsilon", s.epsilon, "more than 0");
  require_setting(s.momentum >= 0 && s.momentum < 1, "momentum", s.momentum, "0 to 1, 1 excluded");
  require_setting(s.weight_decay >= 0, "weight_decay", s.weight_decay, "at least 0");
  require_setting(s.clip_norm >= 0, "clip_norm", s.clip_norm, "at least 0");
  require_setting(s.ema_decay >= 0 && s.ema_decay < 1, "ema_decay", s.ema_decay, "0 to 1, 1 excluded");
  require_setting(s.schedule.peak >= 0, "schedule.peak", s.schedule.peak, "at least 0");
  require_setting(s.schedule.steps >= 1, "schedule.steps", double(s.schedule.steps), "at least 1");
}
}  // namespace

std::size_t norm_partials(std::size_t parameters) {
  constexpr std::size_t factor_floats = sizeof(StepFactors) / sizeof(float);
  return std::max<std::size_t>(blocks_for(parameters, ReduceGradients::block_elements), factor_floats);
}

void reduce_gradients(Stream& stream, int shards, const OptimizerBuffers& buffers) {
  constexpr auto who = "reduce_gradients";
  const std::size_t parameters = buffers.gradient.size;
  require_that(shards >= 1, who, ": shards is ", shards, ", expected at least 1");
  require_elements(who, "shard_gradients", buffers.shard_gradients.size, shards * parameters);
  require_workspace(who, buffers);
  const unsigned blocks = blocks_for(parameters, ReduceGradients::block_elements);
  launch(stream,
         {.grid = {blocks},
          .block = {ReduceGradients::max_block_threads},
          .shared_bytes = ReduceGradients::max_block_threads * sizeof(float)},
         ReduceGradients{shards, parameters, buffers.shard_gradients.data, buffers.gradient.data,
                         buffers.partial_norms.data});
  launch(stream,
         {.grid = {1},
          .block = {FinishNorm::max_block_threads},
          .shared_bytes = FinishNorm::max_block_threads * sizeof(float)},
         FinishNorm{blocks, buffers.partial_norms.data, buffers.norm.data});
}

void optimizer_step(Stream& stream, const OptimizerSettings& settings, const std::uint64_t* step,
                    const OptimizerBuffers& buffers, std::uint64_t first_update) {
  constexpr auto who = "optimizer_step";
  const std::size_t parameters = buffers.gradient.size;
  const bool adam = has_second_moment(settings.kind), averaged = settings.ema_decay > 0;
  require_settings(settings);
  require_elements(who, "weights", buffers.weights.size, parameters);
  require_elements(who, "moment1", buffers.moment1.size, parameters);
  if (adam) require_elements(who, "moment2", buffers.moment2.size, parameters);
  if (averaged) require_elements(who, "ema", buffers.ema.size, parameters);
  if (buffers.rounded.size > 0) require_elements(who, "rounded", buffers.rounded.size, parameters);
  require_elements(who, "decay_mask", buffers.decay_mask.size, parameters);
  require_workspace(who, buffers);

  auto* factors = reinterpret_cast<StepFactors*>(buffers.partial_norms.data);
  launch(stream, {},
         PrepareStep{settings.schedule, settings.beta1, settings.beta2, settings.clip_norm, settings.ema_decay,
                     first_update, step, buffers.norm.data, factors});
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

void advance_step(Stream& stream, std::uint64_t* step, const float* norm, std::uint64_t* progress) {
  launch(stream, {}, AdvanceStep{step, norm, progress});
}
#endif

}  // namespace gridspot
