#include "gridspot/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "gridspot/error.h"

namespace gridspot {
namespace {

using testing::HasSubstr;

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Protocol, NamedOnesAreFrozen) {
  struct Row {
    const char* name;
    std::uint32_t id;
    int height, width, min_glyphs, max_glyphs;
    float min_size, max_size, max_rotation;
    Placing placing;
    float min_iou, max_iou, max_shift;
    BoxKind box;
  };
  const std::vector<Row> rows{
      {"seed-224", 1, 224, 224, 1, 5, 20, 40, 10, Placing::anywhere, 0, 0, 0, BoxKind::tile},
      {"separated-224", 2, 224, 224, 1, 5, 20, 40, 10, Placing::separated, 0, 0, 0, BoxKind::tile},
      {"overlap-224", 3, 224, 224, 2, 5, 20, 40, 10, Placing::overlapping, 0.1f, 0.6f, 0, BoxKind::tile},
      {"crowd-300", 4, 300, 300, 1, 20, 15, 100, 0, Placing::limited, 0, 0.25f, 0, BoxKind::tight},
      {"quick-64", 5, 64, 64, 1, 3, 14, 24, 10, Placing::separated, 0, 0, 0, BoxKind::tight},
      {"digits-28", 6, 28, 28, 1, 1, 25, 31, 10, Placing::centred, 0, 0, 2, BoxKind::tile},
  };
  std::vector<std::string> names;
  for (const Row& row : rows) {
    names.push_back(row.name);
    const Protocol protocol = find_protocol(row.name);
    SCOPED_TRACE(row.name);
    EXPECT_EQ(protocol.name, row.name);
    EXPECT_EQ(protocol.id, row.id);
    EXPECT_EQ(protocol.height, row.height);
    EXPECT_EQ(protocol.width, row.width);
    EXPECT_EQ(protocol.min_glyphs, row.min_glyphs);
    EXPECT_EQ(protocol.max_glyphs, row.max_glyphs);
    EXPECT_EQ(protocol.min_size, row.min_size);
    EXPECT_EQ(protocol.max_size, row.max_size);
    EXPECT_EQ(protocol.max_rotation, row.max_rotation);
    EXPECT_EQ(protocol.placing, row.placing);
    EXPECT_EQ(protocol.min_iou, row.min_iou);
    EXPECT_EQ(protocol.max_iou, row.max_iou);
    EXPECT_EQ(protocol.max_shift, row.max_shift);
    EXPECT_FALSE(protocol.in_order);
    EXPECT_EQ(protocol.box, row.box);
    EXPECT_EQ(protocol.max_shear, 0);
    EXPECT_EQ(protocol.max_clutter, 0);
    EXPECT_EQ(protocol.noise, 0);
    EXPECT_EQ(protocol.min_contrast, 1);
    EXPECT_EQ(protocol.inversion, 0);
    EXPECT_NO_THROW(validate(protocol));
  }
  EXPECT_EQ(protocol_names(), names);
}

TEST(Protocol, AnUnknownNameListsTheNames) {
  EXPECT_EQ(message_of([] { (void)find_protocol("seed-225"); }),
            "there is no protocol 'seed-225'; the protocols are seed-224, separated-224, overlap-224, crowd-300, "
            "quick-64, digits-28");
}

TEST(Protocol, UnalteredTakesEveryChangeAway) {
  Protocol changed = find_protocol("digits-28");
  for (const char* option : {"noise=0.2", "clutter=3", "min_contrast=0.4", "inversion=0.5", "shear=0.3"})
    set_option(changed, option);
  changed.height = 40;
  changed.width = 36;
  changed.min_glyphs = 0;
  const Protocol protocol = unaltered(changed);
  EXPECT_NO_THROW(validate(protocol));
  EXPECT_EQ(protocol.name, "digits-28");
  EXPECT_EQ(protocol.id, changed.id);
  EXPECT_EQ(protocol.placing, Placing::centred);
  EXPECT_TRUE(protocol.in_order);
  EXPECT_EQ(protocol.min_glyphs, 1) << "no canvas may stay empty";
  EXPECT_EQ(protocol.min_size, 36) << "the canvas's shorter side";
  EXPECT_EQ(protocol.max_size, 36);
  EXPECT_EQ(protocol.min_contrast, 1);
  for (const float value : {protocol.max_rotation, protocol.max_shift, protocol.max_shear, protocol.noise,
                            protocol.inversion, float(protocol.max_clutter)})
    EXPECT_EQ(value, 0);
  for (const std::string& name : protocol_names())
    if (const Protocol other = find_protocol(name); other.placing != Placing::centred) {
      EXPECT_EQ(message_of([&] { (void)unaltered(other); }),
                "protocol '" + name + "' does not show glyphs one by one; digits-28 does");
    }
}

TEST(Protocol, OptionsAreSetFromText) {
  Protocol protocol = find_protocol("quick-64");
  set_option(protocol, "noise", "0.25");
  set_option(protocol, "clutter", "7");
  set_option(protocol, "min_contrast", "0.5");
  set_option(protocol, "inversion", "1");
  set_option(protocol, "shear", "2e-1");
  set_option(protocol, "box", "tile");
  EXPECT_EQ(protocol.noise, 0.25f);
  EXPECT_EQ(protocol.max_clutter, 7);
  EXPECT_EQ(protocol.min_contrast, 0.5f);
  EXPECT_EQ(protocol.inversion, 1.0f);
  EXPECT_EQ(protocol.max_shear, 0.2f);
  EXPECT_EQ(protocol.box, BoxKind::tile);
  set_option(protocol, "box", "tight");
  EXPECT_EQ(protocol.box, BoxKind::tight);
  EXPECT_NO_THROW(validate(protocol));
}

TEST(Protocol, RefusesBadOptions) {
  struct Row {
    const char *option, *value, *message;
  };
  const std::vector<Row> rows{
      {"speed", "1", "there is no option 'speed'; the options are noise, clutter, min_contrast, inversion, shear, box"},
      {"", "1", "there is no option ''"},
      {"noise", "", "option noise: expected a number in [0, 1], found ''"},
      {"noise", "abc", "option noise: expected a number in [0, 1], found 'abc'"},
      {"noise", "0.5x", "found '0.5x'"},
      {"noise", " 0.5", "found ' 0.5'"},
      {"noise", "nan", "found 'nan'"},
      {"noise", "inf", "found 'inf'"},
      {"noise", "1e99", "found '1e99'"},
      {"noise", "-0.1", "option noise: expected a number in [0, 1], found '-0.1'"},
      {"noise", "1.01", "found '1.01'"},
      {"clutter", "2.5", "option clutter: expected an integer in [0, 64], found '2.5'"},
      {"clutter", "65", "found '65'"},
      {"clutter", "-1", "found '-1'"},
      {"clutter", "99999999999", "found '99999999999'"},
      {"min_contrast", "0", "option min_contrast: expected a number in [0.05, 1], found '0'"},
      {"inversion", "2", "option inversion: expected a number in [0, 1], found '2'"},
      {"shear", "1.5", "option shear: expected a number in [0, 1], found '1.5'"},
      {"box", "Tile", "option box: expected tile or tight, found 'Tile'"},
  };
  for (const Row& row : rows) {
    Protocol protocol = find_protocol("seed-224");
    EXPECT_THAT(message_of([&] { set_option(protocol, row.option, row.value); }), HasSubstr(row.message));
  }
}

TEST(Protocol, RefusesFieldsOutOfRange) {
  struct Row {
    std::function<void(Protocol&)> change;
    const char* message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Row> rows{
      {[](Protocol& p) { p.id = 1 << 14; }, "the id must be below 2^14"},
      {[](Protocol& p) { p.height = 0; }, "height and width must be positive"},
      {[](Protocol& p) { p.width = -1; }, "height and width must be positive"},
      {[](Protocol& p) { p.width = 16385; }, "height and width must be at most 16384"},
      {[](Protocol& p) { p.min_glyphs = -1; }, "0 <= min_glyphs <= max_glyphs"},
      {[](Protocol& p) { p.max_glyphs = 0; }, "0 <= min_glyphs <= max_glyphs"},
      {[](Protocol& p) { p.max_glyphs = 4097; }, "max_glyphs must be at most 4096"},
      {[](Protocol& p) { p.min_size = 0; }, "1 <= min_size <= max_size"},
      {[](Protocol& p) { p.max_size = 10; }, "1 <= min_size <= max_size"},
      {[=](Protocol& p) { p.max_size = nan; }, "1 <= min_size <= max_size"},
      {[](Protocol& p) { p.max_rotation = 181; }, "max_rotation must be in [0, 180]"},
      {[](Protocol& p) { p.min_iou = 0.5f; }, "0 <= min_iou <= max_iou <= 1"},
      {[](Protocol& p) { p.placing = Placing::overlapping; }, "placing 'overlapping' needs min_glyphs of 2 or more"},
      {[](Protocol& p) { p.placing = Placing::centred; }, "placing 'centred' places one glyph at most"},
      {[](Protocol& p) { p.max_shift = -1; }, "max_shift must be at most half a side of the canvas"},
      {[](Protocol& p) { p.max_shift = 16385; }, "max_shift must be at most half a side of the canvas"},
      {[=](Protocol& p) { p.max_shift = nan; }, "max_shift must be at most half a side of the canvas"},
      {[](Protocol& p) { p.max_shear = -1; }, "max_shear must be in [0, 1]"},
      {[](Protocol& p) { p.max_clutter = 65; }, "max_clutter must be in [0, 64]"},
      {[=](Protocol& p) { p.noise = nan; }, "noise must be in [0, 1]"},
      {[](Protocol& p) { p.min_contrast = 0; }, "min_contrast must be in [0.05, 1]"},
      {[](Protocol& p) { p.inversion = 1.5f; }, "inversion must be in [0, 1]"},
  };
  for (const Row& row : rows) {
    Protocol protocol = find_protocol("seed-224");
    row.change(protocol);
    const std::string message = message_of([&] { validate(protocol); });
    EXPECT_THAT(message, HasSubstr(row.message));
    EXPECT_THAT(message, HasSubstr("protocol 'seed-224': "));
  }
}

TEST(Protocol, SeedSpacesNeverMeet) {
  constexpr std::uint64_t last = (std::uint64_t{1} << 48) - 1;
  std::set<std::uint64_t> keys;
  std::size_t count = 0;
  for (const std::string& name : protocol_names())
    for (const Split split : {Split::train, Split::validation, Split::test})
      for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{12345}, last - 1, last}) {
        keys.insert(scene_key(find_protocol(name), split, seed));
        ++count;
      }
  EXPECT_EQ(keys.size(), count);
  // The seed takes the lower 48 bits and nothing else, so two spaces differ above them whatever the seeds are.
  for (const std::uint64_t seed : {std::uint64_t{0}, last}) {
    const Protocol protocol = find_protocol("crowd-300");
    EXPECT_EQ(scene_key(protocol, Split::train, seed) >> 48, 8u);
    EXPECT_EQ(scene_key(protocol, Split::test, seed) >> 48, 9u);
    EXPECT_EQ(scene_key(protocol, Split::validation, seed) >> 48, 0x8008u);
    for (const Split split : {Split::train, Split::validation, Split::test})
      EXPECT_EQ(scene_key(protocol, split, seed) & last, seed);
  }
  // The last protocol there may be reaches no bit that tells validation apart.
  Protocol last_protocol = find_protocol("crowd-300");
  last_protocol.id = (1 << 14) - 1;
  EXPECT_EQ(scene_key(last_protocol, Split::test, last) >> 48, 0x7fffu);
  EXPECT_EQ(scene_key(last_protocol, Split::validation, last) >> 48, 0xfffeu);
  last_protocol.id = 1 << 14;
  EXPECT_EQ(message_of([&] { (void)scene_key(last_protocol, Split::train, 0); }),
            "protocol 'crowd-300': the id must be below 2^14");
  EXPECT_EQ(message_of([] { (void)scene_key(find_protocol("quick-64"), Split::train, last + 1); }),
            "a seed must be below 2^48, found 281474976710656");
}

}  // namespace
}  // namespace gridspot
