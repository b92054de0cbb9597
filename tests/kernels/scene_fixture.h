#pragma once
// Sampling of scenes for the tests of it.
#include <cstdint>
#include <vector>

#include "kernels/scene.h"
#include "tests/reference/scene.h"

namespace gridspot::test {

// Everything of a batch of scenes on the host; slots that the contract leaves undefined are zeroed.
struct HostScenes {
  int n = 0, capacity = 0;
  std::vector<Placement> placements;
  std::vector<Box> boxes;
  std::vector<std::int32_t> labels, counts, unplaced;

  [[nodiscard]] const Box& box(int canvas, int slot) const { return boxes[std::size_t(canvas) * capacity + slot]; }
  [[nodiscard]] const Placement& placement(int canvas, int slot) const {
    return placements[std::size_t(canvas) * capacity + slot];
  }
  [[nodiscard]] int label(int canvas, int slot) const { return labels[std::size_t(canvas) * capacity + slot]; }

  /// All of it as bytes, for comparison to the bit.
  [[nodiscard]] std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> all;
    const auto append = [&](const auto& values) {
      const auto* first = reinterpret_cast<const std::uint8_t*>(values.data());
      all.insert(all.end(), first, first + values.size() * sizeof(values[0]));
    };
    append(placements), append(boxes), append(labels), append(counts), append(unplaced);
    return all;
  }
};

inline HostScenes fetch(Stream& stream, const Scenes& scenes) {
  const SceneView view = scenes.view();
  HostScenes host{view.n,
                  view.capacity,
                  download(stream, scenes.placements),
                  download(stream, scenes.boxes),
                  download(stream, scenes.labels),
                  download(stream, scenes.counts),
                  download(stream, scenes.unplaced)};
  for (int canvas = 0; canvas < view.n; ++canvas)
    for (int slot = host.counts[canvas]; slot < view.capacity; ++slot) {
      host.placements[std::size_t(canvas) * view.capacity + slot] = {};
      host.boxes[std::size_t(canvas) * view.capacity + slot] = {};
    }
  return host;
}

struct Request {
  std::uint64_t key = 1, step = 0;
  int first_canvas = 0, n = 1, extra_capacity = 0;
};

class SceneTest : public DeviceTest {
 protected:
  // Samples under every thread order, which must agree.
  HostScenes sample(const Protocol& protocol, const Glyphs& glyphs, Request request) {
    HostScenes result;
    (void)run([&](Stream& stream) {
      result = sample_once(stream, protocol, glyphs, request);
      return result.bytes();
    });
    return result;
  }

  // Samples once, for the tests over many canvases.
  HostScenes sample_once(Stream& stream, const Protocol& protocol, const Glyphs& glyphs, Request request) {
    const DeviceGlyphs bank(stream, glyphs);
    const auto step = upload(stream, std::vector<std::uint64_t>{request.step});
    const Scenes scenes(device(), request.n, protocol.max_glyphs + request.extra_capacity);
    sample_scenes(stream, protocol, bank.view(), request.key, {step.data(), request.first_canvas}, scenes.view());
    return fetch(stream, scenes);
  }
};

/// The edges of a label box.
inline reference::Rectangle pixels_of(const Box& box, const Protocol& protocol) {
  return {(double(box.cx) - box.w / 2.0) * protocol.width, (double(box.cy) - box.h / 2.0) * protocol.height,
          (double(box.cx) + box.w / 2.0) * protocol.width, (double(box.cy) + box.h / 2.0) * protocol.height};
}

}  // namespace gridspot::test
