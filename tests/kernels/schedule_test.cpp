#include "kernels/schedule.h"

#include <vector>

#include "tests/reference/schedule.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;

// The table is worked out by hand from the definition in kernels/schedule.h; cos(pi / 3) = 1/2.
TEST(Schedule, AtItsCorners) {
  struct Case {
    Schedule schedule;
    std::uint64_t step;
    double rate;
  };
  constexpr auto constant = ScheduleKind::constant, cosine = ScheduleKind::cosine, one_cycle = ScheduleKind::one_cycle;
  constexpr std::uint64_t far = ~0ull;
  const std::vector<Case> cases{
      {{constant, 2, 10, 0, 0.5f}, 0, 2},
      {{constant, 2, 10, 0, 0.5f}, far, 2},
      {{constant, 2, 10, 4, 0.5f}, 0, 0.5},
      {{constant, 2, 10, 4, 0.5f}, 3, 2},
      {{constant, 2, 10, 4, 0.5f}, 4, 2},
      {{constant, 2, 2, 4, 0.5f}, far, 1},
      {{constant, 2, 1, 0, 0.5f}, 0, 2},
      {{cosine, 2, 1, 0, 0.5f}, 0, 2},
      {{cosine, 2, 1, 0, 0.5f}, far, 2},
      {{cosine, 2, 1, 1, 0.5f}, 0, 2},
      {{cosine, 2, 2, 0, 0.5f}, 0, 2},
      {{cosine, 2, 2, 0, 0.5f}, 1, 1},
      {{cosine, 2, 4, 0, 0.5f}, 1, 1.75},
      {{cosine, 2, 4, 0, 0.5f}, 2, 1.25},
      {{cosine, 2, 4, 0, 0.5f}, 3, 1},
      {{cosine, 2, 4, 0, 0.5f}, 4, 1},
      {{cosine, 2, 4, 0, 0}, 3, 0},
      {{cosine, 2, 4, 0, 0.5f}, far, 1},
      {{cosine, 2, 6, 2, 0.5f}, 0, 1},
      {{cosine, 2, 6, 2, 0.5f}, 1, 2},
      {{cosine, 2, 6, 2, 0.5f}, 2, 2},
      {{cosine, 2, 6, 2, 0.5f}, 3, 1.75},
      {{cosine, 2, 6, 2, 0.5f}, 5, 1},
      {{cosine, 2, 4, 4, 0.5f}, 3, 2},
      {{cosine, 2, 4, 8, 0.5f}, far, 1},
      {{one_cycle, 2, 1, 0, 0.5f}, 0, 2},
      {{one_cycle, 2, 1, 1, 0.5f}, 0, 0.08},
      {{one_cycle, 2, 6, 2, 0.5f}, 0, 0.08},
      {{one_cycle, 2, 6, 2, 0.5f}, 1, 1.04},
      {{one_cycle, 2, 6, 2, 0.5f}, 2, 2},
      {{one_cycle, 2, 6, 2, 0.5f}, 4, 1.25},
      {{one_cycle, 2, 6, 2, 0.5f}, 5, 1},
      {{one_cycle, 2, 6, 2, 0.5f}, far, 1},
      {{one_cycle, 2, 7, 3, 0.5f}, 1, 0.08 + 1.92 / 4},
      {{one_cycle, 2, 3, 6, 0.5f}, far, 0.08 + 1.92 / 4},
  };
  for (const Case& c : cases)
    EXPECT_NEAR(learning_rate(c.schedule, c.step), c.rate, 1e-6)
        << "kind " << int(c.schedule.kind) << ", " << c.schedule.steps << " steps, warm-up " << c.schedule.warmup
        << ", step " << c.step;
}

TEST(Schedule, FollowsItsReference) {
  Random random(33);
  for (int i = 0; i < 300; ++i) {
    const Schedule schedule{.kind = ScheduleKind(random.integer(0, 2)),
                            .peak = random.uniform(1e-5f, 1),
                            .steps = std::uint64_t(random.integer(1, 40)),
                            .warmup = std::uint64_t(random.integer(0, 20)),
                            .final_fraction = random.uniform()};
    for (std::uint64_t step = 0; step < 45; ++step)
      ASSERT_NEAR(learning_rate(schedule, step), reference::learning_rate(schedule, double(step)), 1e-6 * schedule.peak)
          << "kind " << int(schedule.kind) << ", " << schedule.steps << " steps, warm-up " << schedule.warmup
          << ", step " << step;
  }
}

}  // namespace
}  // namespace gridspot
