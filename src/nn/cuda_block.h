#pragma once
// What convolutions and products share on CUDA: a block made of up to three passes of a library, with gridspot's own
// kernels for what the library does not fuse.
#include <cstddef>
#include <memory>
#include <string>

#include "nn/block.h"

namespace gridspot::cuda {

/// One call of a library, planned at construction.
class Pass {
 public:
  virtual ~Pass() = default;
  Pass() = default;
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  struct Operands {
    const void* first = nullptr;
    const void* second = nullptr;
    const float* bias = nullptr;  ///< of a fused forward pass
    const void* input = nullptr;  ///< the block's, of a fused backward pass of the data
    void* result = nullptr;
    void* workspace = nullptr;
  };
  /// Enqueues result = first * second (with bias, activation or its derivative where they are fused).
  virtual void run(Stream& stream, const Operands& operands) = 0;
  [[nodiscard]] virtual std::size_t workspace_bytes() const = 0;
};

/// A pass with a result of `elements` float32, which `pass` gives in bfloat16.
std::unique_ptr<Pass> widened(std::unique_ptr<Pass> pass, std::size_t elements);

/// forward: (input, weights, bias) to output; backward_weights: (input, output gradient) to weight gradient;
/// backward_data: (output gradient, weights) to input gradient. What the options do not ask for is null.
struct Passes {
  std::unique_ptr<Pass> forward, backward_weights, backward_data;
  bool fused = false;                 ///< forward adds the bias and applies the activation
  bool masks_input_gradient = false;  ///< backward_data takes the derivative of BlockOptions::input_activation along
};

/// Elements of a block's tensors; the output is [rows, channels].
struct Extents {
  std::size_t input = 0, weights = 0, rows = 0;
  int channels = 0;
};

/// Takes tensors aligned to 16 bytes: the libraries choose kernels that load as much at once.
class CudaBlock : public Block {
 public:
  /// `name` describes the block in messages.
  CudaBlock(Device device, std::string name, const Extents& extents, Activation activation, const BlockOptions& options,
            Passes passes);

  void forward(Stream& stream, const Forward& arguments) override;
  void backward(Stream& stream, const Backward& arguments) override;
  [[nodiscard]] bool masks_input_gradient() const override { return passes_.masks_input_gradient; }
  [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  void require_workspace(DeviceSpan<std::byte> workspace) const;
  [[nodiscard]] std::size_t partials() const;

  Device device_;
  std::string name_;
  Extents extents_;
  float slope_;
  BlockOptions options_;
  Passes passes_;
  std::size_t workspace_bytes_;
};

/// Makes the device the calling thread's current one; throws NoDevice where there is none of that index.
void use_device(Device device);

/// "3x3 convolution, stride 2, padding 1, of 8 x 112 x 112 x 32 to 64 filters" and "product of 8 x 256 with 10
/// outputs".
std::string describe(const ConvolutionShape& shape);
std::string describe(const ProductShape& shape);

}  // namespace gridspot::cuda
