#include "device/stage_clock.h"

#include <gtest/gtest.h>

#include "device/graph.h"
#include "tests/device/probe.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

class StageClockTest : public test::DeviceTest {};
GRIDSPOT_ON_EVERY_DEVICE(StageClockTest);

void measure(StageClock& clock, Stream& stream, const Buffer<int>& visits) {
  for (const Stage stage : {Stage::canvas, Stage::loss})
    clock.measure(stage, stream, [&] { probe::count_visits(stream, visits); });
}

TEST_P(StageClockTest, MeasuresEagerWorkOnce) {
  Stream stream(device());
  const auto visits = upload(stream, std::vector<int>(100000));
  StageClock clock;
  measure(clock, stream, visits);
  clock.take();
  const double canvas = clock.seconds(Stage::canvas);
  EXPECT_GT(canvas, 0);
  EXPECT_GT(clock.seconds(Stage::loss), 0);
  EXPECT_EQ(clock.seconds(Stage::scene), 0);
  clock.take();
  EXPECT_EQ(clock.seconds(Stage::canvas), canvas);
  clock.reset();
  EXPECT_EQ(clock.seconds(Stage::canvas), 0);
}

TEST_P(StageClockTest, MeasuresEveryLaunchOfAGraph) {
  Stream stream(device());
  const auto visits = upload(stream, std::vector<int>(100000));
  probe::count_visits(stream, visits);
  StageClock clock, sum;
  Graph graph = Graph::capture(stream, [&] { measure(clock, stream, visits); });
  EXPECT_EQ(clock.seconds(Stage::loss), 0);
  double before = 0;
  for (int launch = 0; launch < 3; ++launch) {
    graph.launch(stream);
    clock.take();
    EXPECT_GT(clock.seconds(Stage::loss), before);
    before = clock.seconds(Stage::loss);
  }
  sum.add(clock);
  sum.add(clock);
  EXPECT_EQ(sum.seconds(Stage::loss), 2 * before);
}

TEST_P(StageClockTest, IsNotNeeded) {
  Stream stream(device());
  bool called = false;
  timed(nullptr, Stage::scene, stream, [&] { called = true; });
  EXPECT_TRUE(called);
}

}  // namespace
}  // namespace gridspot
