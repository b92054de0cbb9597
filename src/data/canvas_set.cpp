#include "data/canvas_set.h"

#include <algorithm>
#include <limits>

#include "data/canvas_source.h"
#include "data/label_files.h"
#include "gridspot/error.h"
#include "io/sha256.h"

namespace gridspot {
namespace {

constexpr int canvases_at_once = 32;

void check_labels(const std::vector<LabelledBox>& labels, int classes, const std::string& place) {
  if (labels.size() > std::size_t(max_canvas_labels))
    throw InvalidInput(place + " has " + std::to_string(labels.size()) + " labels; the most is " +
                       std::to_string(max_canvas_labels));
  for (const auto& [label, box] : labels) {
    if (label < 0 || label >= classes)
      throw InvalidInput(place + " has class " + std::to_string(label) + ", but there are " + std::to_string(classes) +
                         " classes");
    if (const char* rule = broken_box_rule(box)) throw InvalidInput(place + ": " + rule);
  }
}

template <class T>
void update(Sha256& digest, const T* values, std::size_t count) {
  digest.update(std::span(reinterpret_cast<const std::uint8_t*>(values), count * sizeof(T)));
}

}  // namespace

void validate(const CanvasSet& canvases) {
  const std::string place = (canvases.source.empty() ? "canvases" : canvases.source) + ": ";
  const auto valid_side = [](int side) { return side >= 1 && side <= max_canvas_side; };
  require(valid_side(canvases.height) && valid_side(canvases.width),
          place + "a canvas's sides must be 1 to " + std::to_string(max_canvas_side) + " pixels, found " +
              std::to_string(canvases.height) + "x" + std::to_string(canvases.width));
  require(!canvases.labels.empty(), place + "there is no canvas");
  require(canvases.labels.size() <= std::size_t(std::numeric_limits<int>::max()),
          place + "there are " + std::to_string(canvases.labels.size()) + " canvases, more than 2^31 - 1");
  require(!canvases.class_names.empty(), place + "there is no class");
  const std::size_t expected = canvases.labels.size() * canvases.height * canvases.width;
  require(canvases.pixels.size() == expected,
          place + "expected " + std::to_string(expected) + " pixels, found " + std::to_string(canvases.pixels.size()));
  for (std::size_t i = 0; i < canvases.labels.size(); ++i)
    check_labels(canvases.labels[i], canvases.classes(), place + "canvas " + std::to_string(i));
}

std::string canvas_digest(const CanvasSet& canvases) {
  Sha256 digest;
  const std::int32_t shape[]{canvases.count(), canvases.height, canvases.width};
  update(digest, shape, std::size(shape));
  digest.update(canvases.pixels);
  for (const auto& labels : canvases.labels) {
    const auto count = static_cast<std::int32_t>(labels.size());
    update(digest, &count, 1);
    for (const auto& [label, box] : labels) {
      const std::int32_t id = label;
      update(digest, &id, 1);
      update(digest, &box, 1);
    }
  }
  return digest.finish();
}

CanvasSet render_canvases(Stream& stream, const Protocol& protocol, const GlyphSet& glyphs, Split split,
                          std::uint64_t seed, int count) {
  require(count >= 1, "render_canvases: the number of canvases must be positive, it is " + std::to_string(count));
  const GlyphBank bank(stream, glyphs);
  CanvasSource source(stream.device(), protocol, bank, split, seed, canvases_at_once);
  CanvasSet canvases{.height = protocol.height,
                     .width = protocol.width,
                     .class_names = glyphs.class_names,
                     .source = protocol.name + " canvases of seed " + std::to_string(seed) + " with " +
                               (split == Split::test ? "test" : "train") + " glyphs from " + glyphs.source};
  const std::size_t size = std::size_t(protocol.height) * protocol.width;
  canvases.pixels.reserve(size * count);
  for (int first = 0; first < count; first += canvases_at_once) {
    const auto pixels = source.compose_images(stream, first);
    const auto labels = source.labels(stream);
    const int taken = std::min(canvases_at_once, count - first);
    canvases.pixels.insert(canvases.pixels.end(), pixels.begin(), pixels.begin() + std::ptrdiff_t(taken * size));
    canvases.labels.insert(canvases.labels.end(), labels.begin(), labels.begin() + taken);
  }
  return canvases;
}

}  // namespace gridspot
