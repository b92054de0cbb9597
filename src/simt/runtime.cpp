#include "simt/runtime.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <sstream>

#include "gridspot/error.h"
#include "simt/fiber.h"

namespace gridspot::simt {

namespace {
constexpr std::size_t red_zone_bytes = 64;
constexpr std::byte red_zone{0xdb};
constexpr unsigned lanes = 32;
constexpr unsigned no_thread = ~0u;

const char* name_of(Meeting meeting) {
  switch (meeting) {
    case Meeting::block_barrier: return "__syncthreads";
    case Meeting::warp_sync: return "__syncwarp";
    case Meeting::shuffle: return "a warp shuffle";
    case Meeting::ballot: return "a warp vote";
    case Meeting::none: break;
  }
  return "nothing";
}

std::string text_of(std::source_location site) {
  std::string_view file = site.file_name();
  file.remove_prefix(std::min(file.size(), file.rfind('/') + 1));
  return std::string(file) + ":" + std::to_string(site.line());
}

bool same_site(std::source_location a, std::source_location b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}
}  // namespace

// What a thread of the block waits for, and what it brought.
struct Runtime::Thread {
  Meeting meeting = Meeting::none;
  bool exited = false;
  bool predicate = false;
  unsigned mask = 0;
  int source_lane = 0;
  std::uint64_t value = 0, result = 0;
  std::source_location site;
};

struct Runtime::Worker {
  explicit Worker(Runtime& owner) : runtime(owner), fiber(&Runtime::worker_entry, this) {}
  Runtime& runtime;
  unsigned thread = 0;
  Fiber fiber;
};

Runtime::Runtime() = default;
Runtime::~Runtime() = default;

void Runtime::worker_entry(void* argument) {
  auto& worker = *static_cast<Worker*>(argument);
  for (;;) {
    worker.runtime.loop_(worker.runtime, worker.runtime.body_);
    worker.runtime.idle_.push_back(&worker);
    worker.fiber.suspend();
  }
}

Runtime::Worker& Runtime::idle_worker() {
  if (idle_.empty()) {
    workers_.push_back(std::make_unique<Worker>(*this));
    return *workers_.back();
  }
  Worker& worker = *idle_.back();
  idle_.pop_back();
  return worker;
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

bool Runtime::next_block() {
  if (block_cursor_ == block_count_) return false;
  const std::uint64_t block = block_order_.empty() ? block_cursor_ : block_order_[block_cursor_];
  ++block_cursor_;
  const Dim3 grid = shape_.grid;
  blockIdx = {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
              static_cast<unsigned>(block / grid.x / grid.y)};
  schedule_block();
  return true;
}

// Shared memory starts out different under each schedule, so that a kernel that reads it before writing it shows.
void Runtime::schedule_block() {
  cursor_ = 0;
  threads_.clear();
  plain_end_ = flat_block_ && thread_order_.empty() ? thread_count_ : 0;
  if (schedule_.order == Order::shuffled) std::shuffle(thread_order_.begin(), thread_order_.end(), random_);
  if (shape_.shared_bytes == 0) return;
  const int poison = schedule_.order == Order::forward ? 0xff : schedule_.order == Order::reverse ? 0x7f : 0x3c;
  std::memset(shared_.data(), poison, shape_.shared_bytes);
  std::memset(shared_.data() + shape_.shared_bytes, static_cast<int>(red_zone), red_zone_bytes);
}

void Runtime::check_shared_red_zone() {
  if (shape_.shared_bytes == 0) return;
  for (std::size_t i = 0; i < red_zone_bytes; ++i)
    if (shared_[shape_.shared_bytes + i] != red_zone) {
      std::ostringstream text;
      text << "a thread wrote " << i << " bytes past the end of the block's " << shape_.shared_bytes
           << " bytes of shared memory";
      fail(text.str());
      return;
    }
}

bool Runtime::next_thread_in_order() {
  if (!threads_.empty() && current_thread_ != no_thread) threads_[current_thread_].exited = true;
  if (cursor_ < thread_count_) {
    place(thread_order_.empty() ? cursor_ : thread_order_[cursor_]);
    ++cursor_;
    return true;
  }
  current_thread_ = no_thread;
  if (!waiting_.empty() || !ready_.empty()) return false;
  check_shared_red_zone();
  if (!failure_.empty() || !next_block()) {
    launch_done_ = true;
    return false;
  }
  place(thread_order_.empty() ? 0 : thread_order_[0]);
  cursor_ = 1;
  return true;
}

// The first thread of a block to wait: from here on the block keeps book of its threads.
void Runtime::begin_meetings() {
  if (!threads_.empty()) return;
  plain_end_ = 0;
  threads_.resize(thread_count_);
  for (unsigned i = 0; i + 1 < cursor_; ++i) threads_[thread_order_.empty() ? i : thread_order_[i]].exited = true;
}

void Runtime::wait() {
  Worker& self = *running_;
  self.thread = current_thread_;
  waiting_.push_back(&self);
  self.fiber.suspend();
}

void Runtime::block_barrier(std::source_location site, bool predicate) {
  begin_meetings();
  Thread& thread = threads_[current_thread_];
  thread.meeting = Meeting::block_barrier;
  thread.predicate = predicate;
  thread.site = site;
  wait();
}

std::uint64_t Runtime::warp_exchange(Meeting meeting, unsigned mask, std::uint64_t value, int source_lane,
                                     std::source_location site) {
  begin_meetings();
  const unsigned self = current_thread_, warp = self / lanes;
  Thread& thread = threads_[self];
  thread = {.meeting = meeting, .mask = mask, .source_lane = source_lane, .value = value, .site = site};
  if ((mask >> (self % lanes) & 1u) == 0)
    fail("thread " + std::to_string(self) + " calls " + name_of(meeting) + " at " + text_of(site) +
         " with a mask that leaves it out");
  release_warp(warp, mask);
  wait();
  return threads_[self].result;
}

// If every lane of the mask has come, hands out the results and makes their fibers ready.
void Runtime::release_warp(unsigned warp, unsigned mask) {
  const unsigned first = warp * lanes;
  const Thread& caller = threads_[current_thread_];
  unsigned votes = 0;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    const unsigned index = first + lane;
    const bool exists = index < thread_count_;
    if (!exists || threads_[index].exited)
      return fail(std::string(name_of(caller.meeting)) + " at " + text_of(caller.site) + " names lane " +
                  std::to_string(lane) + " of warp " + std::to_string(warp) +
                  (exists ? ", which has exited" : ", which does not exist"));
    const Thread& other = threads_[index];
    if (other.meeting == Meeting::none || other.meeting == Meeting::block_barrier) return;
    if (other.meeting != caller.meeting || other.mask != mask)
      return fail("lanes of warp " + std::to_string(warp) + " meet in different calls or masks: " +
                  name_of(caller.meeting) + " at " + text_of(caller.site) + " and " + name_of(other.meeting) + " at " +
                  text_of(other.site));
    if (other.value != 0) votes |= 1u << lane;
  }
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if ((mask >> lane & 1u) == 0) continue;
    Thread& thread = threads_[first + lane];
    if (thread.meeting == Meeting::ballot) {
      thread.result = votes;
    } else if (thread.meeting == Meeting::shuffle) {
      const auto source = static_cast<unsigned>(thread.source_lane) % lanes;
      if ((mask >> source & 1u) == 0)
        return fail("a warp shuffle at " + text_of(thread.site) + " reads lane " + std::to_string(source) +
                    ", which is not in its mask");
      thread.result = threads_[first + source].value;
    }
  }
  for (unsigned lane = 0; lane < lanes; ++lane)
    if (mask >> lane & 1u) threads_[first + lane].meeting = Meeting::none;
  const auto released = [&](const Worker* worker) { return threads_[worker->thread].meeting == Meeting::none; };
  for (Worker* worker : waiting_)
    if (released(worker)) ready_.push_back(worker);
  std::erase_if(waiting_, released);
}

