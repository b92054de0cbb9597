#include "device/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace gridspot {
namespace {

TEST(ThreadTeam, RunsEveryTaskOnceOnItsMember) {
  for (const int size : {1, 2, 5}) {
    ThreadTeam team(size);
    for (const int count : {0, 1, 4, 17}) {
      std::vector<std::atomic<int>> runs(count);
      team.run(count, [&](int number, int member) {
        EXPECT_EQ(member, number % size);
        ++runs[number];
      });
      for (int number = 0; number < count; ++number) EXPECT_EQ(runs[number], 1) << "task " << number;
    }
  }
}

TEST(ThreadTeam, AMembersFailureReachesTheCallerAndTheTeamGoesOn) {
  ThreadTeam team(3);
  for (const int failing : {0, 1, 2})
    EXPECT_THROW(team.run(3,
                          [&](int number, int) {
                            if (number == failing) throw std::runtime_error("task");
                          }),
                 std::runtime_error);
  std::atomic<int> runs = 0;
  team.run(6, [&](int, int) { ++runs; });
  EXPECT_EQ(runs, 6);
}

}  // namespace
}  // namespace gridspot
