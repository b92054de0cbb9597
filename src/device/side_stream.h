#pragma once
// Work that may run beside a stream's own.
#include "device/event.h"

namespace gridspot {

/// A second stream beside one of the same device. On the CPU, where calls run at once, it is that stream itself. What
/// is forked in a capture is part of the graph, and must be joined there. One thread at a time.
class SideStream {
 public:
  explicit SideStream(Device device) : side_(device), forked_(device), joined_(device) {}

  /// Calls `work(stream)`, which enqueues on the stream that it is given: behind what `main` holds, beside what `main`
  /// is given from now on.
  template <class Work>
  void fork(Stream& main, const Work& work) {
    if (!main.is_cuda()) return work(main);
    forked_.record(main);
    forked_.delay(side_);
    work(side_);
    joined_.record(side_);
  }

  /// What `main` is given from now on runs behind what was forked.
  void join(Stream& main) const { joined_.delay(main); }

 private:
  Stream side_;
  Event forked_, joined_;
};

}  // namespace gridspot
