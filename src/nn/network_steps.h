#pragma once
// A network's layers as an executor runs them.
#include <memory>
#include <vector>

#include "device/buffer.h"
#include "kernels/max_pool.h"
#include "nn/network.h"

namespace gridspot {

/// Where a layer's parameters lie in the flat buffer.
struct ParameterPlace {
  std::size_t weight = 0, weight_size = 0, bias = 0, bias_size = 0;
};

/// A layer as it runs.
struct Step {
  NetworkLayer layer;
  int input_group = 0, output_group = 0;  ///< see block.h
  std::unique_ptr<Block> block;           ///< of layers with parameters
  bool pools = false;                     ///< the block takes in the max pool behind its layer
  ParameterPlace place;
  Buffer<std::byte> prepared;  ///< weights, by the block (see Block::prepare)
  DType output_dtype = DType::float32;
  Buffer<std::byte> output;  ///< kept for backward; empty where activations share buffers
  Buffer<std::uint8_t> choice;
};

/// None of pools.
Activation activation_of(const NetworkLayer& layer);

bool is_max_pool(const NetworkLayer& layer);
bool is_pool(const NetworkLayer& layer);

/// Whether the step keeps which element of each window was the largest.
inline bool chooses(const Step& step) { return step.pools || is_max_pool(step.layer); }

/// Of a convolution's layer.
ConvolutionShape convolution_shape(const NetworkLayer& layer, int batch);

/// Lets convolutions take in the max pools behind them, where the device has such blocks (takes_pool()): the two become
/// one step, whose layer has the pool's output. `options` are those of all blocks. first_head, the index of the head's
/// first step, moves along; a backbone and a head stay apart. Layouts are chosen before.
void take_in_pools(Device device, int batch, const BlockOptions& options, std::vector<Step>& steps,
                   std::size_t& first_head);

/// Chooses the layout of every activation. Convolutions get what their library prefers; pools keep a layout; what the
/// caller sees and what is flattened is channels-last.
void choose_groups(Device device, std::vector<Step>& steps);

/// The negative slope of the activation whose derivative the max pool behind it takes along (see max_pool_backward).
float slope_before(const std::vector<Step>& steps, std::size_t pool);

/// Of a max pool, with the groups of channels as images.
PoolShape pool_shape(const Step& step, int batch);

}  // namespace gridspot
