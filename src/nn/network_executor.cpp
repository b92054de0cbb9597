#include "nn/network_executor.h"

#include <algorithm>
#include <array>
#include <utility>

#include "gridspot/error.h"
#include "kernels/average_pool.h"
#include "kernels/convert.h"
#include "kernels/max_pool.h"
#include "nn/network_steps.h"

namespace gridspot {

int sharing_threads(double forward_flop, int threads) {
  constexpr double least_flop = 32e6;
  return static_cast<int>(std::clamp(forward_flop / least_flop, 1.0, static_cast<double>(threads)));
}

struct NetworkExecutor::Implementation {
  Implementation(const Network& network, Device on, int batch_size, const ExecutorOptions& wanted)
      : device(on),
        batch(batch_size),
        options(wanted),
        dtype(activation_dtype(wanted.precision)),
        buffer_size(network.buffer_size()) {
    require(options.threads >= 1 && (options.threads == 1 || !options.training),
            "a forward pass has at least one thread, and training one alone; found " + std::to_string(options.threads));
    require(batch >= 1, "the batch must be at least 1, it is " + std::to_string(batch));
    options.threads = sharing_threads(batch * cost_of(network.spec()).forward_flop, options.threads);
    for (const auto& layer : network.layers()) {
      Step& step = steps.emplace_back();
      step.layer = layer;
      step.output_dtype = dtype;
    }
    steps.back().output_dtype = DType::float32;
    first_head = network.spec().backbone.size();
    choose_groups(device, steps);
    take_in_pools(device, batch, {.training = options.training, .precision = options.precision}, steps, first_head);
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
    bool next_masks = false;  // the gradient that comes from the step behind
    for (std::size_t i = steps.size(); i-- > 0;) {
      Step& step = steps[i];
      const ImageShape &in = step.layer.input, &out = step.layer.output;
      const BlockOptions block_options{
          .training = options.training,
          .input_gradient = i != first_trained,
          .masks_gradient = !next_masks,
          .input_activation = i == 0 ? Activation::none : activation_of(steps[i - 1].layer),
          .engines = options.engines,
          .precision = options.precision,
          .threads = options.threads,
          .float_output = i + 1 == steps.size(),
          .pools = step.pools,
          .input_group = step.input_group,
          .output_group = step.output_group};
      if (const auto* convolution = std::get_if<ConvolutionLayer>(&step.layer.spec))
        step.block =
            make_convolution(device, convolution_shape(step.layer, batch), convolution->activation, block_options);
      if (const auto* product = std::get_if<FullyConnectedLayer>(&step.layer.spec))
        step.block = make_product(device, {batch, static_cast<int>(in.size()), out.channels}, product->activation,
                                  block_options);
      next_masks = step.block ? step.block->masks_input_gradient() : is_max_pool(step.layer);
    }
  }

  template <class T>
  Buffer<T> planned(const std::string& purpose, std::size_t count) {
    plan.push_back({purpose, count * sizeof(T)});
    return Buffer<T>(device, count);
  }

  std::size_t output_bytes(const Step& step) const { return elements(step.layer.output) * size_of(step.output_dtype); }
  /// Whether forward rounds an input of float32 before the first step.
  bool rounds_input() const {
    const bool block_does = steps[0].block && steps[0].block->rounds_input();
    return dtype == DType::bfloat16 && !options.training && !block_does;
  }

  void allocate() {
    std::size_t largest = rounds_input() ? elements(steps[0].layer.input) * size_of(dtype) : 0;
    std::size_t largest_choice = 0, workspace_bytes = 0;
    for (auto& step : steps) {
      const std::size_t bytes = output_bytes(step);
      largest = std::max(largest, bytes);
      if (chooses(step)) largest_choice = std::max(largest_choice, elements(step.layer.output));
      if (step.block) workspace_bytes = std::max(workspace_bytes, step.block->workspace_bytes());
      if (step.block && step.block->prepared_bytes() > 0)
        step.prepared = planned<std::byte>("prepared weights of " + step.layer.name, step.block->prepared_bytes());
      if (!options.training) continue;
      step.output = planned<std::byte>("activations of " + step.layer.name, bytes);
      if (chooses(step))
        step.choice = planned<std::uint8_t>("choices of " + step.layer.name, elements(step.layer.output));
    }
    const std::string shared = options.training ? "gradients, buffer " : "activations, buffer ";
    for (std::size_t i = 0; i < shared_buffers.size(); ++i)
      shared_buffers[i] = planned<std::byte>(shared + std::to_string(i + 1), largest);
    if (!options.training) shared_choice = planned<std::uint8_t>("choices", largest_choice);
    workspace = planned<std::byte>("workspace", workspace_bytes);
  }

