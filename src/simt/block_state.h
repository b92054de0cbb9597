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

}  // namespace gridspot::simt
