#pragma once
// Strict reading and stable writing of JSON text.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gridspot {

/// Objects keep the order in which their keys were added, so equal values give equal text.
using Json = nlohmann::ordered_json;

/// Objects and arrays nested deeper are refused (code that walks a document may then recurse).
inline constexpr int max_json_depth = 64;

/// Reads one JSON document. Throws InvalidInput with `source`:line:column (columns count bytes from 1) for text that is
/// not JSON, for anything after the document, for a key that appears twice in an object, for numbers beyond double and
/// for nesting beyond max_json_depth. `source` names the text in messages, usually its file.
Json parse_json(std::string_view text, std::string_view source);

/// The number whose text is the shortest that reads back as exactly this float (0.1f is written as 0.1); null when it
/// is not finite, for which JSON has no number.
Json json_number(float value);

/// `value` as text, equal for equal values, numbers in their shortest form that reads back (doubles keep a point or an
/// exponent, so that they stay doubles). Bytes that are not UTF-8 (from file names) become U+FFFD.
/// `to_text` is indented by two spaces, with arrays of plain values on one line, and ends in a line end; `to_line` is
/// one line without an end.
std::string to_text(const Json& value);
std::string to_line(const Json& value);

}  // namespace gridspot
