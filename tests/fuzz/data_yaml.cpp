// parse_data_yaml: what is accepted names every class once.
#include "data/data_yaml.h"

#include <set>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto yaml =
      fuzz::read_or_refuse<InvalidInput>("input", [&] { return parse_data_yaml(fuzz::text_of(data, size), "input"); });
  if (!yaml) return 0;
  fuzz::expect(!yaml->class_names.empty(), "there is a class");
  std::set<std::string> seen;
  for (const auto& name : yaml->class_names)
    fuzz::expect(!name.empty() && seen.insert(name).second, "every class has a name of its own");
  return 0;
}
