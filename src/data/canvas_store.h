#pragma once
// A set of fixed canvases on a device.
#include <cstdint>
#include <string>
#include <vector>

#include "data/canvas_set.h"
#include "device/buffer.h"
#include "kernels/canvas_store.h"

namespace gridspot {

/// Owns the memory of a CanvasStoreView, whose capacity is that of the canvas with the most labels.
class CanvasStore {
 public:
  /// Uploads; returns when the data have arrived. Throws what validate(CanvasSet) throws, and OutOfMemory.
  CanvasStore(Stream& stream, const CanvasSet& canvases);

  /// Valid as long as the store.
  [[nodiscard]] CanvasStoreView view() const;
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] const std::vector<std::string>& class_names() const { return class_names_; }
  [[nodiscard]] const std::string& source() const { return source_; }

 private:
  int height_, width_, capacity_;
  Buffer<std::uint8_t> pixels_;
  Buffer<Box> boxes_;
  Buffer<std::int32_t> labels_, counts_;
  std::vector<std::string> class_names_;
  std::string source_;
};

}  // namespace gridspot
