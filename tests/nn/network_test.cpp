// Parameters: their layout, first values, and agreement with PyTorch.
#include "nn/network.h"

#include <algorithm>
#include <cmath>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "nn/network_executor.h"
#include "tests/support/compare.h"
#include "tests/support/device_test.h"
#include "tests/support/golden.h"

namespace gridspot {
namespace {

TEST(Parameters, HavePyTorchNamesAndShapesInOrder) {
  const Network network(load_network("seed-fc"));
  std::string text;
  for (const auto& parameter : network.parameters()) {
    text += parameter.name;
    for (const auto side : parameter.shape) text += " " + std::to_string(side);
    text += parameter.decays ? " decays\n" : "\n";
  }
  EXPECT_EQ(text.substr(0, text.find("backbone.conv2")),
            "backbone.conv1.weight 32 1 3 3 decays\nbackbone.conv1.bias 32\n");
  EXPECT_NE(text.find("head.fc1.weight 512 6272 decays\nhead.fc1.bias 512\nhead.fc2.weight 735 512 decays\n"),
            std::string::npos)
      << text;
}

TEST(Parameters, LieBesideOneAnotherAtMultiplesOfFour) {
  for (const auto& name : network_presets()) {
    const Network network(load_network(name));
    std::size_t end = 0;
    for (const auto& parameter : network.parameters()) {
      EXPECT_EQ(parameter.offset % 4, 0u) << parameter.name;
      EXPECT_EQ(parameter.offset, (end + 3) / 4 * 4) << parameter.name;
      end = parameter.offset + parameter.size;
    }
    EXPECT_EQ(network.buffer_size(), (end + 3) / 4 * 4);
  }
}

TEST(Parameters, OfTheBackboneLieBeforeThoseOfTheHead) {
  for (const auto& name : network_presets()) {
    const Network network(load_network(name));
    std::size_t first_of_head = network.buffer_size();
    for (const auto& parameter : network.parameters()) {
      const bool is_before = parameter.offset < network.head_offset();
      EXPECT_EQ(is_before, parameter.name.starts_with("backbone.")) << name << ": " << parameter.name;
      if (!is_before) first_of_head = std::min(first_of_head, parameter.offset);
    }
    EXPECT_EQ(network.head_offset(), first_of_head) << name;
  }
}

TEST(Parameters, OfANetworkWithoutOnePartAreThoseOfTheOther) {
  const ConvolutionLayer last{7, 1, 1, 0, Activation::none};
  NetworkSpec spec;
  spec.name = "parts";
  spec.input = {4, 4, 3};
  spec.detector = {.cells = 4, .predictors = 1, .classes = 2};
  spec.head = {last};
  EXPECT_EQ(Network(spec).head_offset(), 0u) << "no backbone";
  spec.backbone = {MaxPoolLayer{1, 1}};
  EXPECT_EQ(Network(spec).head_offset(), 0u) << "a backbone without parameters";
  spec.backbone = {ConvolutionLayer{7}, last};
  spec.head = {};
  EXPECT_EQ(Network(spec).head_offset(), Network(spec).buffer_size()) << "no head";
}

TEST(InitialWeights, FollowTheirDistribution) {
  const Network network(load_network("seed-fc"));
  const auto weights = network.initial_weights(3, 0.1f);
  for (const auto& parameter : network.parameters()) {
    if (parameter.shape.size() == 1) continue;
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < parameter.size; ++i) {
      const double value = weights[parameter.offset + i];
      sum += value;
      squares += value * value;
    }
    const double count = double(parameter.size), fan_in = count / double(parameter.shape[0]);
    const double gain2 = parameter.name == "head.fc2.weight" ? 1 : 2;  // ReLU everywhere but in the last layer
    const double deviation = std::sqrt(gain2 / fan_in);
    // Five standard errors of the mean and of the variance.
    EXPECT_NEAR(sum / count, 0, 5 * deviation / std::sqrt(count)) << parameter.name;
    EXPECT_NEAR(squares / count, gain2 / fan_in, 5 * gain2 / fan_in * std::sqrt(2 / count)) << parameter.name;
  }
}

TEST(InitialWeights, DependOnTheSeedAlone) {
  const Network network(load_network("quick"));
  EXPECT_EQ(network.initial_weights(1), network.initial_weights(1));
  const auto one = network.initial_weights(1), other = network.initial_weights(2);
  std::size_t equal = 0;
  for (const auto& parameter : network.parameters())
    if (parameter.decays)
      for (std::size_t i = 0; i < parameter.size; ++i)
        equal += one[parameter.offset + i] == other[parameter.offset + i];
  EXPECT_EQ(equal, 0u);
}

TEST(InitialWeights, MakeObjectsRareAtFirst) {
  for (const char* name : {"quick", "seed-fc"}) {  // a convolution and a fully connected layer at the end
    NetworkSpec spec = load_network(name);
    spec.detector.predictors = 2;
    if (auto* convolution = std::get_if<ConvolutionLayer>(&spec.head.back())) convolution->filters += 5;
    if (auto* product = std::get_if<FullyConnectedLayer>(&spec.head.back()))
      product->outputs += 5 * spec.detector.cells * spec.detector.cells;
    const Network network(spec);
    const auto weights = network.initial_weights(1, 0.1f);
    const auto& bias = network.parameters().back();
    for (std::size_t i = 0; i < bias.size; ++i) {
      const bool objectness = i % 20 == 0 || i % 20 == 5;
      EXPECT_FLOAT_EQ(weights[bias.offset + i], objectness ? std::log(0.1f / 0.9f) : 0.0f) << name << " " << i;
    }
    for (std::size_t i = bias.offset + bias.size; i < weights.size(); ++i) EXPECT_EQ(weights[i], 0);
    EXPECT_EQ(network.initial_weights(1, 0.5f)[bias.offset], 0.0f);
    for (const float prior : {0.0f, 1.0f, -1.0f, NAN}) EXPECT_THROW(network.initial_weights(1, prior), InvalidInput);
  }
}

TEST(TorchLayout, ComesBackUnchanged) {
  for (const auto& name : network_presets()) {
    const Network network(load_network(name));
    const auto weights = network.initial_weights(5);
    std::vector<float> back(weights.size(), 0.0f);
    for (const auto& parameter : network.parameters())
      network.from_torch(parameter, network.to_torch(parameter, weights), back);
    EXPECT_EQ(back, weights) << name;
  }
}

TEST(TorchLayout, PutsChannelsBeforePixels) {
  const Network network(load_network("seed-fc"));
  std::vector<float> flat(network.buffer_size());
  for (std::size_t i = 0; i < flat.size(); ++i) flat[i] = static_cast<float>(i);
  const auto& conv2 = network.parameters()[2];
  ASSERT_EQ(conv2.name, "backbone.conv2.weight");
  const auto kernel = network.to_torch(conv2, flat);
  // [filter 1][channel 2][y 0][x 1] of 32 x 32 x 3 x 3, from [filter 1][y 0][x 1][channel 2].
  EXPECT_EQ(kernel[(1 * 32 + 2) * 9 + 1], flat[conv2.offset + (1 * 9 + 1) * 32 + 2]);
  const auto& fc1 = network.parameters()[12];
  ASSERT_EQ(fc1.name, "head.fc1.weight");
  const auto columns = network.to_torch(fc1, flat);
  // Output 3, channel 100, row 2, column 5 of an image of 7 x 7 x 128.
  EXPECT_EQ(columns[3 * 6272 + 100 * 49 + 2 * 7 + 5], flat[fc1.offset + 3 * 6272 + (2 * 7 + 5) * 128 + 100]);
}

TEST(TorchLayout, RefusesAnotherSize) {
  const Network network(load_network("quick"));
  std::vector<float> flat(network.buffer_size());
  EXPECT_THROW(network.from_torch(network.parameters()[0], std::vector<float>(3), flat), InvalidInput);
}

double wave(std::size_t index, double scale) {
  const auto i = static_cast<double>(index);
  return scale * std::sin(0.7 * i + 0.3 * std::cos(1.3 * i));
}

std::vector<float> wave_values(std::size_t count, std::size_t offset, double scale) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(wave(i + offset, scale));
  return values;
}

