#include "nn/engine_cache.h"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "nn/autotune.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/environment.h"

namespace gridspot {
namespace {

using Engines = std::vector<std::string>;

class EngineCacheTest : public testing::Test {
 protected:
  /// Chooses `measured`, and says whether it had to be measured.
  bool measures(const std::string& machine, const std::string& task, const Engines& engines, std::size_t measured,
                std::size_t expected) {
    bool called = false;
    EngineCache cache(file_, machine);
    EXPECT_EQ(cache.choose(task, engines, [&] { return called = true, measured; }), expected)
        << machine << ", " << task;
    return called;
  }

  test::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "cache/engines.json";
};

TEST_F(EngineCacheTest, MeasuresOnceForEachMachineAndTask) {
  const Engines engines{"first", "second", "third"};
  EXPECT_EQ(EngineCache(file_, "a GPU").find("a task", engines), std::nullopt);
  EXPECT_TRUE(measures("a GPU", "a task", engines, 1, 1));
  EXPECT_FALSE(measures("a GPU", "a task", engines, 2, 1));
  EXPECT_TRUE(measures("a GPU", "another task", engines, 2, 2));
  EXPECT_TRUE(measures("another GPU", "a task", engines, 0, 0));
  EXPECT_FALSE(measures("a GPU", "a task", engines, 0, 1)) << "what others keep does not displace it";
  EXPECT_EQ(EngineCache(file_, "a GPU").find("a task", Engines{"third", "second"}), 1u) << "engines go by their names";
  EXPECT_EQ(read_file(file_, 1000), R"({
  "a GPU": {
    "a task": "second",
    "another task": "third"
  },
  "another GPU": {
    "a task": "first"
  }
}
)");
}

TEST_F(EngineCacheTest, MeasuresAnewWhenAnEngineIsNoLongerProposed) {
  EXPECT_TRUE(measures("a GPU", "a task", {"old", "new"}, 0, 0));
  EXPECT_TRUE(measures("a GPU", "a task", {"new", "newer"}, 1, 1));
  EXPECT_FALSE(measures("a GPU", "a task", {"new", "newer"}, 0, 1));
}

TEST_F(EngineCacheTest, KeepsNothingOfAMeasurementThatFails) {
  EngineCache cache(file_, "a GPU");
  const Engines engines{"first", "second"};
  EXPECT_THROW(cache.choose("a task", engines, []() -> std::size_t { throw DeviceError("broken"); }), DeviceError);
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_TRUE(measures("a GPU", "a task", engines, 1, 1));
}

TEST_F(EngineCacheTest, IsMeasuredByOneOfManyThreads) {
  const Engines engines{"first", "second", "third", "fourth"};
  std::atomic<int> measured = 0;
  std::vector<std::size_t> chosen(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < chosen.size(); ++i)
    threads.emplace_back(
        [&, i] { chosen[i] = EngineCache(file_, "a GPU").choose("a task", engines, [&] { return ++measured, i; }); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(measured, 1);
  EXPECT_THAT(chosen, testing::Each(chosen[0]));
}

TEST_F(EngineCacheTest, RefusesFilesOfAnotherForm) {
  for (const char* text : {"[]", "3", R"({"a GPU": 1})", R"({"a GPU": []})", R"({"a GPU": {"a task": 2}})", "{", ""}) {
    const auto file = folder_ / "engines.json";
    std::ofstream(file) << text;
    const Engines engines{"first"};
    EngineCache cache(file, "a GPU");
    EXPECT_THAT([&] { cache.choose("a task", engines, [] { return std::size_t(0); }); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(file.string())))
        << text;
    EXPECT_EQ(read_file(file, 1000), text) << "it stays as it is";
  }
}

TEST_F(EngineCacheTest, SaysWhereItCannotBeKept) {
  std::ofstream(folder_ / "cache") << "a file where the folder should be";
  EXPECT_THAT([&] { EngineCache(file_, "a GPU").choose("a task", Engines{"first"}, [] { return std::size_t(0); }); },
              testing::ThrowsMessage<IoError>(testing::HasSubstr((folder_ / "cache").string())));
}

TEST_F(EngineCacheTest, OfTheUserNeedsAHome) {
  const test::Environment no_cache("XDG_CACHE_HOME", nullptr), no_home("HOME", nullptr);
  EXPECT_THROW(EngineCache::of_user("a GPU"), InvalidInput);
  const test::Environment home("HOME", folder_.path().c_str());
  EngineCache::of_user("a GPU").choose("a task", Engines{"first"}, [] { return std::size_t(0); });
  EXPECT_TRUE(std::filesystem::exists(folder_ / ".cache/gridspot/engines.json"));
}

TEST(EngineTask, TellsApartWhatMustNotBeMixed) {
  EXPECT_EQ(engine_task(Precision::bf16, {}, "forward", "3x3 convolution"),
            "bf16 deterministic forward of the 3x3 convolution");
  EXPECT_EQ(engine_task(Precision::tf32, {.deterministic = false}, "forward", "3x3 convolution"),
            "tf32 forward of the 3x3 convolution");
}

TEST(Autotune, PrefersTheFirstOfNearlyEqualTimes) {
  const auto chosen = [](std::vector<double> times) { return first_of_the_fastest(times); };
  EXPECT_EQ(chosen({1}), 0u);
  EXPECT_EQ(chosen({3, 1, 2}), 1u);
  EXPECT_EQ(chosen({1.019, 1}), 0u);
  EXPECT_EQ(chosen({1.021, 1}), 1u);
  EXPECT_EQ(chosen({2, 1.01, 1, 1.005}), 1u);
}

TEST(Autotune, RunsEachOneAndChoosesTheShortest) {
  Stream stream(Device{});
  std::vector<int> runs(3);
  const std::size_t chosen = fastest(stream, runs.size(), [&](std::size_t i) {
    stream.submit([&runs, i](Stream&) {
      ++runs[i];
      if (i != 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  });
  EXPECT_EQ(chosen, 1u);
  EXPECT_GT(runs[0], 1);
  EXPECT_THAT(runs, testing::Each(runs[0]));
}

TEST(Autotune, LeavesOutWhatFails) {
  Stream stream(Device{});
  const auto fails_but = [](std::size_t good) {
    return [good](std::size_t i) {
      if (i != good) throw DeviceError("engine " + std::to_string(i) + " is broken");
    };
  };
  const auto chosen = [&](std::size_t good) {
    return fastest(stream, 3, [&](std::size_t i) {
      fails_but(good)(i);
      stream.submit([](Stream&) {});
    });
  };
  EXPECT_EQ(chosen(0), 0u);
  EXPECT_EQ(chosen(2), 2u);
  EXPECT_THAT([&] { chosen(3); }, testing::ThrowsMessage<DeviceError>("none of 3 engines works: engine 2 is broken"));
}

}  // namespace
}  // namespace gridspot
