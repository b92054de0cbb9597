#include "device/enqueue_only.h"

#include <string>

#include "gridspot/error.h"

namespace gridspot {

namespace {
// As with CUDA's captures, what is forbidden is a matter of the thread: allocations name no stream.
constinit thread_local int guards = 0;
}  // namespace

EnqueueOnly::EnqueueOnly() { ++guards; }
EnqueueOnly::~EnqueueOnly() { --guards; }

void require_not_enqueue_only(const char* what) {
  if (guards > 0) throw DeviceError(std::string(what) + " where work may only be enqueued, as for a graph");
}

}  // namespace gridspot
