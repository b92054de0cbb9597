// Convolutions through cuDNN's graph API: plans the graphs of conv_graphs.h and runs them. The only file that includes
// cudnn-frontend.
#include "nn/conv_cudnn.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

#include "device/stream.h"
#include "gridspot/error.h"
#include "nn/autotune.h"
#include "nn/block_libraries.h"
#include "nn/conv_graphs.h"
#include "nn/cuda_block.h"
#include "nn/engine_cache.h"
#include "nn/stem_block.h"

namespace gridspot::cuda {

namespace {

std::string last_error() {
  std::array<char, 1024> text{};
  cudnnGetLastErrorString(text.data(), text.size());
  return text.data();
}

void check(cudnnStatus_t status, const char* what, const std::string& object) {
  if (status != CUDNN_STATUS_SUCCESS)
    throw DeviceError("cuDNN: " + std::string(what) + " failed for the " + object + ": " + cudnnGetErrorString(status) +
                      ", " + last_error());
}

void check(const frontend::error_t& error, const char* what, const std::string& object) {
  if (!error.is_good())
    throw DeviceError("cuDNN: the " + std::string(what) + " pass failed for the " + object + ": " + error.err_msg);
}

class Handle {
 public:
  /// The device must be the current one. Throws NoDevice where cuDNN cannot use it.
  explicit Handle(Device device) : device_(device) {
    if (const cudnnStatus_t status = cudnnCreate(&handle_); status != CUDNN_STATUS_SUCCESS)
      throw NoDevice("cuDNN cannot be used on " + to_string(device) + ": " + cudnnGetErrorString(status) + ", " +
                     last_error());
  }
  ~Handle() {
    cudaSetDevice(device_.index);
    cudnnDestroy(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] Device device() const { return device_; }
  [[nodiscard]] cudnnHandle_t get() const { return handle_; }

 private:
  Device device_;
  cudnnHandle_t handle_ = nullptr;
};

/// The calling thread's handle of the current device, made at its first call: a handle remembers its stream, serves one
/// thread at a time and takes device memory. A plan runs with any handle of its device.
const std::shared_ptr<Handle>& thread_handle(Device device) {
  thread_local std::map<int, std::shared_ptr<Handle>> handles;
  auto& handle = handles[device.index];
  if (!handle) handle = std::make_shared<Handle>(device);
  return handle;
}

class ConvolutionPass : public Pass {
 public:
  ConvolutionPass(std::shared_ptr<Handle> handle, std::string object, PassGraph pass)
      : planned_with_(std::move(handle)), object_(std::move(object)), name_(pass.name), graph_(std::move(pass.graph)) {
    std::int64_t bytes = 0;
    check(graph_->get_workspace_size(bytes), name_, object_);
    workspace_bytes_ = static_cast<std::size_t>(bytes);
  }

  void run(Stream& stream, const Operands& operands) override {
    const cudnnHandle_t handle = thread_handle(planned_with_->device())->get();
    check(cudnnSetStream(handle, static_cast<cudaStream_t>(stream.native())), "cudnnSetStream", object_);
    pointers_[first_operand] = const_cast<void*>(operands.first);
    pointers_[second_operand] = const_cast<void*>(operands.second);
    pointers_[bias_operand] = const_cast<float*>(operands.bias);
    pointers_[input_operand] = const_cast<void*>(operands.input);
    pointers_[result_operand] = operands.result;
    check(graph_->execute(handle, pointers_, operands.workspace), name_, object_);
  }

  [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  std::shared_ptr<Handle> planned_with_;  // outlives its thread for as long as there are plans
  std::string object_;
  const char* name_;
  std::unique_ptr<Graph> graph_;
  std::unordered_map<std::int64_t, void*> pointers_;  // the graph takes those that it knows
  std::size_t workspace_bytes_ = 0;
};

DType dtype_of(const Tensor& tensor) {
  return tensor->get_data_type() == frontend::DataType_t::FLOAT ? DType::float32 : DType::bfloat16;
}

std::int64_t product(const Dimensions& dimensions) {
  return std::accumulate(dimensions.begin(), dimensions.end(), std::int64_t(1), std::multiplies<>());
}

/// What to plan for: a device that is there, or the description of one.
struct Target {
  std::shared_ptr<Handle> handle;
  std::shared_ptr<const frontend::DeviceProperties> properties;
  std::string name;
};

/// Finds engines for the graphs of one block.
class Planner {
 public:
  Planner(Target target, const ConvolutionShape& shape, const BlockOptions& options)
      : object_(describe(shape)), options_(options), target_(std::move(target)) {
    if (options.engines.autotune)
      cache_ = EngineCache::of_user(target_.name + ", cuDNN " + std::to_string(cudnnGetVersion()));
    for (const Dimensions& d : {input_dimensions(shape), weight_dimensions(shape), output_dimensions(shape)})
      tensor_bytes_ += product(d) * std::int64_t(size_of(options.dtype()));
  }

