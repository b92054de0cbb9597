#include "nn/network_executor.h"

#include <algorithm>
#include <array>
#include <utility>

#include "gridspot/error.h"
#include "kernels/average_pool.h"
#include "kernels/max_pool.h"

namespace gridspot {
namespace {

/// Where a layer's parameters lie in the flat buffer.
struct ParameterPlace {
  std::size_t weight = 0, weight_size = 0, bias = 0, bias_size = 0;
};

/// A layer as it runs.
struct Step {
  NetworkLayer layer;
  int input_group = 0, output_group = 0;  ///< see block.h
  std::unique_ptr<Block> block;           ///< of layers with parameters
  ParameterPlace place;
  Buffer<float> output;  ///< kept for backward; empty where activations share buffers
  Buffer<std::uint8_t> choice;
};

bool is_max_pool(const NetworkLayer& layer) { return std::holds_alternative<MaxPoolLayer>(layer.spec); }
bool is_pool(const NetworkLayer& layer) {
  return is_max_pool(layer) || std::holds_alternative<AveragePoolLayer>(layer.spec);
}

/// Chooses the layout of every activation. Convolutions get what their library prefers; pools keep a layout; what the
/// caller sees and what is flattened is channels-last.
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

/// The negative slope of the activation whose derivative the max pool behind it takes along (see max_pool_backward).
float slope_before(const std::vector<Step>& steps, std::size_t pool) {
  const auto* layer = pool == 0 ? nullptr : std::get_if<ConvolutionLayer>(&steps[pool - 1].layer.spec);
  return layer == nullptr ? 1 : negative_slope(layer->activation);
}

PoolShape pool_shape(const Step& step, int batch) {
  const auto& pool = std::get<MaxPoolLayer>(step.layer.spec);
  const ImageShape& in = step.layer.input;
  return {batch * (in.channels / step.input_group), in.height, in.width, step.input_group, pool.size, pool.stride};
}

}  // namespace

struct NetworkExecutor::Implementation {
  Implementation(const Network& network, Device on, int batch_size, const ExecutorOptions& wanted)
      : device(on), batch(batch_size), options(wanted), buffer_size(network.buffer_size()) {
    require(batch >= 1, "the batch must be at least 1, it is " + std::to_string(batch));
    for (const auto& layer : network.layers()) steps.emplace_back().layer = layer;
    choose_groups(device, steps);
    first_head = network.spec().backbone.size();
    head_offset = network.head_offset();
    find_parameters(network);
    make_blocks();
    allocate();
  }

  std::size_t elements(const ImageShape& shape) const { return shape.size() * batch; }

  void find_parameters(const Network& network) {
    auto parameter = network.parameters().begin();
    for (auto& step : steps) {
      if (is_pool(step.layer)) continue;
      const auto& weight = *parameter++;
      const auto& bias = *parameter++;
      step.place = {weight.offset, weight.size, bias.offset, bias.size};
    }
    std::size_t end = 0;
    const auto add_gap = [&](std::size_t next) {
      if (next > end) gaps.push_back({end, next - end});
    };
    for (const auto& each : network.parameters()) {
      add_gap(each.offset);
      end = each.offset + each.size;
    }
    add_gap(buffer_size);
    const auto first = std::find_if(steps.begin(), steps.end(), [](const Step& step) { return !is_pool(step.layer); });
    first_trained = static_cast<std::size_t>(first - steps.begin());
  }

  void make_blocks() {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      Step& step = steps[i];
      const ImageShape &in = step.layer.input, &out = step.layer.output;
      const BlockOptions block_options{.training = options.training,
                                       .input_gradient = i != first_trained,
                                       .masks_gradient = i + 1 == steps.size() || !is_max_pool(steps[i + 1].layer),
                                       .deterministic = options.deterministic,
                                       .precision = options.precision,
                                       .input_group = step.input_group,
                                       .output_group = step.output_group};
      if (const auto* convolution = std::get_if<ConvolutionLayer>(&step.layer.spec))
        step.block = make_convolution(device,
                                      {batch, in.height, in.width, in.channels, convolution->filters, convolution->size,
                                       convolution->stride, convolution->padding},
                                      convolution->activation, block_options);
      if (const auto* product = std::get_if<FullyConnectedLayer>(&step.layer.spec))
        step.block = make_product(device, {batch, static_cast<int>(in.size()), out.channels}, product->activation,
                                  block_options);
    }
  }

  template <class T>
  Buffer<T> planned(const std::string& purpose, std::size_t count) {
    plan.push_back({purpose, count * sizeof(T)});
    return Buffer<T>(device, count);
  }

  void allocate() {
    std::size_t largest = 0, largest_choice = 0, workspace_bytes = 0;
    for (auto& step : steps) {
      const std::size_t count = elements(step.layer.output);
      const bool chooses = is_max_pool(step.layer);
      largest = std::max(largest, count);
      if (chooses) largest_choice = std::max(largest_choice, count);
      if (step.block) workspace_bytes = std::max(workspace_bytes, step.block->workspace_bytes());
      if (!options.training) continue;
      step.output = planned<float>("activations of " + step.layer.name, count);
      if (chooses) step.choice = planned<std::uint8_t>("choices of " + step.layer.name, count);
    }
    const std::string shared = options.training ? "gradients, buffer " : "activations, buffer ";
    for (std::size_t i = 0; i < shared_buffers.size(); ++i)
      shared_buffers[i] = planned<float>(shared + std::to_string(i + 1), largest);
    if (!options.training) shared_choice = planned<std::uint8_t>("choices", largest_choice);
    workspace = planned<std::byte>("workspace", workspace_bytes);
  }

