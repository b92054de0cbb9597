#pragma once
// The part of conv_cudnn.cpp that needs no GPU, for tests.
#include <cstdint>
#include <string>
#include <vector>

#include "nn/block.h"

namespace gridspot::cuda {

/// What a graph writes, as cudnn-frontend derives it: dimensions in the order N, C, H, W, and the strides in elements.
struct GraphResult {
  std::string graph;
  std::vector<std::int64_t> dimensions, strides;
};

/// Builds every graph that make_convolution() may hand to cuDNN for this block and has cudnn-frontend validate it.
/// Throws DeviceError with its text.
std::vector<GraphResult> validate_convolution_graphs(const ConvolutionShape& shape, Activation activation);

}  // namespace gridspot::cuda