  /// The pass with the fastest engine, as cuDNN holds or as was measured; null, with the reason kept, where it has
  /// none. `make_graph` is called more than once: a graph that was planned cannot be planned again.
  template <class MakeGraph>
  std::unique_ptr<Pass> best(const MakeGraph& make_graph) {
    return attempt(make_graph, frontend::HeurMode_t::A);
  }

  /// The same, but with an engine of any speed before none.
  template <class MakeGraph>
  std::unique_ptr<Pass> any(const MakeGraph& make_graph) {
    if (auto pass = best(make_graph)) return pass;
    if (auto pass = attempt(make_graph, frontend::HeurMode_t::FALLBACK)) return pass;
    throw DeviceError("cuDNN has no engine for the " + object_ + refusals_);
  }

  /// A pass that gives float32 of operands in another dtype: `make_graph` of the types, or where cuDNN has no fast
  /// engine for it, of uniform types, and its `elements` results widened.
  template <class MakeGraph>
  std::unique_ptr<Pass> widening(const MakeGraph& make_graph, TensorTypes types, std::size_t elements) {
    if (types.operand == frontend::DataType_t::FLOAT) return any([&] { return make_graph(types); });
    if (auto pass = best([&] { return make_graph(types); })) return pass;
    auto pass = widened(any([&] { return make_graph(types.uniform()); }), elements);
    planned_.back().graph += ", widened";
    planned_.back().workspace_bytes = pass->workspace_bytes();
    return pass;
  }

  [[nodiscard]] const std::vector<PlannedPass>& planned() const { return planned_; }

 private:
  template <class MakeGraph>
  std::unique_ptr<Pass> attempt(const MakeGraph& make_graph, frontend::HeurMode_t mode) {
    PassGraph pass = make_graph();
    frontend::error_t error = propose(pass, mode);
    if (error.is_good()) error = build(pass, mode, make_graph);
    if (error.is_good()) return accept(std::move(pass));
    refusals_ += "; " + std::string(pass.name) + ": " + error.err_msg;
    return nullptr;
  }

  std::unique_ptr<Pass> accept(PassGraph pass) {
    PlannedPass planned{.graph = pass.name, .engine = {}, .task = task_of(pass), .proposed = engines_of(pass)};
    check(pass.graph->get_plan_name(planned.engine), pass.name, object_);
    auto result = std::make_unique<ConvolutionPass>(target_.handle, object_, std::move(pass));
    planned.workspace_bytes = result->workspace_bytes();
    planned_.push_back(planned);
    return result;
  }

  /// Asks cuDNN for engines.
  frontend::error_t propose(const PassGraph& pass, frontend::HeurMode_t mode) const {
    Graph& graph = *pass.graph;
    try {
      if (target_.properties) graph.set_device_properties(target_.properties);
      frontend::error_t error = graph.validate();
      if (error.is_good()) error = graph.build_operation_graph(target_.handle ? target_.handle->get() : nullptr);
      if (error.is_good()) error = graph.create_execution_plans({mode});
      if (error.is_good()) deselect(graph, mode);
      return error;
    } catch (const frontend::cudnnException& error) {
      return {frontend::error_code_t::CUDNN_BACKEND_API_FAILED, error.what()};
    }
  }

  /// Of the engines proposed: the one that was measured to be the fastest, else the first that can be built.
  template <class MakeGraph>
  frontend::error_t build(const PassGraph& pass, frontend::HeurMode_t mode, const MakeGraph& make_graph) {
    try {
      if (cache_ && mode == frontend::HeurMode_t::A) {
        const auto engine = fastest_engine(pass, make_graph);
        if (engine && pass.graph->build_plan_at_index(*engine).is_good()) return {};
      }
      return pass.graph->build_plans(frontend::BuildPlanPolicy_t::HEURISTICS_CHOICE);
    } catch (const frontend::cudnnException& error) {
      return {frontend::error_code_t::CUDNN_BACKEND_API_FAILED, error.what()};
    }
  }

  [[nodiscard]] std::vector<std::string> engines_of(const PassGraph& pass) const {
    std::vector<std::string> engines(static_cast<std::size_t>(pass.graph->get_execution_plan_count()));
    for (std::size_t i = 0; i < engines.size(); ++i)
      check(pass.graph->get_plan_name_at_index(static_cast<std::int64_t>(i), engines[i]), pass.name, object_);
    return engines;
  }