class GoldenNetwork : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(GoldenNetwork);

TEST_P(GoldenNetwork, GivesPyTorchsOutputsAndGradients) {
  const Json golden = parse_json(read_file(test::golden_path("network.json"), 1 << 20), "network.json");
  for (const char* name : {"convolutional", "fully_connected"}) {
    SCOPED_TRACE(name);
    const Network network(parse_network(golden[name]["spec"].dump(), name));
    constexpr int batch = 2;
    std::vector<float> flat(network.buffer_size());
    const auto& parameters = network.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i)
      network.from_torch(parameters[i], wave_values(parameters[i].size, 1000 * i, 0.4), flat);
    Stream stream(device());
    NetworkExecutor executor(network, device(), batch, {.precision = Precision::fp32});
    const auto weights = upload(stream, flat),
               input = upload(stream, wave_values(batch * network.spec().input.size(), 77, 1.0)),
               output_gradient = upload(stream, wave_values(batch * network.output().size(), 333, 1.0));
    const Buffer<float> gradient(device(), flat.size());
    const auto tolerance = test::float32_tolerance * 10;
    const auto output = download(stream, executor.forward(stream, weights, input));
    EXPECT_TRUE(test::matches(output, golden[name]["output"].get<std::vector<double>>(), tolerance));
    executor.backward(stream, weights, output_gradient, gradient);
    const auto flat_gradient = download(stream, gradient);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      EXPECT_TRUE(test::matches(network.to_torch(parameters[i], flat_gradient),
                                golden[name]["gradients"][i].get<std::vector<double>>(), tolerance))
          << parameters[i].name;
  }
}

}  // namespace
}  // namespace gridspot
