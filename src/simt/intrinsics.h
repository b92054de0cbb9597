#pragma once
// CUDA's device functions that gridspot's kernels use, for the host build. Semantics as in the CUDA C++ Programming
// Guide; a misuse that CUDA calls undefined is reported by the runtime.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "simt/runtime.h"

namespace gridspot {

inline constexpr int warpSize = 32;

inline void __syncthreads(simt::Site site = simt::Site::current()) { simt::current_runtime->block_barrier(site); }

/// The number of threads of the block whose predicate is not zero.
inline int __syncthreads_count(int predicate, simt::Site site = simt::Site::current()) {
  simt::current_runtime->block_barrier(site, predicate != 0);
  return simt::current_runtime->barrier_count();
}
inline int __syncthreads_or(int predicate, simt::Site site = simt::Site::current()) {
  return __syncthreads_count(predicate, site) != 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, simt::Site site = simt::Site::current()) {
  simt::current_runtime->warp_exchange(simt::Meeting::warp_barrier, mask, 0, 0, site);
}

namespace simt {
/// The lanes of the mask whose predicate is not zero.
inline unsigned vote(Meeting meeting, unsigned mask, int predicate, Site site) {
  return static_cast<unsigned>(current_runtime->warp_exchange(meeting, mask, predicate != 0, 0, site));
}
}  // namespace simt

inline unsigned __ballot_sync(unsigned mask, int predicate, simt::Site site = simt::Site::current()) {
  return simt::vote(simt::Meeting::ballot, mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, simt::Site site = simt::Site::current()) {
  return simt::vote(simt::Meeting::any, mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, simt::Site site = simt::Site::current()) {
  return simt::vote(simt::Meeting::all, mask, predicate, site) == mask;
}

namespace simt {
template <class T>
T shuffle(Meeting meeting, unsigned mask, T value, int source_lane, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = current_runtime->warp_exchange(meeting, mask, bits, source_lane, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
inline int lane() { return static_cast<int>(current_runtime->thread_in_block() % 32); }
}  // namespace simt

// `width` (a power of two) cuts the warp into segments; a source outside the caller's segment gives the caller's own
// value. Of `delta` and `lane_mask` the hardware reads five bits.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, simt::Site site = simt::Site::current()) {
  const int first = simt::lane() / width * width;
  return simt::shuffle(simt::Meeting::shuffle_index, mask, value, first + (source & (width - 1)), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, simt::Site site = simt::Site::current()) {
  const int lane = simt::lane(), source = lane + static_cast<int>(delta & 31u);
  return simt::shuffle(simt::Meeting::shuffle_down, mask, value, source / width == lane / width ? source : lane, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, simt::Site site = simt::Site::current()) {
  const int lane = simt::lane(), source = lane - static_cast<int>(delta & 31u);
  return simt::shuffle(simt::Meeting::shuffle_up, mask, value, source >= lane / width * width ? source : lane, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, simt::Site site = simt::Site::current()) {
  const int lane = simt::lane(), source = lane ^ (lane_mask & 31);
  return simt::shuffle(simt::Meeting::shuffle_xor, mask, value, source / width <= lane / width ? source : lane, site);
}

// Blocks run one after another on one OS thread, and no two replicas share memory that a kernel changes. There is no
// version for floating point: the result would depend on the order.
template <class T>
requires std::is_integral_v<T> T atomicAdd(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = static_cast<T>(old + value);
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicMax(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = std::max(old, value);
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicMin(T* address, std::type_identity_t<T> value) {
  const T old = *address;
  *address = std::min(old, value);
  return old;
}

inline int __popc(unsigned value) { return std::popcount(value); }
inline int __ffs(int value) { return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1; }
inline int __clz(int value) { return std::countl_zero(static_cast<unsigned>(value)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((std::uint64_t{a} * b) >> 32); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __int_as_float(int value) { return std::bit_cast<float>(value); }
inline float __uint_as_float(unsigned value) { return std::bit_cast<float>(value); }
using std::max;
using std::min;

}  // namespace gridspot
