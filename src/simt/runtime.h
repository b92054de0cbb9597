#pragma once
// Runs a CUDA kernel on the host: blocks one after another, the threads of a block as fibers.
//
// A fiber runs thread after thread without a switch; only a thread that waits (at a barrier or for its warp) keeps its
// fiber, and another fiber goes on with the threads that have not started. What breaks a rule of CUDA's execution model
// (see CONTRIBUTING.md, "The host runtime") ends the launch with a DeviceError that names kernel, block, threads and
// sites. A Runtime belongs to one OS thread at a time; `run` returns when the launch has finished.
#include <cstdint>
#include <exception>
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
using Site = std::source_location;

/// In which order blocks and threads run. A kernel without races computes the same bits under all of them.
enum class Order { forward, reverse, shuffled };

struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 0;  ///< of the shuffle
};

/// What kind of meeting a thread waits for. Lanes of a warp meet only in the same kind.
enum class Meeting : std::uint8_t {
  none,
  block_barrier,
  warp_barrier,
  shuffle_index,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  any,
  all
};

class Runtime {
 public:
  /// Null, or why there is no runtime: gridspot can be built for CUDA alone (runtime_absent.cpp). Then the constructor
  /// throws NoDevice.
  static const char* absence();

  Runtime();
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  void set_schedule(Schedule schedule) { schedule_ = schedule; }

  /// Calls `body()` once for each thread of the launch. Throws DeviceError when the kernel breaks a rule, and what the
  /// kernel itself throws; the Runtime can be used again afterwards.
  template <class Body>
  void run(const LaunchShape& shape, const Body& body, std::string (*kernel_name)()) {
    run_kernel(shape, kernel_name, &thread_loop<Body>, &body);
  }

  // For simt/intrinsics.h, on the fiber of the calling thread:

  /// Returns when every thread of the block that has not exited waits here.
  void block_barrier(Site site, bool predicate = false);
  /// The number of threads that came to the last block barrier with a true predicate.
  [[nodiscard]] int barrier_count() const { return barrier_count_; }
  /// Returns when every lane of the mask has come with the same meeting and mask: for a shuffle the value of
  /// `source_lane`, for a vote the lanes whose value is not 0.
  std::uint64_t warp_exchange(Meeting meeting, unsigned mask, std::uint64_t value, int source_lane, Site site);
  /// The block's dynamic shared memory, of which the caller uses the first `bytes`.
  [[nodiscard]] std::byte* shared_memory(std::size_t bytes);
  [[nodiscard]] unsigned thread_in_block() const { return current_thread_; }

 private:
  struct Thread;
  struct Warp;
  struct Worker;
  using ThreadLoop = void (*)(Runtime&, const void* body);

  template <class Body>
  [[noreturn]] static void thread_loop(Runtime& runtime, const void* body) {
    const Body& call = *static_cast<const Body*>(body);
    for (;;) {
      runtime.next_thread();
      call();
    }
  }
  /// Finishes the current thread of this fiber and takes the next. After the last thread of the launch it does not
  /// return.
  void next_thread() {
    if (cursor_ < plain_end_) [[likely]]
      threadIdx.x = current_thread_ = cursor_++;
    else
      next_thread_in_order();
  }
  void next_thread_in_order();

  // The launch (runtime.cpp)
  void run_kernel(const LaunchShape& shape, std::string (*kernel_name)(), ThreadLoop loop, const void* body);
  void prepare_launch();
  void run_fibers();
  void take_back_fibers() noexcept;
  bool next_block();
  void prepare_block();
  [[nodiscard]] unsigned thread_at(unsigned position) const;
  void start_thread(unsigned position);
  void place(unsigned thread);
  Worker& fresh_worker();
  void switch_to_next();
  void switch_to_host();
  static void worker_entry(void* worker);
  void poison_shared_memory();
  void check_shared_red_zones();
  /// Called on a fiber, for the block that is running: ends the launch with a DeviceError.
  [[noreturn]] void fail(const std::string& problem) const;

  // Meetings of threads (meetings.cpp)
  void begin_meetings();
  void mark_exited(unsigned thread);
  void wait(Thread& thread);
  [[nodiscard]] bool barrier_is_complete() const;
  void release_barrier();
  void check_mask(Meeting meeting, unsigned mask, Site site);
  [[nodiscard]] bool warp_is_complete(unsigned warp, unsigned mask) const;
  void release_warp(unsigned warp, unsigned mask);
  void order_ready(std::size_t from);
  [[nodiscard]] std::string describe_deadlock() const;
  [[nodiscard]] std::string describe_warp_deadlock(unsigned thread) const;

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
  unsigned plain_end_ = 0;                  // == thread_count_ while nothing but counting up is to be done, else 0
  unsigned current_thread_ = 0;
  bool flat_block_ = true, flat_grid_ = true;

  bool meetings_begun_ = false;  // has a thread of this block waited? Only then the next three are kept
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  unsigned waiting_ = 0;         // threads that wait
  std::vector<unsigned> ready_;  // threads that have waited and may go on, the next one last
  int barrier_count_ = 0;

  std::unique_ptr<Fiber> host_;  // the caller of `run`
  std::uint64_t launch_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> idle_;
  Worker* running_ = nullptr;
  std::vector<std::byte> shared_;
  std::exception_ptr failure_;  // what ended the launch before its time
};

/// The runtime whose kernel the calling OS thread is running.
inline constinit thread_local Runtime* current_runtime = nullptr;

}  // namespace gridspot::simt
