#include "kernels/cell_classes.h"

#include <algorithm>
#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
using Counts = std::vector<std::array<int, 2>>;

struct Request {
  GridHead head;
  int n, capacity;
  std::vector<float> predictions;
  std::vector<std::int32_t> cell_object, labels;
};

/// Where a value is repeated the first counts, as the definition has it.
Counts reference(const Request& r) {
  Counts counts(r.n, {0, 0});
  const int cells = r.head.cells * r.head.cells;
  for (int canvas = 0; canvas < r.n; ++canvas)
    for (int cell = 0; cell < cells; ++cell) {
      const int object = r.cell_object[canvas * cells + cell];
      if (object < 0) continue;
      const auto outputs = r.predictions.begin() + (canvas * cells + cell) * r.head.channels() + r.head.predictors * 5;
      const auto likeliest = std::max_element(outputs, outputs + r.head.classes) - outputs;
      ++counts[canvas][0];
      if (likeliest == r.labels[canvas * r.capacity + object]) ++counts[canvas][1];
    }
  return counts;
}

class CellClasses : public test::DeviceTest {
 protected:
  Counts count(const Request& r) {
    const auto counted = run([&](Stream& stream) {
      const auto predictions = upload(stream, r.predictions);
      const auto cell_object = upload(stream, r.cell_object), labels = upload(stream, r.labels);
      const auto counts = upload(stream, std::vector<CellClassCounts>(r.n, {-7, -7}));
      count_cell_classes(stream, r.head, r.n, r.capacity, predictions, cell_object, labels, counts);
      return download(stream, counts);
    });
    Counts result;
    for (const CellClassCounts& each : counted) result.push_back({each.cells, each.right});
    return result;
  }
};
GRIDSPOT_ON_EVERY_DEVICE(CellClasses);

Request random_request(Random& random, int cells, int predictors, int classes, int n, int capacity) {
  Request r{.head = {.cells = cells, .predictors = predictors, .classes = classes}, .n = n, .capacity = capacity};
  // Few values, so that some are equal.
  for (int i = 0; i < n * cells * cells * r.head.channels(); ++i)
    r.predictions.push_back(static_cast<float>(random.integer(-3, 3)));
  for (int i = 0; i < n * cells * cells; ++i) r.cell_object.push_back(random.integer(-1, capacity - 1));
  for (int i = 0; i < n * capacity; ++i) r.labels.push_back(random.integer(0, classes - 1));
  return r;
}

TEST_P(CellClasses, EqualTheReference) {
  Random random(3);
  for (const int cells : {1, 3, 7, 28})
    for (const int predictors : {0, 1, 2})
      for (const int classes : {1, 2, 10})
        for (const int n : {0, 1, 5}) {
          const Request r = random_request(random, cells, predictors, classes, n, 4);
          EXPECT_EQ(count(r), reference(r)) << cells << " cells, " << classes << " classes, " << n << " canvases";
        }
}

TEST_P(CellClasses, OutputsThatAreNotNumbersAreNeverTheHighestButAtFirstPlace) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  Request r{.head = {.cells = 1, .predictors = 0, .classes = 3}, .n = 1, .capacity = 1};
  r.cell_object = {0};
  r.labels = {2};
  r.predictions = {0, nan, 1};
  EXPECT_EQ(count(r), (Counts{{1, 1}}));
  r.predictions = {nan, 1, 2};
  EXPECT_EQ(count(r), reference(r));
}

TEST_P(CellClasses, RefusesWhatDoesNotFit) {
  Stream stream(device());
  const auto predictions = upload(stream, std::vector<float>(2 * 4 * 15));
  const auto cell_object = upload(stream, std::vector<std::int32_t>(8)),
             labels = upload(stream, std::vector<std::int32_t>(6));
  const Buffer<CellClassCounts> counts(device(), 2);
  struct Arguments {
    GridHead head;
    int n, capacity;
    DeviceSpan<const float> predictions;
    DeviceSpan<const std::int32_t> cell_object, labels;
    DeviceSpan<CellClassCounts> counts;
  };
  const Arguments good{{.cells = 2, .predictors = 1, .classes = 10}, 2, 3, predictions, cell_object, labels, counts};
  const auto call = [&](const Arguments& a) {
    count_cell_classes(stream, a.head, a.n, a.capacity, a.predictions, a.cell_object, a.labels, a.counts);
  };
  const std::string who = "count_cell_classes: ";
  test::expect_refusals(
      good, call,
      {{[](auto& a) { a.n = -1; }, who + "n must be at least 0, it is -1"},
       {[](auto& a) { a.capacity = -1; }, who + "capacity must be at least 0, it is -1"},
       {[](auto& a) { a.head.cells = 0; }, who + "cells must be at least 1, it is 0"},
       {[](auto& a) { a.head.classes = 0; }, who + "classes must be at least 1, it is 0"},
       {[](auto& a) { a.predictions.size = 5; }, who + "predictions must have 120 elements, it has 5"},
       {[](auto& a) { a.cell_object.size = 7; }, who + "cell_object must have 8 elements, it has 7"},
       {[](auto& a) { a.labels.size = 5; }, who + "labels must have 6 elements, it has 5"},
       {[](auto& a) { a.counts.size = 1; }, who + "counts must have 2 elements, it has 1"}});
}

}  // namespace
}  // namespace gridspot
