#include "tests/simt/broken_kernels.h"

#include <gmock/gmock.h>

#include <functional>

#include "tests/simt/run.h"

namespace gridspot {
namespace {

using test::for_each_order;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// A kernel without a mistake: what a thread gets from its neighbour over a barrier.
struct Neighbour {
  int* output;
  __device__ void operator()() const {
    int* shared = shared_memory<int>(blockDim.x);
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    __syncthreads();
    output[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
  }
};

void expect_a_good_kernel_runs(simt::Runtime& runtime) {
  std::vector<int> output(50), expected(50);
  for (int i = 0; i < 50; ++i) expected[i] = (i + 1) % 50;
  test::run(runtime, {.block = {50}, .shared_bytes = 200}, Neighbour{output.data()});
  EXPECT_EQ(output, expected);
}

/// The launch ends, in every thread order, with a DeviceError that matches all of `parts` (regular expressions).
template <class Kernel>
void expect_report(const LaunchShape& shape, const Kernel& kernel, const std::vector<std::string>& parts) {
  for_each_order([&](simt::Runtime& runtime) {
    const std::string name = kernel_name<Kernel>();
    EXPECT_THAT([&] { test::run(runtime, shape, kernel); },
                ThrowsMessage<DeviceError>(HasSubstr("kernel " + name + ", ")));
    for (const std::string& part : parts)
      EXPECT_THAT([&] { test::run(runtime, shape, kernel); }, ThrowsMessage<DeviceError>(ContainsRegex(part))) << name;
    expect_a_good_kernel_runs(runtime);
  });
}

const LaunchShape one_warp{.block = {32}};
const std::string site = " .broken_kernels.h:[0-9]+.";

TEST(BrokenKernels, DivergentBarrier) {
  expect_report({.block = {20}}, broken::DivergentBarrier{},
                {"block .0,0,0.: its threads wait for one another at different places",
                 "at __syncthreads" + site + " threads 0 1 2;",
                 "at __syncthreads" + site + " threads 3 4 5 6 7 8 9 10 and 9 more"});
}

TEST(BrokenKernels, BarrierInOneBranch) {
  expect_report({.block = {6}}, broken::BarrierInOneBranch{},
                {"__syncthreads" + site + " threads 0 2 4;", "__syncthreads" + site + " threads 1 3 5$"});
}

TEST(BrokenKernels, OneTurnTooFew) {
  expect_report({.block = {6}}, broken::OneTurnTooFew{},
                {"__syncthreads" + site + " threads 0 1 3 4 5;", "__syncthreads" + site + " threads 2$"});
}

TEST(BrokenKernels, BarrierWhileTheWarpShuffles) {
  expect_report(
      one_warp, broken::BarrierWhileTheWarpShuffles{},
      {"__shfl_sync" + site + " threads 0 1 2 3 4 5 6 8 and 23 more", "__syncthreads" + site + " threads 7$"});
}

TEST(BrokenKernels, MaskWithoutTheCaller) {
  expect_report(
      one_warp, broken::MaskWithoutTheCaller{},
      {"thread (1[6-9]|2[0-9]|3[01]) calls __ballot_sync" + site + " with the mask 0xffff, which leaves it out"});
}

TEST(BrokenKernels, ShuffleFromOutsideTheMask) {
  expect_report(one_warp, broken::ShuffleFromOutsideTheMask{},
                {"thread [0-9]+ reads by __shfl_sync" + site + " lane 20, which is not in the mask 0xffff"});
}

TEST(BrokenKernels, WarpIntrinsicAfterALaneExited) {
  // Which of the two depends on whether the lane exits before the last other one arrives.
  expect_report({.block = {64}}, broken::WarpIntrinsicAfterALaneExited{},
                {"thread [0-9]+ (calls __shfl_xor_sync" + site + " with the mask 0xffffffff, whose lane 5 has exited|" +
                 "waits in __shfl_xor_sync" + site + " with the mask 0xffffffff for lane 5, which has exited)"});
}

TEST(BrokenKernels, FullMaskInAPartialWarp) {
  expect_report({.block = {40}}, broken::FullMaskInAPartialWarp{},
                {"thread (3[2-9]) calls __syncwarp" + site + " with the mask 0xffffffff, whose lane 8 does not exist"});
}

TEST(BrokenKernels, DifferentIntrinsicsInOneWarp) {
  expect_report(one_warp, broken::DifferentIntrinsicsInOneWarp{},
                {"thread 0 waits in __shfl_down_sync" + site + " with the mask 0xffffffff, thread 1 in __shfl_up_sync" +
                 site + " with the mask 0xffffffff"});
}

TEST(BrokenKernels, DifferentMasksInOneWarp) {
  // The upper half meets and leaves; the lower half waits for it in vain.
  expect_report(
      one_warp, broken::DifferentMasksInOneWarp{},
      {"thread 0 waits in __any_sync" + site + " with the mask 0xffffffff for lane [0-9]+, which has exited|" +
       std::string("thread [0-9]+ calls __any_sync") + site +
       " with the mask 0xffffffff, whose lane [0-9]+ has exited"});
}

TEST(BrokenKernels, MoreSharedMemoryThanLaunched) {
  for (const std::string size : {"0", "128"})
    expect_report({.block = {32}, .shared_bytes = std::stoul(size)}, broken::MoreSharedMemoryThanLaunched{},
                  {"thread [0-9]+ asks for 132 bytes of shared memory, and the kernel was launched with " + size});
}

TEST(BrokenKernels, WritesOutsideSharedMemory) {
  for (const unsigned threads : {1u, 32u, 33u, 100u}) {
    const std::string bytes = std::to_string(threads * 4);
    const LaunchShape shape{.block = {threads}, .shared_bytes = threads * 4};
    expect_report(shape, broken::WritePastTheEndOfSharedMemory{int(threads)},
                  {"a thread wrote to byte " + bytes + " of the block's " + bytes + " bytes of shared memory"});
    expect_report(shape, broken::WriteBeforeTheStartOfSharedMemory{int(threads)},
                  {"a thread wrote 1 bytes before the block's " + bytes + " bytes of shared memory"});
  }
}

TEST(BrokenKernels, TheReportNamesTheBlock) {
  struct BreaksInOneBlock {
    __device__ void operator()() const {
      if (blockIdx.x == 2 && blockIdx.y == 1 && blockIdx.z == 3) __ballot_sync(0, 1);
    }
  };
  expect_report({.grid = {3, 2, 4}, .block = {8}}, BreaksInOneBlock{},
                {"BreaksInOneBlock, block .2,1,3.: thread [0-9]+ calls __ballot_sync"});
}

TEST(BrokenKernels, TheReportNamesTheLine) {
  struct Breaks {
    __device__ void operator()() const { __syncwarp(0); }
  };
  const int line = __LINE__ - 2;
  expect_report({}, Breaks{}, {"broken_kernels_test.cpp:" + std::to_string(line) + "\\)"});
}

TEST(BrokenKernels, WhatAKernelThrowsReachesTheCaller) {
  struct Throws {
    __device__ void operator()() const {
      __syncthreads();
      if (threadIdx.x == 17) throw std::runtime_error("thread 17");
      __syncthreads();
    }
  };
  for_each_order([](simt::Runtime& runtime) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT([&] { test::run(runtime, {.grid = {2}, .block = {40}}, Throws{}); },
                  ThrowsMessage<std::runtime_error>(HasSubstr("thread 17")));
      expect_a_good_kernel_runs(runtime);
    }
  });
}

TEST(BrokenKernels, AKernelCannotLaunchAKernel) {
  struct Nested {
    simt::Runtime* other;
    __device__ void operator()() const { test::run(*other, {}, broken::DivergentBarrier{}); }
  };
  simt::Runtime runtime, other;
  EXPECT_THAT([&] { test::run(runtime, {}, Nested{&other}); },
              ThrowsMessage<Error>(HasSubstr("a kernel cannot launch a kernel")));
  expect_a_good_kernel_runs(runtime);
  expect_a_good_kernel_runs(other);
}

// ---- Found by comparing thread orders -----------------------------------------------------------------------------

/// What DeviceTest::run finds when the kernel that `make(output)` returns writes `count` values.
template <class Make>
std::string difference(const LaunchShape& shape, std::size_t count, Make make) {
  Stream stream({});
  return test::run_under_every_order(stream,
                                     [&](Stream& s) {
                                       std::vector<int> output(count);
                                       test::run(s.runtime(), shape, make(output.data()));
                                       return output;
                                     })
      .difference;
}

TEST(ThreadOrders, AGoodKernelComputesTheSame) {
  EXPECT_EQ(difference({.block = {64}, .shared_bytes = 256}, 64, [](int* output) { return Neighbour{output}; }), "");
}

TEST(ThreadOrders, BrokenKernelsDoNot) {
  struct Case {
    std::string kernel, difference;
  };
  const LaunchShape blocks{.grid = {4}, .block = {64}, .shared_bytes = 256};
  int counter = 0;
  const std::vector<Case> cases{
      {"MissingBarrier", difference(blocks, 256, [](int* out) { return broken::MissingBarrier{out}; })},
      {"MissingSecondBarrier", difference(blocks, 256, [](int* out) { return broken::MissingSecondBarrier{out}; })},
      {"UninitialisedSharedMemory",
       difference(blocks, 256, [](int* out) { return broken::UninitialisedSharedMemory{out}; })},
      {"ReadsWhatAnotherBlockWrites",
       difference(blocks, 256, [](int* out) { return broken::ReadsWhatAnotherBlockWrites{out}; })},
      {"LastWriterWins", difference(blocks, 1, [](int* out) { return broken::LastWriterWins{out}; })},
      {"SlotsInTheOrderOfArrival", difference({.block = {64}}, 64,
                                              [&](int* out) {
                                                counter = 0;
                                                return broken::SlotsInTheOrderOfArrival{&counter, out};
                                              })},
      {"MissingWarpBarrier",
       difference({.block = {32}, .shared_bytes = 128}, 32, [](int* out) { return broken::MissingWarpBarrier{out}; })},
  };
  for (const Case& c : cases)
    EXPECT_THAT(c.difference,
                ContainsRegex("byte [0-9]+ of [0-9]+ of the result differs between the thread orders forward and"))
        << c.kernel;
}

TEST(ThreadOrders, DifferencesAreNamed) {
  const auto compare = [](const std::string& a, const std::string& b) {
    return test::difference_between_orders("reverse", std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
  };
  EXPECT_EQ(compare("", ""), "");
  EXPECT_EQ(compare("abc", "abc"), "");
  EXPECT_EQ(compare("abc", "abd"), "byte 2 of 3 of the result differs between the thread orders forward and reverse");
  EXPECT_EQ(compare("abc", "ab"),
            "the size of the result differs between the thread orders forward and reverse: 3 and 2 bytes");
}

// ---- Found by the red zones of buffers ----------------------------------------------------------------------------

#if defined(__SANITIZE_ADDRESS__)
void expect_outside(const std::function<void()>& run_and_check, const std::string&) {
  EXPECT_DEATH(run_and_check(), "use-after-poison");
}
#else
void expect_outside(const std::function<void()>& run_and_check, const std::string& message) {
  EXPECT_THAT(run_and_check, ThrowsMessage<DeviceError>(HasSubstr(message)));
}
#endif

TEST(RedZones, WritesOutsideABufferAreReported) {
  for (const std::size_t count : {1, 15, 16, 17, 1000}) {
    const std::string size = std::to_string(count * 4);
    const LaunchShape shape{.grid = {unsigned(count) / 32 + 1}, .block = {32}};
    expect_outside(
        [&] {
          Stream stream({});
          const Buffer<float> buffer(stream.device(), count);
          test::run(stream.runtime(), shape, broken::OnePastTheEnd{buffer.data(), count});
          (void)download(stream, buffer);
        },
        "something wrote to byte " + size + " of a buffer of " + size + " bytes");
    expect_outside(
        [&] {
          Stream stream({});
          const Buffer<float> buffer(stream.device(), count);
          test::run(stream.runtime(), {}, broken::OneBeforeTheStart{buffer.data()});
          buffer.check_red_zone();
        },
        "something wrote 1 bytes before the start of a buffer of " + size + " bytes");
  }
}

}  // namespace
}  // namespace gridspot
