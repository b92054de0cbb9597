// Launches, and what threads can do, on every device.
#include "tests/device/probe.h"

#include <gmock/gmock.h>

#include "device/kernel.h"
#include "gridspot/error.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class Probe : public test::DeviceTest {
 protected:
  std::vector<int> visits_of(const LaunchShape& shape, std::size_t count) {
    return run([&](Stream& stream) {
      const auto visits = upload(stream, std::vector<int>(count));
      probe::count_visits(stream, shape, visits);
      return download(stream, visits);
    });
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Probe);

TEST_P(Probe, LaunchesEveryThreadOnce) {
  for (const LaunchShape& shape :
       {LaunchShape{{1}, {1}}, LaunchShape{{3}, {31}}, LaunchShape{{2}, {33}}, LaunchShape{{1}, {1024}},
        LaunchShape{{2, 3, 4}, {5, 6, 7}}, LaunchShape{{1, 65535}, {1}}, LaunchShape{{1}, {1, 1, 64}},
        LaunchShape{{70000}, {2}}}) {
    const std::size_t count = shape.grid.count() * shape.block.count();
    EXPECT_EQ(visits_of(shape, count), std::vector<int>(count, 1)) << to_string(shape);
  }
}

TEST_P(Probe, LaunchesInOneDimension) {
  for (const std::size_t count : {0, 1, 95, 96, 97, 10000}) {
    const auto visits = run([&](Stream& stream) {
      const auto buffer = upload(stream, std::vector<int>(count));
      probe::count_visits(stream, buffer);
      return download(stream, buffer);
    });
    EXPECT_EQ(visits, std::vector<int>(count, 1));
  }
}

TEST_P(Probe, AnEmptyLaunchDoesNothing) {
  for (const LaunchShape& shape : {LaunchShape{{0}, {32}}, LaunchShape{{1, 0}, {32}}, LaunchShape{{1}, {0}}})
    EXPECT_EQ(visits_of(shape, 32), std::vector<int>(32, 0)) << to_string(shape);
}

TEST_P(Probe, RefusesShapesThatNotEveryDeviceTakes) {
  struct Case {
    LaunchShape shape;
    std::string message;
  };
  const std::vector<Case> cases{
      {{{1}, {1025}},
       "a block has at most 1024 x 1024 x 64 threads; it was launched with grid (1,1,1), block (1025,1,1)"},
      {{{1}, {32, 33}}, "a block has at most the kernel's max_block_threads"},
      {{{1, 65536}, {1}}, "a grid has at most"},
      {{{1}, {1}, 200000}, "a block has at most 101376 bytes of shared memory; it was launched with"},
  };
  Stream stream(device());
  for (const Case& c : cases)
    EXPECT_THAT([&] { probe::count_visits(stream, c.shape, {}); },
                ThrowsMessage<InvalidInput>(HasSubstr("probe::CountVisits: " + c.message)));
}

TEST(BlocksFor, Covers) {
  EXPECT_EQ(blocks_for(0, 256), 0u);
  EXPECT_EQ(blocks_for(1, 256), 1u);
  EXPECT_EQ(blocks_for(256, 256), 1u);
  EXPECT_EQ(blocks_for(257, 256), 2u);
  EXPECT_EQ(blocks_for(0x7fffffff, 1), 0x7fffffffu);
  EXPECT_THAT([] { (void)blocks_for(0x80000000, 1); },
              ThrowsMessage<InvalidInput>(HasSubstr("a launch over 2147483648 elements is more than a grid can hold")));
  EXPECT_THROW((void)blocks_for(~std::size_t{0}, 256), InvalidInput);
}

TEST_P(Probe, ShufflesAreAsDefined) {
  for (const int width : {1, 2, 4, 8, 16, 32})
    for (const int operand : {0, 1, 3, 8, 17, 31}) {
      const auto results = run([&](Stream& stream) {
        const Buffer<int> buffer(device(), 128);
        probe::shuffle_lanes(stream, operand, width, buffer);
        return download(stream, buffer);
      });
      for (int lane = 0; lane < 32; ++lane) {
        const int place = lane % width, segment = lane - place;
        EXPECT_EQ(results[lane], segment + operand % width);
        EXPECT_EQ(results[32 + lane], operand <= place ? lane - operand : lane);
        EXPECT_EQ(results[64 + lane], place + operand < width ? lane + operand : lane);
        // The partner may lie in an earlier segment, not in a later one.
        EXPECT_EQ(results[96 + lane], (lane ^ operand) < segment + width ? lane ^ operand : lane);
      }
    }
}

TEST_P(Probe, VotesAreAsDefined) {
  for (const unsigned mask : {0xffffffffu, 0x1u, 0xf0f0f0f0u})
    for (const unsigned predicates : {0u, 0xffffffffu, 0x80000001u, 0xaaaaaaaau}) {
      const auto results = run([&](Stream& stream) {
        const auto buffer = upload(stream, std::vector<unsigned>(96, 7));
        probe::vote(stream, mask, predicates, buffer);
        return download(stream, buffer);
      });
      for (unsigned lane = 0; lane < 32; ++lane) {
        const bool inside = (mask >> lane & 1u) != 0;
        EXPECT_EQ(results[lane * 3], inside ? mask & predicates : 7);
        EXPECT_EQ(results[lane * 3 + 1], inside ? unsigned((mask & predicates) != 0) : 7);
        EXPECT_EQ(results[lane * 3 + 2], inside ? unsigned((mask & predicates) == mask) : 7);
      }
    }
}

TEST_P(Probe, BarriersAndSharedMemory) {
  for (const unsigned threads : {1u, 2u, 32u, 64u, 256u, 1024u}) {
    const auto results = run([&](Stream& stream) {
      const Buffer<int> sums(device(), 5), counts(device(), 5);
      probe::sum_blocks(stream, threads, sums, counts);
      auto all = download(stream, sums);
      const auto more = download(stream, counts);
      all.insert(all.end(), more.begin(), more.end());
      return all;
    });
    for (int block = 0; block < 5; ++block) {
      EXPECT_EQ(results[block], int(threads * (threads - 1) / 2)) << threads;
      EXPECT_EQ(results[5 + block], int(threads + 2) / 3) << threads;
    }
  }
}

}  // namespace
}  // namespace gridspot
