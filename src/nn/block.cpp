#include "nn/block.h"

#include "gridspot/error.h"
#include "nn/block_libraries.h"
#include "nn/stem_block.h"

namespace gridspot {
namespace {

[[noreturn]] [[maybe_unused]] void fail_without(const char* library, Device device) {
  throw NoDevice("gridspot was built without " + std::string(library) + ", which networks on " + to_string(device) +
                 " need");
}

void check(const ConvolutionShape& shape) {
  require(shape.batch >= 1 && shape.height >= 1 && shape.width >= 1 && shape.input_channels >= 1 && shape.filters >= 1,
          "a convolution's batch, sides, channels and filters must be positive");
  require(shape.size >= 1 && shape.stride >= 1 && shape.padding >= 0 && shape.padding < shape.size,
          "a convolution's size and stride must be positive and its padding below its size");
  require(shape.height + 2 * shape.padding >= shape.size && shape.width + 2 * shape.padding >= shape.size,
          "a convolution of size " + std::to_string(shape.size) + " does not fit its input of " +
              std::to_string(shape.height) + " x " + std::to_string(shape.width));
}

void check(const BlockOptions& options, Activation activation) {
  require(!options.float_output || activation == Activation::none,
          "a block whose output stays float32 under bf16 cannot have an activation");
}

}  // namespace

void Block::prepare(Stream&, ConstTensorSpan, DeviceSpan<std::byte>) {}

void Block::require_prepared(const Forward& arguments) const {
  require_that(arguments.prepared.size == prepared_bytes(), "forward takes ", prepared_bytes(),
               " bytes of prepared weights, found ", arguments.prepared.size);
}

int preferred_group([[maybe_unused]] Device device, int channels) {
#if GRIDSPOT_WITH_ONEDNN
  if (device.kind == DeviceKind::cpu) return onednn::preferred_group(channels);
#endif
  return channels;
}

std::unique_ptr<Block> make_convolution(Device device, const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options) {
  check(shape);
  check(options, activation);
  require(!options.pools || takes_pool(device, shape, options),
          "a convolution of " + std::to_string(shape.input_channels) + " channels on " + to_string(device) +
              " cannot take in the pool behind it");
  if (device.kind == DeviceKind::cpu) {
#if GRIDSPOT_WITH_ONEDNN
    return onednn::make_convolution(shape, activation, options);
#else
    fail_without("oneDNN", device);
#endif
  }
#if GRIDSPOT_WITH_CUDA
  return cuda::make_convolution(device, shape, activation, options);
#else
  fail_without("CUDA", device);
#endif
}

bool takes_pool(Device device, const ConvolutionShape& shape, const BlockOptions& options) {
  BlockOptions with_pool = options;
  with_pool.pools = true;
  if (device.kind == DeviceKind::cuda) return stem_takes(shape, with_pool);
#if GRIDSPOT_WITH_ONEDNN
  return onednn::takes_pool(shape, with_pool);
#else
  return false;
#endif
}

std::unique_ptr<Block> make_product(Device device, const ProductShape& shape, Activation activation,
                                    const BlockOptions& options) {
  require(shape.batch >= 1 && shape.inputs >= 1 && shape.outputs >= 1,
          "a product's batch, inputs and outputs must be positive");
  check(options, activation);
  if (device.kind == DeviceKind::cpu) {
#if GRIDSPOT_WITH_ONEDNN
    return onednn::make_product(shape, activation, options);
#else
    fail_without("oneDNN", device);
#endif
  }
#if GRIDSPOT_WITH_CUDA
  return cuda::make_product(device, shape, activation, options);
#else
  fail_without("CUDA", device);
#endif
}

}  // namespace gridspot
