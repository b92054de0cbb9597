#include "kernels/philox.h"

#include "tests/reference/philox.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

struct Vector {
  reference::Words counter;
  std::array<std::uint32_t, 2> key;
  reference::Words expected;
};

// The known answers that the authors publish with Random123 for philox4x32 with 10 rounds: zeros, ones, digits of pi.
const std::vector<Vector> published{
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

reference::Words words_of(Philox4 value) { return {value.x, value.y, value.z, value.w}; }

TEST(Philox, GivesThePublishedAnswers) {
  for (const auto& [counter, key, expected] : published) {
    const std::uint64_t joined = std::uint64_t{key[1]} << 32 | key[0];
    EXPECT_EQ(words_of(philox4x32_10({counter[0], counter[1], counter[2], counter[3]}, joined)), expected);
    EXPECT_EQ(reference::philox(counter, key), expected) << "the reference";
  }
}

TEST(Philox, NumbersTheDrawsOfACanvasAsTheReference) {
  test::Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t key = random(), step = random() >> 8;
    const auto canvas = static_cast<std::uint32_t>(random()), index = static_cast<std::uint32_t>(random());
    for (const std::uint32_t purpose : {0, 1, 2, 3})
      ASSERT_EQ(words_of(CanvasRandom{key, step, canvas}.draw(static_cast<Purpose>(purpose), index)),
                (reference::CanvasDraws{key, step, canvas}.draw(purpose, index).words));
  }
}

TEST(Philox, MapsWordsToTheirRanges) {
  EXPECT_EQ(uniform(0u), 0.0f);
  EXPECT_EQ(uniform(255u), 0.0f);
  EXPECT_EQ(uniform(256u), 1.0f / 16777216);
  EXPECT_EQ(uniform(0xffffffffu), 1.0f - 1.0f / 16777216);
  EXPECT_EQ(uniform(0u, -3, 7), -3.0f);
  EXPECT_LE(uniform(0xffffffffu, 0.1f, 0.7f), 0.7f);
  EXPECT_EQ(uniform(0xffffffffu, 5, 5), 5.0f);
  EXPECT_EQ(pick(0, 10), 0u);
  EXPECT_EQ(pick(0xffffffffu, 10), 9u);
  EXPECT_EQ(pick(0x80000000u, 10), 5u);
  EXPECT_EQ(pick(0xffffffffu, 1), 0u);
}

}  // namespace
}  // namespace gridspot
