#include "nn/network_spec.h"

#include <array>
#include <limits>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "kernels/nms.h"
#include "nn/presets.h"

namespace gridspot {
namespace {

constexpr int max_side = 16384, max_channels = 65536, max_kernel = 63, max_window = 15, max_layers = 256;
constexpr std::uint64_t max_elements = std::numeric_limits<std::int32_t>::max();

std::string text_of(const ImageShape& shape) {
  return std::to_string(shape.height) + " x " + std::to_string(shape.width) + " x " + std::to_string(shape.channels);
}

bool within(int value, int low, int high) { return low <= value && value <= high; }

/// Works out the layers' shapes one after the other; its messages name the network and the layer.
class LayerPlanner {
 public:
  explicit LayerPlanner(const NetworkSpec& spec) : spec_(spec), at_(spec.input) {
    check(within(at_.height, 1, max_side) && within(at_.width, 1, max_side) && within(at_.channels, 1, max_channels),
          "input", "cannot be " + text_of(at_));
    check_size("input", at_.size());
    check(spec.deviation > 0, "input", "must have a positive deviation");
  }

  std::vector<NetworkLayer> plan() {
    check(spec_.backbone.size() + spec_.head.size() <= max_layers, "network",
          "has " + std::to_string(spec_.backbone.size() + spec_.head.size()) + " layers, more than " +
              std::to_string(max_layers));
    add_section("backbone", spec_.backbone);
    add_section("head", spec_.head);
    check_detector();
    return std::move(layers_);
  }

 private:
  void check(bool condition, const std::string& layer, const std::string& rule) const {
    if (!condition) throw InvalidInput("network '" + spec_.name + "': " + layer + " " + rule);
  }
  void check_size(const std::string& layer, std::uint64_t elements) const {
    check(elements <= max_elements, layer,
          "has " + std::to_string(elements) + " elements, more than " + std::to_string(max_elements));
  }

  void add_section(const std::string& section, const std::vector<LayerSpec>& specs) {
    struct {
      int conv = 0, pool = 0, average_pool = 0, fc = 0;
    } count;
    const auto name_of = [&](const LayerSpec& spec) -> std::string {
      switch (spec.index()) {
        case 0:
          return "conv" + std::to_string(++count.conv);
        case 1:
          return "pool" + std::to_string(++count.pool);
        case 2:
          return "average_pool" + std::to_string(++count.average_pool);
        default:
          return "fc" + std::to_string(++count.fc);
      }
    };
    for (const auto& spec : specs) {
      const std::string name = section + "." + name_of(spec);
      const ImageShape output = std::visit([&](const auto& layer) { return output_of(name, layer); }, spec);
      check_size(name, output.size());
      layers_.push_back({name, spec, at_, output});
      at_ = output;
    }
  }

  ImageShape output_of(const std::string& name, const ConvolutionLayer& layer) const {
    check(within(layer.filters, 1, max_channels), name, "cannot have " + std::to_string(layer.filters) + " filters");
    check(within(layer.size, 1, max_kernel) && layer.size % 2 == 1, name,
          "must have an odd size up to " + std::to_string(max_kernel) + ", it is " + std::to_string(layer.size));
    check(within(layer.stride, 1, max_kernel), name, "cannot have stride " + std::to_string(layer.stride));
    check(within(layer.padding, 0, layer.size - 1), name,
          "must have padding below its size of " + std::to_string(layer.size) + ", it is " +
              std::to_string(layer.padding));
    check(at_.height + 2 * layer.padding >= layer.size && at_.width + 2 * layer.padding >= layer.size, name,
          "of size " + std::to_string(layer.size) + " does not fit its input of " + text_of(at_));
    check_size(name + "'s weight", std::uint64_t(layer.size) * layer.size * at_.channels * layer.filters);
    const ConvolutionShape shape{1,          at_.height,   at_.width,    at_.channels, layer.filters,
                                 layer.size, layer.stride, layer.padding};
    return {shape.output_height(), shape.output_width(), layer.filters};
  }

  ImageShape output_of(const std::string& name, const MaxPoolLayer& layer) const {
    check(within(layer.size, 1, max_window), name,
          "must have a size of at most " + std::to_string(max_window) + ", it is " + std::to_string(layer.size));
    check(within(layer.stride, 1, max_window), name, "cannot have stride " + std::to_string(layer.stride));
    check(at_.height >= layer.size && at_.width >= layer.size, name,
          "of size " + std::to_string(layer.size) + " does not fit its input of " + text_of(at_));
    return {(at_.height - layer.size) / layer.stride + 1, (at_.width - layer.size) / layer.stride + 1, at_.channels};
  }

