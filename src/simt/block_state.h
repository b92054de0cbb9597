#pragma once
// What the runtime keeps about the threads of the running block; for src/simt alone.
#include "simt/fiber.h"
#include "simt/runtime.h"

namespace gridspot::simt {

constexpr unsigned lanes_in_warp = 32;

/// A fiber that runs threads, one after another.
struct Runtime::Worker {
  explicit Worker(Runtime& owner) : runtime(owner), fiber(&Runtime::worker_entry, this) {}
  Runtime& runtime;
  Fiber fiber;
  std::uint64_t launch = 0;  // whose kernel is on the fiber's stack
};

/// What a thread waits for, what it brings and what it gets.
struct Runtime::Thread {
  Worker* worker = nullptr;  // the fiber that it keeps while it waits
  Meeting meeting = Meeting::none;
  bool predicate = false;
  unsigned mask = 0;
  int source_lane = 0;
  std::uint64_t value = 0, result = 0;
  Site site;
};

/// One bit for each lane.
struct Runtime::Warp {
  unsigned waiting = 0;  // in a warp intrinsic
  unsigned gone = 0;     // exited, or beyond the end of the block
};

/// The calling fiber has nothing to do for now: goes on with a thread that has not started, else with one that is
/// ready, else with those that wait at the barrier. Returns when the calling fiber's turn comes again.
[[gnu::always_inline]] inline void Runtime::switch_to_next() {
  Worker& self = *running_;
  if (cursor_ < thread_count_) {
    running_ = &fresh_worker();
  } else {
    if (ready_.empty()) release_barrier();
    const unsigned thread = ready_.back();
    ready_.pop_back();
    place(thread);
    running_ = threads_[thread].worker;
  }
  if (running_ != &self) Fiber::switch_to(self.fiber, running_->fiber);
}

}  // namespace gridspot::simt
