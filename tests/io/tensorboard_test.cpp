#include "io/tensorboard.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>

#include "gridspot/error.h"
#include "tests/io/event_file.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::events_of;
using testing::HasSubstr;

std::string get(const std::filesystem::path& path) { return read_file(path, 1 << 24); }

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

template <class Body>
std::string io_message_of(Body body) {
  try {
    body();
  } catch (const IoError& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

/// Fails with `error` in the calls of its kind from the first failing one on, or writes `piece` bytes at most.
class FaultyFileSystem : public FileSystem {
 public:
  int open_error = 0, write_error = 0, writes_before_error = 0, interruptions = 0;
  std::size_t piece = std::numeric_limits<std::size_t>::max();
  int open_files = 0;

  int open(const char* path, int flags, mode_t mode) override {
    if (open_error != 0) return failed(open_error);
    const int file = FileSystem::open(path, flags, mode);
    if (file >= 0) ++open_files;
    return file;
  }
  ssize_t write(int file, const void* data, std::size_t bytes) override {
    if (interruptions > 0 && interruptions-- > 0) return failed(EINTR);
    if (write_error != 0 && writes_before_error-- <= 0) return failed(write_error);
    return FileSystem::write(file, data, std::min(bytes, piece));
  }
  int close(int file) override {
    --open_files;
    return FileSystem::close(file);
  }

 private:
  static int failed(int error) {
    errno = error;
    return -1;
  }
};

TEST(EventWriter, BeginsWithVersionAndSessionStart) {
  const test::TemporaryFolder folder;
  const double before = now();
  const EventWriter writer(folder.path(), 250);
  const auto events = events_of(get(writer.path()));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_FALSE(events[0].session_status.has_value());
  EXPECT_EQ(events[1].session_status, 1);
  EXPECT_EQ(events[1].step, 250);
  for (const auto& event : events) {
    EXPECT_GE(event.wall_time, before);
    EXPECT_LE(event.wall_time, now());
    EXPECT_FALSE(event.point.has_value());
  }
}

TEST(EventWriter, WritesEveryPointAsItIs) {
  using Limits = std::numeric_limits<float>;
  struct {
    std::uint64_t step;
    std::string tag;
    float value;
  } const rows[] = {
      {0, "loss", 1.5f},
      {1, "", -0.0f},
      {127, "loss/box", 0.1f},
      {128, std::string(127, 'a'), Limits::denorm_min()},
      {300'000, std::string(128, 'b'), Limits::max()},
      {std::uint64_t{1} << 40, std::string(40'000, 'c'), Limits::lowest()},
      {std::numeric_limits<std::int64_t>::max(), "\u00e9\u65e5", Limits::infinity()},
      {7, "an earlier step", -Limits::infinity()},
  };
  const test::TemporaryFolder folder;
  EventWriter writer(folder.path(), 0);
  const double before = now();
  for (const auto& row : rows) writer.scalar(row.step, row.tag, row.value);
  writer.scalar(8, "not a number", Limits::quiet_NaN());
  writer.flush();
  const auto events = events_of(get(writer.path()));
  ASSERT_EQ(events.size(), 2 + std::size(rows) + 1);
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    SCOPED_TRACE("point " + std::to_string(i));
    const auto& event = events[i + 2];
    ASSERT_TRUE(event.point.has_value());
    EXPECT_EQ(event.step, static_cast<std::int64_t>(rows[i].step));
    EXPECT_EQ(event.point->tag, rows[i].tag);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(event.point->value), std::bit_cast<std::uint32_t>(rows[i].value));
    EXPECT_GE(event.wall_time, before);
    EXPECT_LE(event.wall_time, now());
    EXPECT_TRUE(event.file_version.empty() && !event.session_status.has_value());
  }
  EXPECT_TRUE(std::isnan(events.back().point.value_or(test::Point{}).value));
}

TEST(EventWriter, WritesAnyNumberOfPoints) {
  test::Random random(3);
  const test::TemporaryFolder folder;
  std::vector<float> values;
  std::filesystem::path path;
  {
    EventWriter writer(folder.path(), 0);
    path = writer.path();
    for (int i = 0; i < 5000; ++i) {
      values.push_back(random.uniform(-1e3f, 1e3f));
      writer.scalar(static_cast<std::uint64_t>(i), "loss", values.back());
      if (random.integer(0, 999) == 0) writer.flush();
    }
  }  // the destructor writes the rest
  const auto events = events_of(get(path));
  ASSERT_EQ(events.size(), values.size() + 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(events[i + 2].step, static_cast<std::int64_t>(i));
    ASSERT_EQ(events[i + 2].point.value_or(test::Point{}).value, values[i]) << "point " << i;
  }
}

TEST(EventWriter, IsWithTheSystemAfterFlush) {
  const test::TemporaryFolder folder;
  EventWriter writer(folder.path(), 0);
  writer.scalar(1, "loss", 2);
  EXPECT_EQ(events_of(get(writer.path())).size(), 2u) << "a point is no system call";
  writer.flush();
  EXPECT_EQ(events_of(get(writer.path())).size(), 3u);
  writer.flush();
  EXPECT_EQ(events_of(get(writer.path())).size(), 3u);
}

TEST(EventWriter, NamesStandBehindThoseOfEarlierFiles) {
  const test::TemporaryFolder folder;
  // A clock that was a year ahead, and what is no event file.
  const auto year_ahead = static_cast<long long>(now()) + 31'536'000;
  const std::string future = "events.out.tfevents." + std::to_string(year_ahead) + ".host.1.0";
  for (const auto& name : {future, std::string("events.out.tfevents.x"), std::string("model.safetensors")})
    std::ofstream(folder / name) << "x";
  std::string last = future;
  for (int i = 0; i < 12; ++i) {
    const EventWriter writer(folder.path(), 0);
    const auto name = writer.path().filename().string();
    EXPECT_GT(name, last);
    EXPECT_THAT(name, testing::MatchesRegex("events\\.out\\.tfevents\\.[0-9]+\\..+\\.[0-9]+\\.0"));
    last = name;
  }
  EXPECT_EQ(folder.names().size(), 3 + 12u);
  EXPECT_EQ(get(folder / future), "x");
}

TEST(EventWriter, BearsThePresentSecondWhereNoFileIs) {
  const test::TemporaryFolder folder;
  const auto before = static_cast<long long>(now());
  const EventWriter writer(folder.path(), 0);
  const auto name = writer.path().filename().string();
  const auto seconds = std::stoll(name.substr(std::string("events.out.tfevents.").size()));
  EXPECT_GE(seconds, before);
  EXPECT_LE(seconds, static_cast<long long>(now()));
}

TEST(EventWriter, FinishesShortAndInterruptedWrites) {
  const test::TemporaryFolder folder;
  FaultyFileSystem file_system;
  file_system.piece = 7;
  file_system.interruptions = 3;
  {
    EventWriter writer(folder.path(), 0, file_system);
    writer.scalar(1, "loss", 2);
  }
  EXPECT_EQ(file_system.open_files, 0);
  ASSERT_EQ(folder.names().size(), 1u);
  EXPECT_EQ(events_of(get(folder / *folder.names().begin())).size(), 3u);
}

TEST(EventWriter, GoesOnWhereAFullDiskStoppedIt) {
  for (int writes = 0; writes < 6; ++writes) {
    SCOPED_TRACE(std::to_string(writes) + " writes of 10 bytes before the disk is full");
    const test::TemporaryFolder folder;
    FaultyFileSystem file_system;
    EventWriter writer(folder.path(), 0, file_system);
    writer.scalar(1, "loss", 2);
    writer.scalar(2, "loss", 1);
    file_system.piece = 10;
    file_system.writes_before_error = writes;
    file_system.write_error = ENOSPC;
    EXPECT_THAT(io_message_of([&] { writer.flush(); }),
                testing::AllOf(HasSubstr(writer.path().string() + ": cannot write: "), HasSubstr("No space left")));
    file_system.write_error = 0;
    writer.scalar(3, "loss", 0);
    writer.flush();
    const auto events = events_of(get(writer.path()));
    ASSERT_EQ(events.size(), 5u);
    for (int i = 2; i < 5; ++i) EXPECT_EQ(events[static_cast<std::size_t>(i)].step, i - 1);
  }
}

TEST(EventWriter, ReportsAFullDiskWithoutFlushBeingCalled) {
  const test::TemporaryFolder folder;
  FaultyFileSystem file_system;
  EventWriter writer(folder.path(), 0, file_system);
  file_system.write_error = EIO;
  const auto message = io_message_of([&] {
    for (int i = 0; i < 100'000; ++i) writer.scalar(1, "loss", 2);
  });
  EXPECT_THAT(message, HasSubstr("cannot write: Input/output error"));
}

TEST(EventWriter, LeavesNoFileWhereItCannotBegin) {
  for (const int writes : {0, 1, 3}) {
    const test::TemporaryFolder folder;
    FaultyFileSystem file_system;
    file_system.piece = 5;
    file_system.writes_before_error = writes;
    file_system.write_error = ENOSPC;
    EXPECT_THAT(io_message_of([&] { EventWriter(folder.path(), 0, file_system); }), HasSubstr("cannot write: "));
    EXPECT_TRUE(folder.names().empty()) << writes;
    EXPECT_EQ(file_system.open_files, 0) << writes;
  }
}

TEST(EventWriter, NamesFileAndReason) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(io_message_of([&] { EventWriter(folder / "none", 0); }),
              HasSubstr("none: cannot list the folder: No such file or directory"));
  FaultyFileSystem file_system;
  file_system.open_error = EACCES;
  EXPECT_THAT(io_message_of([&] { EventWriter(folder.path(), 0, file_system); }),
              testing::AllOf(HasSubstr("events.out.tfevents."), HasSubstr(".0: cannot create: Permission denied")));
}

TEST(EventWriter, PassesOverANameThatAnotherTookMeanwhile) {
  struct LateFile : FileSystem {  // another writer's file appears between the listing and the opening
    int rivals = 2;
    int open(const char* path, int flags, mode_t mode) override {
      if (rivals-- > 0) std::ofstream(path) << "rival";
      return FileSystem::open(path, flags, mode);
    }
  } file_system;
  const test::TemporaryFolder folder;
  const EventWriter writer(folder.path(), 0, file_system);
  EXPECT_THAT(writer.path().string(), testing::EndsWith(".2"));
  EXPECT_EQ(events_of(get(writer.path())).size(), 2u);
  int kept = 0;
  for (const auto& name : folder.names()) kept += get(folder / name) == "rival" ? 1 : 0;
  EXPECT_EQ(kept, 2);
}

}  // namespace
}  // namespace gridspot
