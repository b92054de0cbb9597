#pragma once
// bfloat16 as storage: the upper half of a float32. Arithmetic is done in float32.
#include <cstdint>

#include "device/kernel.h"

namespace gridspot {

struct bfloat16 {
  std::uint16_t bits;
};

__host__ __device__ __forceinline__ float to_float(float value) { return value; }

__host__ __device__ __forceinline__ float to_float(bfloat16 value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

/// Converts from float32, to bfloat16 by rounding to nearest even; a NaN stays a NaN.
template <class T>
__host__ __device__ __forceinline__ T from_float(float value);

template <>
__host__ __device__ __forceinline__ float from_float<float>(float value) {
  return value;
}

template <>
__host__ __device__ __forceinline__ bfloat16 from_float<bfloat16>(float value) {
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

}  // namespace gridspot