  TensorSpan output_of(std::size_t i) const {
    const Step& step = steps[i];
    const Buffer<std::byte>& buffer = options.training ? step.output : shared_buffers[i % 2];
    return {buffer.data(), elements(step.layer.output), step.output_dtype};
  }
  DeviceSpan<std::uint8_t> choice_of(const Step& step) const {
    if (!chooses(step)) return {};
    return options.training ? step.choice.span() : shared_choice.span().subspan(0, elements(step.layer.output));
  }
  ConstTensorSpan input_of(std::size_t i) const { return i == 0 ? input : output_of(i - 1); }
  TensorSpan input_gradient_of(std::size_t i) const {
    return {shared_buffers[i % 2].data(), elements(steps[i].layer.input), dtype};
  }

  void require_weights(const NetworkWeights& weights, const char* caller) const {
    require_that(weights.master.size == buffer_size, caller,
                 ": the weights do not have the size of the network's flat buffer");
    require_that(dtype == DType::float32 || weights.rounded.size == buffer_size, caller,
                 ": bf16 needs the weights rounded to bfloat16 too");
  }
  ConstTensorSpan weights_of(const Step& step, const NetworkWeights& weights) const {
    const ConstTensorSpan all =
        dtype == DType::float32 ? ConstTensorSpan(weights.master) : ConstTensorSpan(weights.rounded);
    return all.subspan(step.place.weight, step.place.weight_size);
  }

  /// Keeps the view. What forward rounds lies where the second layer will write.
  void take_input(Stream& stream, ConstTensorSpan given) {
    require_that(given.size == elements(steps[0].layer.input),
                 "forward: the input does not have the size of the batch");
    if (rounds_input() && given.dtype == DType::float32) {
      const DeviceSpan rounded(reinterpret_cast<bfloat16*>(shared_buffers[1].data()), given.size);
      convert(stream, given.as<float>("the input"), rounded);
      given = rounded;
    }
    if (options.training || given.dtype != DType::float32) given.require_dtype("forward: the input", dtype);
    input = given;
  }

  /// Weights whose changes are counted are prepared once for each.
  void prepare(Stream& stream, const NetworkWeights& weights) {
    if (stream.is_cuda()) return;  // nothing to prepare
    stream.submit([this, weights](Stream& on) {
      if (weights.version && weights.version == prepared && *weights.version == prepared_version) return;
      for (const Step& step : steps)
        if (step.prepared.size() > 0) step.block->prepare(on, weights_of(step, weights), step.prepared);
      prepared = weights.version;
      prepared_version = prepared ? *prepared : 0;
    });
  }

  void forward(Stream& stream, const NetworkWeights& weights, std::size_t i) {
    const Step& step = steps[i];
    const auto from = input_of(i);
    const auto to = output_of(i);
    const ImageShape &in = step.layer.input, &out = step.layer.output;
    if (step.block) {
      const ParameterPlace& p = step.place;
      step.block->forward(stream, {from, weights_of(step, weights), weights.master.subspan(p.bias, p.bias_size), to,
                                   workspace.span(), choice_of(step), step.prepared});
      return;
    }
    with_type_of(dtype, [&]<class T>(std::type_identity<T>) {
      const auto input_values = from.as<T>("input");
      const auto output_values = to.as<T>("output");
      if (is_max_pool(step.layer))
        max_pool<T>(stream, pool_shape(step, batch), input_values, output_values, choice_of(step));
      else
        adaptive_average_pool<T>(stream, batch * (in.channels / step.input_group), in.height, in.width,
                                 step.input_group, out.height, out.width, input_values, output_values);
    });
  }

