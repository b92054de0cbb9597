#pragma once
// Eight neighbouring elements a thread: loads and stores of 16 bytes on the GPU, vector instructions on the CPU, and an
// eighth of the threads on both.
#include <cstdint>

#include "kernels/bfloat16.h"
#if !GRIDSPOT_HOST_PASS
#include <cuda_bf16.h>

#include <type_traits>
#endif

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

/// The same on its way to arithmetic. A pack that waits is words: a compiler that sees elements keeps each of them in a
/// register of its own.
template <class T>
struct alignas(StoredPack<T>) PackWords {
  std::uint32_t word[sizeof(StoredPack<T>) / sizeof(std::uint32_t)];
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
//   to_stored<T>(pack)                   converts
//   load_words(from), unpack(words)      a whole pack from memory aligned to it, in two steps
//   store_whole(to, pack)                a whole pack to memory aligned to it

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
inline PackWords<T> load_words(const T* from) {
  PackWords<T> words;
  std::memcpy(&words, from, sizeof words);
  return words;
}

template <class T>
inline Pack unpack(const PackWords<T>& words) {
  StoredPack<T> stored;
  std::memcpy(&stored, &words, sizeof stored);
  return widen(stored.element);
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
inline StoredPack<T> to_stored(const Pack& pack) {
  StoredPack<T> stored;
  for (int k = 0; k < pack_width; ++k) stored.element[k] = from_float<T>(pack.lane[k]);
  return stored;
}

template <class T>
inline void store_pack(T* to, int length, const Pack& pack) {
  if constexpr (std::is_arithmetic_v<T>)
    if (length == pack_width) {
      using Vector = typename VectorOf<T>::type;
      *reinterpret_cast<Vector*>(to) = __builtin_convertvector(pack.lane, Vector);
      return;
    }
  store_elements(to, length, to_stored<T>(pack));
}

template <class T>
inline void store_whole(T* to, const Pack& pack) {
  store_pack(to, pack_width, pack);
}

#else

/// Whether 16 bytes can be moved at once.
template <class T>
__device__ __forceinline__ bool moves_at_once(const T* place, int length) {
  return length == pack_width && reinterpret_cast<std::uintptr_t>(place) % alignof(StoredPack<T>) == 0;
}

template <class T>
__device__ __forceinline__ StoredPack<T> to_stored(const Pack& pack) {
  StoredPack<T> stored;
  if constexpr (std::is_same_v<T, bfloat16>) {  // two at a time
    for (int k = 0; k < pack_width; k += 2) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(pack.lane[k], pack.lane[k + 1]);
      memcpy(&stored.element[k], &pair, sizeof pair);
    }
  } else {
    for (int k = 0; k < pack_width; ++k) stored.element[k] = from_float<T>(pack.lane[k]);
  }
  return stored;
}

template <class T>
__device__ __forceinline__ PackWords<T> load_words(const T* from) {
  return *reinterpret_cast<const PackWords<T>*>(from);
}

template <class T>
__device__ __forceinline__ Pack unpack(const PackWords<T>& words) {
  Pack pack;
  for (int k = 0; k < pack_width; ++k) {
    if constexpr (sizeof(T) == sizeof(float)) {
      pack.lane[k] = __uint_as_float(words.word[k]);
    } else if constexpr (std::is_same_v<T, bfloat16>) {
      const std::uint32_t pair = words.word[k / 2];
      pack.lane[k] = __uint_as_float(k % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
    } else {
      static_assert(std::is_same_v<T, std::uint8_t>);
      pack.lane[k] = static_cast<float>(words.word[k / 4] >> k % 4 * 8 & 0xffu);
    }
  }
  return pack;
}

template <class T>
__device__ __forceinline__ Pack load_pack(const T* from, int length) {
  if (moves_at_once(from, length)) return unpack(load_words(from));
  Pack pack = {};
  for (int k = 0; k < pack_width; ++k)
    if (k < length) pack.lane[k] = to_float(from[k]);
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
  store_elements(to, length, to_stored<T>(pack));
}

template <class T>
__device__ __forceinline__ void store_whole(T* to, const Pack& pack) {
  *reinterpret_cast<StoredPack<T>*>(to) = to_stored<T>(pack);
}

#endif

/// As T would hold the values.
template <class T>
__device__ __forceinline__ Pack rounded(const Pack& values) {
  if constexpr (std::is_same_v<T, float>) return values;
  const StoredPack<T> stored = to_stored<T>(values);
  Pack result;
  for (int k = 0; k < pack_width; ++k) result.lane[k] = to_float(stored.element[k]);
  return result;
}

}  // namespace gridspot
