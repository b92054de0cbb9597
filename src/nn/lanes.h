#pragma once
// Eight floats in a vector register (GCC and Clang), for what the CPU computes beside oneDNN.
#include <cstring>

namespace gridspot {

inline constexpr int lane_count = 8;
typedef float Lanes __attribute__((vector_size(lane_count * sizeof(float))));

inline Lanes load_lanes(const float* from) {
  Lanes value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store_lanes(float* to, const Lanes& value) { std::memcpy(to, &value, sizeof value); }

}  // namespace gridspot
