#pragma once
// oneDNN as gridspot uses it: the one place that knows how versions 2 and 3 differ, and that keeps it on the calling
// thread.
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <source_location>
#include <string>

#include "gridspot/error.h"
#include "nn/block.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

static_assert(DNNL_VERSION_MAJOR == 2 || DNNL_VERSION_MAJOR == 3, "gridspot knows oneDNN 2 and 3");

namespace gridspot::onednn {

#if defined(__SANITIZE_THREAD__)
inline void tsan_acquire(void* event) { __tsan_acquire(event); }
inline void tsan_release(void* event) { __tsan_release(event); }
#else
inline void tsan_acquire(void*) {}
inline void tsan_release(void*) {}
#endif

/// While it lives, oneDNN plans and runs for so many threads, the calling one among them. Training has one: there
/// replicas are the parallelism, and oneDNN's sums over a batch would depend on the number.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : threads_before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadCount() { omp_set_num_threads(threads_before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int threads_before_;
};

/// Calls work(member) on so many threads, the calling one among them: those that oneDNN's primitives run on, which wait
/// for work a while before they sleep.
template <class Work>
[[gnu::no_sanitize_thread]] void run_on_threads(int threads, const Work& work) {
  // ThreadSanitizer does not see how OpenMP starts and awaits its threads.
  void* fork = &threads;
  void* join = &fork;
  tsan_release(fork);
#pragma omp parallel num_threads(threads)
  {
    tsan_acquire(fork);
    work(omp_get_thread_num());
    tsan_release(join);
  }
  tsan_acquire(join);
}

/// Throws DeviceError unless oneDNN reports success.
inline void check(dnnl_status_t status, const char* what,
                  std::source_location where = std::source_location::current()) {
  if (status == dnnl_success) return;
  throw DeviceError(std::string("oneDNN: ") + what + " failed with status " + std::to_string(status) + " (" +
                    where.file_name() + ":" + std::to_string(where.line()) + ")");
}

/// Runs `plan`, which creates primitives, for so many threads; oneDNN's exceptions become DeviceErrors about `object`.
template <class Plan>
auto planned(const std::string& object, int threads, const Plan& plan) {
  const ThreadCount count(threads);
  try {
    return plan();
  } catch (const dnnl::error& error) {
    throw DeviceError("oneDNN cannot plan " + object + ": " + error.what());
  }
}

/// The caller gives the scratch memory; the activation follows the primitive's own work.
inline dnnl::primitive_attr attributes(Activation activation = Activation::none) {
  dnnl::primitive_attr result;
  result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (activation == Activation::none) return result;
  const float slope = negative_slope(activation);
  dnnl::post_ops operations;
#if DNNL_VERSION_MAJOR == 2
  operations.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, slope, 0.0f);
#else
  operations.append_eltwise(dnnl::algorithm::eltwise_relu, slope, 0.0f);
#endif
  result.set_post_ops(operations);
  return result;
}

