#include "measure/spread.h"

#include <algorithm>

namespace gridspot::measure {

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * double(values.size() - 1) + 0.5)];
  };
  return {at(0.25), at(0.5), at(0.75)};
}

Json to_json(const Spread& spread, double scale) {
  return {{"median", spread.median * scale}, {"quartiles", {spread.low * scale, spread.high * scale}}};
}

}  // namespace gridspot::measure
