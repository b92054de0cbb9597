#include "train/progress.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <sstream>
#include <thread>

namespace gridspot {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Duration, IsMinutesAndSecondsOrHoursToo) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(-3), "0:00");
  EXPECT_EQ(format_duration(0.6), "0:01");
  EXPECT_EQ(format_duration(65), "1:05");
  EXPECT_EQ(format_duration(3599.4), "59:59");
  EXPECT_EQ(format_duration(3599.5), "1:00:00");
  EXPECT_EQ(format_duration(2 * 3600 + 3 * 60 + 9), "2:03:09");
  EXPECT_EQ(format_duration(100 * 3600), "100:00:00");
}

TEST(ProgressOnAFile, IsPlainLines) {
  std::ostringstream out;
  Progress progress(out, false, 0, 20, 0);
  progress.update(0, "loss 0.5", 0, "canvases/s");
  progress.update(10, "loss 0.25", 531.6, "canvases/s");
  progress.finish();
  const std::string text = out.str();
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
  EXPECT_THAT(text, StartsWith("0/20  loss 0.5  0 canvases/s\n10/20  loss 0.25  532 canvases/s  "));
  EXPECT_THAT(text, EndsWith(" left\n"));
}

TEST(ProgressOnAFile, WritesALineNowAndThenOnly) {
  std::ostringstream out;
  Progress progress(out, false, 0, 3, 1e6);
  for (int done = 0; done <= 3; ++done) progress.update(done, "loss", 1, "steps/s");
  progress.finish();
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressOnAFile, WhatWasDoneBeforeTookNoneOfTheTime) {
  std::ostringstream out;
  Progress progress(out, false, 1'000'000, 2'000'000, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  progress.update(1'000'001, "loss", 1, "steps/s");  // 20 ms a step or more: at least 5:33:20 for the rest
  int hours = 0, minutes = 0, seconds = 0;
  ASSERT_EQ(
      std::sscanf(out.str().c_str(), "1000001/2000000  loss  1 steps/s  %d:%d:%d left", &hours, &minutes, &seconds), 3)
      << out.str();
  EXPECT_GE(hours, 5);
}

TEST(ProgressOnATerminal, DrawsItsBarOverTheLast) {
  std::ostringstream out;
  Progress progress(out, true, 0, 20);
  progress.update(20, "loss 0.25", 531.6, "canvases/s");  // the last one is drawn however soon it comes
  const std::string bar = "\r\033[K[########################] 20/20  loss 0.25  532 canvases/s  0:00 left";
  EXPECT_EQ(out.str(), bar);
  progress.update(20, "loss 0.25", 531.6, "canvases/s");
  EXPECT_EQ(out.str(), bar + bar) << "no line end before finish()";
  progress.finish();
  progress.finish();
  EXPECT_EQ(out.str(), bar + bar + "\n");
}

TEST(ProgressOnATerminal, LeavesNothingWhereNothingWasDrawn) {
  std::ostringstream out;
  Progress(out, true, 0, 20).finish();
  EXPECT_EQ(out.str(), "");
}

TEST(Progress, OfNothingIsComplete) {
  std::ostringstream out;
  Progress progress(out, true, 0, 0);
  progress.update(0, "", 0, "steps/s");
  EXPECT_THAT(out.str(), HasSubstr("[########################] 0/0"));
}

}  // namespace
}  // namespace gridspot
