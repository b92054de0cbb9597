#pragma once
// The part of YAML that the descriptions of data sets need: one map of scalars, lists of scalars and maps of scalars.
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gridspot {

/// A scalar is text, whatever type YAML would give it; `line` counts from 1.
struct YamlScalar {
  std::string text;
  int line = 0;
};

enum class YamlKind { empty, scalar, list, map, skipped };

struct YamlEntry {
  YamlScalar key;
  YamlKind kind = YamlKind::empty;
  std::vector<YamlScalar> keys;    ///< of a map
  std::vector<YamlScalar> values;  ///< one of a scalar (a plain `null` or `~` is empty), those of a list or map
};

/// The entries of a document that is one map, in their order. Scalars are plain or quoted and stand on one line, double
/// quotes with the escapes of JSON; lists are [a, b], also over several lines, or "- a" a line; maps are "key: value" a
/// line, indented. Comments and blank lines are skipped, and so is the whole value of a key that is not `wanted`, of
/// whatever kind.
///
/// Throws InvalidInput "SOURCE, line N: RULE" for anything else, so for anchors, aliases, tags, directives, a second
/// document, a key that appears twice, a tab in the indentation, control characters, maps in braces and nesting.
std::vector<YamlEntry> parse_yaml_map(std::string_view text, const std::string& source,
                                      std::span<const std::string_view> wanted);

}  // namespace gridspot
