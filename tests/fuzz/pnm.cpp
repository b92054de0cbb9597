// decode_pnm: what is accepted is an image, and the same image from the plainest file that holds it.
#include "data/files.h"
#include "data/image_codecs.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto image = fuzz::read_or_refuse<InvalidInput>("input", [&] { return decode_pnm({data, size}, "input"); });
  if (!image) return 0;
  validate(*image);
  fuzz::expect(image->pixels.size() <= size, "a sample takes at least a byte");
  std::string plain = image->channels == 1 ? "P5 " : "P6 ";
  plain += std::to_string(image->width) + " " + std::to_string(image->height) + " 255\n";
  plain += as_text(image->pixels);
  fuzz::expect(decode_pnm(as_bytes(plain), "written") == *image, "an image survives being written");
  return 0;
}
