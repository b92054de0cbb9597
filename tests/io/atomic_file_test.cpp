#include "io/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>

#include "gridspot/error.h"
#include "tests/io/temporary_folder.h"

namespace gridspot {
namespace {

using testing::HasSubstr;

void put(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}
std::string get(const std::filesystem::path& path) { return read_file(path, 1 << 20); }

template <class Exception, class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const Exception& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

/// Lets calls through until the k-th, which fails with `error` or writes one byte only; with `stays_broken` all calls
/// after it fail too. Removing and closing work even then, as they do on a full disk.
class FaultyFileSystem : public FileSystem {
 public:
  explicit FaultyFileSystem(int failing_call, int error, bool stays_broken = false)
      : failing_call_(failing_call), error_(error), stays_broken_(stays_broken) {}

  bool fault_met = false, renamed = false;
  int open_files = 0;

  int open(const char* path, int flags, mode_t mode) override {
    if (fails()) return -1;
    const int file = FileSystem::open(path, flags, mode);
    if (file >= 0) ++open_files;
    return file;
  }
  ssize_t write(int file, const void* data, std::size_t bytes) override {
    if (fails()) return error_ == 0 ? FileSystem::write(file, data, 1) : -1;
    return FileSystem::write(file, data, bytes);
  }
  int fsync(int file) override { return fails() ? -1 : FileSystem::fsync(file); }
  int close(int file) override {
    const bool failing = fails();  // as on Linux, the descriptor is gone even when close fails
    --open_files;
    return FileSystem::close(file) != 0 || failing ? -1 : 0;
  }
  int rename(const char* from, const char* to) override {
    if (fails()) return -1;
    renamed = true;
    return FileSystem::rename(from, to);
  }
  int symlink(const char* target, const char* path) override {
    return fails() ? -1 : FileSystem::symlink(target, path);
  }

 private:
  bool fails() {
    const int call = ++calls_;
    const bool failing = call == failing_call_ || (stays_broken_ && call > failing_call_);
    if (failing) {
      fault_met = true;
      errno = error_;
    }
    return failing;
  }

  int calls_ = 0, failing_call_, error_;
  bool stays_broken_;
};

const std::vector<std::string_view> new_pieces{"new ", "", "content"};

TEST(AtomicFile, WritesNewFilesAndReplacesOldOnes) {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "file", new_pieces);
  EXPECT_EQ(get(folder / "file"), "new content");
  write_file_atomically(folder / "file", "");
  EXPECT_EQ(get(folder / "file"), "");
  EXPECT_EQ(folder.names(), std::set<std::string>{"file"});
}

TEST(AtomicFile, KeepsTheOldFileWhateverCallFails) {
  for (const int error : {EIO, ENOSPC})
    for (const bool stays_broken : {false, true})
      for (int k = 1;; ++k) {
        SCOPED_TRACE("errno " + std::to_string(error) + " in call " + std::to_string(k) +
                     (stays_broken ? " and on" : ""));
        const test::TemporaryFolder folder;
        put(folder / "file", "old");
        FaultyFileSystem file_system(k, error, stays_broken);
        const auto message =
            message_of<IoError>([&] { write_file_atomically(folder / "file", new_pieces, file_system); });
        EXPECT_EQ(get(folder / "file"), file_system.renamed ? "new content" : "old");
        EXPECT_EQ(folder.names(), std::set<std::string>{"file"});
        EXPECT_EQ(file_system.open_files, 0);
        if (!file_system.fault_met) {
          EXPECT_EQ(k, 10) << "open folder, open, write, write, fsync, close, rename, fsync folder, close folder";
          break;
        }
        if (message == "(nothing was thrown)") {
          EXPECT_EQ(k, 9) << "only the folder's closing may fail without a word";
        } else {
          EXPECT_THAT(message, HasSubstr((folder / "file").string()));
          EXPECT_THAT(message, HasSubstr(std::generic_category().message(error)));
          EXPECT_EQ(message.find("the new file is in place") != std::string::npos, file_system.renamed);
        }
      }
}

TEST(AtomicFile, LeavesNothingBehindWhereNoFileWas) {
  for (int k = 1; k <= 7; ++k) {
    const test::TemporaryFolder folder;
    FaultyFileSystem file_system(k, EIO);
    EXPECT_THROW(write_file_atomically(folder / "file", new_pieces, file_system), IoError) << k;
    EXPECT_TRUE(folder.names().empty()) << k;
  }
}

TEST(AtomicFile, GoesOnAfterShortAndInterruptedCalls) {
  for (const int error : {0, EINTR})
    for (const int k : {3, 4}) {
      const test::TemporaryFolder folder;
      FaultyFileSystem file_system(k, error);
      write_file_atomically(folder / "file", new_pieces, file_system);
      EXPECT_TRUE(file_system.fault_met);
      EXPECT_EQ(get(folder / "file"), "new content") << error << " " << k;
    }
}

TEST(AtomicFile, PassesOverATemporaryThatACrashLeft) {
  const test::TemporaryFolder folder;
  const auto left = ".gridspot-" + std::to_string(::getpid()) + "-0.tmp";
  put(folder / left, "half");
  write_file_atomically(folder / "file", "whole");
  EXPECT_EQ(get(folder / "file"), "whole");
  EXPECT_EQ(get(folder / left), "half");
}

TEST(AtomicFile, RemovesTheTemporariesOfDeadProcessesAlone) {
  const test::TemporaryFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const auto of = [](pid_t process) { return ".gridspot-" + std::to_string(process) + "-3.tmp"; };
  std::set<std::string> others{of(::getpid()), ".gridspot-x-0.tmp", ".gridspot--1-0.tmp", ".gridspot-7.tmp",
                               "file.tmp"};
  for (const auto& name : others) put(folder / name, "half");
  put(folder / of(child), "half");
  FileSystem file_system;
  remove_abandoned_temporaries(folder.path(), file_system);
  EXPECT_EQ(folder.names(), others);
  remove_abandoned_temporaries(folder / "missing", file_system);
}

TEST(AtomicFile, ToleratesFoldersThatCannotBeSynchronised) {
  const test::TemporaryFolder folder;
  FaultyFileSystem file_system(8, EINVAL);
  write_file_atomically(folder / "file", new_pieces, file_system);
  EXPECT_TRUE(file_system.fault_met);
}

TEST(AtomicFile, NamesFileAndReason) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "inner");
  EXPECT_THAT(message_of<IoError>([&] { write_file_atomically(folder / "inner", "x"); }),
              testing::AllOf(HasSubstr("inner: cannot put the new file in place: "), HasSubstr("irectory")));
  EXPECT_THAT(message_of<IoError>([&] { write_file_atomically(folder / "none" / "file", "x"); }),
              HasSubstr("none/file: cannot open its folder: No such file or directory"));
  EXPECT_EQ(folder.names(), std::set<std::string>{"inner"});
}

