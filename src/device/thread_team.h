#pragma once
// A fixed set of OS threads that work through numbered tasks together.
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace gridspot {

/// Member 0 is the calling thread. Task t always runs on member t % size, so what a member owns needs no lock.
class ThreadTeam {
 public:
  explicit ThreadTeam(int size);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  [[nodiscard]] int size() const { return static_cast<int>(threads_.size()) + 1; }

  /// Calls task(number, member) for every number below `count`; returns when all have returned. If some throw, the
  /// exception of the lowest member is rethrown after the rest has finished.
  void run(int count, const std::function<void(int number, int member)>& task);

 private:
  void work(int member);
  void run_share(int member) noexcept;

  std::mutex mutex_;
  std::condition_variable start_, finish_;
  const std::function<void(int, int)>* task_ = nullptr;
  int count_ = 0, busy_ = 0;
  unsigned generation_ = 0;
  bool stop_ = false;
  std::vector<std::exception_ptr> failures_;
  std::vector<std::thread> threads_;
};

/// The number of processors this process may use.
int available_processors();

}  // namespace gridspot
