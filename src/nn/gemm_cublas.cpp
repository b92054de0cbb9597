// Products through cuBLASLt. It counts matrices by columns: a row-major [rows, columns] matrix is its column-major
// [columns, rows], so each pass computes the transpose of what the block defines and nothing is moved.
#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/stream.h"
#include "gridspot/error.h"
#include "nn/autotune.h"
#include "nn/block_libraries.h"
#include "nn/cuda_block.h"
#include "nn/engine_cache.h"

namespace gridspot::cuda {

namespace {

constexpr std::size_t most_workspace_bytes = std::size_t(32) << 20;  // what cuBLAS asks for on Hopper
constexpr int most_candidates = 8;
constexpr std::uint32_t alignment = 16;  // of the tensors, what CudaBlock checks; that of rows follows from the layouts

void check(cublasStatus_t status, const char* what, const std::string& object) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError("cuBLASLt: " + std::string(what) + " failed for the " + object + ": " +
                      cublasLtGetStatusName(status) + ", " + cublasLtGetStatusString(status));
}

struct DestroyHandle {
  void operator()(cublasLtHandle_t handle) const { cublasLtDestroy(handle); }
};
using Handle = std::shared_ptr<cublasLtContext>;

Handle make_handle(Device device) {
  cublasLtHandle_t handle = nullptr;
  if (const cublasStatus_t status = cublasLtCreate(&handle); status != CUBLAS_STATUS_SUCCESS)
    throw NoDevice("cuBLASLt cannot be used on " + to_string(device) + ": " + cublasLtGetStatusString(status));
  return Handle(handle, DestroyHandle());
}

/// A row-major matrix in memory; `transposed` says how it enters the column-major product.
struct Matrix {
  int rows = 0, columns = 0;
  DType dtype = DType::float32;
  bool transposed = false;
};

std::size_t bytes_of(const Matrix& matrix) { return std::size_t(matrix.rows) * matrix.columns * size_of(matrix.dtype); }

/// What the passes of one block have in common.
struct Target {
  Device device;
  Handle handle;
  std::string object;
  Precision precision;
  EngineSettings engines;
};

/// Column-major: result = left * right, with what happens to the result before it is written.
struct Task {
  Matrix left, right, result;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
};

class ProductPass : public Pass {
 public:
  /// Which operand of run() is the left matrix of the column-major product.
  enum class Left { first, second };

  /// Null where cuBLASLt has no algorithm.
  static std::unique_ptr<ProductPass> plan(const Target& target, const char* name, const Task& task, Left left) {
    std::unique_ptr<ProductPass> pass(new ProductPass(target, task, left));
    const auto proposed = pass->propose_algorithms();
    if (proposed.empty()) return nullptr;
    pass->use(proposed[target.engines.autotune ? pass->fastest_of(proposed, target, name, task) : 0]);
    return pass;
  }

  void run(Stream& stream, const Operands& operands) override {
    if (has_bias_) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias);
    const float one = 1, zero = 0;
    const void* left = left_ == Left::first ? operands.first : operands.second;
    const void* right = left_ == Left::first ? operands.second : operands.first;
    check(cublasLtMatmul(handle_.get(), &operation_, &one, left, &left_layout_, right, &right_layout_, &zero,
                         operands.result, &result_layout_, operands.result, &result_layout_, &algorithm_,
                         operands.workspace, workspace_bytes_, static_cast<cudaStream_t>(stream.native())),
          "cublasLtMatmul", object_);
  }

