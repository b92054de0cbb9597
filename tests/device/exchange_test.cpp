#include "device/exchange.h"

#include <gmock/gmock.h>

#include <array>
#include <thread>

#include "device/buffer.h"
#include "device/graph.h"
#include "device/thread_team.h"
#include "gridspot/error.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

/// As many devices as there are of the kind, but on the CPU always three.
class ExchangeTest : public test::DeviceTest {
 protected:
  void SetUp() override {
    test::DeviceTest::SetUp();
    if (IsSkipped()) return;
    for (int i = 0; i < (device().kind == DeviceKind::cpu ? 3 : cuda_device_count()); ++i)
      devices_.push_back({device().kind, device().kind == DeviceKind::cpu ? 0 : i});
  }

  [[nodiscard]] int members() const { return static_cast<int>(devices_.size()); }

  std::vector<Device> devices_;
};
GRIDSPOT_ON_EVERY_DEVICE(ExchangeTest);

/// What member `member` has in its own part of `size` before the exchange, others' parts being -1.
std::vector<int> own_part(int members, int member, int size, int round) {
  std::vector<int> values(std::size_t(members) * size, -1);
  for (int i = 0; i < size; ++i) values[std::size_t(member) * size + i] = 1000 * round + 100 * member + i;
  return values;
}

std::vector<int> all_parts(int members, int size, int round) {
  std::vector<int> values;
  for (int member = 0; member < members; ++member)
    for (int i = 0; i < size; ++i) values.push_back(1000 * round + 100 * member + i);
  return values;
}

TEST_P(ExchangeTest, EveryMemberHasAllPartsAfterwards) {
  const auto exchange = make_exchange(devices_);
  ThreadTeam team(members());
  team.run(members(), [&](int member, int) {
    Stream stream(devices_[member]);
    for (int round = 0; round < 20; ++round) {
      const auto small = upload(stream, own_part(members(), member, 1, round));
      const auto large = upload(stream, own_part(members(), member, 77, round));
      const std::array<GatheredBuffer, 2> buffers{{{small.data(), sizeof(int)}, {large.data(), 77 * sizeof(int)}}};
      exchange->all_gather(stream, member, buffers);
      EXPECT_EQ(download(stream, small), all_parts(members(), 1, round));
      EXPECT_EQ(download(stream, large), all_parts(members(), 77, round));
    }
  });
}

TEST_P(ExchangeTest, IsPartOfAGraph) {
  const auto exchange = make_exchange(devices_);
  ThreadTeam team(members());
  team.run(members(), [&](int member, int) {
    Stream stream(devices_[member]);
    const auto values = upload(stream, own_part(members(), member, 5, 0));
    const std::array<GatheredBuffer, 1> buffers{{{values.data(), 5 * sizeof(int)}}};
    exchange->all_gather(stream, member, buffers);
    Graph graph = Graph::capture(stream, [&] { exchange->all_gather(stream, member, buffers); });
    for (int round = 1; round < 5; ++round) {
      const auto own = own_part(members(), member, 5, round);
      copy_to_device(stream, values.data(), own.data(), own.size() * sizeof(int));
      graph.launch(stream);
      EXPECT_EQ(download(stream, values), all_parts(members(), 5, round));
    }
  });
}

TEST(Exchange, AMemberThatFailsEndsTheWaitingOfTheOthers) {
  const std::vector<Device> devices(3);
  const auto exchange = make_exchange(devices);
  ThreadTeam team(3);
  const auto share = [&](int member, int) {
    Stream stream(devices[member]);
    const auto values = upload(stream, std::vector<int>(3));
    const std::array<GatheredBuffer, 1> buffers{{{values.data(), sizeof(int)}}};
    if (member == 1)
      exchange->break_off();
    else
      EXPECT_THAT([&] { exchange->all_gather(stream, member, buffers); },
                  testing::ThrowsMessage<DeviceError>("another replica of the training has failed"));
  };
  team.run(3, share);
}

TEST(Exchange, IsBetweenDevicesOfOneKind) {
  EXPECT_THROW(make_exchange({}), InvalidInput);
  const std::vector<Device> mixed{{DeviceKind::cpu, 0}, {DeviceKind::cuda, 0}};
  EXPECT_THROW(make_exchange(mixed), InvalidInput);
}

}  // namespace
}  // namespace gridspot
