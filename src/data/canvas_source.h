#pragma once
// Labelled canvases of a protocol, batch by batch.
#include <vector>

#include "data/glyph_bank.h"
#include "data/labelled_box.h"
#include "kernels/canvas.h"

namespace gridspot {

/// Canvas i is a function of (protocol, split, seed, i) alone. Everything is allocated at construction. One thread at a
/// time.
class CanvasSource {
 public:
  /// `bank` must hold the split's glyphs and outlive the source.
  CanvasSource(Device device, const Protocol& protocol, const GlyphBank& bank, Split split, std::uint64_t seed,
               int batch);

  /// Canvases first ... first + batch - 1 as network input, [batch, height, width]. Enqueues; holds until the next
  /// call.
  DeviceSpan<const float> compose(Stream& stream, int first, Normalization normalization);
  /// The same canvases as 8-bit images on the host, [batch, height, width]; synchronises.
  std::vector<std::uint8_t> compose_images(Stream& stream, int first);

  /// Of the canvases composed last; device memory.
  [[nodiscard]] const Scenes& scenes() const { return scenes_; }
  /// The labels of each canvas composed last; synchronises.
  [[nodiscard]] std::vector<std::vector<LabelledBox>> labels(Stream& stream) const;
  [[nodiscard]] int batch() const { return batch_; }

 private:
  void sample(Stream& stream, int first);

  Protocol protocol_;
  const GlyphBank& bank_;
  std::uint64_t key_;
  int batch_;
  Scenes scenes_;
  Buffer<float> canvas_;
  Buffer<std::uint8_t> image_;
  Buffer<std::uint64_t> step_;
};

}  // namespace gridspot