  [[nodiscard]] std::string task_of(const PassGraph& pass) const {
    const char* to_float = dtype_of(pass.result()) == options_.dtype() ? "" : " to float32";
    return engine_task(options_.precision, options_.engines, pass.name + pass.variant + to_float, object_);
  }

  /// Index of the engine to build; none where nothing was measured before and there is no device to measure on, or
  /// where none can be built.
  template <class MakeGraph>
  std::optional<std::int64_t> fastest_engine(const PassGraph& pass, const MakeGraph& make_graph) {
    const auto engines = engines_of(pass);
    const std::string task = task_of(pass);
    if (const auto kept = cache_->find(task, engines)) return *kept;
    if (!target_.handle) return std::nullopt;
    const PassGraph trial = make_graph();  // goes, with all that was built
    if (propose(trial, frontend::HeurMode_t::A).is_bad()) return std::nullopt;
    const auto candidates = build_candidates(*trial.graph);
    if (candidates.empty()) return std::nullopt;
    return cache_->choose(task, engines, [&] { return std::size_t(candidates[measure(trial, candidates)]); });
  }

  /// Indices of the first engines that can be built.
  static std::vector<std::int64_t> build_candidates(Graph& graph) {
    constexpr std::size_t most = 8;
    std::vector<std::int64_t> candidates;
    for (std::int64_t i = 0; i < graph.get_execution_plan_count() && candidates.size() < most; ++i)
      if (graph.build_plan_at_index(i).is_good()) candidates.push_back(i);
    return candidates;
  }

  /// Which of the candidates is the fastest, on tensors of its own.
  std::size_t measure(const PassGraph& pass, const std::vector<std::int64_t>& candidates) const {
    Stream stream(target_.handle->device());
    const Handle handle(target_.handle->device());  // of its own: a handle remembers its stream
    check(cudnnSetStream(handle.get(), static_cast<cudaStream_t>(stream.native())), "cudnnSetStream", object_);
    TrialTensors tensors(stream);
    std::unordered_map<std::int64_t, void*> pointers;
    for (const Tensor& tensor : pass.tensors)
      pointers[tensor->get_uid()] = tensors.add(product(tensor->get_dim()) * size_of(dtype_of(tensor)));
    std::int64_t workspace_bytes = 0;
    for (const std::int64_t candidate : candidates)
      workspace_bytes = std::max(workspace_bytes, pass.graph->get_workspace_size_plan_at_index(candidate));
    void* workspace = tensors.add(static_cast<std::size_t>(workspace_bytes));
    return fastest(stream, candidates.size(), [&](std::size_t i) {
      check(pass.graph->execute_plan_at_index(handle.get(), pointers, workspace, candidates[i]), pass.name, object_);
    });
  }

  void deselect(Graph& graph, frontend::HeurMode_t mode) const {
    using Note = frontend::NumericalNote_t;
    // float32 tensors with float32 sums still leave an engine the choice to round its factors: to half precision, which
    // nobody asked for, or to TF32, which is what an engine on tensor cores does with them. Sums and differences in
    // another basis (Winograd, FFT) lose digits too, of bfloat16 more than it can spare.
    std::vector<Note> unwanted{Note::DOWN_CONVERT_INPUTS, Note::REDUCED_PRECISION_REDUCTION};
    if (options_.precision == Precision::fp32) unwanted.push_back(Note::TENSOR_CORE);
    if (options_.precision != Precision::tf32)
      unwanted.insert(unwanted.end(), {Note::FFT, Note::WINOGRAD, Note::WINOGRAD_TILE_4x4, Note::WINOGRAD_TILE_6x6,
                                       Note::WINOGRAD_TILE_13x13});
    if (options_.engines.deterministic) unwanted.push_back(Note::NONDETERMINISTIC);
    graph.deselect_numeric_notes(unwanted);
    // Faster engines that lay out everything anew are not worth more than a few copies of the block's tensors.
    constexpr std::int64_t least_limit = std::int64_t(64) << 20;
    if (mode != frontend::HeurMode_t::FALLBACK) graph.deselect_workspace_greater_than(least_limit + 2 * tensor_bytes_);
  }

