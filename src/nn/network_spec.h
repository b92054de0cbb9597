#pragma once
// A network's description: a small JSON file, or one of the presets built into the program.
//
//   {"name": "tiny", "input": {"height": 64, "width": 64, "channels": 1, "mean": 0, "deviation": 1},
//    "backbone": [{"type": "conv", "filters": 16, "size": 3, "stride": 1, "padding": 1, "activation": "relu"},
//                 {"type": "max_pool", "size": 2, "stride": 2}],
//    "head": [{"type": "average_pool", "height": 7, "width": 7}, {"type": "conv", "filters": 15, "size": 1,
//    "activation": "none"}], "detector": {"cells": 7, "predictors": 1, "classes": 10, "size_coding": "exponential",
//    "prior_width": 0.15,
//                 "prior_height": 0.15, "class_loss": "cross_entropy"}}
//
// Defaults: channels 1, mean 0, deviation 1; conv: size 3, stride 1, padding size / 2, activation relu; max_pool: size
// 2, stride 2;
// {"type": "fully_connected", "outputs": N, "activation": relu} flattens its input. Sizes of convolutions are odd.
// The last layer's output is [cells, cells, predictors * 5 + classes] (a fully connected layer's in that order, flat).
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/grid.h"
#include "nn/block.h"

namespace gridspot {

struct ImageShape {
  int height = 0, width = 0, channels = 0;
  [[nodiscard]] constexpr std::size_t size() const { return std::size_t(height) * width * channels; }
  bool operator==(const ImageShape&) const = default;
};

struct ConvolutionLayer {
  int filters = 0, size = 3, stride = 1, padding = 1;
  Activation activation = Activation::relu;
  bool operator==(const ConvolutionLayer&) const = default;
};
struct MaxPoolLayer {
  int size = 2, stride = 2;
  bool operator==(const MaxPoolLayer&) const = default;
};
/// Adaptive, to height x width.
struct AveragePoolLayer {
  int height = 0, width = 0;
  bool operator==(const AveragePoolLayer&) const = default;
};
struct FullyConnectedLayer {
  int outputs = 0;
  Activation activation = Activation::relu;
  bool operator==(const FullyConnectedLayer&) const = default;
};
using LayerSpec = std::variant<ConvolutionLayer, MaxPoolLayer, AveragePoolLayer, FullyConnectedLayer>;

struct NetworkSpec {
  std::string name;
  ImageShape input;
  float mean = 0, deviation = 1;  ///< the network sees (pixel / 255 - mean) / deviation
  std::vector<LayerSpec> backbone, head;
  GridHead detector;
};

/// A layer with its name ("backbone.conv1", "head.fc2"; each kind counts from 1 in its section) and its shapes.
struct NetworkLayer {
  std::string name;
  LayerSpec spec;
  ImageShape input, output;
};

/// Every layer in order. Throws InvalidInput, naming the layer, where the layers do not fit together, are too many
/// (256) or too large (2^31 elements), or do not end in the detector's shape.
std::vector<NetworkLayer> layers_of(const NetworkSpec& spec);

struct NetworkCost {
  std::uint64_t parameters = 0;
  double forward_flop = 0;  ///< per image; a multiplication and an addition count as two
};
NetworkCost cost_of(const NetworkSpec& spec);

/// Parses and checks. `source` names the text in messages. Throws InvalidInput.
NetworkSpec parse_network(std::string_view text, std::string_view source);

/// Canonical JSON: every key written out, in the order above. parse_network gives the same description back.
std::string to_json(const NetworkSpec& spec);

/// The same network for another number of classes: the last layer's width follows. Throws InvalidInput.
NetworkSpec with_classes(NetworkSpec spec, int classes);

/// Names of the built-in descriptions: medium, quick, seed, seed-fc, small.
std::vector<std::string> network_presets();

/// A preset's name, or the path of a JSON file. Throws InvalidInput (which lists the presets) or IoError.
NetworkSpec load_network(const std::string& preset_or_path);

}  // namespace gridspot
