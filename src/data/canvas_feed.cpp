#include "data/canvas_feed.h"

#include "kernels/augment.h"

namespace gridspot {

namespace {

class ComposedFeed final : public CanvasFeed {
 public:
  ComposedFeed(Device device, const Protocol& protocol, const GlyphBank& bank, std::uint64_t key, int n,
               Normalization normalization, DType dtype)
      : CanvasFeed(device, n, std::size_t(protocol.height) * protocol.width, dtype),
        protocol_(protocol),
        bank_(bank),
        key_(key),
        normalization_(normalization),
        scenes_(device, n, protocol.max_glyphs) {
    Stream stream(device);  // the boxes of empty slots are read, but never written
    fill_bytes(stream, scenes_.boxes.data(), 0, scenes_.boxes.size() * sizeof(Box));
    stream.synchronize();
  }

  void sample(Stream& stream, CanvasNumbers numbers, DeviceSpan<std::int32_t> unplaced, StageClock* clock) override {
    SceneView scenes = scenes_.view();
    scenes.unplaced = unplaced.data;
    timed(clock, Stage::scene, stream, [&] { sample_scenes(stream, protocol_, bank_.view(), key_, numbers, scenes); });
  }

  void draw(Stream& stream, CanvasNumbers numbers, StageClock* clock) override {
    timed(clock, Stage::canvas, stream, [&] {
      with_type_of(canvases_.dtype, [&]<class T>(std::type_identity<T>) {
        compose_canvases(stream, protocol_, bank_.view(), key_, numbers, scenes_.view(), normalization_,
                         canvases_.as<T>("canvases"));
      });
    });
  }

  [[nodiscard]] DeviceSpan<const Box> boxes() const override { return scenes_.boxes; }
  [[nodiscard]] DeviceSpan<const std::int32_t> labels() const override { return scenes_.labels; }
  [[nodiscard]] int capacity() const override { return protocol_.max_glyphs; }
  [[nodiscard]] std::size_t bytes() const override { return scenes_.bytes() + memory_.bytes(); }

 private:
  Protocol protocol_;
  const GlyphBank& bank_;
  std::uint64_t key_;
  Normalization normalization_;
  Scenes scenes_;
};

class StoredFeed final : public CanvasFeed {
 public:
  StoredFeed(Device device, const CanvasStore& store, const GatherOrder& order, int n, Normalization normalization,
             const Augmentation& augmentation, DType dtype)
      : CanvasFeed(device, n, std::size_t(store.view().height) * store.view().width, dtype),
        store_(store.view()),
        order_(order),
        normalization_(normalization),
        augmentation_(augmentation),
        capacity_(augmentation.overlay > 0 ? 2 * store_.capacity : store_.capacity),
        boxes_(device, std::size_t(n) * capacity_),
        labels_(device, std::size_t(n) * capacity_),
        counts_(device, n) {}

  void sample(Stream& stream, CanvasNumbers, DeviceSpan<std::int32_t> unplaced, StageClock*) override {
    fill_bytes(stream, unplaced.data, 0, unplaced.size * sizeof(std::int32_t));
  }

  void draw(Stream& stream, CanvasNumbers numbers, StageClock* clock) override {
    timed(clock, Stage::canvas, stream, [&] {
      if (augmentation_.is_none())
        gather_canvases(stream, store_, order_, numbers, n_, normalization_, canvases_, boxes_, labels_, counts_,
                        capacity_);
      else
        augment_canvases(stream, store_, order_, augmentation_, numbers, n_, normalization_, canvases_, boxes_, labels_,
                         counts_, capacity_);
    });
  }

  [[nodiscard]] DeviceSpan<const Box> boxes() const override { return boxes_; }
  [[nodiscard]] DeviceSpan<const std::int32_t> labels() const override { return labels_; }
  [[nodiscard]] int capacity() const override { return capacity_; }
  [[nodiscard]] std::size_t bytes() const override {
    return memory_.bytes() + boxes_.size() * sizeof(Box) + (labels_.size() + counts_.size()) * sizeof(std::int32_t);
  }

 private:
  CanvasStoreView store_;
  GatherOrder order_;
  Normalization normalization_;
  Augmentation augmentation_;
  int capacity_;
  Buffer<Box> boxes_;
  Buffer<std::int32_t> labels_, counts_;
};

}  // namespace

std::unique_ptr<CanvasFeed> make_composed_feed(Device device, const Protocol& protocol, const GlyphBank& bank,
                                               std::uint64_t key, int n, Normalization normalization, DType dtype) {
  return std::make_unique<ComposedFeed>(device, protocol, bank, key, n, normalization, dtype);
}

std::unique_ptr<CanvasFeed> make_stored_feed(Device device, const CanvasStore& store, const GatherOrder& order, int n,
                                             Normalization normalization, const Augmentation& augmentation,
                                             DType dtype) {
  return std::make_unique<StoredFeed>(device, store, order, n, normalization, augmentation, dtype);
}

std::vector<std::vector<LabelledBox>> labels_of(Stream& stream, const CanvasFeed& feed) {
  const auto labels = download(stream, feed.labels());
  const auto boxes = download(stream, feed.boxes());
  std::vector<std::vector<LabelledBox>> result(feed.size());
  for (int canvas = 0; canvas < feed.size(); ++canvas)
    for (std::size_t slot = std::size_t(canvas) * feed.capacity(); slot < std::size_t(canvas + 1) * feed.capacity();
         ++slot)
      if (labels[slot] >= 0) result[canvas].push_back({labels[slot], boxes[slot]});
  return result;
}

}  // namespace gridspot
