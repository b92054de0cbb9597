// Products through cuBLASLt. It counts matrices by columns: a row-major [rows, columns] matrix is its column-major
// [columns, rows], so each pass computes the transpose of what the block defines and nothing is moved.
#include <cublasLt.h>

#include <cstdint>
#include <optional>

#include "device/stream.h"
#include "gridspot/error.h"
#include "nn/block_libraries.h"
#include "nn/cuda_block.h"

namespace gridspot::cuda {

namespace {

constexpr std::size_t most_workspace_bytes = std::size_t(32) << 20;  // what cuBLAS asks for on Hopper
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
  static std::unique_ptr<ProductPass> plan(const Handle& handle, const std::string& object, const Task& task, Left left,
                                           Precision precision) {
    std::unique_ptr<ProductPass> pass(new ProductPass(handle, object, task, left, precision));
    return pass->choose_algorithm() ? std::move(pass) : nullptr;
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
  ProductPass(const Handle& handle, const std::string& object, const Task& task, Left left, Precision precision)
      : handle_(handle), object_(object), left_(left), has_bias_(task.epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
    const auto compute = precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
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

  bool choose_algorithm() {
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
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle_.get(), &operation_, &left_layout_, &right_layout_, &result_layout_,
                                       &result_layout_, &preference, 1, &found, &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return false;
    check(status, "cublasLtMatmulAlgoGetHeuristic", object_);
    if (count == 0 || found.state != CUBLAS_STATUS_SUCCESS) return false;
    algorithm_ = found.algo;
    workspace_bytes_ = found.workspaceSize;
    return true;
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

std::unique_ptr<ProductPass> planned(std::unique_ptr<ProductPass> pass, const char* which, const std::string& object) {
  if (!pass) throw DeviceError("cuBLASLt has no algorithm for the " + std::string(which) + " pass of the " + object);
  return pass;
}

}  // namespace

std::unique_ptr<Block> make_product(Device device, const ProductShape& shape, Activation activation,
                                    const BlockOptions& options) {
  using Left = ProductPass::Left;
  use_device(device);
  const std::string object = describe(shape);
  const Handle handle = make_handle(device);
  const auto plan = [&](const Task& task, Left left) {
    return ProductPass::plan(handle, object, task, left, options.precision);
  };
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
    passes.forward = plan(fused, Left::second);
    passes.fused = passes.forward != nullptr;
  }
  if (!passes.forward) passes.forward = planned(plan(forward, Left::second), "forward", object);
  if (options.training)
    passes.backward_weights =
        planned(plan({.left = input, .right = transposed(output_gradient), .result = weight_gradient}, Left::first),
                "backward weights", object);
  if (options.training && options.input_gradient)
    passes.backward_data = planned(plan({.left = weights, .right = output_gradient, .result = input}, Left::second),
                                   "backward data", object);
  const Extents extents{.input = std::size_t(shape.batch) * shape.inputs,
                        .weights = std::size_t(shape.outputs) * shape.inputs,
                        .rows = std::size_t(shape.batch),
                        .channels = shape.outputs};
  return std::make_unique<CudaBlock>(device, object, extents, activation, options, std::move(passes));
}

}  // namespace gridspot::cuda
