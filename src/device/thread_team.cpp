#include "device/thread_team.h"

#include <sched.h>

#include <algorithm>

#include "gridspot/error.h"

namespace gridspot {

ThreadTeam::ThreadTeam(int size) {
  ensure(size >= 1, "a thread team has at least one member");
  failures_.resize(size);
  for (int member = 1; member < size; ++member) threads_.emplace_back([this, member] { work(member); });
}

ThreadTeam::~ThreadTeam() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::run(int count, const std::function<void(int, int)>& task) {
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    busy_ = static_cast<int>(threads_.size());
    ++generation_;
    std::fill(failures_.begin(), failures_.end(), nullptr);
  }
  start_.notify_all();
  run_share(0);
  std::unique_lock lock(mutex_);
  finish_.wait(lock, [this] { return busy_ == 0; });
  for (const std::exception_ptr& failure : failures_)
    if (failure) std::rethrow_exception(failure);
}

void ThreadTeam::run_share(int member) noexcept {
  try {
    for (int number = member; number < count_; number += size()) (*task_)(number, member);
  } catch (...) {
    failures_[member] = std::current_exception();
  }
}

void ThreadTeam::work(int member) {
  unsigned seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    run_share(member);
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) finish_.notify_one();
  }
}

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace gridspot
