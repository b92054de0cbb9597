#include "eval/score_order.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "tests/support/device_test.h"

namespace gridspot::eval {
namespace {

TEST(ScoreOrder, FallsAndKeepsTheOrderOfEqualScores) {
  EXPECT_THAT(order_by_falling_score({}), testing::IsEmpty());
  EXPECT_THAT(order_by_falling_score(std::vector{0.5f}), testing::ElementsAre(0));
  EXPECT_THAT(order_by_falling_score(std::vector{0.5f, 0.9f, 0.5f, -1.0f, 0.9f, 1e-40f}),
              testing::ElementsAre(1, 4, 0, 2, 5, 3));
  EXPECT_THAT(order_by_falling_score(std::vector{-0.0f, 0.0f, -0.0f}), testing::ElementsAre(0, 1, 2));
}

TEST(ScoreOrder, IsThatOfAStableSort) {
  test::Random random;
  for (const int size : {31, 32, 33, 255, 256, 257, 10'000})
    for (const int distinct : {2, 20, 1'000'000}) {
      std::vector<float> scores;
      for (int i = 0; i < size; ++i) scores.push_back(static_cast<float>(random.integer(-distinct, distinct)) / 7);
      std::vector<std::uint32_t> expected(scores.size());
      std::iota(expected.begin(), expected.end(), 0u);
      std::stable_sort(expected.begin(), expected.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
      EXPECT_EQ(order_by_falling_score(scores), expected) << size << " of " << distinct;
    }
}

}  // namespace
}  // namespace gridspot::eval
