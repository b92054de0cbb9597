// The host runtime of a build for CUDA alone.
#include "gridspot/error.h"
#include "simt/runtime.h"

namespace gridspot::simt {

class Fiber {};
struct Runtime::Thread {};
struct Runtime::Warp {};
struct Runtime::Worker {};

const char* Runtime::absence() { return "this gridspot was built without the CPU side"; }

Runtime::Runtime() { throw NoDevice(absence()); }
Runtime::~Runtime() = default;

// No object exists whose members these could be called on.
void Runtime::run_kernel(const LaunchShape&, std::string (*)(), ThreadLoop, const void*) {}
void Runtime::next_thread_in_order() {}
void Runtime::block_barrier(Site, bool) {}
std::uint64_t Runtime::warp_exchange(Meeting, unsigned, std::uint64_t, int, Site) { return 0; }
std::byte* Runtime::shared_memory(std::size_t) { return nullptr; }

}  // namespace gridspot::simt
