#pragma once
// What the machine can do at best, measured in the run that quotes it.
#include <atomic>

#include "device/device.h"
#include "io/json.h"
#include "nn/block.h"

namespace gridspot::measure {

struct Ceilings {
  double bytes_per_second = 0;       ///< of a large copy in the device's memory, what is read plus what is written
  double operations_per_second = 0;  ///< of a large matrix product; a multiplication and an addition count as two
};

/// On the CPU `threads` do it together, each with operands of its own. Throws Stopped once `stop` is not 0.
Ceilings measure_ceilings(Device device, Precision precision, int threads, const std::atomic<int>& stop);

Json to_json(const Ceilings& ceilings);

/// The least work that something must do.
struct Work {
  double bytes = 0, operations = 0;
  Work& operator+=(const Work& other) {
    bytes += other.bytes;
    operations += other.operations;
    return *this;
  }
};

/// The least time for work that moves and computes at the same time.
double floor_seconds(const Work& work, const Ceilings& ceilings);

}  // namespace gridspot::measure
