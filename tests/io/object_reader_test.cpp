#include "io/object_reader.h"

#include <gmock/gmock.h>

#include <functional>

#include "gridspot/error.h"

namespace gridspot {
namespace {

enum class Coding { linear, exponential };
constexpr EnumName<Coding> codings[] = {{"linear", Coding::linear}, {"exponential", Coding::exponential}};

struct Settings {
  bool flag = false;
  int count = 3;
  std::int64_t wide = -1;
  std::uint64_t seed = 1;
  float rate = 0.5f;
  double share = 0.25;
  std::string name = "none";
  Coding coding = Coding::linear;
  std::vector<int> sizes;
  std::vector<std::string> classes;
};

void read_settings(ObjectReader reader, Settings& settings) {
  reader.read("flag", settings.flag);
  reader.read("count", settings.count, 1, 10);
  reader.read("wide", settings.wide);
  reader.read("seed", settings.seed);
  reader.read("learning_rate", settings.rate, 0, 10);
  reader.read("share", settings.share, 0, 1);
  reader.read("name", settings.name);
  reader.read("coding", settings.coding, std::span<const EnumName<Coding>>(codings));
  reader.read("sizes", settings.sizes, 0, 100);
  reader.read("classes", settings.classes);
  reader.finish();
}

std::string refusal(const std::string& text, const std::function<void(const Json&)>& read) {
  const auto json = parse_json(text, "c.json");
  try {
    read(json);
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "(accepted)";
}

TEST(ObjectReader, ReadsEveryTypeAndLeavesWhatIsAbsent) {
  Settings settings;
  const auto json =
      parse_json(R"({"flag": true, "count": 10, "wide": -9223372036854775808, "seed": 18446744073709551615,
      "learning_rate": 0.1, "share": 1, "name": "n", "coding": "exponential", "sizes": [0, 100], "classes": ["a", "b"]})",
                 "c.json");
  read_settings(ObjectReader(json, "c.json"), settings);
  EXPECT_TRUE(settings.flag);
  EXPECT_EQ(settings.count, 10);
  EXPECT_EQ(settings.wide, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(settings.seed, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(settings.rate, 0.1f);
  EXPECT_EQ(settings.share, 1.0);
  EXPECT_EQ(settings.name, "n");
  EXPECT_EQ(settings.coding, Coding::exponential);
  EXPECT_EQ(settings.sizes, (std::vector{0, 100}));
  EXPECT_EQ(settings.classes, (std::vector<std::string>{"a", "b"}));

  Settings untouched;
  read_settings(ObjectReader(Json::object(), "c.json"), untouched);
  EXPECT_EQ(untouched.count, 3);
  EXPECT_EQ(untouched.name, "none");
}

TEST(ObjectReader, NamesPlaceRuleAndWhatWasFound) {
  struct Case {
    const char *text, *message;
  };
  const Case cases[] = {
      {R"({"flag": 1})", "c.json: train.flag must be true or false, found 1"},
      {R"({"count": 0})", "c.json: train.count must be an integer from 1 to 10, found 0"},
      {R"({"count": 11})", "c.json: train.count must be an integer from 1 to 10, found 11"},
      {R"({"count": -1})", "c.json: train.count must be an integer from 1 to 10, found -1"},
      {R"({"count": 4294967297})", "c.json: train.count must be an integer from 1 to 10, found 4294967297"},
      {R"({"count": 18446744073709551615})", "c.json: train.count must be an integer from 1 to 10, found 184467440737"},
      {R"({"count": 1.5})", "c.json: train.count must be an integer from 1 to 10, found 1.5"},
      {R"({"count": 1.0})", "c.json: train.count must be an integer from 1 to 10, found 1.0"},
      {R"({"count": "3"})", "c.json: train.count must be an integer from 1 to 10, found \"3\""},
      {R"({"count": null})", "c.json: train.count must be an integer from 1 to 10, found null"},
      {R"({"wide": 9223372036854775808})", "c.json: train.wide must be an integer from -9223372036854775808 to"},
      {R"({"seed": -1})", "c.json: train.seed must be an integer from 0 to 18446744073709551615, found -1"},
      {R"({"seed": 18446744073709551616})",
       "c.json: train.seed must be an integer from 0 to 18446744073709551615, found"},
      {R"({"learning_rate": -0.5})", "c.json: train.learning_rate must be a number from 0.0 to 10.0, found -0.5"},
      {R"({"learning_rate": "x"})", "c.json: train.learning_rate must be a number from 0.0 to 10.0, found \"x\""},
      {R"({"share": 1.0001})", "c.json: train.share must be a number from 0.0 to 1.0, found 1.0001"},
      {R"({"share": [1]})", "c.json: train.share must be a number from 0.0 to 1.0, found an array"},
      {R"({"name": 1})", "c.json: train.name must be a string, found 1"},
      {R"({"coding": "linaer"})",
       "c.json: train.coding must be one of 'linear', 'exponential', found \"linaer\"; did you mean 'linear'?"},
      {R"({"coding": {}})", "c.json: train.coding must be one of 'linear', 'exponential', found an object"},
      {R"({"sizes": 1})", "c.json: train.sizes must be an array, found 1"},
      {R"({"sizes": [1, 101]})", "c.json: train.sizes[1] must be an integer from 0 to 100, found 101"},
      {R"({"classes": ["a", 1]})", "c.json: train.classes[1] must be a string, found 1"},
      {R"({"lerning_rate": 1})", "c.json: unknown key 'lerning_rate' in train; did you mean 'learning_rate'?"},
      {R"({"zzzzzz": 1})", "c.json: unknown key 'zzzzzz' in train"},
      {R"(3)", "c.json: train must be an object, found 3"},
  };
  for (const auto& [text, message] : cases) {
    Settings settings;
    EXPECT_THAT(
        refusal(text, [&](const Json& json) { read_settings(ObjectReader(json, "c.json", "train"), settings); }),
        testing::StartsWith(message));
  }
}

TEST(ObjectReader, RefusesMissingKeysAndKeysAtTheTop) {
  int value = 0;
  const auto read = [&](const Json& json) {
    ObjectReader reader(json, "c.json");
    reader.require("steps", value, 1, 5);
    reader.finish();
  };
  EXPECT_EQ(refusal(R"({"steps": 5})", read), "(accepted)");
  EXPECT_EQ(value, 5);
  EXPECT_EQ(refusal("{}", read), "c.json: steps is missing");
  EXPECT_EQ(refusal(R"({"steps": 5, "step": 1})", read), "c.json: unknown key 'step'; did you mean 'steps'?");
  EXPECT_EQ(refusal("[]", read), "c.json: the document must be an object, found an array");
}

TEST(ObjectReader, WalksIntoObjectsAndArrays) {
  const auto read = [](const Json& json) {
    ObjectReader reader(json, "n.json");
    int classes = 0, channels = 0;
    if (reader.has("head")) {
      auto head = reader.object("head");
      head.read("classes", classes, 1, 100);
      head.finish();
    }
    for (auto& layer : reader.objects("layers")) {
      layer.require("channels", channels, 1, 64);
      layer.finish();
    }
    reader.finish();
  };
  EXPECT_EQ(refusal(R"({"head": {"classes": 10}, "layers": [{"channels": 1}, {"channels": 64}]})", read), "(accepted)");
  EXPECT_EQ(refusal(R"({"layers": [{"channels": 1}, {"channels": 65}]})", read),
            "n.json: layers[1].channels must be an integer from 1 to 64, found 65");
  EXPECT_EQ(refusal(R"({"layers": [{"channels": 1}, {}]})", read), "n.json: layers[1].channels is missing");
  EXPECT_EQ(refusal(R"({"layers": [{"channels": 1, "chanels": 1}]})", read),
            "n.json: unknown key 'chanels' in layers[0]; did you mean 'channels'?");
  EXPECT_EQ(refusal(R"({"layers": [7]})", read), "n.json: layers[0] must be an object, found 7");
  EXPECT_EQ(refusal(R"({"layers": {}})", read), "n.json: layers must be an array, found an object");
  EXPECT_EQ(refusal(R"({"head": {"classes": 0}, "layers": []})", read),
            "n.json: head.classes must be an integer from 1 to 100, found 0");
  EXPECT_EQ(refusal("{}", read), "n.json: layers is missing");
}

TEST(NearestName, SuggestsSlipsOfTheHandOnly) {
  const std::vector<std::string_view> names{"learning_rate", "steps", "seed", "lr"};
  const std::pair<const char*, const char*> cases[] = {
      {"lerning_rate", "learning_rate"},
      {"learnign_rate", "learning_rate"},
      {"step", "steps"},
      {"sede", "seed"},
      {"seeds", "seed"},
      {"learning", ""},
      {"xy", ""},
      {"momentum", ""},
      {"", ""},
  };
  for (const auto& [name, expected] : cases) EXPECT_EQ(nearest_name(name, names), expected) << name;
}

}  // namespace
}  // namespace gridspot
