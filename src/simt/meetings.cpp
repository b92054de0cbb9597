// Where threads wait for one another: the block's barrier, the warp's intrinsics, and what to say when they never meet.
#include <algorithm>
#include <bit>
#include <cstring>
#include <sstream>

#include "simt/block_state.h"
#include "simt/runtime.h"

namespace gridspot::simt {

namespace {
const char* name_of(Meeting meeting) {
  switch (meeting) {
    case Meeting::block_barrier:
      return "__syncthreads";
    case Meeting::warp_barrier:
      return "__syncwarp";
    case Meeting::shuffle_index:
      return "__shfl_sync";
    case Meeting::shuffle_up:
      return "__shfl_up_sync";
    case Meeting::shuffle_down:
      return "__shfl_down_sync";
    case Meeting::shuffle_xor:
      return "__shfl_xor_sync";
    case Meeting::ballot:
      return "__ballot_sync";
    case Meeting::any:
      return "__any_sync";
    case Meeting::all:
      return "__all_sync";
    case Meeting::none:
      break;
  }
  return "nothing";
}

bool is_shuffle(Meeting meeting) { return meeting >= Meeting::shuffle_index && meeting <= Meeting::shuffle_xor; }

std::string text_of(Meeting meeting, Site site) {
  std::string_view file = site.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  return std::string(name_of(meeting)) + " (" + std::string(file) + ":" + std::to_string(site.line()) + ")";
}

std::string hexadecimal(unsigned mask) {
  std::ostringstream text;
  text << "0x" << std::hex << mask;
  return text.str();
}

bool same_site(Site a, Site b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}
}  // namespace

// The first thread of a block to wait: from here on the block keeps book of its threads.
void Runtime::begin_meetings() {
  if (meetings_begun_) return;
  meetings_begun_ = true;
  plain_end_ = 0;
  threads_.assign(thread_count_, {});
  warps_.assign((thread_count_ + lanes_in_warp - 1) / lanes_in_warp, {});
  if (const unsigned rest = thread_count_ % lanes_in_warp; rest != 0) warps_.back().gone = ~0u << rest;
  for (unsigned position = 0; position + 1 < cursor_; ++position) mark_exited(thread_at(position));
}

void Runtime::mark_exited(unsigned thread) { warps_[thread / lanes_in_warp].gone |= 1u << thread % lanes_in_warp; }

[[gnu::always_inline]] inline void Runtime::wait(Thread& thread) {
  ++waiting_;
  thread.worker = running_;
  switch_to_next();
}

void Runtime::block_barrier(Site site, bool predicate) {
  begin_meetings();
  Thread& thread = threads_[current_thread_];
  thread.meeting = Meeting::block_barrier;
  thread.predicate = predicate;
  thread.site = site;
  wait(thread);
}

bool Runtime::barrier_is_complete() const {
  const Thread* first = nullptr;
  for (const Thread& thread : threads_) {
    if (thread.meeting == Meeting::none) continue;
    if (thread.meeting != Meeting::block_barrier) return false;
    if (first == nullptr) first = &thread;
    if (!same_site(thread.site, first->site)) return false;
  }
  return true;
}

void Runtime::release_barrier() {
  if (!barrier_is_complete()) fail(describe_deadlock());
  barrier_count_ = 0;
  for (unsigned i = thread_count_; i-- > 0;) {
    Thread& thread = threads_[i];
    if (thread.meeting == Meeting::none) continue;
    thread.meeting = Meeting::none;
    barrier_count_ += thread.predicate ? 1 : 0;
    ready_.push_back(i);
  }
  waiting_ = 0;
  order_ready(0);
}

/// `ready_` from `from` on was filled with falling numbers, so that the lowest runs first.
void Runtime::order_ready(std::size_t from) {
  const auto begin = ready_.begin() + static_cast<std::ptrdiff_t>(from);
  if (schedule_.order == Order::reverse) std::reverse(begin, ready_.end());
  if (schedule_.order == Order::shuffled) std::shuffle(begin, ready_.end(), random_);
}

std::uint64_t Runtime::warp_exchange(Meeting meeting, unsigned mask, std::uint64_t value, int source_lane, Site site) {
  begin_meetings();
  check_mask(meeting, mask, site);
  const unsigned self = current_thread_, warp = self / lanes_in_warp;
  Thread& thread = threads_[self];
  thread = {.meeting = meeting, .mask = mask, .source_lane = source_lane, .value = value, .site = site};
  warps_[warp].waiting |= 1u << self % lanes_in_warp;
  if (warp_is_complete(warp, mask))
    release_warp(warp, mask);
  else
    wait(thread);
  return thread.result;
}

void Runtime::check_mask(Meeting meeting, unsigned mask, Site site) {
  const unsigned self = current_thread_, warp = self / lanes_in_warp, gone = mask & warps_[warp].gone;
  const bool includes_self = (mask >> self % lanes_in_warp & 1u) != 0;
  if (includes_self && gone == 0) return;
  const std::string who =
      "thread " + std::to_string(self) + " calls " + text_of(meeting, site) + " with the mask " + hexadecimal(mask);
  if (!includes_self) fail(who + ", which leaves it out");
  const auto lane = static_cast<unsigned>(std::countr_zero(gone));
  const bool exists = warp * lanes_in_warp + lane < thread_count_;
  fail(who + ", whose lane " + std::to_string(lane) + (exists ? " has exited" : " does not exist"));
}

/// Lanes that wait with another mask or for something else may come later: until nothing can run that is no mistake.
bool Runtime::warp_is_complete(unsigned warp, unsigned mask) const {
  if ((warps_[warp].waiting & mask) != mask) return false;
  const Meeting meeting = threads_[current_thread_].meeting;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const Thread& thread = threads_[warp * lanes_in_warp + static_cast<unsigned>(std::countr_zero(rest))];
    if (thread.meeting != meeting || thread.mask != mask) return false;
  }
  return true;
}

