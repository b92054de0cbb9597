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
  DType dtype = DType::float32;
};

/// Builds every graph that make_convolution() may hand to cuDNN for this block and has cudnn-frontend validate it.
/// Throws DeviceError with its text.
std::vector<GraphResult> validate_convolution_graphs(const ConvolutionShape& shape, Activation activation,
                                                     const BlockOptions& options);

struct PlannedPass {
  std::string graph, engine;
  std::size_t workspace_bytes = 0;
  std::string task;                   ///< of the EngineCache
  std::vector<std::string> proposed;  ///< the engines that cuDNN named, the best first
};

/// The passes that make_convolution() would plan on a device that need not be there. `gpu` is its name; `description`
/// is cuDNN's own JSON of a device (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). Where the machine has no driver, cuDNN
/// leaves out the engines that it compiles at run time. Throws InvalidInput for a description that this version of
/// cuDNN does not take.
std::vector<PlannedPass> plan_convolution_without_device(const std::string& gpu, const std::string& description,
                                                         const ConvolutionShape& shape, Activation activation,
                                                         const BlockOptions& options);

}  // namespace gridspot::cuda