  ImageShape output_of(const std::string& name, const AveragePoolLayer& layer) const {
    check(within(layer.height, 1, at_.height) && within(layer.width, 1, at_.width), name,
          "cannot make " + std::to_string(layer.height) + " x " + std::to_string(layer.width) + " of its input of " +
              text_of(at_));
    return {layer.height, layer.width, at_.channels};
  }

  ImageShape output_of(const std::string& name, const FullyConnectedLayer& layer) const {
    check(within(layer.outputs, 1, 1 << 24), name, "cannot have " + std::to_string(layer.outputs) + " outputs");
    check_size(name + "'s weight", std::uint64_t(at_.size()) * layer.outputs);
    return {1, 1, layer.outputs};
  }

  void check_detector() const {
    const GridHead& head = spec_.detector;
    check(within(head.cells, 1, 1024) && within(head.predictors, 0, 64) && within(head.classes, 1, max_channels),
          "detector", "has cells, predictors or classes out of range");
    check(head.slots() <= max_nms_slots, "detector",
          "has " + std::to_string(head.slots()) + " slots (cells * cells * predictors), suppression takes at most " +
              std::to_string(max_nms_slots));
    check(head.prior_width > 0 && head.prior_height > 0, "detector", "must have positive priors");
    check(!layers_.empty(), "network", "has no layer");
    const NetworkLayer& last = layers_.back();
    const ImageShape expected{head.cells, head.cells, head.channels()};
    const auto* convolution = std::get_if<ConvolutionLayer>(&last.spec);
    const auto* product = std::get_if<FullyConnectedLayer>(&last.spec);
    check(convolution != nullptr || product != nullptr, last.name, "is last, where conv or fully_connected must be");
    check((convolution ? convolution->activation : product->activation) == Activation::none, last.name,
          "is last and must have the activation 'none'");
    const bool fits = convolution ? last.output == expected : last.output.size() == expected.size();
    check(fits, last.name,
          "gives " + text_of(last.output) + ", the detector needs " + text_of(expected) +
              " (cells x cells x (5 * predictors + classes))");
  }

  const NetworkSpec& spec_;
  ImageShape at_;
  std::vector<NetworkLayer> layers_;
};

}  // namespace

std::vector<NetworkLayer> layers_of(const NetworkSpec& spec) { return LayerPlanner(spec).plan(); }

NetworkCost cost_of(const NetworkSpec& spec) {
  NetworkCost cost;
  for (const auto& layer : layers_of(spec)) {
    double products = 0;
    if (const auto* convolution = std::get_if<ConvolutionLayer>(&layer.spec)) {
      const auto weights =
          std::uint64_t(convolution->size) * convolution->size * layer.input.channels * convolution->filters;
      cost.parameters += weights + convolution->filters;
      products = double(weights) * layer.output.height * layer.output.width;
    } else if (const auto* product = std::get_if<FullyConnectedLayer>(&layer.spec)) {
      products = double(layer.input.size()) * product->outputs;
      cost.parameters += std::uint64_t(layer.input.size()) * product->outputs + product->outputs;
    }
    cost.forward_flop += 2 * products;
  }
  return cost;
}

NetworkSpec with_classes(NetworkSpec spec, int classes) {
  require(within(classes, 1, max_channels), "network '" + spec.name + "': the number of classes must be from 1 to " +
                                                std::to_string(max_channels) + ", it is " + std::to_string(classes));
  layers_of(spec);  // the last layer is one whose width can be changed
  spec.detector.classes = classes;
  LayerSpec& last = spec.head.empty() ? spec.backbone.back() : spec.head.back();
  if (auto* convolution = std::get_if<ConvolutionLayer>(&last)) convolution->filters = spec.detector.channels();
  if (auto* product = std::get_if<FullyConnectedLayer>(&last))
    product->outputs = spec.detector.cells * spec.detector.cells * spec.detector.channels();
  layers_of(spec);
  return spec;
}

std::vector<std::string> network_presets() {
  std::vector<std::string> names;
  for (const auto& preset : preset_texts) names.emplace_back(preset.name);
  return names;
}

NetworkSpec load_network(const std::string& preset_or_path) {
  for (const auto& preset : preset_texts)
    if (preset.name == preset_or_path) return parse_network(preset.text, preset_or_path);
  constexpr std::size_t max_bytes = 1 << 20;
  if (std::filesystem::is_regular_file(preset_or_path))
    return parse_network(read_file(preset_or_path, max_bytes), preset_or_path);
  std::string names;
  for (const auto& name : network_presets()) names += (names.empty() ? "" : ", ") + name;
  throw InvalidInput("'" + preset_or_path + "' is neither a file nor a built-in network (" + names + ")");
}

}  // namespace gridspot
