#pragma once
// Calls of the detection loss for the tests of it.
#include <cstdint>
#include <vector>

#include "tests/reference/loss.h"
#include "tests/reference/targets.h"
#include "tests/support/device_test.h"
#include "tests/support/dtype.h"

namespace gridspot::test {

/// The arguments of one call.
struct LossInput {
  GridHead head;
  LossSettings settings;
  int n = 1, capacity = 1, batch = 1;
  std::vector<float> predictions;
  std::vector<std::int32_t> cell_object;
  std::vector<Box> boxes;
  std::vector<std::int32_t> labels;

  [[nodiscard]] int cells() const { return head.cells * head.cells; }
  [[nodiscard]] reference::Cell cell(int place) const {
    reference::Cell cell{place % cells() / head.cells, place % head.cells, cell_object[place] >= 0};
    for (int slot = place / cells() * capacity; slot < (place / cells() + 1) * capacity; ++slot)
      if (labels[slot] >= 0 && reference::nearest_cell(boxes[slot].cy, head.cells) == cell.row &&
          reference::nearest_cell(boxes[slot].cx, head.cells) == cell.column)
        cell.classes.insert(labels[slot]);
    if (!cell.has_object) return cell;
    const int object = place / cells() * capacity + cell_object[place];
    cell.box = reference::widen(boxes[object]);
    cell.label = labels[object];
    return cell;
  }
  [[nodiscard]] std::vector<double> outputs(int place) const {
    const auto first = predictions.begin() + std::ptrdiff_t(place) * head.channels();
    return {first, first + head.channels()};
  }
};
inline void PrintTo(const LossInput& in, std::ostream* out) {
  *out << in.n << " canvases, " << in.head.cells << " cells a side, " << in.head.predictors << " predictors, "
       << in.head.classes << " classes, coding " << int(in.head.size_coding) << ", class loss "
       << int(in.head.class_loss) << ", box loss " << int(in.settings.box_loss) << ", capacity " << in.capacity
       << ", batch " << in.batch;
}

/// Objects in cells of their own, with centres inside them; every kind of size, so boxes overlap or do not.
inline LossInput random_input(Random& random, const GridHead& head, const LossSettings& settings, int n, int capacity) {
  LossInput in{head, settings, n, capacity, std::max(n, 1) + random.integer(0, 3), {}, {}, {}, {}};
  const int places = n * in.cells();
  in.predictions = random.uniforms(std::size_t(places) * head.channels(), -3, 3);
  if (head.size_coding == SizeCoding::linear)
    for (std::size_t i = 0; i < in.predictions.size(); ++i)
      if (const int channel = static_cast<int>(i) % head.channels(); channel < head.predictors * 5 && channel % 5 > 2)
        in.predictions[i] = random.uniform(0.03f, 0.6f);
  in.cell_object.assign(places, -1);
  in.labels.assign(std::size_t(n) * capacity, -1);
  in.boxes.resize(in.labels.size());
  const float largest = random.integer(0, 1) == 0 ? 0.1f : 0.7f;
  for (int canvas = 0; canvas < n; ++canvas)
    for (int object = 0; object < capacity; ++object) {
      const int row = random.integer(0, head.cells - 1), column = random.integer(0, head.cells - 1);
      auto& owner = in.cell_object[(canvas * head.cells + row) * head.cells + column];
      if (owner >= 0) continue;
      owner = object;
      const auto center = [&](int cell) {
        return (static_cast<float>(cell) + random.uniform(0.02f, 0.98f)) / static_cast<float>(head.cells);
      };
      in.boxes[canvas * capacity + object] = {center(column), center(row), random.uniform(0.03f, largest),
                                              random.uniform(0.03f, largest)};
      in.labels[canvas * capacity + object] = random.integer(0, head.classes - 1);
    }
  return in;
}

/// Objects anywhere: several in a cell, several of one class among them, and empty slots between them.
inline LossInput crowded_input(Random& random, const GridHead& head, const LossSettings& settings, int n,
                               int capacity) {
  LossInput in = random_input(random, head, settings, n, 0);
  in.capacity = capacity;
  in.cell_object.clear();
  for (int canvas = 0; canvas < n; ++canvas) {
    std::vector<Box> boxes;
    std::vector<std::int32_t> labels;
    for (int object = 0; object < capacity; ++object) {
      boxes.push_back({random.uniform(), random.uniform(), random.uniform(0.03f, 0.5f), random.uniform(0.03f, 0.5f)});
      labels.push_back(random.integer(-1, std::min(head.classes, 3) - 1));
    }
    const auto targets = reference::encode_targets(boxes, labels, head.cells);
    in.cell_object.insert(in.cell_object.end(), targets.cell_object.begin(), targets.cell_object.end());
    in.boxes.insert(in.boxes.end(), boxes.begin(), boxes.end());
    in.labels.insert(in.labels.end(), labels.begin(), labels.end());
  }
  return in;
}

class LossTest : public DeviceTest {
 protected:
  struct Result {
    std::vector<float> gradient, terms;
  };

  /// With a gradient of T.
  template <class T = float>
  Result compute(const LossInput& in) {
    const auto both = run([&](Stream& stream) {
      const auto predictions = upload(stream, in.predictions);
      const auto cell_object = upload(stream, in.cell_object);
      const auto boxes = upload(stream, in.boxes);
      const auto labels = upload(stream, in.labels);
      const Buffer<T> gradient(device(), in.predictions.size());
      const Buffer<float> terms(device(), std::size_t(in.n) * 3);
      fill_bytes(stream, gradient.data(), 0xff, gradient.size() * sizeof(T));  // NaN
      fill_bytes(stream, terms.data(), 0xff, terms.size() * sizeof(float));
      grid_loss(stream, in.head, in.settings, in.n, in.capacity, in.batch, predictions, cell_object, boxes, labels,
                gradient, terms);
      auto values = to_floats(download(stream, gradient));
      const auto sums = download(stream, terms);
      values.insert(values.end(), sums.begin(), sums.end());
      return values;
    });
    const auto middle = both.begin() + static_cast<std::ptrdiff_t>(in.predictions.size());
    return {{both.begin(), middle}, {middle, both.end()}};
  }

  /// One canvas whose cell 1 (of 2 x 2) holds an object.
  static LossInput small_input(SizeCoding coding, ClassLoss class_loss, BoxLoss box_loss, int predictors = 1) {
    const GridHead head{2, predictors, 3, coding, 0.3f, 0.3f, class_loss};
    LossInput in{head, {.box_loss = box_loss}, 1, 1, 1, {}, {-1, 0, -1, -1}, {{0.7f, 0.2f, 0.3f, 0.2f}}, {1}};
    in.predictions.assign(std::size_t(4) * head.channels(), 0.2f);
    return in;
  }
  static constexpr int object_place = 1;

  template <class Body>
  void for_every_option(Body body) {
    for (const auto coding : {SizeCoding::linear, SizeCoding::exponential})
      for (const auto class_loss : {ClassLoss::cross_entropy, ClassLoss::mse, ClassLoss::bce, ClassLoss::multi_label})
        for (const auto box_loss : {BoxLoss::mse, BoxLoss::diou}) {
          SCOPED_TRACE(testing::Message() << "coding " << int(coding) << ", class loss " << int(class_loss)
                                          << ", box loss " << int(box_loss));
          body(coding, class_loss, box_loss);
        }
  }
};

}  // namespace gridspot::test
