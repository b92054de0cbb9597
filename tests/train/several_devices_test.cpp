// Replicas on several devices compute what one device computes with the same shards. Without GPUs the devices are
// threads of the CPU that share no memory but the exchange's.
#include <gmock/gmock.h>

#include "data/canvas_set.h"
#include "device/device.h"
#include "gridspot/error.h"
#include "tests/support/device_test.h"
#include "tests/train/tiny_run.h"

namespace gridspot {
namespace {

class SeveralDevices : public test::DeviceTest {
 protected:
  void SetUp() override {
    test::DeviceTest::SetUp();
    if (IsSkipped()) return;
    if (device().kind == DeviceKind::cuda && cuda_device_count() < 2) GTEST_SKIP() << "there is one GPU alone";
    config_ = test::tiny_config(to_string(device()));
    config_.batch = 12;
    config_.shards = 6;
  }

  [[nodiscard]] std::vector<int> counts() const {
    if (device().kind == DeviceKind::cpu) return {2, 3, 6};
    return {2};
  }

  template <class Data>
  TrainerState trained(const Data& data, const TrainerOptions& options) const {
    Trainer trainer(config_, data, options);
    while (trainer.steps_done() < config_.steps) trainer.advance(config_.steps - trainer.steps_done());
    EXPECT_EQ(trainer.take_metrics().size(), config_.steps);
    return trainer.state();
  }

  template <class Data>
  void expect_equal_to_one(const Data& data) {
    const TrainerState one = trained(data, {});
    for (const int devices : counts())
      for (const bool graphs : {false, true}) {
        SCOPED_TRACE(std::to_string(devices) + " devices" + (graphs ? ", with graphs" : ""));
        const TrainerState state = trained(data, {.devices = devices, .steps_per_launch = 3, .graphs = graphs});
        EXPECT_EQ(state.weights, one.weights);
        EXPECT_EQ(state.moment2, one.moment2);
        EXPECT_EQ(state.average, one.average);
      }
  }

  GlyphSet glyphs_ = test::tiny_glyphs();
  RunConfig config_;
};
GRIDSPOT_ON_EVERY_DEVICE(SeveralDevices);

TEST_P(SeveralDevices, ComputeWhatOneComputes) { expect_equal_to_one(glyphs_); }

TEST_P(SeveralDevices, OnAFixedSet) {
  Stream stream(device());
  expect_equal_to_one(render_canvases(stream, config_.protocol, glyphs_, Split::train, 1, 30));
}

TEST_P(SeveralDevices, GoOnFromTheStateOfOne) {
  Trainer one(config_, glyphs_), two(config_, glyphs_, {.devices = 2});
  for (int i = 0; i < 3; ++i) one.step();
  for (int i = 0; i < 5; ++i) two.step();
  two.restore(one.state());
  for (int i = 0; i < 3; ++i) {
    one.step();
    two.step();
  }
  EXPECT_EQ(two.weights(), one.weights());
  EXPECT_EQ(two.inference_weights(), one.inference_weights());
}

TEST_P(SeveralDevices, StopAtAStepThatIsNotFinite) {
  config_.loss.class_weight = 3e38f;
  Trainer trainer(config_, glyphs_, {.devices = 2});
  const auto before = trainer.weights();
  trainer.step();
  trainer.step();
  EXPECT_THROW(trainer.take_metrics(), NumericalError);
  EXPECT_EQ(trainer.weights(), before);
}

TEST_P(SeveralDevices, ShareTheShardsEqually) {
  for (const int devices : {0, 4, 12})
    EXPECT_THAT([&] { Trainer(config_, glyphs_, {.devices = devices}); },
                testing::ThrowsMessage<InvalidInput>("6 shards cannot be shared equally by " + std::to_string(devices) +
                                                     " devices"));
}

}  // namespace
}  // namespace gridspot
