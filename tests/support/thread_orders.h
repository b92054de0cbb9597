#pragma once
// Runs the same work several times, on the CPU under different orders of blocks and threads, and compares the results.
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "device/stream.h"

namespace gridspot::test {

struct NamedSchedule {
  std::string name;
  simt::Schedule schedule;
};

/// Forward first, then reverse and several shuffles.
const std::vector<NamedSchedule>& thread_orders();

/// Empty when both are equal bit for bit, else what differs first "between `runs`".
std::string difference_between(const std::string& runs, std::span<const std::byte> first,
                               std::span<const std::byte> second);
std::string difference_between_orders(const std::string& order, std::span<const std::byte> forward,
                                      std::span<const std::byte> other);

template <class Output>
struct OrderedRuns {
  Output output;           ///< of the first run
  std::string difference;  ///< empty when every run gave the same bits
};

/// `body(stream)` returns a vector of a trivially copyable type. On CUDA it runs twice.
template <class Body>
auto run_under_every_order(Stream& stream, Body body) {
  OrderedRuns<decltype(body(stream))> runs;
  if (stream.is_cuda()) {
    runs.output = body(stream);
    const auto again = body(stream);
    runs.difference =
        difference_between("two runs", std::as_bytes(std::span(runs.output)), std::as_bytes(std::span(again)));
    return runs;
  }
  bool first = true;
  for (const auto& [name, schedule] : thread_orders()) {
    stream.runtime().set_schedule(schedule);
    const auto output = body(stream);
    if (std::exchange(first, false)) runs.output = output;
    if (runs.difference.empty())
      runs.difference =
          difference_between_orders(name, std::as_bytes(std::span(runs.output)), std::as_bytes(std::span(output)));
  }
  stream.runtime().set_schedule({});
  return runs;
}

}  // namespace gridspot::test
