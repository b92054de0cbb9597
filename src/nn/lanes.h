#pragma once
// Eight floats in a vector register (GCC and Clang), for what the CPU computes beside oneDNN.
namespace gridspot {

inline constexpr int lane_count = 8;
typedef float Lanes __attribute__((vector_size(lane_count * sizeof(float))));
typedef float UnalignedLanes __attribute__((vector_size(lane_count * sizeof(float)), aligned(4), may_alias));

inline Lanes load_lanes(const float* from) { return *reinterpret_cast<const UnalignedLanes*>(from); }
inline void store_lanes(float* to, const Lanes& value) { *reinterpret_cast<UnalignedLanes*>(to) = value; }

}  // namespace gridspot
