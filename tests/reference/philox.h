#pragma once
// Philox4x32-10 from its definition (Salmon et al. 2011), and the draws of a canvas as kernels/philox.h numbers them.
#include <array>
#include <cstdint>

namespace gridspot::reference {

using Words = std::array<std::uint32_t, 4>;

/// Round r: (x0, x1, x2, x3) -> (hi(M1 x2) ^ x1 ^ k0, lo(M1 x2), hi(M0 x0) ^ x3 ^ k1, lo(M0 x0)) with the key k
/// advanced r times by the Weyl constants.
inline Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (std::uint32_t round = 0; round < 10; ++round) {
    const std::uint64_t m0 = 0xD2511F53ull * counter[0], m1 = 0xCD9E8D57ull * counter[2];
    const std::uint32_t k0 = key[0] + round * 0x9E3779B9u, k1 = key[1] + round * 0xBB67AE85u;
    counter = {std::uint32_t((m1 >> 32) ^ counter[1] ^ k0), std::uint32_t(m1),
               std::uint32_t((m0 >> 32) ^ counter[3] ^ k1), std::uint32_t(m0)};
  }
  return counter;
}

/// Four uniforms in [0, 1), and the words they come from.
struct Draw {
  Words words;
  [[nodiscard]] double uniform(int i) const { return (words[i] / 256) / 16777216.0; }
  [[nodiscard]] double uniform(int i, double low, double high) const { return low + (high - low) * uniform(i); }
  [[nodiscard]] int pick(int i, int count) const { return int(double(words[i]) * count / 4294967296.0); }
};

struct CanvasDraws {
  std::uint64_t key, step;
  std::uint32_t canvas;

  [[nodiscard]] Draw draw(std::uint32_t purpose, std::uint32_t index) const {
    const auto upper = std::uint32_t((step >> 32) & 0xffffff) + purpose * 0x1000000u;
    return {philox({index, canvas, std::uint32_t(step & 0xffffffff), upper},
                   {std::uint32_t(key & 0xffffffff), std::uint32_t(key >> 32)})};
  }
};

}  // namespace gridspot::reference
