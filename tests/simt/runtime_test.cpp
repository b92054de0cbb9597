// What the host runtime promises to kernels without a mistake.
#include "simt/runtime.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "tests/simt/run.h"

namespace gridspot {
namespace {

using test::for_each_order;

std::size_t linear(const Dim3& index, const Dim3& size) {
  return (std::size_t(index.z) * size.y + index.y) * size.x + index.x;
}

struct CountVisits {
  Dim3 grid, block;
  std::vector<int>* visits;
  __device__ void operator()() const {
    ASSERT_EQ(std::tie(gridDim.x, gridDim.y, gridDim.z), std::tie(grid.x, grid.y, grid.z));
    ASSERT_EQ(std::tie(blockDim.x, blockDim.y, blockDim.z), std::tie(block.x, block.y, block.z));
    ASSERT_TRUE(threadIdx.x < block.x && threadIdx.y < block.y && threadIdx.z < block.z);
    ASSERT_TRUE(blockIdx.x < grid.x && blockIdx.y < grid.y && blockIdx.z < grid.z);
    ++visits->at(linear(blockIdx, grid) * block.count() + linear(threadIdx, block));
  }
};

TEST(Runtime, RunsEveryThreadOnce) {
  const std::vector<std::pair<Dim3, Dim3>> shapes{{{1}, {1}},        {{3}, {31}},      {{2}, {32}},
                                                  {{2}, {33}},       {{1}, {1024}},    {{2, 3}, {5}},
                                                  {{2}, {3, 4}},     {{1, 1, 4}, {7}}, {{3, 2, 2}, {9, 5, 3}},
                                                  {{1, 65535}, {1}}, {{1}, {1, 1, 64}}};
  for (const auto& [grid, block] : shapes)
    for_each_order([&](simt::Runtime& runtime) {
      std::vector<int> visits(grid.count() * block.count());
      test::run(runtime, {grid, block}, CountVisits{grid, block, &visits});
      EXPECT_TRUE(std::all_of(visits.begin(), visits.end(), [](int n) { return n == 1; }))
          << to_string(LaunchShape{grid, block});
    });
}

// The indices of a thread are its own again after every wait.
struct IndicesAcrossBarriers {
  int* mismatches;
  __device__ void operator()() const {
    const Dim3 thread = threadIdx, block = blockIdx;
    for (int i = 0; i < 4; ++i) {
      __syncthreads();
      const bool same = std::tie(thread.x, thread.y, thread.z, block.x, block.y, block.z) ==
                        std::tie(threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z);
      if (!same) ++*mismatches;
    }
  }
};

TEST(Runtime, IndicesSurviveBarriers) {
  for (const LaunchShape& shape : {LaunchShape{{3, 2, 2}, {7, 3, 2}}, LaunchShape{{5}, {100}}})
    for_each_order([&](simt::Runtime& runtime) {
      int mismatches = 0;
      test::run(runtime, shape, IndicesAcrossBarriers{&mismatches});
      EXPECT_EQ(mismatches, 0);
    });
}

TEST(Runtime, OrdersAreWhatTheirNamesSay) {
  struct Record {
    std::vector<std::pair<unsigned, unsigned>>* order;
    __device__ void operator()() const { order->emplace_back(blockIdx.x, threadIdx.x); }
  };
  const auto order_of = [](simt::Schedule schedule) {
    simt::Runtime runtime;
    runtime.set_schedule(schedule);
    std::vector<std::pair<unsigned, unsigned>> order;
    test::run(runtime, {.grid = {6}, .block = {8}}, Record{&order});
    return order;
  };
  const auto forward = order_of({simt::Order::forward, 0});
  EXPECT_TRUE(std::is_sorted(forward.begin(), forward.end()));
  auto reverse = order_of({simt::Order::reverse, 0});
  EXPECT_NE(reverse, forward);
  std::reverse(reverse.begin(), reverse.end());
  EXPECT_EQ(reverse, forward);
  const auto shuffled = order_of({simt::Order::shuffled, 1});
  EXPECT_NE(shuffled, forward);
  EXPECT_EQ(shuffled, order_of({simt::Order::shuffled, 1}));
  EXPECT_NE(shuffled, order_of({simt::Order::shuffled, 2}));
}

// A sum over the block by halves: log2(threads) barriers in a loop.
struct BlockSum {
  int* sums;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(1024);
    shared[threadIdx.x] = static_cast<int>(threadIdx.x + blockIdx.x);
    for (unsigned half = 512; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.x < half && threadIdx.x + half < blockDim.x) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = shared[0];
  }
};

TEST(Runtime, BarriersInBlocksOfAnySize) {
  for (const unsigned threads : {1u, 2u, 31u, 32u, 33u, 255u, 256u, 257u, 1023u, 1024u})
    for_each_order([&](simt::Runtime& runtime) {
      std::vector<int> sums(3);
      test::run(runtime, {.grid = {3}, .block = {threads}, .shared_bytes = 4096}, BlockSum{sums.data()});
      const int n = static_cast<int>(threads), of_threads = n * (n - 1) / 2;
      EXPECT_EQ(sums, (std::vector<int>{of_threads, of_threads + n, of_threads + 2 * n})) << threads << " threads";
    });
}

// Thread t leaves after t barriers; the others go on without it.
struct ExitOneByOne {
  int* counts;
  __device__ void operator()() const {
    for (unsigned turn = 0; turn < threadIdx.x; ++turn) {
      const int count = __syncthreads_count(1);
      if (threadIdx.x == blockDim.x - 1) counts[turn] = count;
    }
  }
};

TEST(Runtime, BarriersCountTheThreadsThatHaveNotExited) {
  for_each_order([&](simt::Runtime& runtime) {
    std::vector<int> counts(69), expected(69);
    std::iota(expected.rbegin(), expected.rend(), 1);  // at turn i the threads above i
    test::run(runtime, {.block = {70}}, ExitOneByOne{counts.data()});
    EXPECT_EQ(counts, expected);
  });
}

struct CountPredicates {
  int *counts, *any;
  __device__ void operator()() const {
    for (int i = 0; i < 5; ++i) {
      const int t = static_cast<int>(threadIdx.x), count = __syncthreads_count(t % 5 < i),
                some = __syncthreads_or(t == i * 20);
      counts[i * static_cast<int>(blockDim.x) + t] = count;
      any[i * static_cast<int>(blockDim.x) + t] = some;
    }
  }
};

TEST(Runtime, BarriersCountPredicates) {
  for_each_order([&](simt::Runtime& runtime) {
    std::vector<int> counts(5 * 50), any(5 * 50);
    test::run(runtime, {.block = {50}}, CountPredicates{counts.data(), any.data()});
    for (int i = 0; i < 5; ++i)
      for (int t = 0; t < 50; ++t) {
        EXPECT_EQ(counts[i * 50 + t], i * 10);
        EXPECT_EQ(any[i * 50 + t], i * 20 < 50 ? 1 : 0);
      }
  });
}

struct ReadShared {
  unsigned char* bytes;
  __device__ void operator()() const { std::memcpy(bytes, shared_memory<unsigned char>(64), 64); }
};

TEST(Runtime, SharedMemoryStartsOutDifferentInEachOrder) {
  std::vector<std::vector<unsigned char>> starts;
  for (const auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::shuffled}) {
    simt::Runtime runtime;
    runtime.set_schedule({order, 1});
    std::vector<unsigned char> bytes(64);
    test::run(runtime, {.grid = {2}, .shared_bytes = 64}, ReadShared{bytes.data()});
    starts.push_back(bytes);
  }
  EXPECT_NE(starts[0], starts[1]);
  EXPECT_NE(starts[0], starts[2]);
  EXPECT_NE(starts[1], starts[2]);
}

