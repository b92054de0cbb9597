#include "tests/support/thread_orders.h"

#include <algorithm>

namespace gridspot::test {

const std::vector<NamedSchedule>& thread_orders() {
  static const std::vector<NamedSchedule> orders{{"forward", {simt::Order::forward, 0}},
                                                 {"reverse", {simt::Order::reverse, 0}},
                                                 {"shuffled with seed 1", {simt::Order::shuffled, 1}},
                                                 {"shuffled with seed 2", {simt::Order::shuffled, 2}},
                                                 {"shuffled with seed 3", {simt::Order::shuffled, 3}}};
  return orders;
}

std::string difference_between(const std::string& runs, std::span<const std::byte> first,
                               std::span<const std::byte> second) {
  if (first.size() != second.size())
    return "the size of the result differs between " + runs + ": " + std::to_string(first.size()) + " and " +
           std::to_string(second.size()) + " bytes";
  const auto [a, b] = std::mismatch(first.begin(), first.end(), second.begin());
  if (a == first.end()) return {};
  return "byte " + std::to_string(a - first.begin()) + " of " + std::to_string(first.size()) +
         " of the result differs between " + runs;
}

std::string difference_between_orders(const std::string& order, std::span<const std::byte> forward,
                                      std::span<const std::byte> other) {
  return difference_between("the thread orders forward and " + order, forward, other);
}

}  // namespace gridspot::test
