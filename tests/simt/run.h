#pragma once
// Kernels of these tests are for the host alone: they are run here, not launched.
#include <vector>

#include "device/kernel.h"
#include "tests/support/thread_orders.h"

namespace gridspot::test {

template <class Kernel>
void run(simt::Runtime& runtime, const LaunchShape& shape, const Kernel& kernel) {
  runtime.run(shape, kernel, &kernel_name<Kernel>);
}

/// visit(runtime) for a runtime of each thread order.
template <class Visit>
void for_each_order(Visit visit) {
  for (const auto& [name, schedule] : thread_orders()) {
    SCOPED_TRACE("thread order " + name);
    simt::Runtime runtime;
    runtime.set_schedule(schedule);
    visit(runtime);
  }
}

}  // namespace gridspot::test