  DeviceSpan<float> output_of(std::size_t i) const {
    const Step& step = steps[i];
    return options.training ? step.output.span() : shared_buffers[i % 2].span().subspan(0, elements(step.layer.output));
  }
  DeviceSpan<std::uint8_t> choice_of(const Step& step) const {
    return options.training ? step.choice.span() : shared_choice.span().subspan(0, elements(step.layer.output));
  }
  DeviceSpan<const float> input_of(std::size_t i) const { return i == 0 ? input : output_of(i - 1); }

  void forward(Stream& stream, DeviceSpan<const float> weights, std::size_t i) {
    const Step& step = steps[i];
    const auto from = input_of(i);
    const auto to = output_of(i);
    const ImageShape &in = step.layer.input, &out = step.layer.output;
    if (step.block) {
      const ParameterPlace& p = step.place;
      step.block->forward(stream, {from, weights.subspan(p.weight, p.weight_size), weights.subspan(p.bias, p.bias_size),
                                   to, workspace.span()});
    } else if (is_max_pool(step.layer)) {
      max_pool<float>(stream, pool_shape(step, batch), from, to, choice_of(step));
    } else {
      adaptive_average_pool<float>(stream, batch * (in.channels / step.input_group), in.height, in.width,
                                   step.input_group, out.height, out.width, from, to);
    }
  }

  void backward(Stream& stream, DeviceSpan<const float> weights, std::size_t i, DeviceSpan<float> output_gradient,
                DeviceSpan<float> input_gradient, DeviceSpan<float> gradient) {
    const Step& step = steps[i];
    const ImageShape &in = step.layer.input, &out = step.layer.output;
    if (step.block) {
      const ParameterPlace& p = step.place;
      step.block->backward(
          stream, {input_of(i), step.output, weights.subspan(p.weight, p.weight_size), output_gradient, input_gradient,
                   gradient.subspan(p.weight, p.weight_size), gradient.subspan(p.bias, p.bias_size), workspace.span()});
    } else if (is_max_pool(step.layer)) {
      max_pool_backward<float>(stream, pool_shape(step, batch), step.choice, step.output, slope_before(steps, i),
                               output_gradient, input_gradient);
    } else {
      adaptive_average_pool_backward<float>(stream, batch * (in.channels / step.input_group), in.height, in.width,
                                            step.input_group, out.height, out.width, output_gradient, input_gradient);
    }
  }

  Device device;
  int batch;
  ExecutorOptions options;
  std::size_t buffer_size;
  std::vector<Step> steps;
  std::size_t first_head = 0, head_offset = 0;
  std::size_t first_trained = 0;                          ///< before it, nobody needs a gradient
  std::vector<std::pair<std::size_t, std::size_t>> gaps;  ///< offset and size, between the parameters
  std::array<Buffer<float>, 2> shared_buffers;
  Buffer<std::uint8_t> shared_choice;
  Buffer<std::byte> workspace;
  std::vector<PlannedBuffer> plan;
  DeviceSpan<const float> input;  ///< of the last forward
};

NetworkExecutor::NetworkExecutor(const Network& network, Device device, int batch, const ExecutorOptions& options)
    : implementation_(std::make_unique<Implementation>(network, device, batch, options)) {}
NetworkExecutor::~NetworkExecutor() = default;
NetworkExecutor::NetworkExecutor(NetworkExecutor&&) noexcept = default;
NetworkExecutor& NetworkExecutor::operator=(NetworkExecutor&&) noexcept = default;

int NetworkExecutor::batch() const { return implementation_->batch; }

DeviceSpan<const float> NetworkExecutor::forward(Stream& stream, DeviceSpan<const float> weights,
                                                 DeviceSpan<const float> input) {
  Implementation& self = *implementation_;
  require(weights.size == self.buffer_size, "forward: the weights do not have the size of the network's flat buffer");
  require(input.size == self.elements(self.steps[0].layer.input),
          "forward: the input does not have the size of the batch");
  self.input = input;
  for (std::size_t i = 0; i < self.steps.size(); ++i) self.forward(stream, weights, i);
  return self.output_of(self.steps.size() - 1);
}

void NetworkExecutor::backward(Stream& stream, DeviceSpan<const float> weights, DeviceSpan<float> output_gradient,
                               DeviceSpan<float> gradient, TrainedPart part) {
  Implementation& self = *implementation_;
  require(self.options.training, "backward: the executor was not built for training");
  require(self.input.data != nullptr, "backward: there was no forward before");
  require(weights.size == self.buffer_size && gradient.size == self.buffer_size,
          "backward: weights or gradient do not have the size of the network's flat buffer");
  require(output_gradient.size == self.elements(self.steps.back().layer.output),
          "backward: the output's gradient does not have the size of the output");
  const std::size_t end =
      part == TrainedPart::head ? std::max(self.first_head, self.first_trained) : self.first_trained;
  for (std::size_t i = self.steps.size(); i-- > end;) {
    const bool needed = i > self.first_trained;
    const auto input_gradient =
        needed ? self.shared_buffers[i % 2].span().subspan(0, self.elements(self.steps[i].layer.input))
               : DeviceSpan<float>();
    self.backward(stream, weights, i, output_gradient, input_gradient, gradient);
    output_gradient = input_gradient;
  }
  for (const auto& [offset, count] : self.gaps)
    if (part == TrainedPart::all || offset >= self.head_offset)
      fill_bytes(stream, gradient.data + offset, 0, count * sizeof(float));
}

const std::vector<NetworkExecutor::PlannedBuffer>& NetworkExecutor::plan() const { return implementation_->plan; }

std::size_t NetworkExecutor::planned_bytes() const {
  std::size_t bytes = 0;
  for (const auto& buffer : plan()) bytes += buffer.bytes;
  return bytes;
}

}  // namespace gridspot
