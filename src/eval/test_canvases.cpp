#include "eval/test_canvases.h"

#include "gridspot/error.h"

namespace gridspot {

const std::vector<std::string>& TestCanvases::class_names() const {
  return store ? store->class_names() : glyphs->class_names();
}

const std::string& TestCanvases::source() const { return store ? store->source() : glyphs->source(); }

std::unique_ptr<CanvasFeed> make_test_feed(Device device, const TestCanvases& canvases, Normalization normalization,
                                           DType dtype) {
  if (canvases.store == nullptr)
    return make_composed_feed(device, canvases.protocol, *canvases.glyphs,
                              scene_key(canvases.protocol, canvases.split, canvases.seed), canvases_at_once,
                              normalization, dtype);
  const int count = canvases.store->view().count;
  // The last batch goes on beyond the set, with its first canvases; nobody looks at those.
  const GatherOrder order{.key = 0, .shuffle = false, .batch = count + canvases_at_once};
  return make_stored_feed(device, *canvases.store, order, canvases_at_once, normalization, {}, dtype);
}

void require_fit(const TestCanvases& canvases, const NetworkSpec& network) {
  const auto size = [](int height, int width) { return std::to_string(width) + "x" + std::to_string(height); };
  const std::string name = canvases.store ? canvases.source() : "the protocol " + canvases.protocol.name;
  require(canvases.height() == network.input.height && canvases.width() == network.input.width,
          "the model takes canvases of " + size(network.input.height, network.input.width) + ", " + name + " makes " +
              size(canvases.height(), canvases.width()));
  const int classes = static_cast<int>(canvases.class_names().size());
  require(classes == network.detector.classes, "the model knows " + std::to_string(network.detector.classes) +
                                                   " classes, the glyphs of " + canvases.source() + " have " +
                                                   std::to_string(classes));
}

}  // namespace gridspot
