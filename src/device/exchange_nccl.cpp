// Exchanges between GPUs of one machine. The only file that includes NCCL.
#include <nccl.h>

#include <atomic>
#include <string>
#include <vector>

#include "device/cuda.h"
#include "device/exchange.h"
#include "gridspot/error.h"

namespace gridspot::cuda {

std::unique_ptr<Exchange> make_nccl_exchange(std::span<const Device> devices);

namespace {

void check(ncclResult_t status, const char* what) {
  if (status != ncclSuccess) throw DeviceError(std::string("NCCL: ") + what + " failed: " + ncclGetErrorString(status));
}

class NcclExchange final : public Exchange {
 public:
  explicit NcclExchange(std::span<const Device> devices) : devices_(devices.begin(), devices.end()) {
    std::vector<int> indices;
    for (const Device& device : devices) indices.push_back(device.index);
    communicators_.resize(devices.size());
    check(ncclCommInitAll(communicators_.data(), static_cast<int>(indices.size()), indices.data()), "ncclCommInitAll");
  }
  ~NcclExchange() override {
    if (broken_) return;
    for (const ncclComm_t communicator : communicators_) ncclCommDestroy(communicator);
  }

  void all_gather(Stream& stream, int member, std::span<const GatheredBuffer> buffers) override {
    make_current(devices_[member].index);
    if (broken_) throw DeviceError("another replica of the training has failed");
    check(ncclGroupStart(), "ncclGroupStart");
    ncclResult_t gathered = ncclSuccess;
    for (const GatheredBuffer& buffer : buffers)
      if (gathered == ncclSuccess)
        gathered = ncclAllGather(static_cast<const std::byte*>(buffer.data) + member * buffer.part_bytes, buffer.data,
                                 buffer.part_bytes, ncclUint8, communicators_[member],
                                 static_cast<cudaStream_t>(stream.native()));
    const ncclResult_t ended = ncclGroupEnd();
    check(gathered, "ncclAllGather");
    check(ended, "ncclGroupEnd");
  }

  // Kernels of other members that already wait for this one's part end only so, and freeing memory waits for them.
  void break_off() noexcept override {
    if (broken_.exchange(true)) return;
    for (const ncclComm_t communicator : communicators_) ncclCommAbort(communicator);
  }

 private:
  std::vector<Device> devices_;
  std::vector<ncclComm_t> communicators_;
  std::atomic<bool> broken_ = false;
};

}  // namespace

std::unique_ptr<Exchange> make_nccl_exchange(std::span<const Device> devices) {
  return std::make_unique<NcclExchange>(devices);
}

}  // namespace gridspot::cuda
