#pragma once
// What replicas on several devices tell each other.
#include <cstddef>
#include <memory>
#include <span>

#include "device/stream.h"

namespace gridspot {

/// A buffer that every member has, cut into one equal part for each member.
struct GatheredBuffer {
  void* data = nullptr;
  std::size_t part_bytes = 0;
};

/// Members 0 ... members - 1 have a device and a thread each.
class Exchange {
 public:
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// Of each buffer the member has written its own part; afterwards it has those of all. Every member calls it with as
  /// many buffers of the same sizes, from its own thread. On CUDA it enqueues on the member's stream and can be
  /// captured; on the CPU it waits for the other members.
  virtual void all_gather(Stream& stream, int member, std::span<const GatheredBuffer> buffers) = 0;

  /// Called by a member that cannot go on: all_gather, of those that wait in it and from now on, throws DeviceError.
  virtual void break_off() noexcept = 0;

 protected:
  Exchange() = default;
};

/// For devices of one kind: NCCL on CUDA, the host's memory on the CPU. Throws NoDevice for CUDA devices where gridspot
/// was built without NCCL, DeviceError where NCCL cannot connect them.
std::unique_ptr<Exchange> make_exchange(std::span<const Device> devices);

}  // namespace gridspot