  void backward(Stream& stream, const NetworkWeights& weights, std::size_t i, TensorSpan output_gradient,
                TensorSpan input_gradient, DeviceSpan<float> gradient) {
    const Step& step = steps[i];
    const ImageShape &in = step.layer.input, &out = step.layer.output;
    if (step.block) {
      const ParameterPlace& p = step.place;
      step.block->backward(stream, {input_of(i), output_of(i), weights_of(step, weights), output_gradient,
                                    input_gradient, gradient.subspan(p.weight, p.weight_size),
                                    gradient.subspan(p.bias, p.bias_size), workspace.span(), choice_of(step)});
      return;
    }
    with_type_of(dtype, [&]<class T>(std::type_identity<T>) {
      const auto from = output_gradient.as<T>("output_gradient");
      const auto to = input_gradient.as<T>("input_gradient");
      if (is_max_pool(step.layer))
        max_pool_backward<T>(stream, pool_shape(step, batch), step.choice, output_of(i).as<T>("output"),
                             slope_before(steps, i), from, to);
      else
        adaptive_average_pool_backward<T>(stream, batch * (in.channels / step.input_group), in.height, in.width,
                                          step.input_group, out.height, out.width, from, to);
    });
  }

  Device device;
  int batch;
  ExecutorOptions options;
  DType dtype;  ///< of activations and their gradients
  std::size_t buffer_size;
  std::vector<Step> steps;
  std::size_t first_head = 0, head_offset = 0;
  std::size_t first_trained = 0;                          ///< before it, nobody needs a gradient
  std::vector<std::pair<std::size_t, std::size_t>> gaps;  ///< offset and size, between the parameters
  std::array<Buffer<std::byte>, 2> shared_buffers;
  Buffer<std::uint8_t> shared_choice;
  Buffer<std::byte> workspace;
  std::vector<PlannedBuffer> plan;
  ConstTensorSpan input;                          ///< of the last forward
  std::shared_ptr<const std::uint64_t> prepared;  ///< version of the weights that were prepared last
  std::uint64_t prepared_version = 0;             ///< its value then
};

NetworkExecutor::NetworkExecutor(const Network& network, Device device, int batch, const ExecutorOptions& options)
    : implementation_(std::make_unique<Implementation>(network, device, batch, options)) {}
NetworkExecutor::~NetworkExecutor() = default;
NetworkExecutor::NetworkExecutor(NetworkExecutor&&) noexcept = default;
NetworkExecutor& NetworkExecutor::operator=(NetworkExecutor&&) noexcept = default;

int NetworkExecutor::batch() const { return implementation_->batch; }
int NetworkExecutor::threads() const { return implementation_->options.threads; }

DeviceSpan<const float> NetworkExecutor::forward(Stream& stream, const NetworkWeights& weights, ConstTensorSpan input) {
  Implementation& self = *implementation_;
  self.require_weights(weights, "forward");
  self.take_input(stream, input);
  self.prepare(stream, weights);
  for (std::size_t i = 0; i < self.steps.size(); ++i) self.forward(stream, weights, i);
  return self.output_of(self.steps.size() - 1).as<float>("the output");
}

void NetworkExecutor::backward(Stream& stream, const NetworkWeights& weights, TensorSpan output_gradient,
                               DeviceSpan<float> gradient, TrainedPart part) {
  Implementation& self = *implementation_;
  require(self.options.training, "backward: the executor was not built for training");
  require(self.input.data != nullptr, "backward: there was no forward before");
  self.require_weights(weights, "backward");
  require(gradient.size == self.buffer_size,
          "backward: the gradient does not have the size of the network's flat buffer");
  require(output_gradient.size == self.elements(self.steps.back().layer.output),
          "backward: the output's gradient does not have the size of the output");
  output_gradient.require_dtype("backward: the output's gradient", self.dtype);
  const std::size_t end =
      part == TrainedPart::head ? std::max(self.first_head, self.first_trained) : self.first_trained;
  for (std::size_t i = self.steps.size(); i-- > end;) {
    const bool needed = i > self.first_trained;
    const auto input_gradient = needed ? self.input_gradient_of(i) : TensorSpan();
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
