#pragma once
// Floats in a vector register (GCC and Clang), for what the CPU computes beside oneDNN: 8 with AVX2, 16 with AVX-512.
// In memory they are float32 or bfloat16.
#include <bit>
#include <cstdint>
#include <cstring>

#include "kernels/bfloat16.h"

namespace gridspot {

template <int count>
struct VectorsOf {
  typedef float Floats __attribute__((vector_size(count * sizeof(float))));
  typedef std::int32_t Integers __attribute__((vector_size(count * sizeof(std::int32_t))));
  typedef std::uint32_t Words __attribute__((vector_size(count * sizeof(std::uint32_t))));
  typedef std::uint8_t Bytes __attribute__((vector_size(count)));
  typedef std::uint16_t Halves __attribute__((vector_size(count * sizeof(std::uint16_t))));
};
template <int count>
using Lanes = typename VectorsOf<count>::Floats;
template <int count>
using IntLanes = typename VectorsOf<count>::Integers;

template <int count>
[[gnu::always_inline]] inline Lanes<count> load_lanes(const float* from) {
  Lanes<count> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <int count>
[[gnu::always_inline]] inline Lanes<count> load_lanes(const bfloat16* from) {
  typename VectorsOf<count>::Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return std::bit_cast<Lanes<count>>(__builtin_convertvector(halves, typename VectorsOf<count>::Words) << 16);
}

template <int count>
[[gnu::always_inline]] inline void store_lanes(float* to, const Lanes<count>& value) {
  std::memcpy(to, &value, sizeof value);
}

/// Rounds as from_float() does.
template <int count>
[[gnu::always_inline]] inline void store_lanes(bfloat16* to, const Lanes<count>& value) {
  const auto bits = std::bit_cast<typename VectorsOf<count>::Words>(value);
  const auto rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, quiet = bits >> 16 | 0x40u;
  const auto halves = __builtin_convertvector(value == value ? rounded : quiet, typename VectorsOf<count>::Halves);
  std::memcpy(to, &halves, sizeof halves);
}

}  // namespace gridspot
