#pragma once
// A stack that can be switched to and from (Boost.Context's fcontext), announced to the sanitizers.
#include <cstddef>

namespace gridspot::simt {

/// A suspended stretch of execution on a stack of its own. Used by one OS thread only.
class Fiber {
 public:
  using Entry = void (*)(void* argument);

  /// Allocates the stack (with a guard page below it). The entry must never return; it leaves by `suspend`.
  Fiber(Entry entry, void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the fiber until it calls `suspend`.
  void resume();
  /// Called on the fiber: continues after the `resume` that started it.
  void suspend();
  /// Forgets where the fiber was; the next `resume` starts at the entry. What stood on its stack is not destroyed.
  void restart();

 private:
  Entry entry_;
  void* argument_;
  std::byte* mapping_ = nullptr;
  std::byte* stack_ = nullptr;
  void* context_ = nullptr;
  void* caller_ = nullptr;
  void* fake_stack_ = nullptr;
  const void* caller_stack_ = nullptr;
  std::size_t caller_stack_bytes_ = 0;
  void* tsan_fiber_ = nullptr;
  void* tsan_caller_ = nullptr;
  friend struct FiberEntry;
};

}  // namespace gridspot::simt
