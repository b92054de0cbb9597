#include "device/graph.h"

#include <gmock/gmock.h>

#include <thread>

#include "device/buffer.h"
#include "device/enqueue_only.h"
#include "device/event.h"
#include "device/host_visible.h"
#include "gridspot/error.h"
#include "tests/device/probe.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class GraphTest : public test::DeviceTest {
 protected:
  /// What a graph cannot replay, and what is said of it.
  struct Forbidden {
    const char* message;
    std::function<void(Stream&)> call;
  };
  std::vector<Forbidden> forbidden() {
    return {{"allocating device memory", [](Stream& stream) { Buffer<int>(stream.device(), 1); }},
            {"allocating host memory", [](Stream& stream) { HostVisibleBuffer<int>(stream.device(), 1); }},
            {"waiting for a stream", [](Stream& stream) { stream.synchronize(); }},
            {"waiting for an event", [](Stream& stream) { Event(stream.device()).wait(); }},
            {"copying to the host", [this](Stream& stream) { copy_to_host(stream, &host_, visits_.data(), 4); }},
            {"copying to the device", [this](Stream& stream) { copy_to_device(stream, visits_.data(), &host_, 4); }}};
  }

  Buffer<int> visits_;
  int host_ = 0;
};
GRIDSPOT_ON_EVERY_DEVICE(GraphTest);

TEST_P(GraphTest, RunsNothingAtTheCaptureAndAllAtEachLaunch) {
  Stream stream(device());
  const auto visits = upload(stream, std::vector<int>(100)), copy = upload(stream, std::vector<int>(100));
  Graph graph = Graph::capture(stream, [&] {
    probe::count_visits(stream, visits);
    copy_on_device(stream, copy.data(), visits.data(), 100 * sizeof(int));
    probe::count_visits(stream, visits);
  });
  EXPECT_EQ(download(stream, visits), std::vector<int>(100, 0));
  for (int launch = 1; launch <= 3; ++launch) {
    graph.launch(stream);
    EXPECT_EQ(download(stream, copy), std::vector<int>(100, 2 * launch - 1));
    EXPECT_EQ(download(stream, visits), std::vector<int>(100, 2 * launch));
  }
  probe::count_visits(stream, visits);
  EXPECT_EQ(download(stream, visits), std::vector<int>(100, 7)) << "after the capture the stream enqueues as before it";
}

TEST_P(GraphTest, ReadsDeviceMemoryAtTheLaunch) {
  Stream stream(device());
  const auto from = upload(stream, std::vector<int>{1}), to = upload(stream, std::vector<int>{0});
  Graph graph = Graph::capture(stream, [&] {
    copy_on_device(stream, to.data(), from.data(), sizeof(int));
    fill_bytes(stream, from.data(), 0, sizeof(int));
  });
  const int changed = 7;
  copy_to_device(stream, from.data(), &changed, sizeof changed);
  graph.launch(stream);
  EXPECT_EQ(download(stream, to), std::vector<int>{7});
  graph.launch(stream);
  EXPECT_EQ(download(stream, to), std::vector<int>{0});
}

TEST_P(GraphTest, LaunchesOnOtherStreams) {
  Stream stream(device()), other(device());
  const auto visits = upload(stream, std::vector<int>(100));
  Graph graph = Graph::capture(stream, [&] { probe::count_visits(stream, visits); });
  graph.launch(other);
  EXPECT_EQ(download(other, visits), std::vector<int>(100, 1));
}

TEST_P(GraphTest, Moves) {
  Stream stream(device());
  const auto visits = upload(stream, std::vector<int>(100));
  Graph empty, graph = Graph::capture(stream, [&] { probe::count_visits(stream, visits); });
  EXPECT_FALSE(empty);
  EXPECT_TRUE(graph);
  empty = std::move(graph);
  EXPECT_TRUE(empty);
  Graph last(std::move(empty));
  last.launch(stream);
  EXPECT_EQ(download(stream, visits), std::vector<int>(100, 1));
}

TEST_P(GraphTest, ACaptureRefusesWhatCannotBeReplayed) {
  Stream stream(device());
  visits_ = upload(stream, std::vector<int>(100));
  for (const Forbidden& each : forbidden()) {
    EXPECT_THAT([&] { Graph::capture(stream, [&] { each.call(stream); }); },
                ThrowsMessage<DeviceError>(HasSubstr(each.message)));
    EXPECT_NO_THROW(each.call(stream)) << each.message << " is allowed again after the capture that failed";
  }
  fill_bytes(stream, visits_.data(), 0, 100 * sizeof(int));
  Graph graph = Graph::capture(stream, [&] { probe::count_visits(stream, visits_); });
  graph.launch(stream);
  EXPECT_EQ(download(stream, visits_), std::vector<int>(100, 1)) << "the stream can be captured after failures";
}

TEST_P(GraphTest, TheGuardIsOfItsThreadAndEndsWithItsScope) {
  Stream stream(device());
  visits_ = upload(stream, std::vector<int>(100));
  {
    const EnqueueOnly outer;
    { const EnqueueOnly inner; }
    for (const Forbidden& each : forbidden())
      EXPECT_THAT([&] { each.call(stream); }, ThrowsMessage<DeviceError>(HasSubstr(each.message)));
    probe::count_visits(stream, visits_);
    std::thread([&] { EXPECT_NO_THROW(Buffer<int>(device(), 1)); }).join();
  }
  for (const Forbidden& each : forbidden()) EXPECT_NO_THROW(each.call(stream));
}

TEST_P(GraphTest, ThePieceThatThrowsEndsTheCapture) {
  Stream stream(device());
  EXPECT_THROW(Graph::capture(stream, [] { throw InvalidInput("no"); }), InvalidInput);
  const auto visits = upload(stream, std::vector<int>(10));
  probe::count_visits(stream, visits);
  EXPECT_EQ(download(stream, visits), std::vector<int>(10, 1));
}

TEST_P(GraphTest, TheHostReadsWhatKernelsWroteBeforeAnEvent) {
  Stream stream(device());
  Event event(device());
  EXPECT_TRUE(event.reached());
  const HostVisibleBuffer<int> visits(device(), 100);
  EXPECT_EQ(visits[99], 0);
  probe::count_visits(stream, visits.span());
  event.record(stream);
  event.wait();
  EXPECT_TRUE(event.reached());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(visits[i], 1) << i;
}

}  // namespace
}  // namespace gridspot
