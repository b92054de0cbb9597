// parse_config: a configuration survives being written.
#include "train/run_config.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto config =
      fuzz::read_or_refuse<InvalidInput>("input", [&] { return parse_config(fuzz::text_of(data, size), "input"); });
  if (!config) return 0;
  const std::string written = to_json_text(*config);
  const std::string again = to_json_text(parse_config(written, "written"));
  fuzz::expect(again == written, "a configuration is written the same again: " + written);
  return 0;
}
