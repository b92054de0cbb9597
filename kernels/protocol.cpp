#include "gridspot/protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "gridspot/error.h"

namespace gridspot {
namespace {

std::array<Protocol, 6> named_protocols() {
  return {{
      {.name = "seed-224",
       .id = 1,
       .height = 224,
       .width = 224,
       .min_glyphs = 1,
       .max_glyphs = 5,
       .min_size = 20,
       .max_size = 40,
       .max_rotation = 10,
       .placing = Placing::anywhere,
       .box = BoxKind::tile},
      {.name = "separated-224",
       .id = 2,
       .height = 224,
       .width = 224,
       .min_glyphs = 1,
       .max_glyphs = 5,
       .min_size = 20,
       .max_size = 40,
       .max_rotation = 10,
       .placing = Placing::separated,
       .box = BoxKind::tile},
      {.name = "overlap-224",
       .id = 3,
       .height = 224,
       .width = 224,
       .min_glyphs = 2,
       .max_glyphs = 5,
       .min_size = 20,
       .max_size = 40,
       .max_rotation = 10,
       .placing = Placing::overlapping,
       .min_iou = 0.1f,
       .max_iou = 0.6f,
       .box = BoxKind::tile},
      {.name = "crowd-300",
       .id = 4,
       .height = 300,
       .width = 300,
       .min_glyphs = 1,
       .max_glyphs = 20,
       .min_size = 15,
       .max_size = 100,
       .max_rotation = 0,
       .placing = Placing::limited,
       .max_iou = 0.25f,
       .box = BoxKind::tight},
      {.name = "quick-64",
       .id = 5,
       .height = 64,
       .width = 64,
       .min_glyphs = 1,
       .max_glyphs = 3,
       .min_size = 14,
       .max_size = 24,
       .max_rotation = 10,
       .placing = Placing::separated,
       .box = BoxKind::tight},
      {.name = "digits-28",
       .id = 6,
       .height = 28,
       .width = 28,
       .min_glyphs = 1,
       .max_glyphs = 1,
       .min_size = 25,
       .max_size = 31,
       .max_rotation = 10,
       .placing = Placing::centred,
       .max_shift = 2,
       .box = BoxKind::tile},
  }};
}

std::string quoted(std::string_view text) { return std::string(1, '\'').append(text) + '\''; }

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string short_text(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

template <class Number>
Number parse_between(std::string_view option, std::string_view text, Number low, Number high) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  // Written so that NaN is refused too.
  if (!whole || !(value >= low && value <= high))
    throw InvalidInput("option " + std::string(option) + ": expected " +
                       (std::is_integral_v<Number> ? "an integer" : "a number") + " in [" + short_text(float(low)) +
                       ", " + short_text(float(high)) + "], found " + quoted(text));
  return value;
}

BoxKind parse_box(std::string_view text) {
  if (text == "tile") return BoxKind::tile;
  if (text == "tight") return BoxKind::tight;
  throw InvalidInput("option box: expected tile or tight, found " + quoted(text));
}

}  // namespace

Protocol find_protocol(std::string_view name) {
  for (const Protocol& protocol : named_protocols())
    if (protocol.name == name) return protocol;
  throw InvalidInput("there is no protocol " + quoted(name) + "; the protocols are " + list_of(protocol_names()));
}

std::vector<std::string> protocol_names() {
  std::vector<std::string> names;
  for (const Protocol& protocol : named_protocols()) names.push_back(protocol.name);
  return names;
}

Protocol unaltered(Protocol protocol) {
  require(protocol.placing == Placing::centred,
          "protocol " + quoted(protocol.name) + " does not show glyphs one by one; digits-28 does");
  protocol.min_size = protocol.max_size = static_cast<float>(std::min(protocol.height, protocol.width));
  protocol.max_rotation = protocol.max_shift = protocol.max_shear = protocol.noise = protocol.inversion = 0;
  protocol.max_clutter = 0;
  protocol.min_contrast = 1;
  protocol.min_glyphs = protocol.max_glyphs = 1;
  protocol.in_order = true;
  return protocol;
}

void validate(const Protocol& protocol) {
  const auto check = [&](bool holds, const char* rule) {
    if (!holds) throw InvalidInput("protocol " + quoted(protocol.name) + ": " + rule);
  };
  const auto within = [](float value, float low, float high) { return value >= low && value <= high; };
  check(protocol.id < 1u << 14, "the id must be below 2^14");
  check(protocol.height > 0 && protocol.width > 0, "the canvas's height and width must be positive");
  check(protocol.height <= 16384 && protocol.width <= 16384, "the canvas's height and width must be at most 16384");
  check(protocol.min_glyphs >= 0 && protocol.min_glyphs <= protocol.max_glyphs,
        "the numbers of glyphs must be 0 <= min_glyphs <= max_glyphs");
  check(protocol.max_glyphs <= most_glyphs, "max_glyphs must be at most 4096");
  check(within(protocol.min_size, 1, 16384) && within(protocol.max_size, protocol.min_size, 16384),
        "the sizes must be 1 <= min_size <= max_size <= 16384");
  check(within(protocol.max_rotation, 0, 180), "max_rotation must be in [0, 180] degrees");
  check(within(protocol.min_iou, 0, 1) && within(protocol.max_iou, protocol.min_iou, 1),
        "the overlaps must be 0 <= min_iou <= max_iou <= 1");
  check(protocol.placing != Placing::overlapping || protocol.min_glyphs >= 2,
        "placing 'overlapping' needs min_glyphs of 2 or more");
  check(protocol.placing != Placing::centred || protocol.max_glyphs == 1, "placing 'centred' places one glyph at most");
  check(within(protocol.max_shift, 0, 0.5f * static_cast<float>(std::min(protocol.height, protocol.width))),
        "max_shift must be at most half a side of the canvas");
  check(within(protocol.max_shear, 0, 1), "max_shear must be in [0, 1]");
  check(protocol.max_clutter >= 0 && protocol.max_clutter <= most_clutter, "max_clutter must be in [0, 64]");
  check(within(protocol.noise, 0, 1), "noise must be in [0, 1]");
  check(within(protocol.min_contrast, float(lowest_contrast), 1), "min_contrast must be in [0.05, 1]");
  check(within(protocol.inversion, 0, 1), "inversion must be in [0, 1]");
}

void set_option(Protocol& protocol, std::string_view option, std::string_view value) {
  if (option == "noise") {
    protocol.noise = parse_between<float>(option, value, 0, 1);
  } else if (option == "clutter") {
    protocol.max_clutter = parse_between<int>(option, value, 0, most_clutter);
  } else if (option == "min_contrast") {
    protocol.min_contrast = parse_between<float>(option, value, float(lowest_contrast), 1);
  } else if (option == "inversion") {
    protocol.inversion = parse_between<float>(option, value, 0, 1);
  } else if (option == "shear") {
    protocol.max_shear = parse_between<float>(option, value, 0, 1);
  } else if (option == "box") {
    protocol.box = parse_box(value);
  } else {
    throw InvalidInput("there is no option " + quoted(option) +
                       "; the options are noise, clutter, min_contrast, inversion, shear, box");
  }
}

void set_option(Protocol& protocol, std::string_view assignment) {
  const auto equals = assignment.find('=');
  require(equals != std::string_view::npos, "expected option=value, found '" + std::string(assignment) + "'");
  set_option(protocol, assignment.substr(0, equals), assignment.substr(equals + 1));
}

std::uint64_t scene_key(const Protocol& protocol, Split split, std::uint64_t seed) {
  constexpr int seed_bits = 48;
  require(seed <= max_seed, "a seed must be below 2^48, found " + std::to_string(seed));
  require(protocol.id < 1u << 14, "protocol " + quoted(protocol.name) + ": the id must be below 2^14");
  const std::uint64_t test_bit = split == Split::test ? 1 : 0, validation_bit = split == Split::validation ? 1 : 0;
  return validation_bit << 63 | std::uint64_t{protocol.id} << (seed_bits + 1) | test_bit << seed_bits | seed;
}

}  // namespace gridspot
