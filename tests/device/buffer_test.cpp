#include "device/buffer.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <limits>
#include <numeric>

#include "gridspot/error.h"
#include "tests/support/device_test.h"

// The sanitizers would end the program where an allocation is too large.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace gridspot {
namespace {

class BufferTest : public test::DeviceTest {
 protected:
  static std::vector<int> numbers(std::size_t count) {
    std::vector<int> values(count);
    std::iota(values.begin(), values.end(), 1);
    return values;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(BufferTest);

TEST_P(BufferTest, KeepsWhatIsUploaded) {
  Stream stream(device());
  for (const std::size_t count : {0, 1, 15, 16, 17, 100003}) {
    const auto buffer = upload(stream, numbers(count));
    EXPECT_EQ(buffer.size(), count);
    EXPECT_EQ(buffer.device(), device());
    EXPECT_EQ(download(stream, buffer), numbers(count));
  }
}

TEST_P(BufferTest, IsAligned) {
  for (const std::size_t count : {1, 63, 64, 65, 1000}) {
    const Buffer<char> buffer(device(), count);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
  }
}

TEST_P(BufferTest, OwnsNothingWhenEmpty) {
  const Buffer<int> none, empty(device(), 0);
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(empty.data(), nullptr);
  EXPECT_EQ(empty.size(), 0u);
  empty.check_red_zone();
}

TEST_P(BufferTest, Moves) {
  Stream stream(device());
  Buffer<int> a = upload(stream, numbers(10)), b = upload(stream, numbers(20));
  const int *at_a = a.data(), *at_b = b.data();
  Buffer<int> c = std::move(a);
  EXPECT_EQ(c.data(), at_a);
  EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(a.size(), 0u);
  c = std::move(b);
  EXPECT_EQ(c.data(), at_b);
  EXPECT_EQ(download(stream, c), numbers(20));
  Buffer<int>& itself = c;
  c = std::move(itself);
  EXPECT_EQ(download(stream, c), numbers(20));
}

TEST_P(BufferTest, CopiesAndFills) {
  Stream stream(device());
  const auto from = upload(stream, numbers(50));
  const auto to = upload(stream, std::vector<int>(50));
  copy_on_device(stream, to.data() + 10, from.data(), 20 * sizeof(int));
  fill_bytes(stream, to.data() + 40, 0xff, 5 * sizeof(int));
  copy_on_device(stream, nullptr, nullptr, 0);
  fill_bytes(stream, nullptr, 0, 0);
  std::vector<int> expected(50);
  std::iota(expected.begin() + 10, expected.begin() + 30, 1);
  std::fill(expected.begin() + 40, expected.begin() + 45, -1);
  EXPECT_EQ(download(stream, to), expected);
  EXPECT_EQ(download(stream, to.span().subspan(8, 4)), (std::vector<int>{0, 0, 1, 2}));
}

TEST_P(BufferTest, ThrowsOutOfMemory) {
  EXPECT_THROW(Buffer<std::uint64_t>(device(), std::numeric_limits<std::size_t>::max() / 4), OutOfMemory);
  EXPECT_THROW(Buffer<char>(device(), std::size_t{1} << 50), OutOfMemory);
}

TEST(BytesOf, RefusesWhatOverflows) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(bytes_of(0, 8), 0u);
  EXPECT_EQ(bytes_of(most / 8, 8), most / 8 * 8);
  EXPECT_THROW((void)bytes_of(most / 8 + 1, 8), OutOfMemory);
  EXPECT_THROW(Buffer<char>({}, most), OutOfMemory);
  EXPECT_THROW(Buffer<char>({}, most - 100), OutOfMemory);
}

}  // namespace
}  // namespace gridspot
