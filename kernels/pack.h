#pragma once
// Eight neighbouring elements a thread: loads and stores of 16 bytes on the GPU, vector instructions on the CPU, and an
// eighth of the threads on both.
#include <cstdint>

#include "kernels/bfloat16.h"

namespace gridspot {

constexpr int pack_width = 8;

/// visit(lane) for each lane. The CPU's compiler makes vector instructions of a loop, not of its unrolled copies.
template <class Visit>
__host__ __device__ __forceinline__ void for_each_lane(const Visit& visit) {
#if GRIDSPOT_HOST_PASS
#pragma GCC unroll 1
#else
#pragma unroll
#endif
  for (int lane = 0; lane < pack_width; ++lane) visit(lane);
}

/// How many packs cover `count` elements; the last may be shorter.
__host__ __device__ constexpr int packs_for(int count) { return (count + pack_width - 1) / pack_width; }

/// How many of `count` elements the pack that begins at `first` holds.
template <class Count>
__host__ __device__ constexpr int pack_length(Count count, Count first) {
  return count - first < Count(pack_width) ? static_cast<int>(count - first) : pack_width;
}

/// Eight values in float32, whatever they are stored as.
struct Pack {
  float lane[pack_width];
};

template <class T>
struct alignas(sizeof(T) > 1 ? 16 : 8) StoredPack {
  T element[pack_width];
};

__host__ __device__ __forceinline__ float to_float(std::uint8_t value) { return value; }

/// True where a whole pack may be moved at once; the CPU does not mind how it is aligned.
template <class T>
__device__ __forceinline__ bool moves_at_once(const T* place, int length) {
#if GRIDSPOT_HOST_PASS
  (void)place;
  return length == pack_width;
#else
  return length == pack_width && reinterpret_cast<std::uintptr_t>(place) % alignof(StoredPack<T>) == 0;
#endif
}

/// The first `length` lanes come from memory, the others are 0.
template <class T>
__device__ __forceinline__ Pack load_pack(const T* from, int length) {
  StoredPack<T> stored;
  if (moves_at_once(from, length)) {
#if GRIDSPOT_HOST_PASS
    std::memcpy(&stored, from, sizeof stored);
#else
    stored = *reinterpret_cast<const StoredPack<T>*>(from);
#endif
  } else {
    for (int i = 0; i < pack_width; ++i) stored.element[i] = i < length ? from[i] : T{};
  }
  Pack pack;
  for (int i = 0; i < pack_width; ++i) pack.lane[i] = to_float(stored.element[i]);
  return pack;
}

template <class T>
__device__ __forceinline__ void store_elements(T* to, int length, const StoredPack<T>& stored) {
  if (moves_at_once(to, length)) {
#if GRIDSPOT_HOST_PASS
    std::memcpy(to, &stored, sizeof stored);
#else
    *reinterpret_cast<StoredPack<T>*>(to) = stored;
#endif
  } else {
    for (int i = 0; i < pack_width; ++i)
      if (i < length) to[i] = stored.element[i];
  }
}

/// Writes the first `length` lanes.
template <class T>
__device__ __forceinline__ void store_pack(T* to, int length, const Pack& pack) {
  StoredPack<T> stored;
  for (int i = 0; i < pack_width; ++i) stored.element[i] = from_float<T>(pack.lane[i]);
  store_elements(to, length, stored);
}

}  // namespace gridspot