/// The caller goes on; the other lanes become ready.
void Runtime::release_warp(unsigned warp, unsigned mask) {
  Thread* const first = &threads_[warp * lanes_in_warp];
  const Meeting meeting = threads_[current_thread_].meeting;
  unsigned votes = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(rest));
    if (first[lane].value != 0) votes |= 1u << lane;
  }
  const std::size_t ready_before = ready_.size();
  for (unsigned rest = mask; rest != 0;) {
    const unsigned lane = lanes_in_warp - 1 - static_cast<unsigned>(std::countl_zero(rest));
    rest &= ~(1u << lane);
    Thread& thread = first[lane];
    thread.result = votes;
    if (is_shuffle(meeting)) {
      const auto source = static_cast<unsigned>(thread.source_lane) % lanes_in_warp;
      if ((mask >> source & 1u) == 0)
        fail("thread " + std::to_string(&thread - threads_.data()) + " reads by " + text_of(meeting, thread.site) +
             " lane " + std::to_string(source) + ", which is not in the mask " + hexadecimal(mask));
      thread.result = first[source].value;
    }
    thread.meeting = Meeting::none;
    if (&thread == &threads_[current_thread_]) continue;
    ready_.push_back(static_cast<unsigned>(&thread - threads_.data()));
    --waiting_;
  }
  warps_[warp].waiting &= ~mask;
  order_ready(ready_before);
}

std::string Runtime::describe_deadlock() const {
  for (unsigned i = 0; i < thread_count_; ++i)
    if (std::string problem = describe_warp_deadlock(i); !problem.empty()) return problem;

  std::ostringstream text;
  text << "its threads wait for one another at different places";
  std::vector<unsigned> rest;
  for (unsigned i = 0; i < thread_count_; ++i)
    if (threads_[i].meeting != Meeting::none) rest.push_back(i);
  while (!rest.empty()) {
    const Thread& example = threads_[rest.front()];
    const auto alike = [&](unsigned i) {
      return threads_[i].meeting == example.meeting && same_site(threads_[i].site, example.site);
    };
    text << "; at " << text_of(example.meeting, example.site) << " threads";
    int named = 0;
    for (const unsigned i : rest)
      if (alike(i) && named++ < 8) text << ' ' << i;
    if (named > 8) text << " and " << named - 8 << " more";
    std::erase_if(rest, alike);
  }
  int exited = -static_cast<int>(warps_.size() * lanes_in_warp - thread_count_);
  for (const Warp& warp : warps_) exited += std::popcount(warp.gone);
  if (exited > 0) text << "; " << exited << " threads have exited";
  return text.str();
}

/// Why the warp intrinsic that `thread` waits in can never complete; empty where the reason lies elsewhere.
std::string Runtime::describe_warp_deadlock(unsigned thread) const {
  const Thread& self = threads_[thread];
  if (self.meeting == Meeting::none || self.meeting == Meeting::block_barrier) return {};
  const unsigned warp = thread / lanes_in_warp, first = warp * lanes_in_warp;
  const std::string who = "thread " + std::to_string(thread) + " waits in " + text_of(self.meeting, self.site) +
                          " with the mask " + hexadecimal(self.mask);
  if (const unsigned gone = self.mask & warps_[warp].gone; gone != 0)
    return who + " for lane " + std::to_string(std::countr_zero(gone)) + ", which has exited";
  if ((warps_[warp].waiting & self.mask) != self.mask) return {};
  for (unsigned rest = self.mask; rest != 0; rest &= rest - 1) {
    const unsigned index = first + static_cast<unsigned>(std::countr_zero(rest));
    const Thread& other = threads_[index];
    if (other.meeting != self.meeting || other.mask != self.mask)
      return who + ", thread " + std::to_string(index) + " in " + text_of(other.meeting, other.site) +
             " with the mask " + hexadecimal(other.mask);
  }
  return {};
}

}  // namespace gridspot::simt
