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

std::string difference_between_orders(const std::string& order, std::span<const std::byte> forward,
                                      std::span<const std::byte> other) {
  const std::string orders = "differs between the thread orders forward and " + order;
  if (forward.size() != other.size())
    return "the size of the result " + orders + ": " + std::to_string(forward.size()) + " and " +
           std::to_string(other.size()) + " bytes";
  const auto [a, b] = std::mismatch(forward.begin(), forward.end(), other.begin());
  if (a == forward.end()) return {};
  return "byte " + std::to_string(a - forward.begin()) + " of " + std::to_string(forward.size()) + " of the result " +
         orders;
}

}  // namespace gridspot::test
