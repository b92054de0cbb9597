#include "report/svg.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>

#include "tests/report/xml_check.h"

namespace gridspot::report {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Ticks, AreRound) {
  EXPECT_THAT(ticks({"", 0, 10}, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(ticks({"", 3, 11}, 4), ElementsAre(4, 6, 8, 10));
  EXPECT_THAT(ticks({"", 0, 20}, 5), ElementsAre(0, 5, 10, 15, 20));
  EXPECT_THAT(ticks({"", 0.1, 30, true}, 5), ElementsAre(DoubleEq(0.1), DoubleEq(0.2), DoubleEq(0.5), DoubleEq(1),
                                                         DoubleEq(2), DoubleEq(5), DoubleEq(10), DoubleEq(20)));
  EXPECT_THAT(ticks({"", 0.001, 1000, true}, 5).size(), 7u) << "the powers of ten alone";
  EXPECT_THAT(ticks({"", 4, 4}, 5), ElementsAre(4));
}

TEST(Ticks, AreFewWhateverTheRange) {
  for (const double high : {1e-6, 0.013, 0.7, 3.0, 19.0, 313.0, 1.6e5, 7e9}) {
    const auto values = ticks({"", 0, high}, 5);
    EXPECT_GE(values.size(), 3u) << high;
    EXPECT_LE(values.size(), 7u) << high;
    EXPECT_LE(values.back(), high * 1.01) << high;
  }
}

TEST(Ticks, HaveTheDigitsTheyNeed) {
  EXPECT_EQ(tick_text(0.2, 0.2), "0.2");
  EXPECT_EQ(tick_text(1, 0.25), "1.0");
  EXPECT_EQ(tick_text(1500, 500), "1500");
  EXPECT_EQ(tick_text(-1e-17, 0.2), "0.0");
}

TEST(Axis, IsRoundedOutwards) {
  const auto axis = rounded_axis("loss", 0.3, 14.2);
  EXPECT_EQ(axis.from, 0);
  EXPECT_EQ(axis.to, 15);
  EXPECT_LT(rounded_axis("", 2, 2).from, rounded_axis("", 2, 2).to);
}

TEST(Svg, CoordinatesAreShort) {
  EXPECT_EQ(coordinate(1), "1");
  EXPECT_EQ(coordinate(1.5), "1.5");
  EXPECT_EQ(coordinate(-0.001), "0");
  EXPECT_EQ(coordinate(100), "100");
}

LineChart example(std::size_t lines) {
  LineChart chart{
      .description = "a < b & \"c\"", .x = {"x & y", 0, 10}, .y = {"<loss>", 0, 1}, .lines = {}, .marks = {}};
  for (std::size_t i = 0; i < lines; ++i)
    chart.lines.push_back({"<" + std::to_string(i) + ">", {{0, 0.5}, {10, 0.5}}, i});
  return chart;
}

TEST(Svg, LineChartsAreWellFormedWhateverTheNames) {
  auto chart = example(3);
  chart.marks = {{5, "5 & more"}, {10, "10 epochs"}};
  const std::string svg = line_chart(chart);
  EXPECT_EQ(test::xml_fault(svg), "") << svg;
  EXPECT_EQ(count(svg, "<polyline"), 3u);
  EXPECT_THAT(svg, HasSubstr("&lt;2&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("<2>")));
  EXPECT_EQ(test::xml_fault(line_chart(example(0))), "");
}

TEST(Svg, LabelsOfLinesThatEndTogetherStandApart) {
  const std::string svg = line_chart(example(5));
  std::vector<double> heights;
  for (std::size_t at = svg.find("class=\"name"); at != std::string::npos; at = svg.find("class=\"name", at + 1))
    heights.push_back(std::stod(svg.substr(svg.find(" y=\"", at) + 4)));
  ASSERT_EQ(heights.size(), 5u);
  std::sort(heights.begin(), heights.end());
  for (std::size_t i = 1; i < heights.size(); ++i) EXPECT_GE(heights[i] - heights[i - 1], 13.9);
}

TEST(Svg, PointsLieInThePlotAndRiseWithTheirValue) {
  auto chart = example(0);
  chart.lines = {{"a", {{0, 0}, {5, 0.5}, {10, 1}}, 0}};
  const std::string svg = line_chart(chart);
  const auto at = svg.find("points=\"") + 8;
  double x[3], y[3];
  ASSERT_EQ(std::sscanf(svg.c_str() + at, "%lf,%lf %lf,%lf %lf,%lf", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2]), 6);
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.02);
  EXPECT_NEAR(y[0] - y[1], y[1] - y[2], 0.02);
  EXPECT_GT(y[0], y[2]);
}

TEST(Svg, LinesBeyondTheColoursAreDashed) {
  EXPECT_THAT(line_chart(example(series_colours)), Not(HasSubstr("dashed")));
  EXPECT_THAT(line_chart(example(series_colours + 1)), HasSubstr("s0 dashed"));
}

TEST(Svg, BarsAreAsHighAsTheirValues) {
  const Axis recall_axis{"recall", 0, 1};
  const std::string svg =
      bar_chart({.description = "bars",
                 .y = recall_axis,
                 .x_name = "size & shape",
                 .bars = {{{"<1>", "7"}, "0.50", 0.5}, {{"2", "9"}, "1.00", 1}, {{"3", "0"}, "", 0}}});
  EXPECT_EQ(test::xml_fault(svg), "") << svg;
  std::vector<double> heights;
  for (std::size_t at = svg.find("class=\"bar\""); at != std::string::npos; at = svg.find("class=\"bar\"", at + 1))
    heights.push_back(std::stod(svg.substr(svg.find(" height=\"", at) + 9)));
  ASSERT_EQ(heights.size(), 3u);
  EXPECT_NEAR(2 * heights[0], heights[1], 0.02);
  EXPECT_EQ(heights[2], 0);
}

TEST(Svg, HeatMapsShowEveryCell) {
  const std::string svg = heat_map({.description = "confusions",
                                    .row_title = "true",
                                    .column_title = "found",
                                    .rows = {"a", "<b>"},
                                    .columns = {"a", "b", "none"},
                                    .shares = {{1, 0, 0}, {0.25, 0.5, 0.25}},
                                    .texts = {{"4", "", ""}, {"1", "2", "1"}}});
  EXPECT_EQ(test::xml_fault(svg), "") << svg;
  EXPECT_EQ(count(svg, "class=\"cell\""), 6u);
  EXPECT_THAT(svg, HasSubstr("fill-opacity=\"0.5\""));
}

}  // namespace
}  // namespace gridspot::report
