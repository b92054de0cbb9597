#pragma once
// What block.cpp chooses between. A namespace is defined where its library is part of the build.
#include <memory>

#include "nn/block.h"

namespace gridspot::onednn {
int preferred_group(int channels);
std::unique_ptr<Block> make_convolution(const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options);
std::unique_ptr<Block> make_product(const ProductShape& shape, Activation activation, const BlockOptions& options);
bool takes_pool(const ConvolutionShape& shape, const BlockOptions& options);
}  // namespace gridspot::onednn

namespace gridspot::cuda {
std::unique_ptr<Block> make_convolution(Device device, const ConvolutionShape& shape, Activation activation,
                                        const BlockOptions& options);
std::unique_ptr<Block> make_product(Device device, const ProductShape& shape, Activation activation,
                                    const BlockOptions& options);
}  // namespace gridspot::cuda
