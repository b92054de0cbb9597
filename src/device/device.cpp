#include "device/device.h"

#include <charconv>
#include <fstream>

#include "device/cuda.h"
#include "gridspot/error.h"
#include "simt/runtime.h"

namespace gridspot {

int cuda_device_count(std::string* reason) { return cuda::device_count(reason); }

Device parse_device(std::string_view text) {
  const char* const no_cpu = simt::Runtime::absence();
  if (text == "cpu") {
    if (no_cpu) throw NoDevice("device 'cpu' cannot be used: " + std::string(no_cpu));
    return {DeviceKind::cpu, 0};
  }
  std::string reason;
  const int count = text == "auto" || text.starts_with("cuda") ? cuda_device_count(&reason) : 0;
  if (text == "auto" && count == 0 && !no_cpu) return {DeviceKind::cpu, 0};

  int index = 0;
  bool valid = text == "auto" || text == "cuda";
  if (text.starts_with("cuda:")) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    valid = error == std::errc{} && stop == end && index >= 0;
  }
  require(valid, "unknown device '" + std::string(text) + "': expected auto, cpu, cuda or cuda:N");
  if (count == 0) throw NoDevice("device '" + std::string(text) + "' cannot be used: " + reason);
  if (index >= count)
    throw NoDevice("device '" + std::string(text) + "' does not exist: there are " + std::to_string(count) +
                   " CUDA devices, numbered from 0");
  return {DeviceKind::cuda, index};
}

std::string to_string(Device device) {
  return device.kind == DeviceKind::cpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

std::string describe(Device device) {
  if (device.kind == DeviceKind::cuda) return cuda::device_name(device.index);
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "an unnamed processor";
}

}  // namespace gridspot
