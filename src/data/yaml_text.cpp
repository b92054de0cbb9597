#include "data/yaml_text.h"

#include <algorithm>
#include <set>

#include "gridspot/error.h"
#include "io/json.h"

namespace gridspot {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// Where a plain scalar may stand, which decides what ends it.
enum class Place { key, line, flow };

class YamlReader {
 public:
  YamlReader(std::string_view text, const std::string& source, std::span<const std::string_view> wanted)
      : source_(source), wanted_(wanted) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      lines_.push_back(line);
    }
  }

  std::vector<YamlEntry> read() {
    check_characters();
    if (next_content() && (current().starts_with("--- ") || current() == "---")) start_document();
    std::vector<YamlEntry> entries;
    std::set<std::string> seen;
    while (next_content()) {
      if (indentation() > 0) fail("this line is indented more than the map it belongs to");
      entries.push_back(read_entry());
      const YamlScalar& key = entries.back().key;
      if (!seen.insert(key.text).second) fail_at(key.line, "the key " + key.text + " appears twice");
    }
    return entries;
  }

 private:
  [[noreturn]] void fail_at(int line, const std::string& rule) const {
    throw InvalidInput(source_ + ", line " + std::to_string(line) + ": " + rule);
  }
  [[noreturn]] void fail(const std::string& rule) const { fail_at(number(), rule); }

  [[nodiscard]] int number() const { return static_cast<int>(std::min(line_, lines_.size() - 1)) + 1; }
  [[nodiscard]] std::string_view current() const { return lines_[line_]; }
  [[nodiscard]] std::string_view rest() const { return current().substr(column_); }
  [[nodiscard]] bool at_end() const { return line_ == lines_.size(); }

  void check_characters() {
    for (line_ = 0; line_ < lines_.size(); ++line_)
      for (const char c : lines_[line_])
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) fail("a control character");
    line_ = 0;
  }

  void next_line() {
    ++line_;
    column_ = 0;
  }
  void skip_blanks() {
    while (column_ < current().size() && is_blank(current()[column_])) ++column_;
  }
  /// Behind blanks, a comment included; a comment needs a blank before it.
  bool at_line_end() {
    skip_blanks();
    return rest().empty() || (rest().front() == '#' && (column_ == 0 || is_blank(current()[column_ - 1])));
  }
  void finish_line() {
    if (!at_line_end()) fail("found \"" + std::string(rest()) + "\" behind the value");
    next_line();
  }

  /// Goes to the first place of the next line that holds more than blanks and comments; false at the end.
  bool next_content() {
    for (; !at_end(); next_line()) {
      column_ = 0;
      if (at_line_end()) continue;
      if (current().substr(0, column_).find('\t') != std::string_view::npos) fail("a tab in the indentation");
      return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t indentation() const { return current().find_first_not_of(' '); }

  void start_document() {
    column_ = 3;
    finish_line();
  }

  [[nodiscard]] bool at_item() const { return rest().starts_with("- ") || rest() == "-"; }

  YamlEntry read_entry() {
    YamlEntry entry{.key = read_key()};
    skip_blanks();
    refuse_properties();
    if (std::find(wanted_.begin(), wanted_.end(), entry.key.text) == wanted_.end()) {
      entry.kind = YamlKind::skipped;
      skip_value();
    } else if (at_line_end()) {
      next_line();
      read_block(entry);
    } else if (rest().front() == '[') {
      read_flow_list(entry);
    } else {
      read_line_scalar(entry);
    }
    return entry;
  }

  void refuse_properties() const {
    if (rest().empty()) return;
    const char first = rest().front();
    if (first == '&' || first == '*') fail("anchors and aliases are not read");
    if (first == '!') fail("tags are not read");
  }

  /// What belongs to a value is indented; only the items of a list and a closing bracket need not be. Of a list or map
  /// in brackets that goes on without being indented the lines would be taken for keys.
  void skip_value() {
    const bool in_brackets = rest().starts_with('[') || rest().starts_with('{');
    const int first_line = number();
    std::ptrdiff_t open = open_brackets();
    for (next_line(); !at_end(); next_line()) {
      const bool belongs = current().empty() || current().front() == ' ' || current().front() == '#' || at_item() ||
                           current().front() == ']' || current().front() == '}';
      if (!belongs) break;
      open += open_brackets();
    }
    if (in_brackets && open != 0) fail_at(first_line, "the brackets of this value are not balanced");
  }

  /// In the rest of the line, those in quotes and comments too.
  [[nodiscard]] std::ptrdiff_t open_brackets() const {
    const auto is_opening = [](char c) { return c == '[' || c == '{'; };
    const auto is_closing = [](char c) { return c == ']' || c == '}'; };
    return std::count_if(rest().begin(), rest().end(), is_opening) -
           std::count_if(rest().begin(), rest().end(), is_closing);
  }

  void read_block(YamlEntry& entry) {
    if (!next_content()) return;
    if (at_item()) {
      entry.kind = YamlKind::list;
      read_lines(entry, indentation());
    } else if (indentation() > 0) {
      entry.kind = YamlKind::map;
      read_lines(entry, indentation());
    }
  }

  /// Items, or keys with values, as long as they are indented equally.
  void read_lines(YamlEntry& entry, std::size_t own_indentation) {
    while (next_content() && indentation() == own_indentation) {
      if (at_item() != (entry.kind == YamlKind::list)) {
        if (own_indentation == 0) return;  // the next key of the document
        fail("items and keys in one value");
      }
      if (entry.kind == YamlKind::list)
        ++column_;
      else
        entry.keys.push_back(read_key());
      skip_blanks();
      entry.values.push_back(at_line_end() ? YamlScalar{"", number()} : read_scalar(Place::line));
      finish_line();
    }
    if (!at_end() && indentation() > 0 && indentation() != own_indentation)
      fail("this line is indented differently from those before it");
  }

  void read_line_scalar(YamlEntry& entry) {
    const bool plain = rest().front() != '"' && rest().front() != '\'';
    const YamlScalar value = read_scalar(Place::line);
    finish_line();
    if (plain && (value.text == "~" || value.text == "null")) return;
    entry.kind = YamlKind::scalar;
    entry.values.push_back(value);
  }

  void read_flow_list(YamlEntry& entry) {
    entry.kind = YamlKind::list;
    const int first_line = number();
    ++column_;
    for (bool open = true; open;) {
      next_flow_content(first_line);
      if (rest().front() == ']') break;  // an empty list, or a comma before the bracket
      entry.values.push_back(read_scalar(Place::flow));
      next_flow_content(first_line);
      open = rest().front() == ',';
      if (open) ++column_;
    }
    if (rest().front() != ']') fail("expected a comma or ], found \"" + std::string(rest()) + "\"");
    ++column_;
    finish_line();
  }

  /// Like next_content, but goes on in the middle of a line.
  void next_flow_content(int first_line) {
    while (!at_end() && at_line_end()) next_line();
    if (at_end()) fail_at(first_line, "the list is not closed");
  }

  YamlScalar read_key() {
    YamlScalar key = read_scalar(Place::key);
    skip_blanks();
    if (!rest().starts_with(':') || (rest().size() > 1 && !is_blank(rest()[1])))
      fail("expected \"key: value\", found \"" + std::string(current()) + "\"");
    ++column_;
    return key;
  }

  YamlScalar read_scalar(Place place) {
    refuse_properties();
    const int line = number();
    if (rest().starts_with('"')) return {read_double_quoted(), line};
    if (rest().starts_with('\'')) return {read_single_quoted(), line};
    return {read_plain(place), line};
  }

  std::string read_double_quoted() {
    std::size_t end = 1;
    while (end < rest().size() && rest()[end] != '"') end += rest()[end] == '\\' ? 2 : 1;
    if (end >= rest().size()) fail("the string is not closed on its line");
    const std::string_view quoted = rest().substr(0, end + 1);
    column_ += end + 1;
    try {
      return parse_json(quoted, source_).get<std::string>();
    } catch (const InvalidInput&) {
      fail("in double quotes, a backslash starts one of JSON's escapes, all else is UTF-8 without tabs; found " +
           std::string(quoted));
    }
  }

  std::string read_single_quoted() {
    std::string text;
    for (++column_; column_ < current().size(); ++column_) {
      if (current()[column_] == '\'') {
        ++column_;
        if (!rest().starts_with('\'')) return text;
      }
      text += current()[column_];
    }
    fail("the string is not closed on its line");
  }

  std::string read_plain(Place place) {
    check_plain_start();
    const std::size_t start = column_;
    while (column_ < current().size() && !ends_plain(place)) ++column_;
    std::string_view text = current().substr(start, column_ - start);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    if (text.empty()) fail("a value is missing");
    return std::string(text);
  }

  void check_plain_start() const {
    constexpr std::string_view indicators = "[]{}|>%@`#,?";
    const char first = rest().empty() ? ' ' : rest().front();
    const bool alone = rest().size() < 2 || is_blank(rest()[1]);
    const bool document_mark = column_ == 0 && (rest().starts_with("---") || rest().starts_with("..."));
    if (document_mark || (column_ == 0 && first == '%')) fail("directives and further documents are not read");
    if (indicators.find(first) != std::string_view::npos || (alone && first == '-'))
      fail("expected a plain or quoted value on one line, found \"" + std::string(rest()) + "\"");
  }

  [[nodiscard]] bool ends_plain(Place place) const {
    const auto is_flow_indicator = [&](char c) {
      return place == Place::flow && std::string_view(",[]{}").find(c) != std::string_view::npos;
    };
    const char c = rest().front();
    if (is_flow_indicator(c) || (c == '#' && is_blank(current()[column_ - 1]))) return true;
    const char next = rest().size() > 1 ? rest()[1] : ' ';
    if (c != ':' || !(is_blank(next) || is_flow_indicator(next))) return false;
    if (place != Place::key) fail("a map inside a value is not read");
    return true;
  }

  const std::string& source_;
  std::span<const std::string_view> wanted_;
  std::vector<std::string_view> lines_;
  std::size_t line_ = 0, column_ = 0;
};

}  // namespace

std::vector<YamlEntry> parse_yaml_map(std::string_view text, const std::string& source,
                                      std::span<const std::string_view> wanted) {
  return YamlReader(text, source, wanted).read();
}

}  // namespace gridspot
