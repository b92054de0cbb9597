// The launch: blocks and threads in the order of the schedule, and the fibers that run them.
#include "simt/runtime.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "gridspot/error.h"
#include "simt/block_state.h"

namespace gridspot::simt {

namespace {
constexpr std::size_t red_zone_bytes = 64;  // on both sides of shared memory
constexpr std::byte red_zone{0xdb};
constexpr unsigned no_thread = ~0u;  // a fiber that has not begun its first thread
}  // namespace

const char* Runtime::absence() { return nullptr; }

Runtime::Runtime() : host_(std::make_unique<Fiber>()) {}
Runtime::~Runtime() = default;

void Runtime::run_kernel(const LaunchShape& shape, std::string (*kernel_name)(), ThreadLoop loop, const void* body) {
  ensure(current_runtime == nullptr, "a kernel cannot launch a kernel");
  kernel_name_ = kernel_name;
  shape_ = shape;
  loop_ = loop;
  body_ = body;
  prepare_launch();
  if (!next_block()) return;
  current_runtime = this;
  try {
    run_fibers();
  } catch (...) {
    take_back_fibers();
    throw;
  }
  current_runtime = nullptr;
}

void Runtime::prepare_launch() {
  const Dim3 grid = shape_.grid, block = shape_.block;
  thread_count_ = static_cast<unsigned>(block.count());
  flat_block_ = block.y == 1 && block.z == 1;
  flat_grid_ = grid.y == 1 && grid.z == 1;
  block_count_ = grid.count();
  block_cursor_ = 0;
  threadIdx = blockIdx = {0, 0, 0};
  blockDim = block;
  gridDim = grid;
  shared_.resize(std::max(shared_.size(), shape_.shared_bytes + 2 * red_zone_bytes));

  block_order_.clear();
  thread_order_.clear();
  if (schedule_.order == Order::forward) return;
  block_order_.resize(block_count_);
  std::iota(block_order_.rbegin(), block_order_.rend(), 0);
  thread_order_.resize(thread_count_);
  std::iota(thread_order_.rbegin(), thread_order_.rend(), 0);
  if (schedule_.order == Order::shuffled) {
    random_.seed(schedule_.seed);
    std::shuffle(block_order_.begin(), block_order_.end(), random_);
  }
}

// Fibers switch to one another; control comes back when the last thread has finished or something is wrong.
void Runtime::run_fibers() {
  ++launch_;
  host_->adopt_thread();
  running_ = &fresh_worker();
  Fiber::switch_to(*host_, running_->fiber);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  idle_.push_back(running_);
}

/// After a failure: whatever the fibers were in the middle of is forgotten.
void Runtime::take_back_fibers() noexcept {
  idle_.clear();
  for (auto& worker : workers_) idle_.push_back(worker.get());
  ready_.clear();
  current_runtime = nullptr;
}

/// A fiber that will start threads. It may have done so before in this launch; then it waits in next_thread_in_order.
Runtime::Worker& Runtime::fresh_worker() {
  if (idle_.empty()) {
    idle_.reserve(workers_.size() + 1);  // so that take_back_fibers allocates nothing
    workers_.push_back(std::make_unique<Worker>(*this));
    idle_.push_back(workers_.back().get());
  }
  Worker& worker = *idle_.back();
  idle_.pop_back();
  if (worker.launch != launch_) worker.fiber.restart();
  worker.launch = launch_;
  current_thread_ = no_thread;
  return worker;
}

void Runtime::worker_entry(void* argument) {
  Runtime& runtime = static_cast<Worker*>(argument)->runtime;
  try {
    runtime.loop_(runtime, runtime.body_);
  } catch (...) {
    runtime.failure_ = std::current_exception();
  }
  runtime.switch_to_host();
}

void Runtime::switch_to_host() { Fiber::switch_to(running_->fiber, *host_); }

void Runtime::next_thread_in_order() {
  if (meetings_begun_ && current_thread_ != no_thread) mark_exited(current_thread_);
  while (cursor_ == thread_count_) {
    if (waiting_ == 0 && ready_.empty()) {
      check_shared_red_zones();
      if (!next_block()) switch_to_host();
    } else {
      idle_.push_back(running_);
      switch_to_next();
    }
  }
  start_thread(cursor_);
}

bool Runtime::next_block() {
  if (block_cursor_ == block_count_) return false;
  const std::uint64_t block = block_order_.empty() ? block_cursor_ : block_order_[block_cursor_];
  ++block_cursor_;
  if (flat_grid_) {
    blockIdx.x = static_cast<unsigned>(block);
  } else {
    const Dim3 grid = shape_.grid;
    blockIdx = {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
                static_cast<unsigned>(block / grid.x / grid.y)};
  }
  prepare_block();
  return true;
}

void Runtime::prepare_block() {
  cursor_ = 0;
  meetings_begun_ = false;
  waiting_ = 0;
  plain_end_ = flat_block_ && thread_order_.empty() ? thread_count_ : 0;
  if (schedule_.order == Order::shuffled) std::shuffle(thread_order_.begin(), thread_order_.end(), random_);
  if (shape_.shared_bytes != 0) poison_shared_memory();
}

unsigned Runtime::thread_at(unsigned position) const {
  return thread_order_.empty() ? position : thread_order_[position];
}

void Runtime::start_thread(unsigned position) {
  cursor_ = position + 1;
  place(thread_at(position));
}

void Runtime::place(unsigned thread) {
  current_thread_ = thread;
  if (flat_block_) {
    threadIdx.x = thread;
    return;
  }
  const Dim3 block = shape_.block;
  threadIdx = {thread % block.x, thread / block.x % block.y, thread / block.x / block.y};
}

std::byte* Runtime::shared_memory(std::size_t bytes) {
  if (bytes > shape_.shared_bytes)
    fail("thread " + std::to_string(current_thread_) + " asks for " + std::to_string(bytes) +
         " bytes of shared memory, and the kernel was launched with " + std::to_string(shape_.shared_bytes));
  return shared_.data() + red_zone_bytes;
}

// Shared memory starts out different under each schedule, so that a kernel that reads it before writing it shows.
void Runtime::poison_shared_memory() {
  const int poison = schedule_.order == Order::forward ? 0xff : schedule_.order == Order::reverse ? 0x7f : 0x3c;
  std::byte* begin = shared_.data();
  std::memset(begin, static_cast<int>(red_zone), red_zone_bytes);
  std::memset(begin + red_zone_bytes, poison, shape_.shared_bytes);
  std::memset(begin + red_zone_bytes + shape_.shared_bytes, static_cast<int>(red_zone), red_zone_bytes);
}

void Runtime::check_shared_red_zones() {
  if (shape_.shared_bytes == 0) return;
  const std::string size = std::to_string(shape_.shared_bytes);
  const std::byte* begin = shared_.data();
  const std::byte* end = begin + red_zone_bytes + shape_.shared_bytes;
  for (std::size_t i = 0; i < red_zone_bytes; ++i) {
    if (begin[red_zone_bytes - 1 - i] != red_zone)
      fail("a thread wrote " + std::to_string(i + 1) + " bytes before the block's " + size + " bytes of shared memory");
    if (end[i] != red_zone)
      fail("a thread wrote to byte " + std::to_string(shape_.shared_bytes + i) + " of the block's " + size +
           " bytes of shared memory");
  }
}

// The exception unwinds the fiber that found the mistake and crosses to the caller of `run` in worker_entry.
void Runtime::fail(const std::string& problem) const {
  const auto number = [](unsigned n) { return std::to_string(n); };
  throw DeviceError("kernel " + kernel_name_() + ", block (" + number(blockIdx.x) + "," + number(blockIdx.y) + "," +
                    number(blockIdx.z) + "): " + problem);
}

}  // namespace gridspot::simt
