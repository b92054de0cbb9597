// Runtimes on several OS threads; the thread sanitizer's build runs this too.
#include <gmock/gmock.h>

#include <thread>

#include "tests/simt/broken_kernels.h"
#include "tests/simt/run.h"

namespace gridspot {
namespace {

// Barriers, shuffles and shared memory: sums[block] = the sum of the numbers below 96, plus 96 times the block.
struct Sum {
  int* sums;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(3);
    int value = static_cast<int>(threadIdx.x + blockIdx.x);
    for (int delta = 16; delta > 0; delta /= 2)
      value += __shfl_down_sync(0xffffffffu, value, static_cast<unsigned>(delta));
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0) sums[blockIdx.x] = shared[0] + shared[1] + shared[2];
  }
};

void expect_sums(simt::Runtime& runtime) {
  std::vector<int> sums(20), expected(20);
  for (int block = 0; block < 20; ++block) expected[block] = 95 * 96 / 2 + 96 * block;
  test::run(runtime, {.grid = {20}, .block = {96}, .shared_bytes = 12}, Sum{sums.data()});
  EXPECT_EQ(sums, expected);
}

TEST(Concurrency, ARuntimeOnEachOfSeveralThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([i] {
      simt::Runtime runtime;
      runtime.set_schedule({static_cast<simt::Order>(i), 5});
      for (int launch = 0; launch < 20; ++launch) {
        expect_sums(runtime);
        if (launch % 5 != 0) continue;
        EXPECT_THROW(test::run(runtime, {.block = {20}}, broken::DivergentBarrier{}), DeviceError);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(Concurrency, ARuntimeThatGoesFromThreadToThread) {
  simt::Runtime runtime;
  for (int i = 0; i < 4; ++i) {
    expect_sums(runtime);
    std::thread([&] { expect_sums(runtime); }).join();
  }
}

TEST(Concurrency, StreamsOnTwoThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([] {
      Stream stream({});
      for (int round = 0; round < 20; ++round) {
        const auto buffer = upload(stream, std::vector<int>(20, -1));
        test::run(stream.runtime(), {.grid = {20}, .block = {96}, .shared_bytes = 12}, Sum{buffer.data()});
        EXPECT_EQ(download(stream, buffer)[19], 95 * 96 / 2 + 96 * 19);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace gridspot