  [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  ProductPass(const Target& target, const Task& task, Left left)
      : handle_(target.handle),
        object_(target.object),
        left_(left),
        has_bias_(task.epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
    const auto compute = target.precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescInit(&operation_, compute, CUDA_R_32F), "cublasLtMatmulDescInit", object_);
    set(CUBLASLT_MATMUL_DESC_TRANSA, task.left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, task.right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, task.epilogue);
    if (has_bias_) {
      // The choice of an algorithm reads off this address, which is never followed, how the bias is aligned.
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, std::uintptr_t(alignment));
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, std::int32_t(CUDA_R_32F));
    }
    describe_layout(left_layout_, task.left);
    describe_layout(right_layout_, task.right);
    describe_layout(result_layout_, task.result);
  }

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(&operation_, attribute, &value, sizeof(value)),
          "cublasLtMatmulDescSetAttribute", object_);
  }

  void describe_layout(cublasLtMatrixLayoutOpaque_t& layout, const Matrix& matrix) const {
    const cudaDataType_t type = matrix.dtype == DType::float32 ? CUDA_R_32F : CUDA_R_16BF;
    check(cublasLtMatrixLayoutInit(&layout, type, matrix.columns, matrix.rows, matrix.columns),
          "cublasLtMatrixLayoutInit", object_);
  }

  using Proposal = cublasLtMatmulHeuristicResult_t;

  void use(const Proposal& proposal) {
    algorithm_ = proposal.algo;
    workspace_bytes_ = proposal.workspaceSize;
  }

  /// The best first.
  std::vector<Proposal> propose_algorithms() {
    cublasLtMatmulPreferenceOpaque_t preference;
    check(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit", object_);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof(value)),
            "cublasLtMatmulPreferenceSetAttribute", object_);
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace_bytes);
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(attribute, alignment);
    std::vector<Proposal> found(most_candidates);
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_.get(), &operation_, &left_layout_, &right_layout_, &result_layout_,
                                       &result_layout_, &preference, most_candidates, found.data(), &count);
    // Either says that there is no algorithm for a combination of dtypes and epilogue.
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return {};
    check(status, "cublasLtMatmulAlgoGetHeuristic", object_);
    found.resize(static_cast<std::size_t>(count));
    std::erase_if(found, [](const Proposal& proposal) { return proposal.state != CUBLAS_STATUS_SUCCESS; });
    return found;
  }

  std::size_t fastest_of(const std::vector<Proposal>& proposed, const Target& target, const char* name,
                         const Task& task) {
    const char* to_float = task.result.dtype == task.left.dtype ? "" : " to float32";
    std::vector<std::string> engines;
    for (const Proposal& proposal : proposed) engines.push_back(name_of(proposal.algo));
    auto cache = EngineCache::of_user(describe(target.device) + ", cuBLASLt " + std::to_string(cublasLtGetVersion()));
    return cache.choose(
        engine_task(target.precision, target.engines, std::string(name) + to_float, object_), engines, [&] {
          Stream stream(target.device);
          TrialTensors tensors(stream);
          const void* left = tensors.add(bytes_of(task.left));
          const void* right = tensors.add(bytes_of(task.right));
          Operands operands{.first = left_ == Left::first ? left : right,
                            .second = left_ == Left::first ? right : left,
                            .bias = static_cast<const float*>(tensors.add(task.result.columns * sizeof(float))),
                            .result = tensors.add(bytes_of(task.result)),
                            .workspace = tensors.add(most_workspace_bytes)};
          return fastest(stream, proposed.size(), [&](std::size_t i) {
            use(proposed[i]);
            run(stream, operands);
          });
        });
  }

  void get(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
           std::size_t size, std::size_t& bytes) const {
    check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, value, size, &bytes),
          "cublasLtMatmulAlgoConfigGetAttribute", object_);
  }

  /// "algorithm 66, tile 20, stages 36, ...": what tells the proposals for one product apart.
  [[nodiscard]] std::string name_of(const cublasLtMatmulAlgo_t& algorithm) const {
    constexpr std::array attributes{std::pair("algorithm", CUBLASLT_ALGO_CONFIG_ID),
                                    std::pair("tile", CUBLASLT_ALGO_CONFIG_TILE_ID),
                                    std::pair("stages", CUBLASLT_ALGO_CONFIG_STAGES_ID),
                                    std::pair("split", CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
                                    std::pair("reduction", CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME),
                                    std::pair("swizzle", CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
                                    std::pair("option", CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
                                    std::pair("inner", CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID),
                                    std::pair("cluster", CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID)};
    std::string name;
    for (const auto& [key, attribute] : attributes) {
      std::uint32_t value = 0;
      std::size_t bytes = 0;  // two or four
      get(algorithm, attribute, nullptr, 0, bytes);
      get(algorithm, attribute, &value, bytes, bytes);
      name += (name.empty() ? "" : ", ") + std::string(key) + ' ' + std::to_string(value);
    }
    return name;
  }

  Handle handle_;
  std::string object_;
  Left left_;
  bool has_bias_;
  cublasLtMatmulDescOpaque_t operation_{};
  cublasLtMatrixLayoutOpaque_t left_layout_{}, right_layout_{}, result_layout_{};
  cublasLtMatmulAlgo_t algorithm_{};
  std::size_t workspace_bytes_ = 0;
};

/// What cuBLASLt can do to the result by itself; nothing for leaky ReLU.
std::optional<cublasLtEpilogue_t> fused_epilogue(Activation activation) {
  switch (activation) {
    case Activation::none:
      return CUBLASLT_EPILOGUE_BIAS;
    case Activation::relu:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Activation::leaky:
      return std::nullopt;
  }
  return std::nullopt;
}

std::unique_ptr<ProductPass> planned(const Target& target, const char* name, const Task& task, ProductPass::Left left) {
  auto pass = ProductPass::plan(target, name, task, left);
  if (!pass)
    throw DeviceError("cuBLASLt has no algorithm for the " + std::string(name) + " pass of the " + target.object);
  return pass;
}

}  // namespace

std::unique_ptr<Block> make_product(Device device, const ProductShape& shape, Activation activation,
                                    const BlockOptions& options) {
  using Left = ProductPass::Left;
  use_device(device);
  const std::string object = describe(shape);
  const Target target{device, make_handle(device), object, options.precision, options.engines};
  const DType dtype = options.dtype();
  const Matrix input{shape.batch, shape.inputs, dtype}, weights{shape.outputs, shape.inputs, dtype},
      output{shape.batch, shape.outputs, options.output_dtype()}, output_gradient{shape.batch, shape.outputs, dtype},
      weight_gradient{shape.outputs, shape.inputs, DType::float32};
  const auto transposed = [](Matrix matrix) {
    matrix.transposed = true;
    return matrix;
  };

  Passes passes;
  Task forward{.left = transposed(weights), .right = input, .result = output};
  if (const auto epilogue = fused_epilogue(activation)) {
    Task fused = forward;
    fused.epilogue = *epilogue;
    passes.forward = ProductPass::plan(
        target, activation == Activation::relu ? "forward with ReLU" : "forward with bias", fused, Left::second);
    passes.fused = passes.forward != nullptr;
  }
  if (!passes.forward) passes.forward = planned(target, "forward", forward, Left::second);
  if (options.training)
    passes.backward_weights =
        planned(target, "backward weights",
                {.left = input, .right = transposed(output_gradient), .result = weight_gradient}, Left::first);
  if (options.training && options.input_gradient)
    passes.backward_data =
        planned(target, "backward data", {.left = weights, .right = output_gradient, .result = input}, Left::second);
  const Extents extents{.input = std::size_t(shape.batch) * shape.inputs,
                        .weights = std::size_t(shape.outputs) * shape.inputs,
                        .rows = std::size_t(shape.batch),
                        .channels = shape.outputs};
  return std::make_unique<CudaBlock>(device, object, extents, activation, options, std::move(passes));
}

}  // namespace gridspot::cuda
