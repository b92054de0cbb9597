#include "data/canvas_store.h"

#include <algorithm>

namespace gridspot {
namespace {

const CanvasSet& validated(const CanvasSet& canvases) {
  validate(canvases);
  return canvases;
}

int most_labels(const CanvasSet& canvases) {
  std::size_t most = 0;
  for (const auto& labels : canvases.labels) most = std::max(most, labels.size());
  return static_cast<int>(most);
}

std::vector<Box> boxes_of(const CanvasSet& canvases, int capacity) {
  std::vector<Box> boxes(canvases.labels.size() * capacity);
  for (std::size_t canvas = 0; canvas < canvases.labels.size(); ++canvas)
    for (std::size_t i = 0; i < canvases.labels[canvas].size(); ++i)
      boxes[canvas * capacity + i] = canvases.labels[canvas][i].box;
  return boxes;
}

std::vector<std::int32_t> labels_of(const CanvasSet& canvases, int capacity) {
  std::vector<std::int32_t> labels(canvases.labels.size() * capacity, -1);
  for (std::size_t canvas = 0; canvas < canvases.labels.size(); ++canvas)
    for (std::size_t i = 0; i < canvases.labels[canvas].size(); ++i)
      labels[canvas * capacity + i] = canvases.labels[canvas][i].label;
  return labels;
}

std::vector<std::int32_t> counts_of(const CanvasSet& canvases) {
  std::vector<std::int32_t> counts;
  for (const auto& labels : canvases.labels) counts.push_back(static_cast<std::int32_t>(labels.size()));
  return counts;
}

}  // namespace

CanvasStore::CanvasStore(Stream& stream, const CanvasSet& canvases)
    : height_(validated(canvases).height),
      width_(canvases.width),
      capacity_(most_labels(canvases)),
      pixels_(upload(stream, canvases.pixels)),
      boxes_(upload(stream, boxes_of(canvases, capacity_))),
      labels_(upload(stream, labels_of(canvases, capacity_))),
      counts_(upload(stream, counts_of(canvases))),
      class_names_(canvases.class_names),
      source_(canvases.source) {}

CanvasStoreView CanvasStore::view() const {
  return {.pixels = pixels_.data(),
          .boxes = boxes_.data(),
          .labels = labels_.data(),
          .counts = counts_.data(),
          .count = static_cast<int>(counts_.size()),
          .height = height_,
          .width = width_,
          .capacity = capacity_};
}

std::size_t CanvasStore::bytes() const {
  return pixels_.size() + boxes_.size() * sizeof(Box) + (labels_.size() + counts_.size()) * sizeof(std::int32_t);
}

}  // namespace gridspot
