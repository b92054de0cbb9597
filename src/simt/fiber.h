#pragma once
// A stack that can be switched to and from (Boost.Context's fcontext), announced to the sanitizers; for src/simt alone.
#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace gridspot::simt {

/// A suspended stretch of execution: on a stack of its own, or that of the OS thread. Used by one OS thread at a time.
class Fiber {
 public:
  using Entry = void (*)(void* argument);

  /// The calling OS thread; call `adopt_thread` before switching away from it.
  Fiber() = default;
  /// Allocates a stack with a guard page below it; throws OutOfMemory. The entry must never return.
  Fiber(Entry entry, void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// From now on this fiber stands for the calling OS thread.
  void adopt_thread();
  /// Forgets where the fiber was; it starts at its entry when it is switched to. What stood on its stack is not
  /// destroyed.
  void restart();
  /// Called on `from`; returns when some fiber switches back to it.
  static void switch_to(Fiber& from, Fiber& to);

 private:
  using Transfer = boost::context::detail::transfer_t;
  static void enter(Transfer transfer);
  static Fiber& arrive(Transfer transfer);

  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  std::byte* mapping_ = nullptr;
  void* context_ = nullptr;
  Fiber* next_ = nullptr;       // the fiber that was switched to last
  void* fake_stack_ = nullptr;  // AddressSanitizer's
  const void* stack_ = nullptr;
  std::size_t stack_bytes_ = 0;
  void* tsan_fiber_ = nullptr;
  unsigned restarts_ = 0;  // counted for ThreadSanitizer
};

/// The first thing after a switch: notes where the fiber that was left can be resumed.
inline Fiber& Fiber::arrive(Transfer transfer) {
  auto& left = *static_cast<Fiber*>(transfer.data);
  left.context_ = transfer.fctx;
  return left;
}

// Inline, because each return after a switch is one that the processor predicts wrongly.
[[gnu::always_inline]] inline void Fiber::switch_to(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_, to.stack_bytes_);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.tsan_fiber_, 0);
#endif
  from.next_ = &to;
  [[maybe_unused]] Fiber& left = arrive(boost::context::detail::jump_fcontext(to.context_, &from));
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack_, &left.stack_, &left.stack_bytes_);
#endif
}

}  // namespace gridspot::simt
