#include "io/folder_lock.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "gridspot/error.h"
#include "tests/io/temporary_folder.h"

namespace gridspot {
namespace {

TEST(FolderLock, OneAtATime) {
  const test::TemporaryFolder folder, other;
  std::optional<FolderLock> lock(folder.path());
  EXPECT_THAT([&] { FolderLock(folder.path()); },
              testing::ThrowsMessage<InvalidInput>(folder.path().string() + " is in use by another process"));
  EXPECT_NO_THROW(FolderLock(other.path()));
  lock.reset();
  EXPECT_NO_THROW(FolderLock(folder.path()));
  EXPECT_THROW(FolderLock(folder / "missing"), IoError);
}

TEST(FolderLock, WaitsOnRequest) {
  const test::TemporaryFolder folder;
  std::optional<FolderLock> lock(folder.path());
  std::atomic<bool> held = false;
  std::thread other([&] {
    const FolderLock waiting(folder.path(), FolderLock::IfHeld::wait);
    held = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(held);
  lock.reset();
  other.join();
  EXPECT_TRUE(held);
}

TEST(FolderLock, AKilledProcessLetsGo) {
  const test::TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const FolderLock lock(folder.path());
    [[maybe_unused]] const auto written = ::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FolderLock(folder.path()), InvalidInput);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_NO_THROW(FolderLock(folder.path()));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace gridspot
