#pragma once
// Which processor work runs on.
#include <string>
#include <string_view>

namespace gridspot {

enum class DeviceKind { cpu, cuda };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

/// "auto" (the first CUDA device if there is one, else the CPU), "cpu", "cuda" or "cuda:N".
/// Throws InvalidInput for any other text and NoDevice for a device that is not there or not part of this build.
Device parse_device(std::string_view text);

/// "cpu" or "cuda:N".
std::string to_string(Device device);

/// The processor's own name, e.g. "AMD EPYC" or "NVIDIA H100 80GB HBM3".
std::string describe(Device device);

/// 0 where no driver, no GPU or no CUDA build is; `reason` (if given) then says which.
int cuda_device_count(std::string* reason = nullptr);

}  // namespace gridspot