inline dnnl::memory::data_type data_type(DType dtype) {
  return dtype == DType::float32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

inline bool has_isa(dnnl::cpu_isa isa) {
  const auto wanted = static_cast<unsigned>(isa);  // later ones have its bits
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

/// Whether the processor multiplies bfloat16; oneDNN has no primitives for it on those before, or slow ones.
inline bool multiplies_bfloat16() { return has_isa(dnnl::cpu_isa::avx512_core_bf16); }

/// Whether it multiplies tiles of it (AMX), many times as fast as float32.
inline bool multiplies_bfloat16_tiles() { return has_isa(dnnl::cpu_isa::avx512_core_amx); }

/// The dtypes of a pass's tensors. A bias and its gradient are float32.
struct TensorTypes {
  dnnl::memory::data_type operand, weights, output;
};
inline TensorTypes forward_types(const BlockOptions& options) {
  return {data_type(options.dtype()), data_type(options.dtype()), data_type(options.output_dtype())};
}
inline TensorTypes backward_weights_types(const BlockOptions& options) {
  return {data_type(options.dtype()), dnnl::memory::data_type::f32, data_type(options.dtype())};
}
inline TensorTypes backward_data_types(const BlockOptions& options) {
  return {data_type(options.dtype()), data_type(options.dtype()), data_type(options.dtype())};
}

/// The formats of the four tensors of a convolution or product.
struct Formats {
  dnnl::memory::desc input, weights, bias, output;
};

struct Window {
  dnnl::memory::dims strides, padding;
};

using ConvolutionForward = dnnl::convolution_forward::primitive_desc;
using ConvolutionBackwardData = dnnl::convolution_backward_data::primitive_desc;
using ConvolutionBackwardWeights = dnnl::convolution_backward_weights::primitive_desc;
using ProductForward = dnnl::inner_product_forward::primitive_desc;
using ProductBackwardData = dnnl::inner_product_backward_data::primitive_desc;
using ProductBackwardWeights = dnnl::inner_product_backward_weights::primitive_desc;

inline constexpr auto direct = dnnl::algorithm::convolution_direct;
/// Of inference too: with AVX-512 oneDNN has other kernels for it, which are no faster here and give other bits.
inline constexpr auto forward_kind = dnnl::prop_kind::forward_training;

#if DNNL_VERSION_MAJOR == 2

inline ConvolutionForward describe_forward(const dnnl::engine& engine, const Formats& f, const Window& w,
                                           const dnnl::primitive_attr& attributes) {
  return {{forward_kind, direct, f.input, f.weights, f.bias, f.output, w.strides, w.padding, w.padding},
          attributes,
          engine};
}
inline ConvolutionBackwardData describe_backward_data(const dnnl::engine& engine, const Formats& f, const Window& w,
                                                      const ConvolutionForward& forward,
                                                      const dnnl::primitive_attr& attributes) {
  return {{direct, f.input, f.weights, f.output, w.strides, w.padding, w.padding}, attributes, engine, forward};
}
inline ConvolutionBackwardWeights describe_backward_weights(const dnnl::engine& engine, const Formats& f,
                                                            const Window& w, const ConvolutionForward& forward,
                                                            const dnnl::primitive_attr& attributes) {
  return {{direct, f.input, f.weights, f.bias, f.output, w.strides, w.padding, w.padding}, attributes, engine, forward};
}
inline ProductForward describe_forward(const dnnl::engine& engine, const Formats& f,
                                       const dnnl::primitive_attr& attributes) {
  return {{forward_kind, f.input, f.weights, f.bias, f.output}, attributes, engine};
}
inline ProductBackwardData describe_backward_data(const dnnl::engine& engine, const Formats& f,
                                                  const ProductForward& forward,
                                                  const dnnl::primitive_attr& attributes) {
  return {{f.input, f.weights, f.output}, attributes, engine, forward};
}
inline ProductBackwardWeights describe_backward_weights(const dnnl::engine& engine, const Formats& f,
                                                        const ProductForward& forward,
                                                        const dnnl::primitive_attr& attributes) {
  return {{f.input, f.weights, f.bias, f.output}, attributes, engine, forward};
}

#else

inline ConvolutionForward describe_forward(const dnnl::engine& engine, const Formats& f, const Window& w,
                                           const dnnl::primitive_attr& attributes) {
  return {engine,   forward_kind, direct,    f.input,   f.weights, f.bias,
          f.output, w.strides,    w.padding, w.padding, attributes};
}
inline ConvolutionBackwardData describe_backward_data(const dnnl::engine& engine, const Formats& f, const Window& w,
                                                      const ConvolutionForward& forward,
                                                      const dnnl::primitive_attr& attributes) {
  return {engine, direct, f.input, f.weights, f.output, w.strides, w.padding, w.padding, forward, attributes};
}
inline ConvolutionBackwardWeights describe_backward_weights(const dnnl::engine& engine, const Formats& f,
                                                            const Window& w, const ConvolutionForward& forward,
                                                            const dnnl::primitive_attr& attributes) {
  return {engine, direct, f.input, f.weights, f.bias, f.output, w.strides, w.padding, w.padding, forward, attributes};
}
inline ProductForward describe_forward(const dnnl::engine& engine, const Formats& f,
                                       const dnnl::primitive_attr& attributes) {
  return {engine, forward_kind, f.input, f.weights, f.bias, f.output, attributes};
}
inline ProductBackwardData describe_backward_data(const dnnl::engine& engine, const Formats& f,
                                                  const ProductForward& forward,
                                                  const dnnl::primitive_attr& attributes) {
  return {engine, f.input, f.weights, f.output, forward, attributes};
}
inline ProductBackwardWeights describe_backward_weights(const dnnl::engine& engine, const Formats& f,
                                                        const ProductForward& forward,
                                                        const dnnl::primitive_attr& attributes) {
  return {engine, f.input, f.weights, f.bias, f.output, forward, attributes};
}

#endif

}  // namespace gridspot::onednn
