// Descriptions of networks: presets, the JSON form, and what it refuses.
#include "nn/network_spec.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "gridspot/error.h"

namespace gridspot {
namespace {

TEST(Presets, HaveTheCostThatTheirArchitectureImplies) {
  struct {
    const char* name;
    double flop;
    std::uint64_t parameters;
  } const expected[] = {
      // backbone.conv1: 2 * 224^2 * 9 * 32 flop, 9 * 32 + 32 parameters, and so on
      {"seed",
       2.0 * (224 * 224 * 9.0 * (1 * 32 + 32 * 32) + 112 * 112 * 9.0 * (32 * 64 + 64 * 64) +
              56 * 56 * 9.0 * (64 * 128 + 128 * 128) + 56 * 56 * 9.0 * (128 * 256 + 256 * 256) + 49 * 256.0 * 15),
       320 + 9248 + 18496 + 36928 + 73856 + 147584 + 295168 + 590080 + 3855},
      {"seed-fc",
       2.0 * (224 * 224 * 9.0 * (1 * 32 + 32 * 32) + 112 * 112 * 9.0 * (32 * 64 + 64 * 64) +
              56 * 56 * 9.0 * (64 * 128 + 128 * 128) + 49 * 128.0 * 512 + 512.0 * 735),
       320 + 9248 + 18496 + 36928 + 73856 + 147584 + (6272 * 512 + 512) + (512 * 735 + 735)},
  };
  for (const auto& row : expected) {
    const auto cost = cost_of(load_network(row.name));
    EXPECT_EQ(cost.forward_flop, row.flop) << row.name;
    EXPECT_EQ(cost.parameters, row.parameters) << row.name;
  }
}

TEST(Presets, KeepTheirPromises) {
  // protocols.md: 9.28 GFLOP and 1.18 million parameters; `small` at most a tenth of it; `quick` for 64x64 canvases.
  const auto seed = cost_of(load_network("seed"));
  EXPECT_NEAR(seed.forward_flop, 9.28e9, 0.005e9);
  EXPECT_NEAR(double(seed.parameters), 1.18e6, 0.005e6);
  for (const char* name : {"small", "medium"})
    EXPECT_LE(cost_of(load_network(name)).forward_flop, seed.forward_flop / 10) << name;
  EXPECT_EQ(load_network("small").input, (ImageShape{224, 224, 1}));
  EXPECT_EQ(load_network("quick").input, (ImageShape{64, 64, 1}));
  EXPECT_EQ(network_presets(), (std::vector<std::string>{"medium", "quick", "seed", "seed-fc", "small"}));
}

TEST(Presets, OfTheSeedAreTheStudysNetworks) {
  const auto layers = layers_of(load_network("seed"));
  std::string text;
  for (const auto& layer : layers)
    text += layer.name + " " + std::to_string(layer.output.height) + "x" + std::to_string(layer.output.channels) + "\n";
  EXPECT_EQ(text,
            "backbone.conv1 224x32\nbackbone.conv2 224x32\nbackbone.pool1 112x32\nbackbone.conv3 112x64\n"
            "backbone.conv4 112x64\nbackbone.pool2 56x64\nbackbone.conv5 56x128\nbackbone.conv6 56x128\n"
            "head.conv1 56x256\nhead.conv2 56x256\nhead.average_pool1 7x256\nhead.conv3 7x15\n");
  EXPECT_EQ(load_network("seed").detector.size_coding, SizeCoding::linear);
  EXPECT_EQ(load_network("seed").detector.class_loss, ClassLoss::mse);
  EXPECT_EQ(layers_of(load_network("seed-fc")).back().output, (ImageShape{1, 1, 7 * 7 * 15}));
}

TEST(NetworkJson, ComesBackAsItWasWritten) {
  for (const auto& name : network_presets()) {
    const auto spec = load_network(name);
    const auto text = to_json(spec);
    const auto again = parse_network(text, "again");
    EXPECT_EQ(to_json(again), text);
    EXPECT_EQ(again.backbone, spec.backbone);
    EXPECT_EQ(again.head, spec.head);
    EXPECT_EQ(again.input, spec.input);
    EXPECT_EQ(again.name, name);
  }
}

/// A description with a hole in each place.
std::string network_text(const std::string& layers, const std::string& detector = R"("cells": 4, "classes": 2)",
                         const std::string& input = R"("height": 8, "width": 8)", const std::string& more = "") {
  return R"({"name": "n", "input": {)" + input + R"(}, "backbone": [)" + layers +
         R"(], "head": [{"type": "conv", "filters": 7, "size": 1, "activation": "none"}], "detector": {)" + detector +
         "}" + more + "}";
}
const std::string conv = R"({"type": "conv", "filters": 3, "stride": 2})";

TEST(NetworkJson, FillsInTheDefaults) {
  const auto spec = parse_network(network_text(conv + R"(, {"type": "max_pool", "stride": 1, "size": 1})"), "text");
  EXPECT_EQ(spec.backbone[0], LayerSpec(ConvolutionLayer{3, 3, 2, 1, Activation::relu}));
  EXPECT_EQ(spec.head[0], LayerSpec(ConvolutionLayer{7, 1, 1, 0, Activation::none}));
  EXPECT_EQ(spec.input.channels, 1);
  EXPECT_EQ(spec.mean, 0);
  EXPECT_EQ(spec.deviation, 1);
  EXPECT_EQ(spec.detector.predictors, 1);
  EXPECT_EQ(spec.detector.size_coding, SizeCoding::exponential);
  const auto pool = parse_network(network_text(R"({"type": "max_pool"})"), "text");
  EXPECT_EQ(pool.backbone[0], LayerSpec(MaxPoolLayer{2, 2}));
}

/// A classifier of whole canvases.
std::string classifier_text(const std::string& class_loss) {
  return R"({"name": "c", "input": {"height": 8, "width": 8}, "backbone": [)" + conv + R"(],
            "head": [{"type": "fully_connected", "outputs": 2, "activation": "none"}],
            "detector": {"cells": 1, "predictors": 0, "classes": 2, "class_loss": ")" +
         class_loss + "\"}}";
}

TEST(NetworkJson, DescribesClassifiers) {
  const std::pair<const char*, ClassLoss> losses[] = {{"cross_entropy", ClassLoss::cross_entropy},
                                                      {"mse", ClassLoss::mse},
                                                      {"bce", ClassLoss::bce},
                                                      {"multi_label", ClassLoss::multi_label}};
  for (const auto& [name, loss] : losses) {
    SCOPED_TRACE(name);
    const auto spec = parse_network(classifier_text(name), "text");
    EXPECT_EQ(spec.detector.predictors, 0);
    EXPECT_EQ(spec.detector.class_loss, loss);
    EXPECT_TRUE(spec.detector.classifies_only());
    EXPECT_EQ(spec.detector.channels(), 2);
    EXPECT_EQ(spec.detector.slots(), 0);
    const auto again = parse_network(to_json(spec), "again");
    EXPECT_EQ(again.detector.predictors, 0);
    EXPECT_EQ(again.detector.class_loss, loss);
    EXPECT_EQ(to_json(again), to_json(spec));
    EXPECT_EQ(layers_of(with_classes(spec, 7)).back().output, (ImageShape{1, 1, 7}));
  }
  EXPECT_FALSE(load_network("quick").detector.classifies_only());
}

struct Refusal {
  std::string text, message;
};

TEST(NetworkJson, RefusesWhatBreaksARule) {
  const std::string good_detector = R"("cells": 4, "classes": 2)";
  std::string many = conv;
  for (int i = 0; i < 256; ++i) many += R"(, {"type": "max_pool", "size": 1, "stride": 1})";
  const std::vector<Refusal> table{
      {"{", "text:1:2"},
      {network_text(conv) + "x", "text:1:"},
      {network_text(conv, good_detector, R"("height": 8, "height": 8, "width": 8)"), "'height'"},
      {"[]", "text: the document must be an object"},
      {R"({"name": "n"})", "text: input is missing"},
      {network_text(conv, good_detector, R"("width": 8)"), "text: input.height is missing"},
      {network_text(conv, good_detector, R"("height": 8.5, "width": 8)"), "input.height must be an integer"},
      {network_text(conv, good_detector, R"("height": 0, "width": 8)"), "input.height must be an integer from 1"},
      {network_text(conv, good_detector, R"("height": 8, "width": 8, "mean": "0")"), "input.mean must be a number"},
      {network_text(conv, good_detector, R"("height": 8, "width": 8, "deviation": 0)"), "input.deviation must be"},
      {network_text(conv, good_detector, R"("height": 99999, "width": 8)"),
       "network 'n': input cannot be 99999 x 8 x 1"},
      {network_text(conv, good_detector, R"("height": 16384, "width": 16384, "channels": 60000)"),
       "network 'n': input has 16106127360000 elements, more than 2147483647"},
      {network_text(conv, good_detector, R"("height": 8, "width": 8, "depth": 1)"), "unknown key 'depth' in input"},
      {network_text(conv, good_detector, R"("height": 8, "width": 8)", R"(, "tail": [])"), "unknown key 'tail'"},
      {network_text(R"({"filters": 3})"), "backbone[0].type is missing"},
      {network_text(R"({"type": "cnov", "filters": 3})"), "backbone[0].type must be one of"},
      {network_text(R"(7)"), "backbone[0] must be an object"},
      {network_text(R"({"type": "conv"})"), "backbone[0].filters is missing"},
      {network_text(R"({"type": "conv", "filters": 3, "kernel": 3})"), "unknown key 'kernel' in backbone[0]"},
      {network_text(R"({"type": "conv", "filters": -3})"), "backbone[0].filters must be an integer from 1"},
      {network_text(R"({"type": "conv", "filters": 70000})"), "backbone.conv1 cannot have 70000 filters"},
      {network_text(R"({"type": "conv", "filters": 3, "activation": "tanh"})"),
       "backbone[0].activation must be one of"},
      {network_text(R"({"type": "conv", "filters": 3, "size": 2, "stride": 2})"),
       "backbone.conv1 must have an odd size"},
      {network_text(R"({"type": "conv", "filters": 3, "size": 65})"), "backbone.conv1 must have an odd size up to 63"},
      {network_text(R"({"type": "conv", "filters": 3, "stride": 64})"), "backbone.conv1 cannot have stride 64"},
      {network_text(R"({"type": "conv", "filters": 3, "padding": 3})"),
       "backbone.conv1 must have padding below its size"},
      {network_text(R"({"type": "conv", "filters": 3, "size": 9, "padding": 0})"),
       "backbone.conv1 of size 9 does not fit its input of 8 x 8 x 1"},
      {network_text(R"({"type": "max_pool", "size": 9})"),
       "backbone.pool1 of size 9 does not fit its input of 8 x 8 x 1"},
      {network_text(R"({"type": "max_pool", "size": 16})"), "backbone.pool1 must have a size of at most 15"},
      {network_text(R"({"type": "max_pool", "stride": 16})"), "backbone.pool1 cannot have stride 16"},
      {network_text(R"({"type": "average_pool", "height": 9, "width": 4})"),
       "backbone.average_pool1 cannot make 9 x 4 of its input of 8 x 8 x 1"},
      {network_text(R"({"type": "average_pool", "height": 4})"), "backbone[0].width is missing"},
      {network_text(R"({"type": "fully_connected", "outputs": 99999999})"),
       "backbone.fc1 cannot have 99999999 outputs"},
      {network_text(conv, good_detector, R"("height": 8, "width": 8, "channels": 65537)"),
       "input cannot be 8 x 8 x 65537"},
      {network_text(R"({"type": "conv", "filters": 60000}, {"type": "conv", "filters": 60000})"),
       "backbone.conv2's weight has 32400000000 elements, more than 2147483647"},
      {network_text(R"({"type": "conv", "filters": 60000, "size": 1})", good_detector,
                    R"("height": 2000, "width": 2000)"),
       "backbone.conv1 has 240000000000 elements, more than 2147483647"},
      {network_text(many), "network has 258 layers, more than 256"},
      {network_text(conv, R"("cells": 5, "classes": 2)"),
       "head.conv1 gives 4 x 4 x 7, the detector needs 5 x 5 x 7 (cells x cells x (5 * predictors + classes))"},
      {network_text(conv, R"("cells": 4, "classes": 3)"), "the detector needs 4 x 4 x 8"},
      {network_text(conv, R"("cells": 4, "classes": 0)"), "detector.classes must be an integer from 1"},
      {network_text(conv, R"("cells": 4, "classes": 2, "predictors": -1)"),
       "detector.predictors must be an integer from 0"},
      {network_text(conv, R"("cells": 4, "classes": 2, "predictors": 65)"),
       "detector has cells, predictors or classes out of range"},
      {network_text(conv, R"("cells": 4, "classes": 2, "predictors": 0)"), "the detector needs 4 x 4 x 2"},
      {network_text(conv, R"("cells": 2000, "classes": 2)"), "detector has cells, predictors or classes out of range"},
      {network_text(conv, R"("cells": 4, "classes": 2, "prior_width": 0)"), "detector.prior_width must be a number"},
      {network_text(conv, R"("cells": 4, "classes": 2, "class_loss": "hinge")"), "detector.class_loss must be one of"},
      {network_text(conv, R"("cells": 4, "classes": 2, "anchors": 2)"), "unknown key 'anchors' in detector"},
      {R"({"name": "n", "input": {"height": 8, "width": 8}, "backbone": [], "head": [],
           "detector": {"cells": 8, "classes": 2}})",
       "network 'n': network has no layer"},
      {R"({"name": "n", "input": {"height": 8, "width": 8}, "backbone": [{"type": "max_pool"}], "head": [],
           "detector": {"cells": 4, "classes": 2}})",
       "backbone.pool1 is last, where conv or fully_connected must be"},
      {R"({"name": "n", "input": {"height": 8, "width": 8}, "backbone": [{"type": "conv", "filters": 7}], "head": [],
           "detector": {"cells": 8, "classes": 2}})",
       "backbone.conv1 is last and must have the activation 'none'"},
  };
  for (const auto& [text, message] : table) {
    try {
      parse_network(text, "text");
      ADD_FAILURE() << "accepted where \"" << message << "\" was expected";
    } catch (const InvalidInput& error) {
      const std::string found = error.what();
      EXPECT_NE(found.find(message), std::string::npos) << "found    " << found << "\nexpected " << message;
      EXPECT_EQ(found.substr(0, 5), "text:") << found;
    }
  }
}

