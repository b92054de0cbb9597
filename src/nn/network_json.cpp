// The JSON form of a network's description.
#include "io/enum_name.h"
#include "nn/network_spec.h"

namespace gridspot {
namespace {

constexpr std::array<EnumName<Activation>, 3> activation_names{
    {{"relu", Activation::relu}, {"leaky", Activation::leaky}, {"none", Activation::none}}};
constexpr std::array<EnumName<SizeCoding>, 2> size_coding_names{
    {{"linear", SizeCoding::linear}, {"exponential", SizeCoding::exponential}}};
constexpr std::array<EnumName<ClassLoss>, 4> class_loss_names{{{"cross_entropy", ClassLoss::cross_entropy},
                                                               {"mse", ClassLoss::mse},
                                                               {"bce", ClassLoss::bce},
                                                               {"multi_label", ClassLoss::multi_label}}};

enum class LayerType { conv, max_pool, average_pool, fully_connected };
constexpr std::array<EnumName<LayerType>, 4> layer_type_names{{{"conv", LayerType::conv},
                                                               {"max_pool", LayerType::max_pool},
                                                               {"average_pool", LayerType::average_pool},
                                                               {"fully_connected", LayerType::fully_connected}}};

// The ranges that depend on the layers before are checked by layers_of.
LayerSpec read_layer(ObjectReader& reader) {
  LayerType type{};
  reader.require("type", type, all(layer_type_names));
  LayerSpec result;
  switch (type) {
    case LayerType::conv: {
      ConvolutionLayer layer;
      reader.require("filters", layer.filters, 1);
      reader.read("size", layer.size, 1);
      reader.read("stride", layer.stride, 1);
      layer.padding = layer.size / 2;
      reader.read("padding", layer.padding, 0);
      reader.read("activation", layer.activation, all(activation_names));
      result = layer;
      break;
    }
    case LayerType::max_pool: {
      MaxPoolLayer layer;
      reader.read("size", layer.size, 1);
      reader.read("stride", layer.stride, 1);
      result = layer;
      break;
    }
    case LayerType::average_pool: {
      AveragePoolLayer layer;
      reader.require("height", layer.height, 1);
      reader.require("width", layer.width, 1);
      result = layer;
      break;
    }
    case LayerType::fully_connected: {
      FullyConnectedLayer layer;
      reader.require("outputs", layer.outputs, 1);
      reader.read("activation", layer.activation, all(activation_names));
      result = layer;
      break;
    }
  }
  reader.finish();
  return result;
}

std::vector<LayerSpec> read_layers(ObjectReader& network, std::string_view section) {
  std::vector<LayerSpec> layers;
  for (auto& reader : network.objects(section)) layers.push_back(read_layer(reader));
  return layers;
}

void read_input(ObjectReader reader, NetworkSpec& spec) {
  spec.input.channels = 1;
  reader.require("height", spec.input.height, 1);
  reader.require("width", spec.input.width, 1);
  reader.read("channels", spec.input.channels, 1);
  reader.read("mean", spec.mean);
  reader.read("deviation", spec.deviation, 1e-6, 1e6);
  reader.finish();
}

void read_detector(ObjectReader reader, GridHead& head) {
  reader.require("cells", head.cells, 1);
  reader.read("predictors", head.predictors, 0);
  reader.require("classes", head.classes, 1);
  reader.read("size_coding", head.size_coding, all(size_coding_names));
  reader.read("prior_width", head.prior_width, 1e-4, 1);
  reader.read("prior_height", head.prior_height, 1e-4, 1);
  reader.read("class_loss", head.class_loss, all(class_loss_names));
  reader.finish();
}

Json to_json_value(const ConvolutionLayer& layer) {
  return {{"type", "conv"},           {"filters", layer.filters},
          {"size", layer.size},       {"stride", layer.stride},
          {"padding", layer.padding}, {"activation", name_of(activation_names, layer.activation)}};
}
Json to_json_value(const MaxPoolLayer& layer) {
  return {{"type", "max_pool"}, {"size", layer.size}, {"stride", layer.stride}};
}
Json to_json_value(const AveragePoolLayer& layer) {
  return {{"type", "average_pool"}, {"height", layer.height}, {"width", layer.width}};
}
Json to_json_value(const FullyConnectedLayer& layer) {
  return {{"type", "fully_connected"},
          {"outputs", layer.outputs},
          {"activation", name_of(activation_names, layer.activation)}};
}

Json to_json_value(const std::vector<LayerSpec>& layers) {
  Json array = Json::array();
  for (const auto& layer : layers)
    array.push_back(std::visit([](const auto& value) { return to_json_value(value); }, layer));
  return array;
}

}  // namespace

NetworkSpec parse_network(std::string_view text, std::string_view source) {
  const Json document = parse_json(text, source);
  ObjectReader reader(document, std::string(source));
  NetworkSpec spec;
  reader.require("name", spec.name);
  read_input(reader.object("input"), spec);
  spec.backbone = read_layers(reader, "backbone");
  spec.head = read_layers(reader, "head");
  read_detector(reader.object("detector"), spec.detector);
  reader.finish();
  try {
    layers_of(spec);
  } catch (const InvalidInput& error) {
    throw InvalidInput(std::string(source) + ": " + error.what());
  }
  return spec;
}

std::string to_json(const NetworkSpec& spec) {
  const GridHead& head = spec.detector;
  const Json document = {{"name", spec.name},
                         {"input",
                          {{"height", spec.input.height},
                           {"width", spec.input.width},
                           {"channels", spec.input.channels},
                           {"mean", json_number(spec.mean)},
                           {"deviation", json_number(spec.deviation)}}},
                         {"backbone", to_json_value(spec.backbone)},
                         {"head", to_json_value(spec.head)},
                         {"detector",
                          {{"cells", head.cells},
                           {"predictors", head.predictors},
                           {"classes", head.classes},
                           {"size_coding", name_of(size_coding_names, head.size_coding)},
                           {"prior_width", json_number(head.prior_width)},
                           {"prior_height", json_number(head.prior_height)},
                           {"class_loss", name_of(class_loss_names, head.class_loss)}}}};
  return to_text(document);
}

}  // namespace gridspot