  std::string object_;
  BlockOptions options_;
  Target target_;
  std::int64_t tensor_bytes_ = 0;
  std::string refusals_;
  std::optional<EngineCache> cache_;  ///< where engines are autotuned
  std::vector<PlannedPass> planned_;
};

Extents extents_of(const ConvolutionShape& s) {
  return {.input = std::size_t(s.batch) * s.height * s.width * s.input_channels,
          .weights = std::size_t(s.filters) * s.size * s.size * s.input_channels,
          .rows = std::size_t(s.batch) * s.output_height() * s.output_width(),
          .channels = s.filters};
}

Passes plan_passes(Planner& planner, const ConvolutionShape& shape, Activation activation,
                   const BlockOptions& options) {
  const TensorTypes types(options);
  const Extents extents = extents_of(shape);
  const auto forward = [&](TensorTypes wanted) { return plain_forward_graph(shape, wanted); };
  const auto backward_weights = [&](TensorTypes wanted) { return backward_weights_graph(shape, wanted); };
  Passes passes;
  passes.forward = planner.best([&] { return fused_forward_graph(shape, activation, types); });
  passes.fused = passes.forward != nullptr;
  if (!passes.fused && options.float_output)
    passes.forward = planner.widening(forward, types, extents.rows * extents.channels);
  else if (!passes.fused)
    passes.forward = planner.any([&] { return forward(types); });
  if (options.training) passes.backward_weights = planner.widening(backward_weights, types, extents.weights);
  if (!options.training || !options.input_gradient) return passes;
  if (options.input_activation != Activation::none)
    passes.backward_data =
        planner.best([&] { return fused_backward_data_graph(shape, options.input_activation, types); });
  passes.masks_input_gradient = passes.backward_data != nullptr;
  if (!passes.backward_data) passes.backward_data = planner.any([&] { return backward_data_graph(shape, types); });
  return passes;
}

void require_channels_last(const ConvolutionShape& shape, const BlockOptions& options) {
  const auto is_all = [](int group, int channels) { return group == 0 || group == channels; };
  require(is_all(options.input_group, shape.input_channels) && is_all(options.output_group, shape.filters),
          "on CUDA the activations of a convolution are channels-last, not in groups of channels");
}

/// The product that a convolution of single pixels is. Of bfloat16 factors cuBLASLt can write float32, which few of
/// cuDNN's engines can.
std::optional<ProductShape> as_product(const ConvolutionShape& s) {
  const std::size_t pixels = std::size_t(s.batch) * s.height * s.width;
  if (s.size != 1 || s.stride != 1 || pixels > std::size_t(std::numeric_limits<int>::max())) return std::nullopt;
  return ProductShape{static_cast<int>(pixels), s.input_channels, s.filters};
}

}  // namespace

std::vector<GraphResult> validate_convolution_graphs(const ConvolutionShape& shape, Activation activation,
                                                     const BlockOptions& options) {
  const TensorTypes types(options);
  std::vector<PassGraph> passes;
  passes.push_back(fused_forward_graph(shape, activation, types));
  passes.push_back(plain_forward_graph(shape, types));
  passes.push_back(backward_weights_graph(shape, types));
  passes.push_back(backward_data_graph(shape, types));
  if (options.input_activation != Activation::none)
    passes.push_back(fused_backward_data_graph(shape, options.input_activation, types));
  std::vector<GraphResult> results;
  for (const PassGraph& pass : passes) {
    check(pass.graph->validate(), pass.name, describe(shape));
    results.push_back({pass.name, pass.result()->get_dim(), pass.result()->get_stride(), dtype_of(pass.result())});
  }
  return results;
}

std::vector<PlannedPass> plan_convolution_without_device(const std::string& gpu, const std::string& description,
                                                         const ConvolutionShape& shape, Activation activation,
                                                         const BlockOptions& options) {
  auto properties = std::make_shared<frontend::DeviceProperties>();
  const auto error = properties->deserialize({description.begin(), description.end()});
  require(error.is_good(), "cuDNN does not take the description of a device: " + error.err_msg);
  Planner planner({nullptr, std::move(properties), gpu}, shape, options);
  plan_passes(planner, shape, activation, options);
  return planner.planned();
}

std::unique_ptr<Block> make_convolution(Device device, const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options) {
  require_channels_last(shape, options);
  if (const auto product = as_product(shape); product && options.precision == Precision::bf16)
    return cuda::make_product(device, *product, activation, options);
  use_device(device);
  if (stem_takes(shape, options)) return make_stem(shape, activation, options);
  Planner planner({thread_handle(device), nullptr, describe(device)}, shape, options);
  return std::make_unique<CudaBlock>(device, describe(shape), extents_of(shape), activation, options,
                                     plan_passes(planner, shape, activation, options));
}

}  // namespace gridspot::cuda
