#pragma once
// Runs a CUDA kernel on the host: blocks one after another, the threads of a block as fibers.
//
// A fiber runs thread after thread without a switch; only a thread that waits (at a barrier or for its warp) keeps its
// fiber, and another fiber goes on with the threads that have not started. What breaks a rule of CUDA's execution model
// (see CONTRIBUTING.md, "The host runtime") ends the launch with a DeviceError that names kernel, block, threads and
// sites. A Runtime belongs to one OS thread at a time; `run` returns when the launch has finished.
#include <cstdint>
#include <memory>
#include <random>
#include <source_location>
#include <string>
#include <vector>

#include "simt/dim3.h"

namespace gridspot {
// CUDA's built-in variables, for the thread that is running.
inline constinit thread_local Dim3 threadIdx{}, blockIdx{}, blockDim{}, gridDim{};
}  // namespace gridspot

namespace gridspot::simt {

class Fiber;

/// In which order blocks and threads run. A kernel without races computes the same bits under all of them.
enum class Order { forward, reverse, shuffled };

struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 0;  ///< of the shuffle
};

/// What kind of meeting a thread waits for.
enum class Meeting : std::uint8_t { none, block_barrier, warp_sync, shuffle, ballot };

class Runtime {
 public:
  Runtime();
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  void set_schedule(Schedule schedule) { schedule_ = schedule; }

  /// Calls `body()` once for each thread of the launch. Throws DeviceError when the kernel breaks a rule.
  template <class Body>
  void run(const LaunchShape& shape, const Body& body, std::string (*kernel_name)()) {
    run_kernel(shape, kernel_name, &thread_loop<Body>, &body);
  }

  // For simt/intrinsics.h, on the fiber of the calling thread:
  void block_barrier(std::source_location site, bool predicate = false);
  std::uint64_t warp_exchange(Meeting meeting, unsigned mask, std::uint64_t value, int source_lane,
                              std::source_location site);
  [[nodiscard]] int barrier_count() const { return barrier_count_; }
  [[nodiscard]] std::byte* shared_memory(std::size_t bytes);
  [[nodiscard]] unsigned thread_in_block() const { return current_thread_; }

 private:
  struct Thread;
  struct Worker;
  using ThreadLoop = void (*)(Runtime&, const void* body);

  template <class Body>
  static void thread_loop(Runtime& runtime, const void* body) {
    const Body& call = *static_cast<const Body*>(body);
    while (runtime.next_thread()) call();
  }

  void run_kernel(const LaunchShape& shape, std::string (*kernel_name)(), ThreadLoop loop, const void* body);
  /// Finishes the current thread of this fiber and takes the next; false when the fiber has to go back.
  bool next_thread() {
    if (cursor_ < plain_end_) [[likely]] {
      threadIdx.x = current_thread_ = cursor_++;
      return true;
    }
    return next_thread_in_order();
  }
  bool next_thread_in_order();
  bool next_block();
  void place(unsigned thread);
  void begin_meetings();
  void schedule_block();
  void wait();
  bool release_waiting();
  void release_warp(unsigned warp, unsigned mask);
  Worker& idle_worker();
  void check_shared_red_zone();
  [[noreturn]] void report(const std::string& problem);
  void fail(const std::string& problem);
  std::string describe_waiting() const;
  static void worker_entry(void* worker);

  Schedule schedule_;
  std::string (*kernel_name_)() = nullptr;
  LaunchShape shape_;
  ThreadLoop loop_ = nullptr;
  const void* body_ = nullptr;
  std::mt19937_64 random_;

  std::vector<std::uint64_t> block_order_;  // empty: forward
  std::vector<unsigned> thread_order_;      // empty: forward
  std::uint64_t block_cursor_ = 0, block_count_ = 0;
  unsigned cursor_ = 0, thread_count_ = 0;  // threads from cursor_ on have not started
  unsigned plain_end_ = 0;                   // == thread_count_ while nothing but counting up is to be done, else 0
  unsigned current_thread_ = 0;
  bool flat_block_ = true;
  bool launch_done_ = false;

  std::vector<Thread> threads_;  // empty until a thread of the block waits
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> idle_, ready_, waiting_;
  Worker* running_ = nullptr;
  std::vector<std::byte> shared_;
  std::string failure_;
  int barrier_count_ = 0;
};

/// The runtime whose kernel the calling OS thread is running.
inline constinit thread_local Runtime* current_runtime = nullptr;

}  // namespace gridspot::simt
