#pragma once
// A shuffled order without state: the item at any place of an epoch's order, computed on its own.
#include <cstdint>

#include "kernels/philox.h"

namespace gridspot {

/// Maps 0 ... count - 1 onto itself, one to one, for any count in [1, 2^32): a function of (key, epoch, count, place)
/// alone. An epoch is below 2^56.
///
/// A place is split into two halves of b bits, for the lowest b with count <= 4^b. A round takes (left, right) to
/// (right, left ^ f(right)), f(right) being the lowest b bits of word x of CanvasRandom{key, epoch, round} with the
/// index `right`; `rounds` rounds make the permutation of 0 ... 4^b - 1. It is applied until the result is below count:
/// walking along a cycle keeps the map one to one, and takes fewer than four steps on average.
struct Permutation {
  static constexpr std::uint32_t rounds = 8;
  std::uint64_t key, epoch;
  std::uint32_t count;

  __host__ __device__ std::uint32_t operator()(std::uint32_t place) const {
    const int bits = half_bits();
    do place = mixed(place, bits);
    while (place >= count);
    return place;
  }

 private:
  __host__ __device__ int half_bits() const {
    int bits = 0;
    while (std::uint64_t{1} << (2 * bits) < count) ++bits;
    return bits;
  }

  __host__ __device__ std::uint32_t mixed(std::uint32_t place, int bits) const {
    const std::uint32_t mask = (1u << bits) - 1;
    std::uint32_t left = place >> bits, right = place & mask;
    for (std::uint32_t round = 0; round < rounds; ++round) {
      const std::uint32_t drawn = CanvasRandom{key, epoch, round}.draw(Purpose::ordering, right).x & mask;
      const std::uint32_t mixed_half = left ^ drawn;
      left = right;
      right = mixed_half;
    }
    return left << bits | right;
  }
};

}  // namespace gridspot
