#include "device/exchange.h"

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

#include "gridspot/error.h"

namespace gridspot {

namespace cuda {
/// Defined where NCCL is part of the build (exchange_nccl.cpp).
std::unique_ptr<Exchange> make_nccl_exchange(std::span<const Device> devices);
}  // namespace cuda

namespace {

/// Each member copies the others' parts while all of them wait for each other.
class HostExchange final : public Exchange {
 public:
  explicit HostExchange(std::size_t members) : buffers_(members) {}

  void all_gather(Stream& stream, int member, std::span<const GatheredBuffer> buffers) override {
    stream.submit(
        [this, member, own = std::vector(buffers.begin(), buffers.end())](Stream&) { exchange(member, own); });
  }

  void break_off() noexcept override {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    all_here_.notify_all();
  }

 private:
  void exchange(int member, const std::vector<GatheredBuffer>& own) {
    buffers_[member] = own;
    meet();
    for (std::size_t other = 0; other < buffers_.size(); ++other)
      if (other != static_cast<std::size_t>(member)) copy_parts(other, own);
    meet();
  }

  /// Returns when every member has come.
  void meet() {
    std::unique_lock lock(mutex_);
    const auto meeting = meeting_;
    if (++here_ == buffers_.size()) {
      here_ = 0;
      ++meeting_;
      all_here_.notify_all();
    }
    all_here_.wait(lock, [&] { return meeting_ != meeting || broken_; });
    if (meeting_ == meeting) throw DeviceError("another replica of the training has failed");
  }

  void copy_parts(std::size_t from, const std::vector<GatheredBuffer>& own) const {
    for (std::size_t i = 0; i < own.size(); ++i) {
      const std::size_t offset = from * own[i].part_bytes;
      std::memcpy(static_cast<std::byte*>(own[i].data) + offset,
                  static_cast<const std::byte*>(buffers_[from][i].data) + offset, own[i].part_bytes);
    }
  }

  std::vector<std::vector<GatheredBuffer>> buffers_;  // of each member
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::size_t here_ = 0;
  std::uint64_t meeting_ = 0;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<Exchange> make_exchange(std::span<const Device> devices) {
  require(!devices.empty(), "an exchange has at least one member");
  for (const Device& device : devices)
    require(device.kind == devices[0].kind, "an exchange is between devices of one kind");
  if (devices[0].kind == DeviceKind::cpu) return std::make_unique<HostExchange>(devices.size());
#if GRIDSPOT_WITH_NCCL
  return cuda::make_nccl_exchange(devices);
#else
  throw NoDevice("gridspot was built without NCCL, which training on several GPUs needs");
#endif
}

}  // namespace gridspot
