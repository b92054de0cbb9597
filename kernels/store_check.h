#pragma once
// Checks of what the launchers that read stored canvases are given. Host only.
#include <cmath>

#include "kernels/canvas.h"
#include "kernels/canvas_store.h"
#include "kernels/grid_check.h"

namespace gridspot {

/// Elements of the output buffers.
struct StoredBatchSizes {
  std::size_t canvas, boxes, labels, counts;
};

inline void require_stored_batch(const char* caller, const CanvasStoreView& store, const GatherOrder& order,
                                 int first_canvas, int n, Normalization normalization, const StoredBatchSizes& sizes,
                                 int capacity, int least_capacity) {
  require_that(store.count > 0 && store.height > 0 && store.width > 0, caller, ": the store is empty: ", store.count,
               " canvases of ", store.height, " x ", store.width);
  require_at_least(caller, "the store's capacity", store.capacity, 0);
  require_at_least(caller, "batch", order.batch, 1);
  require_at_least(caller, "first_canvas", first_canvas, 0);
  require_at_least(caller, "n", n, 0);
  require_that(n <= order.batch - first_canvas, caller, ": a batch has ", order.batch, " canvases; ", n, " from ",
               first_canvas, " on are beyond it");
  require_that(
      normalization.deviation > 0 && std::isfinite(normalization.deviation) && std::isfinite(normalization.mean),
      caller, ": the normalisation needs a finite mean and a positive, finite deviation, found ", normalization.mean,
      " and ", normalization.deviation);
  require_at_least(caller, "capacity", capacity, least_capacity);
  const std::size_t places = std::size_t(n), size = std::size_t(store.height) * store.width;
  require_elements(caller, "canvas", sizes.canvas, places * size);
  require_elements(caller, "boxes", sizes.boxes, places * capacity);
  require_elements(caller, "labels", sizes.labels, places * capacity);
  require_elements(caller, "counts", sizes.counts, places);
}

}  // namespace gridspot
