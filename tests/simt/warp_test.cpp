// Warp intrinsics against the definitions of the CUDA C++ Programming Guide.
#include <gtest/gtest.h>

#include "tests/simt/run.h"

namespace gridspot {
namespace {

using test::for_each_order;

constexpr unsigned full = 0xffffffffu;
enum class Mode { index, up, down, exclusive_or };

/// The lane whose value `lane` gets: one of its own segment of `width` lanes, or itself. For exclusive_or also one of
/// an earlier segment.
int source_of(Mode mode, int lane, int operand, int width) {
  const int segment = lane / width, place = lane % width, other = lane ^ operand;
  switch (mode) {
    case Mode::index:
      return segment * width + ((operand % width) + width) % width;
    case Mode::up:
      return operand <= place ? lane - operand : lane;
    case Mode::down:
      return place + operand < width ? lane + operand : lane;
    case Mode::exclusive_or:
      return other / width <= segment ? other : lane;
  }
  return lane;
}

template <class T>
struct Shuffle {
  Mode mode;
  int operand, width;
  const T* values;
  T* results;
  __device__ void operator()() const {
    const T value = values[threadIdx.x];
    T& result = results[threadIdx.x];
    switch (mode) {
      case Mode::index:
        result = __shfl_sync(full, value, operand, width);
        break;
      case Mode::up:
        result = __shfl_up_sync(full, value, static_cast<unsigned>(operand), width);
        break;
      case Mode::down:
        result = __shfl_down_sync(full, value, static_cast<unsigned>(operand), width);
        break;
      case Mode::exclusive_or:
        result = __shfl_xor_sync(full, value, operand, width);
        break;
    }
  }
};

template <class T>
class ShuffleOf : public testing::Test {};
using ShuffledTypes = testing::Types<std::int8_t, std::uint16_t, int, float, double, std::uint64_t>;
TYPED_TEST_SUITE(ShuffleOf, ShuffledTypes);

TYPED_TEST(ShuffleOf, EveryModeOperandAndWidth) {
  std::vector<TypeParam> values(64), results(64), expected(64);
  for (int i = 0; i < 64; ++i) values[i] = static_cast<TypeParam>(3 * i - 60);
  for_each_order([&](simt::Runtime& runtime) {
    for (const Mode mode : {Mode::index, Mode::up, Mode::down, Mode::exclusive_or})
      for (const int width : {1, 2, 4, 8, 16, 32})
        for (int operand = 0; operand < 32; ++operand) {
          test::run(runtime, {.block = {64}}, Shuffle<TypeParam>{mode, operand, width, values.data(), results.data()});
          for (int i = 0; i < 64; ++i) expected[i] = values[i / 32 * 32 + source_of(mode, i % 32, operand, width)];
          ASSERT_EQ(results, expected) << "mode " << int(mode) << ", operand " << operand << ", width " << width;
        }
  });
}

TEST(Warp, IndexShuffleTakesTheSourceModuloTheWidth) {
  std::vector<int> values(32), results(32);
  for (int i = 0; i < 32; ++i) values[i] = i;
  simt::Runtime runtime;
  for (const int operand : {-1, -9, 32, 35, 1000}) {
    test::run(runtime, {.block = {32}}, Shuffle<int>{Mode::index, operand, 8, values.data(), results.data()});
    for (int lane = 0; lane < 32; ++lane) EXPECT_EQ(results[lane], source_of(Mode::index, lane, operand, 8)) << operand;
  }
}

struct Votes {
  unsigned mask, predicates;
  unsigned* results;  // [lane][ballot, any, all]
  __device__ void operator()() const {
    if ((mask >> threadIdx.x & 1u) == 0) return;
    const int predicate = static_cast<int>(predicates >> threadIdx.x & 1u) * 7;  // any value but 0 is a yes
    unsigned* result = results + threadIdx.x * 3;
    result[0] = __ballot_sync(mask, predicate);
    result[1] = static_cast<unsigned>(__any_sync(mask, predicate));
    result[2] = static_cast<unsigned>(__all_sync(mask, predicate));
    __syncwarp(mask);
  }
};

TEST(Warp, VotesCountTheLanesOfTheMask) {
  // Lanes outside the mask leave at once, those before a lane of the mask as well as those behind.
  for_each_order([](simt::Runtime& runtime) {
    for (const unsigned mask : {full, 0x1u, 0x80000000u, 0x00ff00ffu, 0xaaaaaaaau})
      for (const unsigned predicates : {0u, full, 0x1u, 0x80000000u, 0x0f0f0f0fu, 0xaaaaaaaau}) {
        std::vector<unsigned> results(96, 99);
        test::run(runtime, {.block = {32}}, Votes{mask, predicates, results.data()});
        for (unsigned lane = 0; lane < 32; ++lane) {
          if ((mask >> lane & 1u) == 0) continue;
          EXPECT_EQ(results[lane * 3], mask & predicates);
          EXPECT_EQ(results[lane * 3 + 1], (mask & predicates) != 0 ? 1u : 0u);
          EXPECT_EQ(results[lane * 3 + 2], (mask & predicates) == mask ? 1u : 0u);
        }
      }
  });
}

// Warps of a block go through loops of different length, with intrinsics inside; block barriers around them.
struct NestedLoops {
  int* output;
  __device__ void operator()() const {
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int* totals = shared_memory<int>(4);
    for (int round = 0; round < 3; ++round) {
      int sum = 0;
      for (unsigned turn = 0; turn <= warp; ++turn) {
        int value = static_cast<int>(lane + turn) + round;
        for (int delta = 16; delta > 0; delta /= 2) value += __shfl_xor_sync(full, value, delta);
        if (__any_sync(full, lane == turn)) sum += value;
      }
      if (lane == 0) totals[warp] = sum;
      __syncthreads();
      if (threadIdx.x == 0) output[round] = totals[0] + totals[1] + totals[2] + totals[3];
      __syncthreads();
    }
  }
};

TEST(Warp, IntrinsicsInNestedLoops) {
  std::vector<int> expected(3);
  for (int round = 0; round < 3; ++round)
    for (int warp = 0; warp < 4; ++warp)
      for (int turn = 0; turn <= warp; ++turn) expected[round] += 31 * 32 / 2 + 32 * (turn + round);
  for_each_order([&](simt::Runtime& runtime) {
    std::vector<int> output(3);
    test::run(runtime, {.block = {128}, .shared_bytes = 16}, NestedLoops{output.data()});
    EXPECT_EQ(output, expected);
  });
}

// Two halves of a warp go different ways, each with its own mask.
struct TwoHalves {
  int* output;
  __device__ void operator()() const {
    const int lane = static_cast<int>(threadIdx.x);
    int value = lane;
    if (lane < 16) {
      for (int delta = 8; delta > 0; delta /= 2) value += __shfl_xor_sync(0x0000ffffu, value, delta);
    } else {
      value = __popc(__ballot_sync(0xffff0000u, lane % 3 == 0));
    }
    __syncwarp();
    output[lane] = value + __shfl_sync(full, value, 31);
  }
};

TEST(Warp, HalvesMayDiverge) {
  const int sum = 15 * 16 / 2, count = 5;  // of 16 ... 31 the numbers 18, 21, 24, 27, 30
  std::vector<int> expected(32, sum + count);
  std::fill(expected.begin() + 16, expected.end(), 2 * count);
  for_each_order([&](simt::Runtime& runtime) {
    std::vector<int> output(32);
    test::run(runtime, {.block = {32}}, TwoHalves{output.data()});
    EXPECT_EQ(output, expected);
  });
}

// Lane i first meets its left neighbour, then its right one: masks overlap, and no two lanes can go at once.
struct Chain {
  int* output;
  __device__ void operator()() const {
    const unsigned lane = threadIdx.x;
    int sum = 1;
    if (lane > 0) sum += __shfl_sync(3u << (lane - 1), 0, static_cast<int>(lane) - 1);
    if (lane < 31) __shfl_sync(3u << lane, sum, static_cast<int>(lane));
    output[lane] = sum;
  }
};

TEST(Warp, LanesMayMeetInOverlappingMasks) {
  std::vector<int> expected(32);
  for (int i = 0; i < 32; ++i) expected[i] = i + 1;
  for_each_order([&](simt::Runtime& runtime) {
    std::vector<int> output(32, -100);
    test::run(runtime, {.block = {32}}, Chain{output.data()});
    EXPECT_EQ(output, expected);
  });
}

// 38 threads: the second warp has six lanes, and a mask that says so.
TEST(Warp, LanesOfAPartialWarp) {
  struct PartialWarp {
    int* output;
    __device__ void operator()() const {
      const unsigned mask = threadIdx.x < 32 ? full : 0x3fu;
      const int self = static_cast<int>(threadIdx.x);
      output[self] = __shfl_xor_sync(mask, self, 1);
    }
  };
  for_each_order([](simt::Runtime& runtime) {
    std::vector<int> output(38);
    test::run(runtime, {.block = {38}}, PartialWarp{output.data()});
    for (int i = 0; i < 38; ++i) EXPECT_EQ(output[i], i ^ 1);
  });
}

// A block of 8 x 8 threads: lanes are numbered row by row.
TEST(Warp, LanesOfATwoDimensionalBlock) {
  struct Rows {
    int* output;
    __device__ void operator()() const {
      const int self = static_cast<int>(threadIdx.y * 8 + threadIdx.x);
      output[self] = __shfl_sync(full, static_cast<int>(threadIdx.y * 100 + threadIdx.x), 9);
    }
  };
  for_each_order([](simt::Runtime& runtime) {
    std::vector<int> output(64);
    test::run(runtime, {.block = {8, 8}}, Rows{output.data()});
    for (int i = 0; i < 64; ++i) EXPECT_EQ(output[i], i < 32 ? 101 : 501);
  });
}

TEST(Warp, BitFunctions) {
  EXPECT_EQ(__popc(0), 0);
  EXPECT_EQ(__popc(0xf000000fu), 8);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(1), 1);
  EXPECT_EQ(__ffs(static_cast<int>(0x80000000u)), 32);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(-1), 0);
  EXPECT_EQ(__umulhi(0xffffffffu, 0xffffffffu), 0xfffffffeu);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__float_as_int(-0.0f), static_cast<int>(0x80000000u));
  EXPECT_EQ(__uint_as_float(0x40000000u), 2.0f);
  EXPECT_EQ(__int_as_float(0x3f800000), 1.0f);
}

}  // namespace
}  // namespace gridspot
