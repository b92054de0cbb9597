#pragma once
// Pages of HTML that need nothing beside themselves: no network, no script.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gridspot::report {

/// For element content and attribute values: & < > " and ' as entities; bytes that are not UTF-8, and control
/// characters that neither HTML nor XML allows, become U+FFFD.
std::string escape(std::string_view text);

std::string base64(std::string_view bytes);

/// What all measures look like: "0.912", and for a program the whole number beside it
/// (<data value="0.9123456">0.912</data>); a dash for one that does not exist (below 0).
std::string measure(double value);
/// A signed difference of measures: "+0.012"; "0.000" has no sign.
std::string difference_text(double value);
/// "0.912" alone.
std::string measure_text(double value);
/// A number of epochs to a tenth: "20", or "19.2" where it is not whole.
std::string epoch_text(double epochs);
/// "91.2%".
std::string percent_text(double share);
/// "12,345".
std::string count_text(std::int64_t count);
/// count_text with the plain number beside it for a program.
std::string count_cell(std::int64_t count);
/// `html` emphasised where it is the best of its column.
std::string emphasised(const std::string& html, bool best);

struct Table {
  std::vector<std::string> head;  ///< HTML, as the rows
  std::vector<std::vector<std::string>> rows;
  std::size_t name_columns = 1;  ///< the first columns are names, the others numbers
};

/// In a box of its own that scrolls sideways where the screen is narrow.
std::string table(const Table& content);

/// `content` is HTML, `caption` too.
std::string figure(const std::string& content, const std::string& caption);

/// <code>path</code>.
std::string file_name(const std::string& path);

std::string section(const std::string& id, const std::string& title, const std::string& content);

/// Content that opens at a click.
std::string details(const std::string& summary, const std::string& content, bool open = false);

/// The whole document; `body` is HTML.
std::string page(const std::string& title, const std::string& body);

}  // namespace gridspot::report