TEST(NetworkJson, RefusesATextCutAnywhere) {
  const std::string text = to_json(load_network("quick"));
  for (std::size_t length = 0; length + 2 < text.size(); ++length)
    EXPECT_THROW(parse_network(std::string_view(text).substr(0, length), "text"), InvalidInput) << length;
}

TEST(Classes, WidenTheLastLayer) {
  for (const auto& name : network_presets()) {
    const auto spec = with_classes(load_network(name), 26);
    EXPECT_EQ(spec.detector.classes, 26);
    const auto last = layers_of(spec).back().output;
    EXPECT_EQ(last.size(), std::size_t(spec.detector.cells) * spec.detector.cells * (5 + 26)) << name;
  }
  EXPECT_EQ(to_json(with_classes(with_classes(load_network("seed-fc"), 3), 10)), to_json(load_network("seed-fc")));
  EXPECT_THROW(with_classes(load_network("quick"), 0), InvalidInput);
  EXPECT_THROW(with_classes(load_network("quick"), 1 << 20), InvalidInput);
}

TEST(LoadNetwork, TakesAPresetOrAFile) {
  const auto path = std::filesystem::temp_directory_path() / "gridspot_network_spec_test.json";
  std::ofstream(path) << to_json(load_network("small"));
  EXPECT_EQ(to_json(load_network(path.string())), to_json(load_network("small")));
  std::filesystem::remove(path);
  try {
    load_network("smal");
    ADD_FAILURE() << "accepted";
  } catch (const InvalidInput& error) {
    EXPECT_STREQ(error.what(), "'smal' is neither a file nor a built-in network (medium, quick, seed, seed-fc, small)");
  }
}

}  // namespace
}  // namespace gridspot