TEST(AtomicLink, PointsWhereItIsToldAndIsReplaced) {
  const test::TemporaryFolder folder;
  FileSystem file_system;
  put(folder / "one", "1");
  put(folder / "two", "2");
  link_atomically("one", folder / "latest", file_system);
  EXPECT_EQ(get(folder / "latest"), "1");
  link_atomically("two", folder / "latest", file_system);
  EXPECT_EQ(std::filesystem::read_symlink(folder / "latest"), "two") << "as it was written, relative to the folder";
  EXPECT_EQ(get(folder / "latest"), "2");
  EXPECT_EQ(get(folder / "one"), "1") << "the link is replaced, not what it points to";
  link_atomically("none", folder / "latest", file_system);
  EXPECT_EQ(std::filesystem::read_symlink(folder / "latest"), "none");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"latest", "one", "two"}));
}

TEST(AtomicLink, ReplacesAFileAndWhatACrashLeft) {
  const test::TemporaryFolder folder;
  FileSystem file_system;
  put(folder / "one", "1");
  put(folder / "latest", "a file");
  std::filesystem::create_symlink("nowhere", folder / "latest.tmp");
  link_atomically("one", folder / "latest", file_system);
  EXPECT_EQ(get(folder / "latest"), "1");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"latest", "one"}));
}

TEST(AtomicLink, KeepsTheOldLinkWhateverCallFails) {
  for (int k = 1;; ++k) {
    SCOPED_TRACE("call " + std::to_string(k));
    const test::TemporaryFolder folder;
    FileSystem healthy;
    link_atomically("old", folder / "latest", healthy);
    FaultyFileSystem file_system(k, EIO);
    const auto message = message_of<IoError>([&] { link_atomically("new", folder / "latest", file_system); });
    EXPECT_EQ(folder.names(), std::set<std::string>{"latest"});
    EXPECT_EQ(std::filesystem::read_symlink(folder / "latest"), file_system.fault_met ? "old" : "new");
    if (!file_system.fault_met) {
      EXPECT_EQ(k, 3) << "symlink, rename";
      break;
    }
    EXPECT_THAT(message, testing::AllOf(HasSubstr((folder / "latest").string()), HasSubstr("Input/output error")));
  }
}

