#include "data/canvas_source.h"

namespace gridspot {

CanvasSource::CanvasSource(Device device, const Protocol& protocol, const GlyphBank& bank, Split split,
                           std::uint64_t seed, int batch)
    : protocol_(protocol),
      bank_(bank),
      key_(scene_key(protocol, split, seed)),
      batch_(batch),
      scenes_(device, batch, protocol.max_glyphs),
      canvas_(device, std::size_t(batch) * protocol.height * protocol.width),
      image_(device, std::size_t(batch) * protocol.height * protocol.width) {
  Stream stream(device);
  step_ = upload(stream, std::vector<std::uint64_t>{0});
  // Empty slots are never written, but labels() brings all to the host.
  fill_bytes(stream, scenes_.boxes.data(), 0, scenes_.boxes.size() * sizeof(Box));
  stream.synchronize();
}

void CanvasSource::sample(Stream& stream, int first) {
  sample_scenes(stream, protocol_, bank_.view(), key_, {step_.data(), first}, scenes_.view());
}

DeviceSpan<const float> CanvasSource::compose(Stream& stream, int first, Normalization normalization) {
  sample(stream, first);
  compose_canvases(stream, protocol_, bank_.view(), key_, {step_.data(), first}, scenes_.view(), normalization,
                   canvas_);
  return canvas_;
}

std::vector<std::uint8_t> CanvasSource::compose_images(Stream& stream, int first) {
  sample(stream, first);
  compose_canvases(stream, protocol_, bank_.view(), key_, {step_.data(), first}, scenes_.view(), image_);
  return download(stream, image_);
}

std::vector<std::vector<LabelledBox>> CanvasSource::labels(Stream& stream) const {
  const auto counts = download(stream, scenes_.counts);
  const auto labels = download(stream, scenes_.labels);
  const auto boxes = download(stream, scenes_.boxes);
  const std::size_t capacity = labels.size() / counts.size();
  std::vector<std::vector<LabelledBox>> result(counts.size());
  for (std::size_t canvas = 0; canvas < counts.size(); ++canvas)
    for (int i = 0; i < counts[canvas]; ++i)
      result[canvas].push_back({labels[canvas * capacity + i], boxes[canvas * capacity + i]});
  return result;
}

}  // namespace gridspot
