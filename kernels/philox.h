#pragma once
// Random numbers without state: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
// 3", 2011), a bijection of 128 bits under a 64-bit key. Everything random on a canvas is a function of (key, step,
// canvas, purpose, index).
#include <cstdint>

#include "device/kernel.h"

namespace gridspot {

struct Philox4 {
  std::uint32_t x, y, z, w;
};

__host__ __device__ __forceinline__ Philox4 philox4x32_10(Philox4 counter, std::uint64_t key) {
  auto key_low = static_cast<std::uint32_t>(key), key_high = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter.x, b = std::uint64_t{0xCD9E8D57u} * counter.z;
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter.y ^ key_low, static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter.w ^ key_high, static_cast<std::uint32_t>(a)};
    key_low += 0x9E3779B9u;  // Weyl sequences of the golden ratio and of sqrt(3) - 1
    key_high += 0xBB67AE85u;
  }
  return counter;
}

/// Uniform in [0, 1), a multiple of 2^-24.
__host__ __device__ __forceinline__ float uniform(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * (1.0f / 16777216.0f);
}

/// Uniform in [low, high]; low when the two are equal.
__host__ __device__ __forceinline__ float uniform(std::uint32_t bits, float low, float high) {
  return fminf(low + (high - low) * uniform(bits), high);
}

/// Uniform in 0 ... count - 1, up to a bias of count / 2^32.
__host__ __device__ __forceinline__ std::uint32_t pick(std::uint32_t bits, std::uint32_t count) {
  return static_cast<std::uint32_t>(std::uint64_t{bits} * count >> 32);
}

/// What a draw is for. Draws of different purposes never share a counter. The values are part of every protocol.
enum class Purpose : std::uint32_t {
  placement = 0,
  clutter = 1,
  noise = 2,
  canvas = 3,
  ordering = 4,
  augmentation = 5
};

/// The draws of one canvas: counter (index, canvas, lower half of the step, upper half of the step), of which the
/// uppermost byte is the purpose; a step is below 2^56.
struct CanvasRandom {
  std::uint64_t key, step;
  std::uint32_t canvas;

  __host__ __device__ __forceinline__ Philox4 draw(Purpose purpose, std::uint32_t index) const {
    const auto upper = static_cast<std::uint32_t>(step >> 32) & 0x00ffffffu;
    return philox4x32_10(
        {index, canvas, static_cast<std::uint32_t>(step), upper | static_cast<std::uint32_t>(purpose) << 24}, key);
  }
};

}  // namespace gridspot
