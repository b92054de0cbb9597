#include "report/html.h"

#include <cmath>
#include <cstdio>

#include "io/json.h"
#include "report/style.h"

namespace gridspot::report {
namespace {

constexpr const char* replacement = "\xEF\xBF\xBD";

/// UTF-8 with everything else replaced, as the writer of JSON does it.
std::string valid_utf8(std::string_view text) {
  return Json::parse(Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

std::string formatted(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string data_element(const std::string& value, const std::string& text) {
  return "<data value=\"" + value + "\">" + text + "</data>";
}

std::string row(const std::vector<std::string>& cells, std::size_t name_columns) {
  std::string html = "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i)
    html += i < name_columns ? "<th scope=\"row\">" + cells[i] + "</th>" : "<td>" + cells[i] + "</td>";
  return html + "</tr>\n";
}

}  // namespace

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char letter : valid_utf8(text)) {
    const bool control = static_cast<unsigned char>(letter) < 0x20 && letter != '\t' && letter != '\n';
    if (letter == '&')
      escaped += "&amp;";
    else if (letter == '<')
      escaped += "&lt;";
    else if (letter == '>')
      escaped += "&gt;";
    else if (letter == '"')
      escaped += "&quot;";
    else if (letter == '\'')
      escaped += "&#39;";
    else if (control)
      escaped += replacement;
    else
      escaped += letter;
  }
  return escaped;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : digits[group >> (18 - 6 * k) & 63];
  }
  return text;
}

std::string measure_text(double value) { return value < 0 ? "–" : formatted("%.3f", value); }

std::string measure(double value) {
  return value < 0 ? measure_text(value) : data_element(to_line(Json(value)), measure_text(value));
}

std::string difference_text(double value) {
  constexpr double less_than_shown = 0.0005;
  return std::abs(value) < less_than_shown ? "0.000" : formatted("%+.3f", value);
}

std::string epoch_text(double epochs) {
  const double tenths = std::round(10 * epochs) / 10;
  return formatted(tenths == std::floor(tenths) ? "%.0f" : "%.1f", tenths);
}

std::string percent_text(double share) { return formatted("%.1f%%", 100 * share); }

std::string count_text(std::int64_t count) {
  std::string digits = std::to_string(count);
  const std::size_t first = count < 0 ? 1 : 0;
  for (std::size_t place = digits.size(); place > first + 3; place -= 3) digits.insert(place - 3, ",");
  return digits;
}

std::string count_cell(std::int64_t count) { return data_element(std::to_string(count), count_text(count)); }

std::string emphasised(const std::string& html, bool best) { return best ? "<strong>" + html + "</strong>" : html; }

std::string table(const Table& content) {
  std::string html = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (std::size_t i = 0; i < content.head.size(); ++i)
    html += std::string("<th scope=\"col\"") + (i < content.name_columns ? " class=\"name\"" : "") + ">" +
            content.head[i] + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& cells : content.rows) html += row(cells, content.name_columns);
  return html + "</tbody></table></div>\n";
}

std::string figure(const std::string& content, const std::string& caption) {
  return "<figure>" + content + "<figcaption>" + caption + "</figcaption></figure>\n";
}

std::string file_name(const std::string& path) { return "<code>" + escape(path) + "</code>"; }

std::string section(const std::string& id, const std::string& title, const std::string& content) {
  return "<section id=\"" + escape(id) + "\">\n<h2>" + escape(title) + "</h2>\n" + content + "</section>\n";
}

std::string details(const std::string& summary, const std::string& content, bool open) {
  return std::string("<details") + (open ? " open=\"open\"" : "") + "><summary>" + escape(summary) + "</summary>\n" +
         content + "</details>\n";
}

std::string page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
         "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>" +
         escape(title) + "</title>\n<style>\n" + page_style + "</style>\n</head>\n<body>\n<main>\n" + body +
         "</main>\n</body>\n</html>\n";
}

}  // namespace gridspot::report
