#pragma once
// Labelled canvases as a network's input, on the device: composed from glyphs, or taken from a fixed set.
#include <memory>

#include "data/canvas_store.h"
#include "data/glyph_bank.h"
#include "data/labelled_box.h"
#include "device/stage_clock.h"
#include "kernels/canvas.h"
#include "kernels/gather.h"
#include "kernels/scene.h"
#include "kernels/tensor_span.h"

namespace gridspot {

/// n canvases at a time; everything is allocated at construction. One thread at a time.
class CanvasFeed {
 public:
  virtual ~CanvasFeed() = default;

  /// The n canvases that `numbers` names. `unplaced`: [n], glyphs without a place.
  /// Enqueues; what the other members return holds until the next call.
  void fill(Stream& stream, CanvasNumbers numbers, DeviceSpan<std::int32_t> unplaced, StageClock* clock = nullptr) {
    sample(stream, numbers, unplaced, clock);
    draw(stream, numbers, clock);
  }
  /// The two halves of fill(): what is on the canvases, as far as that is sampled, and `unplaced`; then the rest.
  virtual void sample(Stream& stream, CanvasNumbers numbers, DeviceSpan<std::int32_t> unplaced,
                      StageClock* clock = nullptr) = 0;
  virtual void draw(Stream& stream, CanvasNumbers numbers, StageClock* clock = nullptr) = 0;

  [[nodiscard]] ConstTensorSpan canvases() const { return canvases_; }      ///< [n, height, width]
  [[nodiscard]] virtual DeviceSpan<const Box> boxes() const = 0;            ///< [n, capacity]
  [[nodiscard]] virtual DeviceSpan<const std::int32_t> labels() const = 0;  ///< [n, capacity], -1: none
  [[nodiscard]] virtual int capacity() const = 0;
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  [[nodiscard]] int size() const { return n_; }

 protected:
  CanvasFeed(Device device, int n, std::size_t pixels, DType dtype)
      : memory_(device, bytes_of(std::size_t(n) * pixels, size_of(dtype))),
        canvases_(memory_.data(), std::size_t(n) * pixels, dtype),
        n_(n) {}

  Memory memory_;
  TensorSpan canvases_;
  int n_;
};

/// Canvas i of step t is a function of (protocol, bank, key, t, i) alone. `bank` must outlive the feed.
std::unique_ptr<CanvasFeed> make_composed_feed(Device device, const Protocol& protocol, const GlyphBank& bank,
                                               std::uint64_t key, int n, Normalization normalization,
                                               DType dtype = DType::float32);

/// The set's canvases in `order`, changed by `augmentation`. `store` must outlive the feed.
std::unique_ptr<CanvasFeed> make_stored_feed(Device device, const CanvasStore& store, const GatherOrder& order, int n,
                                             Normalization normalization, const Augmentation& augmentation = {},
                                             DType dtype = DType::float32);

/// The labels of the canvases that were filled last; synchronises.
std::vector<std::vector<LabelledBox>> labels_of(Stream& stream, const CanvasFeed& feed);

}  // namespace gridspot
