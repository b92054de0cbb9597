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

void take_in_pool(Device device, int batch, Precision precision, std::vector<Step>& steps, std::size_t& first_head) {
  // The last layer's output stays float32 under bf16, so what is left must be more than the first.
  if (steps.size() < 3 || first_head == 1) return;
  NetworkLayer &first = steps[0].layer, &second = steps[1].layer;
  const auto* pool = std::get_if<MaxPoolLayer>(&second.spec);
  if (!std::holds_alternative<ConvolutionLayer>(first.spec) || pool == nullptr || pool->size != 2 || pool->stride != 2)
    return;
  const BlockOptions options{.input_gradient = false, .precision = precision};
  if (!takes_pool(device, convolution_shape(first, batch), options)) return;
  first.name += " with " + second.name;
  first.output = second.output;
  steps[0].pools = true;
  steps.erase(steps.begin() + 1);
  if (first_head != 0) --first_head;
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
