// parse_network: a description survives being written, and its layers fit together.
#include <cmath>

#include "nn/network_spec.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto spec =
      fuzz::read_or_refuse<InvalidInput>("input", [&] { return parse_network(fuzz::text_of(data, size), "input"); });
  if (!spec) return 0;
  const std::string written = to_json(*spec);
  const NetworkSpec again = parse_network(written, "written");
  fuzz::expect(to_json(again) == written, "a description is written the same again: " + written);
  fuzz::expect(again.backbone == spec->backbone && again.head == spec->head, "layers survive being written");
  const auto layers = layers_of(*spec);
  fuzz::expect(layers.size() == spec->backbone.size() + spec->head.size(), "every layer is planned");
  const NetworkCost cost = cost_of(*spec);
  fuzz::expect(cost.parameters > 0 && std::isfinite(cost.forward_flop), "the cost is a number");
  return 0;
}