// Nothing can run: either the block has met at its barrier, or it never will.
bool Runtime::release_waiting() {
  const Thread& first = threads_[waiting_.front()->thread];
  int count = 0;
  for (const Worker* worker : waiting_) {
    const Thread& thread = threads_[worker->thread];
    if (thread.meeting != Meeting::block_barrier || !same_site(thread.site, first.site)) return false;
    count += thread.predicate ? 1 : 0;
  }
  barrier_count_ = count;
  for (Worker* worker : waiting_) threads_[worker->thread].meeting = Meeting::none;
  ready_.swap(waiting_);
  std::sort(ready_.begin(), ready_.end(), [](const Worker* a, const Worker* b) { return a->thread > b->thread; });
  if (schedule_.order == Order::reverse) std::reverse(ready_.begin(), ready_.end());
  if (schedule_.order == Order::shuffled) std::shuffle(ready_.begin(), ready_.end(), random_);
  return true;
}

std::string Runtime::describe_waiting() const {
  std::vector<const Worker*> rest(waiting_.begin(), waiting_.end());
  std::sort(rest.begin(), rest.end(), [](const Worker* a, const Worker* b) { return a->thread < b->thread; });
  std::ostringstream text;
  while (!rest.empty()) {
    const Thread& example = threads_[rest.front()->thread];
    const auto alike = [&](const Worker* worker) {
      const Thread& thread = threads_[worker->thread];
      return thread.meeting == example.meeting && same_site(thread.site, example.site);
    };
    text << "; at " << name_of(example.meeting) << " (" << text_of(example.site) << ") wait threads";
    int named = 0;
    for (const Worker* worker : rest)
      if (alike(worker) && named++ < 8) text << ' ' << worker->thread;
    if (named > 8) text << " and " << named - 8 << " more";
    std::erase_if(rest, alike);
  }
  const auto exited = std::count_if(threads_.begin(), threads_.end(), [](const Thread& t) { return t.exited; });
  if (exited > 0) text << "; " << exited << " threads have exited";
  return text.str();
}

