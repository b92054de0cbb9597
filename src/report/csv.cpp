#include "report/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "gridspot/error.h"

namespace gridspot::report {
namespace {

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> fields;
  std::size_t start = 0;
  for (std::size_t end; (end = line.find(',', start)) != std::string_view::npos; start = end + 1)
    fields.emplace_back(line.substr(start, end - start));
  fields.emplace_back(line.substr(start));
  return fields;
}

}  // namespace

CsvHeader::CsvHeader(std::string_view line, const std::string& place, const std::vector<std::string>& wanted)
    : names_(split(line)) {
  for (const auto& name : wanted) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    require(found != names_.end(), place + ": there is no column '" + name + "'");
    wanted_.push_back(static_cast<std::size_t>(found - names_.begin()));
  }
}

std::vector<double> CsvHeader::read(std::string_view line, const std::string& place) const {
  const auto fields = split(line);
  require(fields.size() == names_.size(),
          place + ": " + std::to_string(fields.size()) + " values for " + std::to_string(names_.size()) + " columns");
  std::vector<double> values;
  for (const auto column : wanted_) {
    const std::string& field = fields[column];
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    require(error == std::errc{} && end == field.data() + field.size() && std::isfinite(value) && value >= 0,
            place + ": " + names_[column] + " must be a number of at least 0, found '" + field + "'");
    values.push_back(value);
  }
  return values;
}

}  // namespace gridspot::report
