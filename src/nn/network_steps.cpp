#include "nn/network_steps.h"

namespace gridspot {

Activation activation_of(const NetworkLayer& layer) {
  if (const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec)) return convolution->activation;
  const auto* product = std::get_if<FullyConnectedLayer>(&layer.spec);
  return product ? product->activation : Activation::none;
}

bool is_max_pool(const NetworkLayer& layer) { return std::holds_alternative<MaxPoolLayer>(layer.spec); }
bool is_pool(const NetworkLayer& layer) {
  return is_max_pool(layer) || std::holds_alternative<AveragePoolLayer>(layer.spec);
}

ConvolutionShape convolution_shape(const NetworkLayer& layer, int batch) {
  const auto& [filters, size, stride, padding, activation] = std::get<ConvolutionLayer>(layer.spec);
  return {batch, layer.input.height, layer.input.width, layer.input.channels, filters, size, stride, padding};
}

void take_in_pools(Device device, int batch, const BlockOptions& options, std::vector<Step>& steps,
                   std::size_t& first_head) {
  // The last layer's output stays float32 under bf16, so it is no pool's.
  for (std::size_t i = 0; i + 2 < steps.size(); ++i) {
    NetworkLayer &layer = steps[i].layer, &next = steps[i + 1].layer;
    const auto* pool = std::get_if<MaxPoolLayer>(&next.spec);
    if (!std::holds_alternative<ConvolutionLayer>(layer.spec) || pool == nullptr || pool->size != 2 ||
        pool->stride != 2 || first_head == i + 1)
      continue;
    BlockOptions with_groups = options;
    with_groups.input_gradient = i > 0;
    with_groups.input_group = steps[i].input_group;
    with_groups.output_group = steps[i].output_group;
    if (!takes_pool(device, convolution_shape(layer, batch), with_groups)) continue;
    layer.name += " with " + next.name;
    layer.output = next.output;
    steps[i].pools = true;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    if (first_head > i) --first_head;
  }
}

void choose_groups(Device device, std::vector<Step>& steps) {
  int group = steps.back().layer.output.channels;
  for (std::size_t i = steps.size(); i-- > 0;) {
    Step& step = steps[i];
    step.output_group = group;
    const int channels = step.layer.input.channels;
    if (std::holds_alternative<ConvolutionLayer>(step.layer.spec))
      group = preferred_group(device, channels);
    else if (!is_pool(step.layer))
      group = channels;
    step.input_group = group;
  }
  for (auto& step : steps) {
    step.input_group = step.layer.input.channels;
    if (!is_pool(step.layer)) break;
    step.output_group = step.input_group;
  }
}

float slope_before(const std::vector<Step>& steps, std::size_t pool) {
  return pool == 0 ? 1 : negative_slope(activation_of(steps[pool - 1].layer));
}

PoolShape pool_shape(const Step& step, int batch) {
  const auto& pool = std::get<MaxPoolLayer>(step.layer.spec);
  const ImageShape& in = step.layer.input;
  return {batch * (in.channels / step.input_group), in.height, in.width, step.input_group, pool.size, pool.stride};
}

}  // namespace gridspot