TEST(Runtime, SharedMemoryIsAlignedTo16Bytes) {
  struct Alignment {
    std::uintptr_t* address;
    __device__ void operator()() const { *address = std::bit_cast<std::uintptr_t>(shared_memory<double>(2, 32)); }
  };
  simt::Runtime runtime;
  for (const std::size_t bytes : {48u, 100u, 50000u}) {
    std::uintptr_t address = 0;
    test::run(runtime, {.shared_bytes = bytes}, Alignment{&address});
    EXPECT_EQ(address % 16, 0u);
  }
}

// Each fiber has room for the local arrays of a large kernel, and keeps them while it waits.
struct LocalArray {
  long* sums;
  __device__ void operator()() const {
    volatile unsigned char local[40000];
    for (unsigned i = 0; i < sizeof local; ++i) local[i] = static_cast<unsigned char>(i + threadIdx.x);
    __syncthreads();
    long sum = 0;
    for (unsigned i = 0; i < sizeof local; ++i) sum += local[i];
    sums[threadIdx.x] = sum;
  }
};

TEST(Runtime, DeepStacks) {
  for_each_order([](simt::Runtime& runtime) {
    std::vector<long> sums(40), expected(40);
    for (unsigned t = 0; t < 40; ++t)
      for (unsigned i = 0; i < 40000; ++i) expected[t] += (i + t) & 255u;
    test::run(runtime, {.block = {40}}, LocalArray{sums.data()});
    EXPECT_EQ(sums, expected);
  });
}