void Runtime::fail(const std::string& problem) {
  if (failure_.empty()) failure_ = problem;
}

void Runtime::report(const std::string& problem) {
  std::ostringstream text;
  text << "kernel " << kernel_name_() << ", block (" << blockIdx.x << ',' << blockIdx.y << ',' << blockIdx.z
       << "): " << problem;
  for (auto& worker : workers_) worker->fiber.restart();
  idle_.clear();
  for (auto& worker : workers_) idle_.push_back(worker.get());
  ready_.clear();
  waiting_.clear();
  running_ = nullptr;
  current_runtime = nullptr;
  throw DeviceError(text.str());
}

std::byte* Runtime::shared_memory(std::size_t bytes) {
  if (bytes > shape_.shared_bytes)
    fail("the kernel asks for " + std::to_string(bytes) + " bytes of shared memory and was launched with " +
         std::to_string(shape_.shared_bytes));
  if (!failure_.empty()) running_->fiber.suspend();
  return shared_.data();
}

void Runtime::run_kernel(const LaunchShape& shape, std::string (*kernel_name)(), ThreadLoop loop, const void* body) {
  kernel_name_ = kernel_name;
  shape_ = shape;
  loop_ = loop;
  body_ = body;
  thread_count_ = static_cast<unsigned>(shape.block.count());
  flat_block_ = shape.block.y == 1 && shape.block.z == 1;
  block_count_ = shape.grid.count();
  block_cursor_ = 0;
  launch_done_ = false;
  failure_.clear();
  threads_.clear();
  threadIdx = {0, 0, 0};
  blockDim = shape.block;
  gridDim = shape.grid;
  if (shared_.size() < shape.shared_bytes + red_zone_bytes) shared_.resize(shape.shared_bytes + red_zone_bytes);

  block_order_.clear();
  thread_order_.clear();
  if (schedule_.order != Order::forward) {
    block_order_.resize(block_count_);
    std::iota(block_order_.rbegin(), block_order_.rend(), 0);
    thread_order_.resize(thread_count_);
    std::iota(thread_order_.rbegin(), thread_order_.rend(), 0);
    if (schedule_.order == Order::shuffled) {
      random_.seed(schedule_.seed);
      std::shuffle(block_order_.begin(), block_order_.end(), random_);
    }
  }

  current_runtime = this;
  if (!next_block()) return;
  while (!launch_done_) {
    if (!failure_.empty()) report(failure_);
    if (cursor_ < thread_count_) {
      running_ = &idle_worker();
      current_thread_ = no_thread;
    } else if (!ready_.empty()) {
      running_ = ready_.back();
      ready_.pop_back();
      place(running_->thread);
    } else {
      if (!release_waiting()) report("its threads wait for one another at different places" + describe_waiting());
      continue;
    }
    running_->fiber.resume();
  }
  if (!failure_.empty()) report(failure_);
  running_ = nullptr;
  current_runtime = nullptr;
}

}  // namespace gridspot::simt