TEST(AtomicLink, NamesFileAndReason) {
  const test::TemporaryFolder folder;
  FileSystem file_system;
  std::filesystem::create_directory(folder / "latest");
  EXPECT_THAT(message_of<IoError>([&] { link_atomically("one", folder / "latest", file_system); }),
              HasSubstr("latest: cannot put the new link in place: "));
  EXPECT_EQ(folder.names(), std::set<std::string>{"latest"});
  std::filesystem::create_directory(folder / "latest.tmp");
  EXPECT_THAT(message_of<IoError>([&] { link_atomically("one", folder / "latest", file_system); }),
              HasSubstr("latest: cannot remove an old temporary link: "));
  EXPECT_THAT(message_of<IoError>([&] { link_atomically("one", folder / "none" / "latest", file_system); }),
              HasSubstr("latest: cannot create a link: No such file or directory"));
}

TEST(ReadFile, ReadsUpToTheBound) {
  const test::TemporaryFolder folder;
  for (const std::size_t size : {0, 1, 4095, 4096, 4097, 100'000}) {
    const std::string content(size, 'x');
    put(folder / "file", content);
    EXPECT_EQ(read_file(folder / "file", size), content);
    if (size > 0) {
      EXPECT_THAT(message_of<InvalidInput>([&] { read_file(folder / "file", size - 1); }),
                  HasSubstr("file: the file holds more than the " + std::to_string(size - 1) + " bytes"));
    }
  }
}

TEST(ReadFile, ReadsFilesThatTellNoSizeAndBoundsThem) {
  EXPECT_FALSE(read_file("/proc/self/status", 1 << 20).empty());
  EXPECT_THROW(read_file("/dev/zero", 10'000), InvalidInput);
}

TEST(ReadFile, NamesFileAndReason) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(message_of<IoError>([&] { read_file(folder / "none", 1); }),
              HasSubstr("none: cannot open: No such file or directory"));
  EXPECT_THAT(message_of<IoError>([&] { read_file(folder.path(), 1); }), HasSubstr("cannot read: Is a directory"));
}

TEST(LineWriter, AppendsLines) {
  const test::TemporaryFolder folder;
  LineWriter(folder / "log").write("one");
  LineWriter writer(folder / "log");
  writer.write("two");
  writer.write("");
  EXPECT_EQ(get(folder / "log"), "one\ntwo\n\n");
  EXPECT_THROW(writer.write("a\nb"), Error);
}

TEST(LineWriter, ClosesALineThatACrashLeftOpen) {
  const test::TemporaryFolder folder;
  put(folder / "log", "{\"step\":1}\n{\"st");
  LineWriter(folder / "log").write("{\"step\":3}");
  EXPECT_EQ(get(folder / "log"), "{\"step\":1}\n{\"st\n{\"step\":3}\n");
}

TEST(LineWriter, ReportsFailuresAndFinishesShortWrites) {
  const test::TemporaryFolder folder;
  FaultyFileSystem short_write(2, 0);
  LineWriter(folder / "log", short_write).write("line");
  EXPECT_EQ(get(folder / "log"), "line\n");
  EXPECT_EQ(short_write.open_files, 0);
  FaultyFileSystem full(2, ENOSPC);
  LineWriter writer(folder / "log", full);
  EXPECT_THAT(message_of<IoError>([&] { writer.write("line"); }), HasSubstr("log: cannot write: No space left"));
  FaultyFileSystem no_open(1, EACCES);
  EXPECT_THAT(message_of<IoError>([&] { LineWriter(folder / "log", no_open); }),
              HasSubstr("log: cannot open for appending: Permission denied"));
}

TEST(LineWriter, SynchronisesItsFile) {
  class Watch : public FileSystem {
   public:
    int opened = -1, synchronised = -1, result = 0;
    int open(const char* path, int flags, mode_t mode) override { return opened = FileSystem::open(path, flags, mode); }
    int fsync(int file) override {
      synchronised = file;
      errno = EIO;
      return result;
    }
  };
  const test::TemporaryFolder folder;
  Watch watch;
  LineWriter writer(folder / "log", watch);
  writer.write("line");
  EXPECT_EQ(watch.synchronised, -1) << "a line does not wait for the disk";
  writer.synchronize();
  EXPECT_EQ(watch.synchronised, watch.opened);
  watch.result = -1;
  EXPECT_THAT(message_of<IoError>([&] { writer.synchronize(); }),
              HasSubstr("log: cannot synchronise: Input/output error"));
  writer.write("another");
  EXPECT_EQ(get(folder / "log"), "line\nanother\n");
}

}  // namespace
}  // namespace gridspot
