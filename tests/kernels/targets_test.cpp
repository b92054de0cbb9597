#include "kernels/targets.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/kernels/refusals.h"
#include "tests/reference/targets.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using test::Random;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class Targets : public test::DeviceTest {
 protected:
  /// cell_object of all canvases, then collisions.
  std::vector<std::int32_t> encode(int n, int capacity, int cells, const std::vector<Box>& boxes,
                                   const std::vector<std::int32_t>& labels) {
    return run([&](Stream& stream) {
      const auto box_buffer = upload(stream, boxes);
      const auto label_buffer = upload(stream, labels);
      const Buffer<std::int32_t> cell_object(device(), std::size_t(n) * cells * cells), collisions(device(), n);
      fill_bytes(stream, cell_object.data(), 0x7f, cell_object.size() * sizeof(std::int32_t));
      fill_bytes(stream, collisions.data(), 0x7f, collisions.size() * sizeof(std::int32_t));
      encode_targets(stream, n, capacity, box_buffer, label_buffer, cells, cell_object, collisions);
      auto result = download(stream, cell_object);
      const auto counts = download(stream, collisions);
      result.insert(result.end(), counts.begin(), counts.end());
      return result;
    });
  }
  std::vector<std::int32_t> encode_one(int cells, const std::vector<Box>& boxes) {
    return encode(1, static_cast<int>(boxes.size()), cells, boxes, std::vector<std::int32_t>(boxes.size(), 0));
  }
};
GRIDSPOT_ON_EVERY_DEVICE(Targets);

// Centres are multiples of 1/1024 (0 and 1 included): far enough from a cell's edge that float and double agree, or on
// it exactly. Sizes are multiples of 1/16, so that areas tie often.
Box random_box(Random& random) {
  const auto center = [&] { return static_cast<float>(random.integer(0, 1024)) / 1024; };
  const auto size = [&] { return static_cast<float>(random.integer(1, 5)) / 16; };
  return {center(), center(), size(), size()};
}

TEST_P(Targets, MatchTheReference) {
  Random random(21);
  for (const int n : {0, 1, 3})
    for (const int capacity : {0, 1, 5, 31, 32, 33, 63, 64, 65, 130})
      for (const int cells : {1, 2, 7, 8, 9, 14, 64}) {
        std::vector<Box> boxes(std::size_t(n) * capacity);
        std::vector<std::int32_t> labels(boxes.size());
        for (auto& label : labels) label = random.integer(-1, 9);
        for (std::size_t i = 0; i < boxes.size(); ++i)
          boxes[i] = labels[i] < 0 ? Box{nan, nan, nan, nan} : random_box(random);  // undefined where there is none
        std::vector<std::int32_t> expected, collisions;
        for (int canvas = 0; canvas < n; ++canvas) {
          const auto first = canvas * capacity;
          const auto targets =
              reference::encode_targets({boxes.begin() + first, boxes.begin() + first + capacity},
                                        {labels.begin() + first, labels.begin() + first + capacity}, cells);
          expected.insert(expected.end(), targets.cell_object.begin(), targets.cell_object.end());
          collisions.push_back(targets.collisions);
        }
        expected.insert(expected.end(), collisions.begin(), collisions.end());
        ASSERT_EQ(encode(n, capacity, cells, boxes, labels), expected)
            << n << " canvases of " << capacity << " slots, " << cells << " cells a side";
      }
}

TEST_P(Targets, PutEachCentreIntoItsCell) {
  struct Case {
    const char* what;
    float cx, cy;
    int cell;  // of 3 x 3
  };
  for (const Case& c : {Case{"near edges", 0, 0, 0}, Case{"centre", 0.5f, 0.5f, 4}, Case{"right edge", 1, 0.5f, 5},
                        Case{"bottom edge", 0.5f, 1, 7}, Case{"far corner", 1, 1, 8}, Case{"left of it", -3, 0.5f, 3},
                        Case{"far right of it", 1e30f, 0, 2}, Case{"NaN", nan, nan, 0}}) {
    std::vector<std::int32_t> expected(10, -1);
    expected[c.cell] = 0;
    expected[9] = 0;
    EXPECT_EQ(encode_one(3, {{c.cx, c.cy, 0.1f, 0.1f}}), expected) << c.what;
  }
}

TEST_P(Targets, KeepTheLargestThenTheFirst) {
  struct Case {
    const char* what;
    std::vector<Box> boxes;
    int kept;
  };
  const std::vector<Case> cases{
      {"largest area", {{.5f, .5f, .1f, .1f}, {.5f, .5f, .1f, .3f}, {.5f, .5f, .2f, .1f}}, 1},
      {"equal areas", {{.5f, .5f, .1f, .1f}, {.5f, .5f, .25f, .5f}, {.5f, .5f, .5f, .25f}}, 1},
      {"an area that is NaN counts as 0", {{.5f, .5f, nan, .1f}, {.5f, .5f, .1f, .1f}, {.5f, .5f, .1f, nan}}, 1},
      {"none has an area", {{.5f, .5f, nan, nan}, {.5f, .5f, -1, 1}, {.5f, .5f, 0, 1}}, 0},
  };
  for (const Case& c : cases) EXPECT_THAT(encode_one(1, c.boxes), testing::ElementsAre(c.kept, 2)) << c.what;
}

TEST_P(Targets, RefuseWhatDoesNotFit) {
  struct Arguments {
    int n = 2, capacity = 3, cells = 4;
    std::size_t boxes = 6, labels = 6, cell_object = 32, collisions = 2;
  };
  const auto call = [&](const Arguments& a) {
    Stream stream(device());
    const Buffer<Box> boxes(device(), a.boxes);
    const Buffer<std::int32_t> labels(device(), a.labels), cell_object(device(), a.cell_object),
        collisions(device(), a.collisions);
    fill_bytes(stream, labels.data(), 0xff, a.labels * sizeof(std::int32_t));
    encode_targets(stream, a.n, a.capacity, boxes, labels, a.cells, cell_object, collisions);
    stream.synchronize();
  };
  test::expect_refusals(
      Arguments{}, call,
      {{[](auto& a) { a.n = -1; }, "encode_targets: n must be at least 0, it is -1"},
       {[](auto& a) { a.capacity = -1; }, "encode_targets: capacity must be at least 0, it is -1"},
       {[](auto& a) { a.cells = 0; }, "encode_targets: cells must be at least 1, it is 0"},
       {[](auto& a) { a.boxes = 5; }, "encode_targets: boxes must have 6 elements, it has 5"},
       {[](auto& a) { a.labels = 7; }, "encode_targets: labels must have 6 elements, it has 7"},
       {[](auto& a) { a.cell_object = 16; }, "encode_targets: cell_object must have 32 elements, it has 16"},
       {[](auto& a) { a.collisions = 0; }, "encode_targets: collisions must have 2 elements, it has 0"}});
}

}  // namespace
}  // namespace gridspot
