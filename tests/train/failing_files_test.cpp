// A run whose files cannot be written: it ends with an IoError, leaves no damaged checkpoint, and can be resumed.
#include <gmock/gmock.h>

#include <cerrno>
#include <fstream>
#include <utility>

#include "gridspot/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using test::difference;
using test::outcome_of;

enum class Fault { open, write, short_write, fsync, close, rename, symlink, unlink };

const char* name_of(Fault fault) {
  constexpr const char* names[]{"open",    "write", "write that is cut short", "fsync", "close", "rename",
                                "symlink", "unlink"};
  return names[static_cast<int>(fault)];
}

/// The k-th call of a kind fails, once, as on a disk that is full (ENOSPC) or broken (EIO).
class FaultyFileSystem : public test::QuickFileSystem {
 public:
  FaultyFileSystem(Fault fault, int k) : fault_(fault), k_(k) {}
  bool fault_met = false;

  int open(const char* path, int flags, mode_t mode) override {
    return fails(Fault::open, ENOSPC) ? -1 : FileSystem::open(path, flags, mode);
  }
  ssize_t write(int file, const void* data, std::size_t bytes) override {
    if (std::exchange(disk_full_, false)) {
      errno = ENOSPC;
      return -1;
    }
    if (fails(Fault::write, ENOSPC)) return -1;
    if (fails(Fault::short_write, 0)) {
      disk_full_ = true;
      return FileSystem::write(file, data, (bytes + 1) / 2);
    }
    return FileSystem::write(file, data, bytes);
  }
  int fsync(int file) override { return fails(Fault::fsync, EIO) ? -1 : QuickFileSystem::fsync(file); }
  int close(int file) override {
    // As on Linux, the descriptor is gone even when close fails.
    const int result = FileSystem::close(file);
    return fails(Fault::close, EIO) ? -1 : result;
  }
  int rename(const char* from, const char* to) override {
    return fails(Fault::rename, EIO) ? -1 : FileSystem::rename(from, to);
  }
  int symlink(const char* target, const char* path) override {
    return fails(Fault::symlink, EIO) ? -1 : FileSystem::symlink(target, path);
  }
  int unlink(const char* path) override { return fails(Fault::unlink, EIO) ? -1 : FileSystem::unlink(path); }

 private:
  bool fails(Fault fault, int error) {
    if (fault != fault_ || ++calls_ != k_) return false;
    fault_met = true;
    errno = error;
    return true;
  }

  Fault fault_;
  int k_, calls_ = 0;
  bool disk_full_ = false;
};

class FailingFiles : public testing::TestWithParam<Fault> {
 protected:
  void SetUp() override {
    test::quick_run(config_, glyphs_, {.folder = temporary_ / "whole"});
    expected_ = outcome_of(temporary_ / "whole");
    ASSERT_EQ(expected_.size(), 7u);
  }

  /// True where it met the fault. Anything but an IoError or success is a failure.
  bool run_with_fault(const fs::path& run, int k, bool resume) {
    FaultyFileSystem file_system(GetParam(), k);
    try {
      run_training(resume ? read_run_config(run) : config_, glyphs_,
                   {.folder = run, .resume = resume, .threads = 1, .file_system = &file_system});
    } catch (const IoError& error) {
      EXPECT_TRUE(file_system.fault_met) << error.what();
      EXPECT_THAT(error.what(), testing::HasSubstr(run.string()));
    } catch (const std::exception& error) {
      ADD_FAILURE() << "not an IoError: " << error.what();
    }
    return file_system.fault_met;
  }

  void expect_no_damage(const fs::path& run) {
    for (const auto& checkpoint : test::checkpoints_in(run))
      EXPECT_NO_THROW(load_checkpoint(checkpoint, read_run_config(run))) << checkpoint;
  }

  void expect_the_same_end(const fs::path& run) {
    if (fs::exists(run / "config.json"))
      test::resume(run, glyphs_);
    else
      test::quick_run(config_, glyphs_, {.folder = run});
    EXPECT_EQ(difference(outcome_of(run), expected_), "");
  }

  const test::TemporaryFolder temporary_;
  const GlyphSet glyphs_ = test::tiny_glyphs();
  const RunConfig config_ = test::shortest_config();
  test::Outcome expected_;
};
INSTANTIATE_TEST_SUITE_P(, FailingFiles,
                         testing::Values(Fault::open, Fault::write, Fault::short_write, Fault::fsync, Fault::close,
                                         Fault::rename, Fault::symlink, Fault::unlink),
                         [](const auto& instance) {
                           std::string name = name_of(instance.param);
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST_P(FailingFiles, ARunLeavesNoDamageAndCanBeResumed) {
  bool fault_met = true;
  for (int k = 1; fault_met && !HasFailure(); ++k) {
    SCOPED_TRACE(std::string("the failing call is ") + name_of(GetParam()) + " number " + std::to_string(k));
    const auto run = temporary_ / "run";
    fault_met = run_with_fault(run, k, false);
    EXPECT_TRUE(fault_met || k > 1) << "there was no such call";
    expect_no_damage(run);
    expect_the_same_end(run);
    fs::remove_all(run);
  }
}

TEST_P(FailingFiles, AResumedRunLeavesNoDamageAndCanBeResumed) {
  // Stopped by a signal with the line of step 3, before its validation, which the resumed run has to make up for.
  std::atomic<int> signal = 0;
  test::LineWatch watch(4, [&] { signal = 2; });
  const RunSummary paused = run_training(
      config_, glyphs_, {.folder = temporary_ / "paused", .threads = 1, .stop_signal = &signal, .file_system = &watch});
  ASSERT_EQ(paused.steps, 3u);
  ASSERT_EQ(test::content(temporary_ / "paused" / "validation.jsonl"), "");
  // A line that was broken off is to be cut off.
  for (const char* name : {"metrics.jsonl", "results.csv", "validation.jsonl"})
    std::ofstream(temporary_ / "paused" / name, std::ios::app) << "{\"step\":4";
  bool fault_met = true;
  for (int k = 1; fault_met && !HasFailure(); ++k) {
    SCOPED_TRACE(std::string("the failing call is ") + name_of(GetParam()) + " number " + std::to_string(k));
    const auto run = temporary_ / "run";
    fs::copy(temporary_ / "paused", run, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fault_met = run_with_fault(run, k, true);
    EXPECT_TRUE(fault_met || k > 1) << "there was no such call";
    expect_no_damage(run);
    expect_the_same_end(run);
    fs::remove_all(run);
  }
}

}  // namespace
}  // namespace gridspot
