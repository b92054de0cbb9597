#include "nn/network.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "gridspot/error.h"
#include "kernels/philox.h"

namespace gridspot {
namespace {

constexpr std::size_t alignment = 8;  // elements: 16 bytes of bfloat16, which vector loads and cuDNN's tensors want

std::size_t aligned(std::size_t count) { return (count + alignment - 1) / alignment * alignment; }

std::size_t product(const std::vector<std::int64_t>& shape) {
  std::size_t size = 1;
  for (const auto side : shape) size *= static_cast<std::size_t>(side);
  return size;
}

/// The shape of the layer's weight in PyTorch's order; empty for a layer without parameters.
std::vector<std::int64_t> weight_shape(const NetworkLayer& layer) {
  if (const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec))
    return {convolution->filters, layer.input.channels, convolution->size, convolution->size};
  if (const auto* product_layer = std::get_if<FullyConnectedLayer>(&layer.spec))
    return {product_layer->outputs, static_cast<std::int64_t>(layer.input.size())};
  return {};
}

/// The gain that keeps the variance through the activation (He et al. 2015).
double gain_of(const NetworkLayer& layer) {
  const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec);
  const Activation activation =
      convolution ? convolution->activation : std::get<FullyConnectedLayer>(layer.spec).activation;
  const double slope = negative_slope(activation);
  return std::sqrt(2 / (1 + slope * slope));
}

/// Draw `index` of a normal distribution for a parameter: Box and Muller's transformation of a Philox block. The upper
/// byte of the counter keeps these draws apart from those of the canvases (Purpose).
class NormalDraws {
 public:
  NormalDraws(std::uint64_t seed, std::uint32_t parameter) : seed_(seed), parameter_(parameter) {}

  double operator()(std::uint64_t index) const {
    const std::uint64_t block = index / 2;
    const Philox4 bits = philox4x32_10(
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), parameter_, purpose << 24}, seed_);
    const double radius = std::sqrt(-2 * std::log((wide(bits.x, bits.y) + 0.5) * 0x1p-53));
    const double angle = 2 * std::numbers::pi * wide(bits.z, bits.w) * 0x1p-53;
    return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
  }

 private:
  static constexpr std::uint32_t purpose = 0x10;
  /// 53 random bits.
  static double wide(std::uint32_t high, std::uint32_t low) {
    return static_cast<double>((std::uint64_t{high} << 32 | low) >> 11);
  }
  std::uint64_t seed_;
  std::uint32_t parameter_;
};

/// Calls visit(index in memory, index in PyTorch's order) for each element of a weight. Convolutions: [O][y][x][I] and
/// [O][I][y][x]. Fully connected: [O][y][x][I] and [O][I][y][x] as well, with y and x in the image that was flattened.
template <class Visit>
void for_each_weight(const NetworkLayer& layer, const Visit& visit) {
  const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec);
  const auto outputs = static_cast<std::size_t>(layer.output.channels);
  const auto inputs = static_cast<std::size_t>(layer.input.channels);
  const auto positions = static_cast<std::size_t>(convolution ? convolution->size * convolution->size
                                                              : layer.input.height * layer.input.width);
  for (std::size_t o = 0; o < outputs; ++o)
    for (std::size_t position = 0; position < positions; ++position)
      for (std::size_t i = 0; i < inputs; ++i)
        visit((o * positions + position) * inputs + i, (o * inputs + i) * positions + position);
}

}  // namespace

Network::Network(NetworkSpec spec) : spec_(std::move(spec)), layers_(layers_of(spec_)) {
  const auto add = [this](const std::string& name, std::vector<std::int64_t> shape, bool decays, std::size_t layer) {
    const std::size_t size = product(shape);
    parameters_.push_back({name, std::move(shape), buffer_size_, size, decays});
    parameter_layers_.push_back(layer);
    buffer_size_ += aligned(size);
  };
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto shape = weight_shape(layers_[i]);
    if (shape.empty()) continue;
    add(layers_[i].name + ".weight", shape, true, i);
    add(layers_[i].name + ".bias", {shape[0]}, false, i);
    if (i < spec_.backbone.size()) head_offset_ = buffer_size_;
  }
}

std::vector<float> Network::initial_weights(std::uint64_t seed, float objectness_prior) const {
  require(objectness_prior > 0 && objectness_prior < 1,
          "the objectness prior must lie between 0 and 1, it is " + std::to_string(objectness_prior));
  std::vector<float> flat(buffer_size_, 0.0f);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (parameter.shape.size() == 1) continue;
    const double fan_in = static_cast<double>(parameter.size) / static_cast<double>(parameter.shape[0]);
    const double deviation = gain_of(layers_[parameter_layers_[i]]) / std::sqrt(fan_in);
    const NormalDraws draw(seed, static_cast<std::uint32_t>(i));
    for (std::size_t k = 0; k < parameter.size; ++k)
      flat[parameter.offset + k] = static_cast<float>(deviation * draw(k));
  }
  const GridHead& head = spec_.detector;
  const Parameter& last_bias = parameters_.back();
  const auto logit = static_cast<float>(std::log(double{objectness_prior} / (1 - double{objectness_prior})));
  for (std::size_t first = 0; first < last_bias.size; first += head.channels())
    for (int predictor = 0; predictor < head.predictors; ++predictor)
      flat[last_bias.offset + first + std::size_t(predictor) * 5] = logit;
  return flat;
}

std::vector<float> Network::to_torch(const Parameter& parameter, std::span<const float> flat) const {
  ensure(flat.size() == buffer_size_, "the flat buffer does not belong to this network");
  const auto memory = flat.subspan(parameter.offset, parameter.size);
  std::vector<float> values(memory.begin(), memory.end());
  if (parameter.shape.size() > 1)
    for_each_weight(layer_of(parameter), [&](std::size_t here, std::size_t there) { values[there] = memory[here]; });
  return values;
}

void Network::from_torch(const Parameter& parameter, std::span<const float> values, std::span<float> flat) const {
  ensure(flat.size() == buffer_size_, "the flat buffer does not belong to this network");
  require(values.size() == parameter.size, parameter.name + " has " + std::to_string(parameter.size) + " values, " +
                                               std::to_string(values.size()) + " were given");
  const auto memory = flat.subspan(parameter.offset, parameter.size);
  if (parameter.shape.size() > 1)
    for_each_weight(layer_of(parameter), [&](std::size_t here, std::size_t there) { memory[here] = values[there]; });
  else
    std::copy(values.begin(), values.end(), memory.begin());
}

const NetworkLayer& Network::layer_of(const Parameter& parameter) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const Parameter& candidate) { return candidate.offset == parameter.offset; });
  ensure(found != parameters_.end() && found->name == parameter.name, "the parameter does not belong to this network");
  return layers_[parameter_layers_[static_cast<std::size_t>(found - parameters_.begin())]];
}

}  // namespace gridspot
