#include "tests/support/compare.h"

#include <cmath>
#include <limits>

namespace gridspot::test {

testing::AssertionResult matches(std::span<const float> values, std::span<const double> reference,
                                 Tolerance tolerance) {
  if (values.size() != reference.size())
    return testing::AssertionFailure() << values.size() << " values, but the reference has " << reference.size();
  double worst_share = 0;
  std::size_t worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i], wanted = reference[i];
    double share = std::abs(value - wanted) / (tolerance.absolute + tolerance.relative * std::abs(wanted));
    if (value == wanted || (std::isnan(value) && std::isnan(wanted))) share = 0;
    if (std::isnan(share)) share = std::numeric_limits<double>::infinity();
    if (share > worst_share) {
      worst_share = share;
      worst = i;
    }
  }
  if (worst_share <= 1) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "element " << worst << " of " << values.size() << " is " << values[worst]
                                     << ", the reference " << reference[worst] << ": " << worst_share
                                     << " times the tolerance (absolute " << tolerance.absolute << ", relative "
                                     << tolerance.relative << ")";
}

std::vector<double> to_double(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace gridspot::test
