#include "device/device.h"

#include <gmock/gmock.h>

#include "gridspot/error.h"

namespace gridspot {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(ParseDevice, KnowsTheCpu) {
  EXPECT_EQ(parse_device("cpu"), (Device{DeviceKind::cpu, 0}));
  EXPECT_EQ(to_string(parse_device("cpu")), "cpu");
}

TEST(ParseDevice, AutoIsTheFirstGpuOrTheCpu) {
  EXPECT_EQ(to_string(parse_device("auto")), cuda_device_count() > 0 ? "cuda:0" : "cpu");
}

TEST(ParseDevice, RefusesWhatIsNoDevice) {
  for (const std::string text :
       {"", "CPU", "cpu ", " cpu", "cpu:0", "gpu", "cud", "cudax", "cuda ", "cuda:", "cuda: 0", "cuda:-1", "cuda:+1",
        "cuda:1x", "cuda:0x1", "cuda:1.0", "cuda:99999999999999999999", "cuda:0:1", "auto:0"})
    EXPECT_THAT(
        [&] { parse_device(text); },
        ThrowsMessage<InvalidInput>(HasSubstr("unknown device '" + text + "': expected auto, cpu, cuda or cuda:N")))
        << text;
}

TEST(ParseDevice, SaysWhyAGpuCannotBeUsed) {
  std::string reason;
  const int count = cuda_device_count(&reason);
  if (count == 0) {
    EXPECT_NE(reason, "");
    for (const std::string text : {"cuda", "cuda:0", "cuda:7"})
      EXPECT_THAT([&] { parse_device(text); },
                  ThrowsMessage<NoDevice>(HasSubstr("device '" + text + "' cannot be used: " + reason)));
  } else {
    EXPECT_EQ(parse_device("cuda"), (Device{DeviceKind::cuda, 0}));
    const std::string beyond = "cuda:" + std::to_string(count);
    EXPECT_THAT([&] { parse_device(beyond); },
                ThrowsMessage<NoDevice>(HasSubstr("device '" + beyond + "' does not exist: there are " +
                                                  std::to_string(count) + " CUDA devices, numbered from 0")));
  }
}

TEST(Describe, NamesTheProcessor) { EXPECT_NE(describe({}), ""); }

}  // namespace
}  // namespace gridspot
