#pragma once
// The one interface to the vendor libraries: a block is a convolution or a matrix product with its bias and activation,
// forward and backward. oneDNN implements it on the CPU, cuDNN and cuBLASLt on CUDA.
//
// Activations are [batch, channels / group, height, width, group]. A group of all channels is channels-last (NHWC), the
// only layout on CUDA; groups of 8 or 16 are what oneDNN's kernels are fastest with (with groups of 8 on AVX2 the
// backward pass of the weights takes a third to a half of the time). Kernels that treat channels alike, such as
// pooling, see a grouped tensor as channels-last with batch * channels / group images of `group` channels.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/tensor_span.h"

namespace gridspot {

enum class Activation { none, relu, leaky };
inline constexpr float leaky_slope = 0.1f;

/// What multiplies the negative half: 1 for none, 0 for ReLU.
constexpr float negative_slope(Activation activation) {
  return activation == Activation::none ? 1.0f : activation == Activation::relu ? 0.0f : leaky_slope;
}

/// How a network computes; sums are float32 in each.
/// tf32: products of CUDA's tensor cores may round their factors to 10 bits of mantissa; the CPU computes in float32,
/// by an algorithm that rounds more where that is faster (nn/winograd.h). bf16: activations, their gradients and the
/// weights that products take are bfloat16; biases and the gradients of parameters are float32. Without AMX the CPU
/// multiplies them as tf32 does where it has its own kernels; for other products, where it has no AVX512_BF16 either,
/// every operand is widened to float32 first, which gives the same numbers and takes longer than fp32.
enum class Precision { fp32, tf32, bf16 };

/// Of activations and of the weights as products take them.
constexpr DType activation_dtype(Precision precision) {
  return precision == Precision::bf16 ? DType::bfloat16 : DType::float32;
}

/// Which engines cuDNN and cuBLASLt compute with; the CPU has one for each task.
struct EngineSettings {
  bool deterministic = true;  ///< only engines that give the same bits on every run on the same device
  bool autotune = false;      ///< measure what the libraries propose, once (engine_cache.h); else their first proposal
};

/// input: batch x height x width x input_channels; weights [filters, size, size, input_channels]; bias [filters];
/// output: batch x output_height x output_width x filters. Zeros pad every side by `padding`.
struct ConvolutionShape {
  int batch = 0, height = 0, width = 0, input_channels = 0, filters = 0;
  int size = 3, stride = 1, padding = 1;
  [[nodiscard]] constexpr int output_height() const { return (height + 2 * padding - size) / stride + 1; }
  [[nodiscard]] constexpr int output_width() const { return (width + 2 * padding - size) / stride + 1; }
};

/// input [batch, inputs], weights [outputs, inputs], bias [outputs], output [batch, outputs].
struct ProductShape {
  int batch = 0, inputs = 0, outputs = 0;
};

struct BlockOptions {
  bool training = true;        ///< backward will be called
  bool input_gradient = true;  ///< backward writes the gradient of the input; the first layer needs none
  bool masks_gradient = true;  ///< else output_gradient is already that before the activation
  Activation input_activation = Activation::none;  ///< what gave the input; see Block::masks_input_gradient()
  EngineSettings engines;
  Precision precision = Precision::tf32;
  int threads = 1;            ///< of the CPU, for one forward call; training has one
  bool float_output = false;  ///< the output is float32 under bf16 too, its gradient is not; without an activation only
  bool pools = false;         ///< a max pool of size and stride 2 is part of the block; see takes_pool()
  int input_group = 0, output_group = 0;  ///< of a convolution's activations; 0 is all channels

  [[nodiscard]] constexpr DType dtype() const { return activation_dtype(precision); }
  [[nodiscard]] constexpr DType output_dtype() const { return float_output ? DType::float32 : dtype(); }
};

/// The group that the device's convolutions prefer for activations of so many channels; `channels` where that is
/// channels-last.
int preferred_group(Device device, int channels);

/// Untyped tensors have the dtype BlockOptions::dtype(), the output output_dtype(). Others are refused (InvalidInput);
/// see rounds_input() for an exception.
class Block {
 public:
  virtual ~Block() = default;

  struct Forward {
    ConstTensorSpan input, weights;
    DeviceSpan<const float> bias;
    TensorSpan output;
    DeviceSpan<std::byte> workspace;
    DeviceSpan<std::uint8_t> choice = {};       ///< of the pool (see max_pool), empty without one
    DeviceSpan<const std::byte> prepared = {};  ///< what prepare() made of the weights
  };
  /// output = activation(input * weights + bias), or its maxima.
  virtual void forward(Stream& stream, const Forward& arguments) = 0;

  struct Backward {
    ConstTensorSpan input, output, weights;
    TensorSpan output_gradient;  ///< may be overwritten
    TensorSpan input_gradient;   ///< empty where BlockOptions::input_gradient is off
    DeviceSpan<float> weight_gradient, bias_gradient;
    DeviceSpan<std::byte> workspace;
    DeviceSpan<const std::uint8_t> choice = {};  ///< what forward wrote
  };
  /// Writes every element of the three gradients.
  virtual void backward(Stream& stream, const Backward& arguments) = 0;

  /// Whether the input gradient that backward writes is already that before BlockOptions::input_activation, which a
  /// library may take along where it is free.
  [[nodiscard]] virtual bool masks_input_gradient() const { return false; }

  /// Whether forward also takes an input of float32 where it has bf16 and is not built for training, and rounds it.
  [[nodiscard]] virtual bool rounds_input() const { return false; }

  /// Puts the weights in the format that forward multiplies; once for weights that many calls take.
  virtual void prepare(Stream& stream, ConstTensorSpan weights, DeviceSpan<std::byte> prepared);
  /// The size of `prepared`, which is aligned as the workspace is. 0, as always in training: forward needs none.
  [[nodiscard]] virtual std::size_t prepared_bytes() const { return 0; }

  /// What forward and backward need in `workspace`, which is aligned to 64 bytes (256 on CUDA) and holds nothing
  /// between calls.
  [[nodiscard]] virtual std::size_t workspace_bytes() const = 0;

 protected:
  /// Throws InvalidInput where forward needs what prepare() makes and was not given it.
  void require_prepared(const Forward& arguments) const;

  Block() = default;
  Block(const Block&) = default;
  Block& operator=(const Block&) = default;
};

/// Plans everything: the calls above allocate no device memory and only enqueue. A block is used by one thread at a
/// time, on streams of its device. Throws InvalidInput for a shape that does not fit, DeviceError where the library has
/// no implementation, NoDevice where gridspot was built without the device's library.
std::unique_ptr<Block> make_convolution(Device device, const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options);
std::unique_ptr<Block> make_product(Device device, const ProductShape& shape, Activation activation,
                                    const BlockOptions& options);

/// Whether make_convolution() takes these arguments with BlockOptions::pools. What such a block pools is never in
/// memory.
bool takes_pool(Device device, const ConvolutionShape& shape, const BlockOptions& options);

}  // namespace gridspot
