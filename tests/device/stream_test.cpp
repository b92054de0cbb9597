#include "device/stream.h"

#include "device/buffer.h"
#include "tests/device/probe.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

class StreamTest : public test::DeviceTest {
 protected:
  void expect_works(Stream& stream) {
    const auto visits = upload(stream, std::vector<int>(100));
    probe::count_visits(stream, visits);
    stream.synchronize();
    EXPECT_EQ(download(stream, visits), std::vector<int>(100, 1));
  }
};
GRIDSPOT_ON_EVERY_DEVICE(StreamTest);

TEST_P(StreamTest, KnowsItsDevice) {
  const Stream stream(device());
  EXPECT_EQ(stream.device(), device());
  EXPECT_EQ(stream.is_cuda(), device().kind == DeviceKind::cuda);
  EXPECT_EQ(stream.native() != nullptr, stream.is_cuda());
}

TEST_P(StreamTest, Moves) {
  Stream a(device()), b(device());
  void* const native = a.native();
  Stream c = std::move(a);
  EXPECT_EQ(c.native(), native);
  expect_works(c);
  c = std::move(b);
  expect_works(c);
  Stream& itself = c;
  c = std::move(itself);
  expect_works(c);
  std::vector<Stream> streams;
  for (int i = 0; i < 5; ++i) streams.emplace_back(device());
  for (Stream& stream : streams) expect_works(stream);
}

TEST_P(StreamTest, KeepsTheOrderOfItsWork) {
  Stream stream(device());
  const auto visits = upload(stream, std::vector<int>(100));
  for (int i = 0; i < 10; ++i) probe::count_visits(stream, visits);
  const auto copy = Buffer<int>(device(), 100);
  copy_on_device(stream, copy.data(), visits.data(), 100 * sizeof(int));
  fill_bytes(stream, visits.data(), 0, 100 * sizeof(int));
  probe::count_visits(stream, visits);
  EXPECT_EQ(download(stream, copy), std::vector<int>(100, 10));
  EXPECT_EQ(download(stream, visits), std::vector<int>(100, 1));
}

}  // namespace
}  // namespace gridspot
