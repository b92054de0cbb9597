// parse_safetensors: what is accepted has the sizes that it states.
#include "io/safetensors.h"

#include <cstring>
#include <set>

#include "tests/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

/// A mutation seldom keeps the header's length right, so it is set again in three of four: to where the last '}'
/// stands.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  constexpr std::size_t length_bytes = 8;
  size = LLVMFuzzerMutate(data, size, max_size);
  const auto brace = gridspot::fuzz::text_of(data, size).rfind('}');
  if (seed % 4 == 0 || brace == std::string_view::npos || brace < length_bytes) return size;
  const std::uint64_t length = brace + 1 - length_bytes;
  std::memcpy(data, &length, sizeof length);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto file = fuzz::read_or_refuse<CheckpointError>(
      "input", [&] { return parse_safetensors(fuzz::text_of(data, size), "input"); });
  if (!file) return 0;
  std::set<std::string> names;
  std::size_t values = 0;
  for (const auto& tensor : file->tensors) {
    fuzz::expect(names.insert(tensor.name).second, "names are used once");
    std::int64_t elements = 1;
    for (const auto dimension : tensor.shape) elements *= dimension;
    fuzz::expect(std::size_t(elements) == tensor.values.size(), "the shape fits the values");
    values += tensor.values.size();
  }
  fuzz::expect(2 * values <= size, "a value takes at least two bytes");
  return 0;
}