TEST(Runtime, AStackThatOverflowsHitsItsGuardPage) {
  struct Overflow {
    __device__ void operator()() const {
      volatile unsigned char local[1 << 20];
      for (std::size_t i = sizeof local; i-- > 0;) local[i] = 1;
    }
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        simt::Runtime runtime;
        test::run(runtime, {}, Overflow{});
      },
      "");
}

TEST(Runtime, IntegerAtomicsReturnTheOldValue) {
  struct Atomics {
    int *sum, *least, *most, *seen;
    __device__ void operator()() const {
      const int i = static_cast<int>(global_thread());
      seen[atomicAdd(sum, 1)] = 1;
      atomicMin(least, (i * 7) % 64 - 10);
      atomicMax(most, (i * 7) % 64 - 10);
    }
  };
  for_each_order([](simt::Runtime& runtime) {
    int sum = 0, least = 1000, most = -1000;
    std::vector<int> seen(64);
    test::run(runtime, {.grid = {4}, .block = {16}}, Atomics{&sum, &least, &most, seen.data()});
    EXPECT_EQ(std::tuple(sum, least, most), std::tuple(64, -10, 53));
    EXPECT_EQ(seen, std::vector<int>(64, 1));
  });
}

TEST(Runtime, LaunchesOfDifferentKernelsInARow) {
  simt::Runtime runtime;
  for (int i = 0; i < 50; ++i) {
    const unsigned threads = 1 + static_cast<unsigned>(i * 37 % 300);
    std::vector<int> sums(2), visits(2 * threads);
    test::run(runtime, {.grid = {2}, .block = {threads}, .shared_bytes = 4096}, BlockSum{sums.data()});
    EXPECT_EQ(sums[1] - sums[0], static_cast<int>(threads));
    test::run(runtime, {{2}, {threads}}, CountVisits{{2}, {threads}, &visits});
    EXPECT_EQ(visits, std::vector<int>(2 * threads, 1));
  }
}

TEST(LaunchShape, RulesThatEveryDeviceHas) {
  struct Case {
    LaunchShape shape;
    std::string rule;
  };
  const std::vector<Case> cases{
      {{{0x7fffffff, 65535, 65535}, {256}, 99 * 1024}, ""},
      {{{1}, {4, 1, 64}}, ""},
      {{{0x80000000}, {1}}, "a grid has at most 2147483647 x 65535 x 65535 blocks"},
      {{{1, 65536}, {1}}, "a grid has at most 2147483647 x 65535 x 65535 blocks"},
      {{{1, 1, 65536}, {1}}, "a grid has at most 2147483647 x 65535 x 65535 blocks"},
      {{{1}, {1025}}, "a block has at most 1024 x 1024 x 64 threads"},
      {{{1}, {1, 1025}}, "a block has at most 1024 x 1024 x 64 threads"},
      {{{1}, {1, 1, 65}}, "a block has at most 1024 x 1024 x 64 threads"},
      {{{1}, {257}}, "a block has at most the kernel's max_block_threads"},
      {{{1}, {16, 17}}, "a block has at most the kernel's max_block_threads"},
      {{{1}, {1}, 99 * 1024 + 1}, "a block has at most 101376 bytes of shared memory"},
  };
  for (const Case& c : cases) {
    const char* rule = broken_launch_rule(c.shape, 256);
    EXPECT_EQ(std::string(rule ? rule : ""), c.rule) << to_string(c.shape);
  }
}

}  // namespace
}  // namespace gridspot
