#include "io/json.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>

#include "gridspot/error.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view text) {
  try {
    parse_json(text, "file.json");
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "(accepted)";
}

TEST(Json, KeepsTheOrderOfKeysAndTheTypesOfValues) {
  const auto json = parse_json(R"({"b": [1, -2, 3.5, true, null], "a": {"x": "y"}})", "file.json");
  EXPECT_EQ(to_line(json), R"({"b":[1,-2,3.5,true,null],"a":{"x":"y"}})");
  EXPECT_EQ(to_text(json["a"]), "{\n  \"x\": \"y\"\n}\n");
  EXPECT_EQ(parse_json(" 7 ", "file.json"), Json(7));
}

TEST(Json, IsLaidOutForReading) {
  const auto json = parse_json(R"({"a":[1,2.0,"x"],"b":[[1,2],[]],"c":{},"d":[{"e":null}]})", "file.json");
  EXPECT_EQ(to_text(json), R"({
  "a": [1, 2.0, "x"],
  "b": [
    [1, 2],
    []
  ],
  "c": {},
  "d": [
    {
      "e": null
    }
  ]
}
)");
  EXPECT_EQ(to_line(json), R"({"a":[1,2.0,"x"],"b":[[1,2],[]],"c":{},"d":[{"e":null}]})");
  EXPECT_EQ(parse_json(to_text(json), "text"), json);
}

TEST(Json, RefusesBadTextWithItsPlace) {
  struct Case {
    const char *text, *message;
  };
  const std::string nested(65, '[');
  const Case cases[] = {
      {"", "file.json:1:1: "},
      {"  ", "file.json:1:"},
      {"{\"a\": 1, \"a\": 2}", "file.json:1:10: duplicate key 'a'"},
      {"{\n  \"a\": 1,\n  \"b\": {\"a\": 1},\n  \"a\": 2}", "file.json:4:3: duplicate key 'a'"},
      {"{\"x\": [{\"k\": \"\\\"\", \"k\": 0}]}", "file.json:1:20: duplicate key 'k'"},
      {"{\"a\": {}, \"a\": 2}", "file.json:1:11: duplicate key 'a'"},
      {"{\"\\u0061\": 1,\n\"a\": 2}", "file.json:2:1: duplicate key 'a'"},
      {"{\"a\": 1,}", "file.json:1:9: "},
      {"{\"a\" 1}", "file.json:1:6: "},
      {"[1, 2", "file.json:1:6: "},
      {"[1,\n 2 3]", "file.json:2:4: "},
      {"{} {}", "file.json:1:4: "},
      {"// no\n{}", "file.json:1:"},
      {"[NaN]", "file.json:1:2: "},
      {"[Infinity]", "file.json:1:2: "},
      {"[1e999]", "number overflow"},
      {"[01]", "file.json:1:3: "},
      {"\"\xff\"", "file.json:1:2: "},
      {"\"tab\tinside\"", "file.json:1:5: "},
      {"'single'", "file.json:1:1: "},
      {nested.c_str(), "file.json:1:65: array nested deeper than 64 levels"},
  };
  for (const auto& [text, message] : cases) EXPECT_THAT(refusal(text), HasSubstr(message)) << text;
}

TEST(Json, NestsUpToTheLimit) {
  const std::string text = std::string(64, '[') + std::string(64, ']');
  EXPECT_EQ(to_line(parse_json(text, "file.json")), text);
  EXPECT_THAT(refusal(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
}

TEST(Json, RefusesEveryTruncation) {
  const std::string text = R"({"a": [1, 2.5e3, "t\u0041ext"], "b": {"c": null, "d": [true, false]}})";
  parse_json(text, "file.json");
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_NE(refusal(text.substr(0, length)), "(accepted)") << length;
}

TEST(Json, ManyKeysAreReadInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":0";
  EXPECT_EQ(parse_json(text + "}", "file.json").size(), 100'000u);
}

TEST(JsonNumber, IsTheShortestTextThatReadsBack) {
  EXPECT_EQ(to_line(json_number(0.1f)), "0.1");
  EXPECT_EQ(to_line(json_number(1.0f)), "1.0");
  EXPECT_EQ(to_line(json_number(16777216.0f)), "16777216.0");
  EXPECT_EQ(to_line(json_number(3.4028235e38f)), "3.4028235e+38");
  EXPECT_EQ(to_line(json_number(-1.1912845e20f)), "-1.1912845e+20");
  EXPECT_EQ(to_line(json_number(1e-45f)), "1e-45");
  EXPECT_EQ(to_line(json_number(-0.0f)), "-0.0");
  EXPECT_EQ(to_line(json_number(std::numeric_limits<float>::infinity())), "null");
  EXPECT_EQ(to_line(json_number(std::nanf(""))), "null");

  test::Random random;
  for (int i = 0; i < 200'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    const auto text = to_line(json_number(value));
    ASSERT_LE(text.size(), 16u) << text << ": a float needs no more (-1.23456789e+12 or -8680910618624.0)";
    ASSERT_EQ(std::bit_cast<std::uint32_t>(parse_json(text, "number").get<float>()),
              std::bit_cast<std::uint32_t>(value))
        << text;
  }
}

TEST(Json, WritesNamesThatAreNotUtf8) { EXPECT_EQ(to_line(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace gridspot
