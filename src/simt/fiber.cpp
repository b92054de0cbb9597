#include "simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "gridspot/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gridspot::simt {

namespace {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_bytes = 256 * 1024;  // instrumented frames are several times larger
#else
constexpr std::size_t stack_bytes = 64 * 1024;
#endif

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
}  // namespace

Fiber::Fiber(Entry entry, void* argument) : entry_(entry), argument_(argument), stack_bytes_(stack_bytes) {
  const std::size_t guard = page_bytes();
  void* memory = mmap(nullptr, guard + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw OutOfMemory("no memory for the stack of a kernel thread");
  if (mprotect(memory, guard, PROT_NONE) != 0) {
    munmap(memory, guard + stack_bytes);
    throw OutOfMemory("the guard page of a kernel thread's stack could not be set");
  }
  mapping_ = static_cast<std::byte*>(memory);
  stack_ = mapping_ + guard;
  restart();
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(tsan_fiber_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, stack_bytes);
#endif
  munmap(mapping_, page_bytes() + stack_bytes);
}

void Fiber::adopt_thread() {
#if defined(__SANITIZE_THREAD__)
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

void Fiber::restart() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, stack_bytes);
  fake_stack_ = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer never learns that the calls on the stack are gone. It has room for some of them, and a new fiber is
  // dear.
  if (restarts_++ % 1000 == 0) {
    if (tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
    tsan_fiber_ = __tsan_create_fiber(0);
  }
#endif
  context_ = boost::context::detail::make_fcontext(mapping_ + page_bytes() + stack_bytes, stack_bytes, &Fiber::enter);
}

void Fiber::enter(Transfer transfer) {
  Fiber& left = arrive(transfer);
  Fiber& self = *left.next_;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &left.stack_, &left.stack_bytes_);
#endif
  self.entry_(self.argument_);
}

}  // namespace gridspot::simt
