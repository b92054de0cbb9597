#pragma once
// A network's first convolution, for images of one channel, with gridspot's own kernels (kernels/stem.h) in place of a
// library's: where there is one input channel, libraries are far from the memory's speed, and cuDNN's engines for the
// weights' gradient ask for hundreds of megabytes. nn/cpu_stem_block.h is for the CPU.
#include <memory>

#include "nn/block.h"

namespace gridspot {

/// Whether make_stem() is made for the convolution: one input channel, size 3, padding 1, no gradient of the input,
/// activations channels-last, and what stem_fits() asks for. With BlockOptions::pools, the pool behind it too.
bool stem_takes(const ConvolutionShape& shape, const BlockOptions& options);

/// For any device; computes in float32 whatever the precision. Throws InvalidInput unless stem_takes().
std::unique_ptr<Block> make_stem(const ConvolutionShape& shape, Activation activation, const BlockOptions& options);

}  // namespace gridspot
