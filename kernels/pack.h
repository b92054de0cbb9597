#pragma once
// Eight neighbouring elements a thread: loads and stores of 16 bytes on the GPU, vector instructions on the CPU, and an
// eighth of the threads on both.
#include <cstdint>

#include "kernels/bfloat16.h"

namespace gridspot {

constexpr int pack_width = 8;

/// How many packs cover `count` elements; the last may be shorter.
__host__ __device__ constexpr int packs_for(int count) { return (count + pack_width - 1) / pack_width; }

/// How many of `count` elements the pack that begins at `first` holds.
template <class Count>
__host__ __device__ constexpr int pack_length(Count count, Count first) {
  return count - first < Count(pack_width) ? static_cast<int>(count - first) : pack_width;
}

/// Eight neighbouring elements as they lie in memory.
template <class T>
struct alignas(sizeof(T) > 1 ? 16 : 8) StoredPack {
  T element[pack_width];
};

/// Eight values in float32, whatever they are stored as: registers on the GPU, one vector on the CPU.
struct Pack {
#if GRIDSPOT_HOST_PASS
  typedef float Lanes __attribute__((vector_size(pack_width * sizeof(float))));  // GCC and Clang
  Lanes lane;
#else
  float lane[pack_width];
#endif
};

/// op of each lane of the packs. The CPU calls it once, for all lanes: `op` is written for both, with operators and ?:.
template <class Op, class... Packs>
__device__ __forceinline__ Pack lanewise(const Op& op, const Packs&... packs) {
#if GRIDSPOT_HOST_PASS
  return {op(packs.lane...)};
#else
  Pack result;
  for (int k = 0; k < pack_width; ++k) result.lane[k] = op(packs.lane[k]...);
  return result;
#endif
}

__device__ __forceinline__ Pack operator+(const Pack& a, const Pack& b) {
  return lanewise([](auto x, auto y) { return x + y; }, a, b);
}
__device__ __forceinline__ Pack operator-(const Pack& a, const Pack& b) {
  return lanewise([](auto x, auto y) { return x - y; }, a, b);
}
__device__ __forceinline__ Pack operator*(const Pack& a, const Pack& b) {
  return lanewise([](auto x, auto y) { return x * y; }, a, b);
}
__device__ __forceinline__ Pack operator/(const Pack& a, const Pack& b) {
  return lanewise([](auto x, auto y) { return x / y; }, a, b);
}
__device__ __forceinline__ Pack operator+(const Pack& a, float b) {
  return lanewise([b](auto x) { return x + b; }, a);
}
__device__ __forceinline__ Pack operator*(float a, const Pack& b) {
  return lanewise([a](auto x) { return a * x; }, b);
}
__device__ __forceinline__ Pack& operator+=(Pack& a, const Pack& b) { return a = a + b; }

__device__ __forceinline__ Pack square_root(Pack values) {
  for (int k = 0; k < pack_width; ++k) values.lane[k] = sqrtf(values.lane[k]);
  return values;
}

/// Each value where the sign is positive, slope * value elsewhere: (leaky) ReLU and, with its output as the sign, its
/// derivative.
__device__ __forceinline__ Pack rectify(const Pack& sign, float slope, const Pack& value) {
  return lanewise([slope](auto s, auto v) { return s > 0.0f ? v : slope * v; }, sign, value);
}

__host__ __device__ __forceinline__ float to_float(std::uint8_t value) { return value; }

/// Of 0 to 255.
template <>
__host__ __device__ __forceinline__ std::uint8_t from_float<std::uint8_t>(float value) {
  return static_cast<std::uint8_t>(value);
}

// Below, once for each compiler:
//   load_pack(from, length)              the first `length` lanes come from memory, the others are 0
//   store_pack(to, length, pack)         writes the first `length` lanes
//   store_elements(to, length, stored)   the same of elements that are in their dtype already

#if GRIDSPOT_HOST_PASS

template <class Element>
struct VectorOf {
  typedef Element type __attribute__((vector_size(pack_width * sizeof(Element)), aligned(alignof(Element)), may_alias));
};

template <class T>
inline Pack widen(const T* eight) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    const auto bits = __builtin_convertvector(*reinterpret_cast<const VectorOf<std::uint16_t>::type*>(eight),
                                              VectorOf<std::uint32_t>::type);
    return {reinterpret_cast<Pack::Lanes>(bits << 16)};
  } else {
    return {__builtin_convertvector(*reinterpret_cast<const typename VectorOf<T>::type*>(eight), Pack::Lanes)};
  }
}

template <class T>
inline Pack load_pack(const T* from, int length) {
  if (length == pack_width) return widen(from);
  StoredPack<T> stored = {};
  std::memcpy(&stored, from, length * sizeof(T));
  return widen(stored.element);
}

template <class T>
inline void store_elements(T* to, int length, const StoredPack<T>& stored) {
  std::memcpy(to, &stored, length * sizeof(T));
}

template <class T>
inline void store_pack(T* to, int length, const Pack& pack) {
  if constexpr (std::is_arithmetic_v<T>)
    if (length == pack_width) {
      using Vector = typename VectorOf<T>::type;
      *reinterpret_cast<Vector*>(to) = __builtin_convertvector(pack.lane, Vector);
      return;
    }
  StoredPack<T> stored;
  for (int k = 0; k < pack_width; ++k) stored.element[k] = from_float<T>(pack.lane[k]);
  store_elements(to, length, stored);
}

#else

/// Whether 16 bytes can be moved at once.
template <class T>
__device__ __forceinline__ bool moves_at_once(const T* place, int length) {
  return length == pack_width && reinterpret_cast<std::uintptr_t>(place) % alignof(StoredPack<T>) == 0;
}

template <class T>
__device__ __forceinline__ Pack load_pack(const T* from, int length) {
  StoredPack<T> stored;
  if (moves_at_once(from, length)) {
    stored = *reinterpret_cast<const StoredPack<T>*>(from);
  } else {
    for (int k = 0; k < pack_width; ++k) stored.element[k] = k < length ? from[k] : T{};
  }
  Pack pack;
  for (int k = 0; k < pack_width; ++k) pack.lane[k] = to_float(stored.element[k]);
  return pack;
}

template <class T>
__device__ __forceinline__ void store_elements(T* to, int length, const StoredPack<T>& stored) {
  if (moves_at_once(to, length)) {
    *reinterpret_cast<StoredPack<T>*>(to) = stored;
  } else {
    for (int k = 0; k < pack_width; ++k)
      if (k < length) to[k] = stored.element[k];
  }
}

template <class T>
__device__ __forceinline__ void store_pack(T* to, int length, const Pack& pack) {
  StoredPack<T> stored;
  for (int k = 0; k < pack_width; ++k) stored.element[k] = from_float<T>(pack.lane[k]);
  store_elements(to, length, stored);
}

#endif

}  // namespace gridspot
