#pragma once
// Numbers of a table whose columns are found by their names.
#include <string>
#include <string_view>
#include <vector>

namespace gridspot::report {

class CsvHeader {
 public:
  /// `line` names the columns, with commas between. Throws InvalidInput, starting with `place`, when one of `wanted` is
  /// not there.
  CsvHeader(std::string_view line, const std::string& place, const std::vector<std::string>& wanted);

  /// The finite numbers of the wanted columns, in that order; none may be negative. Throws InvalidInput that starts
  /// with `place`.
  [[nodiscard]] std::vector<double> read(std::string_view line, const std::string& place) const;

 private:
  std::vector<std::string> names_;
  std::vector<std::size_t> wanted_;
};

}  // namespace gridspot::report
