// A run that is killed, at random moments and before every call that writes, and resumed.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "tests/io/temporary_folder.h"
#include "tests/support/device_test.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration;
using test::difference;
using test::outcome_of;

/// Kills its own process at the k-th call; when that is a write, after half of it.
class DeadlyFileSystem : public test::QuickFileSystem {
 public:
  explicit DeadlyFileSystem(int k) : k_(k) {}

  int open(const char* path, int flags, mode_t mode) override {
    die_in_time();
    return FileSystem::open(path, flags, mode);
  }
  ssize_t write(int file, const void* data, std::size_t bytes) override {
    if (calls_ + 1 == k_) FileSystem::write(file, data, bytes / 2);
    die_in_time();
    return FileSystem::write(file, data, bytes);
  }
  int fsync(int file) override {
    die_in_time();
    return QuickFileSystem::fsync(file);
  }
  int close(int file) override {
    die_in_time();
    return FileSystem::close(file);
  }
  int rename(const char* from, const char* to) override {
    die_in_time();
    return FileSystem::rename(from, to);
  }
  int unlink(const char* path) override {
    die_in_time();
    return FileSystem::unlink(path);
  }
  int symlink(const char* target, const char* path) override {
    die_in_time();
    return FileSystem::symlink(target, path);
  }

 private:
  void die_in_time() {
    if (++calls_ == k_) ::kill(::getpid(), SIGKILL);
  }
  int calls_ = 0, k_;
};

/// Runs are processes of their own; this one uses no part of the engine that has threads.
class KilledRun : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer does not follow a fork";
#endif
  }

  /// Begins the run or goes on with it, in a process of its own; returns that.
  pid_t start(const RunConfig& config, int deadly_call = 0) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child != 0) return child;
    int code = 0;
    try {
      DeadlyFileSystem file_system(deadly_call);
      const bool resume = fs::exists(run_ / "config.json");
      run_training(resume ? read_run_config(run_) : config, glyphs_,
                   {.folder = run_, .resume = resume, .threads = 1, .file_system = &file_system});
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the run failed: %s\n", error.what());
      code = 1;
    }
    ::_exit(code);
  }

  /// True where it was killed. A run that ends by itself must end well.
  static bool was_killed(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status << ", see stderr";
    return false;
  }

  test::Outcome uninterrupted(const RunConfig& config) {
    EXPECT_FALSE(was_killed(start(config)));
    auto outcome = outcome_of(run_);
    EXPECT_EQ(outcome.size(), 7u);
    fs::remove_all(run_);
    return outcome;
  }

  /// Each checkpoint that has its name is whole, and `latest` names one of them.
  void expect_whole_checkpoints() {
    const auto checkpoints = test::checkpoints_in(run_);
    for (const auto& checkpoint : checkpoints)
      EXPECT_NO_THROW(load_checkpoint(checkpoint, read_run_config(run_))) << checkpoint;
    const auto latest = run_ / "checkpoints" / "latest.safetensors";
    if (fs::is_symlink(latest)) {
      EXPECT_THAT(checkpoints, testing::Contains(latest.parent_path() / fs::read_symlink(latest)));
    } else {
      EXPECT_LE(checkpoints.size(), 1u) << "only the first may be there without the link";
    }
  }

  void expect_no_temporaries() {
    for (const auto& entry : fs::recursive_directory_iterator(run_))
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path() << " was left by a killed run";
  }

  const test::TemporaryFolder temporary_;
  const fs::path run_ = temporary_ / "run";
  const GlyphSet glyphs_ = test::tiny_glyphs();
};

TEST_F(KilledRun, EndsTheSameWhereverItWasKilled) {
  constexpr int wanted_kills = 200;
  const RunConfig config = test::tiny_config();
  const auto start_time = std::chrono::steady_clock::now();
  const auto expected = uninterrupted(config);
  const duration<float> whole = std::chrono::steady_clock::now() - start_time;
  test::Random random(2024);
  int kills = 0, finished = 0;
  const auto expect_the_same_end = [&] {
    ++finished;
    EXPECT_EQ(difference(outcome_of(run_), expected), "");
    expect_no_temporaries();
    fs::remove_all(run_);
  };
  for (int attempt = 0; kills < wanted_kills && !HasFailure(); ++attempt) {
    SCOPED_TRACE("after " + std::to_string(kills) + " kills");
    ASSERT_LT(attempt, 50 * wanted_kills) << "the runs end before they can be killed";
    const pid_t child = start(config);
    std::this_thread::sleep_for(duration<float>(random.uniform(0, whole.count())));
    ::kill(child, SIGKILL);
    if (was_killed(child)) {
      ++kills;
      expect_whole_checkpoints();
    } else {
      expect_the_same_end();
    }
  }
  if (HasFailure()) return;
  EXPECT_FALSE(was_killed(start(config)));
  expect_the_same_end();
  RecordProperty("kills", kills);
  RecordProperty("finished_runs", finished);
}

TEST_F(KilledRun, EndsTheSameWhicheverCallItWasKilledAt) {
  const RunConfig config = test::shortest_config();
  const auto expected = uninterrupted(config);
  int k = 1;
  for (bool killed = true; killed && !HasFailure(); ++k) {
    SCOPED_TRACE("killed at call " + std::to_string(k));
    killed = was_killed(start(config, k));
    expect_whole_checkpoints();
    EXPECT_FALSE(was_killed(start(config)));
    EXPECT_EQ(difference(outcome_of(run_), expected), "");
    expect_no_temporaries();
    fs::remove_all(run_);
  }
  EXPECT_GT(k, 100) << "there are more calls in a run";
}

}  // namespace
}  // namespace gridspot
