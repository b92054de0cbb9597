#include "kernels/permutation.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "tests/reference/philox.h"
#include "tests/support/device_test.h"
#include "tests/support/statistics.h"

namespace gridspot {
namespace {

using test::Random;

constexpr std::uint32_t most = 0xffffffffu;

std::vector<std::uint32_t> order_of(std::uint64_t key, std::uint64_t epoch, std::uint32_t count) {
  std::vector<std::uint32_t> items;
  for (std::uint32_t place = 0; place < count; ++place) items.push_back(Permutation{key, epoch, count}(place));
  return items;
}

/// From the contract, on numbers instead of bits.
std::uint64_t reference_item(std::uint64_t key, std::uint64_t epoch, std::uint64_t count, std::uint64_t place) {
  std::uint64_t side = 1;
  while (side * side < count) side *= 2;
  do {
    std::uint64_t left = place / side, right = place % side;
    for (std::uint32_t round = 0; round < 8; ++round) {
      const auto draw = reference::CanvasDraws{key, epoch, round}.draw(4, std::uint32_t(right));
      left = std::exchange(right, left ^ (draw.words[0] % side));
    }
    place = left * side + right;
  } while (place >= count);
  return place;
}

TEST(Permutation, TakesEachItemOnce) {
  Random random(1);
  std::vector<std::uint32_t> counts;
  for (std::uint32_t count = 1; count <= 300; ++count) counts.push_back(count);
  for (const std::uint32_t power : {1024u, 4096u, 16384u, 65536u})
    for (const std::uint32_t count : {power - 1, power, power + 1}) counts.push_back(count);
  for (const std::uint32_t count : counts) {
    auto items = order_of(random(), random() >> 8, count);
    std::sort(items.begin(), items.end());
    for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(items[i], i) << "of " << count << " items";
  }
}

// Too many to go through: places from all over, of which no two may share an item.
TEST(Permutation, TakesEachItemOnceOfVeryMany) {
  Random random(2);
  for (const std::uint32_t count : {(1u << 30) - 1, 1u << 30, (1u << 30) + 1, 1u << 31, most}) {
    const Permutation permutation{random(), random() >> 8, count};
    std::set<std::uint32_t> places{0, count - 1}, items;
    while (places.size() < 20000) places.insert(pick(static_cast<std::uint32_t>(random()), count));
    for (const std::uint32_t place : places) {
      const std::uint32_t item = permutation(place);
      ASSERT_LT(item, count) << "place " << place;
      ASSERT_TRUE(items.insert(item).second) << "item " << item << " of " << count << " is at two places";
    }
  }
}

TEST(Permutation, IsThatOfItsContract) {
  Random random(3);
  for (const std::uint32_t count : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 1000u, 60000u, 1u << 24, most})
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t key = random(), epoch = random() >> 8;
      const std::uint32_t place = pick(static_cast<std::uint32_t>(random()), count);
      ASSERT_EQ((Permutation{key, epoch, count}(place)), reference_item(key, epoch, count, place))
          << "key " << key << ", epoch " << epoch << ", place " << place << " of " << count;
    }
}

TEST(Permutation, DiffersBetweenEpochsAndKeys) {
  for (const std::uint32_t count : {16u, 100u, 5000u}) {
    std::set<std::vector<std::uint32_t>> orders;
    for (const std::uint64_t key : {0ull, 1ull, 1ull << 32, ~0ull})
      for (const std::uint64_t epoch : {0ull, 1ull, 2ull, 1ull << 32, (1ull << 56) - 1})
        EXPECT_TRUE(orders.insert(order_of(key, epoch, count)).second)
            << "key " << key << ", epoch " << epoch << ": an order of " << count << " items appears twice";
  }
}

// Bounds of chi-square that a uniform draw exceeds once in 10^6 times.
TEST(Permutation, PutsEachItemAtEachPlaceEquallyOften) {
  constexpr int epochs = 20000;
  const std::map<std::uint32_t, double> bounds{{3, 27.7}, {5, 35.9}, {10, 47.0}, {17, 65.4}};
  Random random(4);
  const std::uint64_t key = random();
  for (const auto& [count, bound] : bounds) {
    std::vector<std::vector<int>> seen(count, std::vector<int>(count));
    for (int epoch = 0; epoch < epochs; ++epoch)
      for (std::uint32_t place = 0; place < count; ++place)
        ++seen[place][Permutation{key, std::uint64_t(epoch), count}(place)];
    for (std::uint32_t place = 0; place < count; ++place)
      EXPECT_LT(test::chi_square(seen[place]), bound) << "place " << place << " of " << count;
  }
}

TEST(Permutation, TakesEveryOrderOfAFewItemsEquallyOften) {
  constexpr int epochs = 24000;
  const std::map<std::uint32_t, double> bounds{{3, 35.9}, {4, 75.0}};  // 6 and 24 orders, once in 10^6 times
  Random random(5);
  const std::uint64_t key = random();
  for (const auto& [count, bound] : bounds) {
    std::vector<std::uint32_t> order = order_of(key, 0, count);
    std::sort(order.begin(), order.end());
    std::map<std::vector<std::uint32_t>, int> seen;
    do seen[order] = 0;
    while (std::next_permutation(order.begin(), order.end()));
    for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) ++seen[order_of(key, epoch, count)];
    std::vector<int> counts;
    for (const auto& [each, times] : seen) counts.push_back(times);
    EXPECT_LT(test::chi_square(counts), bound) << "orders of " << count;
  }
}

// Neighbours must not stay neighbours: of n - 1 pairs about two do by chance, one in each direction.
TEST(Permutation, SeparatesNeighbours) {
  constexpr std::uint32_t count = 1000;
  Random random(6);
  const std::uint64_t key = random();
  int neighbours = 0;
  for (std::uint64_t epoch = 0; epoch < 100; ++epoch) {
    const auto items = order_of(key, epoch, count);
    for (std::uint32_t i = 1; i < count; ++i)
      if (std::abs(int(items[i]) - int(items[i - 1])) == 1) ++neighbours;
  }
  EXPECT_NEAR(neighbours, 200, 5 * 14.2);
}

}  // namespace
}  // namespace gridspot
