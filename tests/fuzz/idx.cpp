// read_idx_images and read_idx_labels: a packed file says what the plain one says.
#include "data/idx.h"

#include <zlib.h>

#include "tests/fuzz/memory_file.h"

namespace gridspot {
namespace {

struct Content {
  std::optional<IdxImages> images;
  std::optional<std::vector<std::uint8_t>> labels;
};

Content read(std::string_view bytes) {
  const fuzz::MemoryFile file(bytes);
  const auto path = file.path();
  return {fuzz::read_or_refuse<InvalidInput>(path.string(), [&] { return read_idx_images(path); }),
          fuzz::read_or_refuse<InvalidInput>(path.string(), [&] { return read_idx_labels(path); })};
}

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  constexpr int gzip_header = 15 + 16;
  fuzz::expect(deflateInit2(&stream, 1, Z_DEFLATED, gzip_header, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib packs");
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib does not write there
  stream.avail_in = static_cast<unsigned>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  fuzz::expect(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib packs");
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

void check(const Content& content) {
  if (const auto& images = content.images) {
    fuzz::expect(images->count > 0 && images->height > 0 && images->width > 0, "there is an image");
    fuzz::expect(images->pixels.size() == std::size_t(images->count) * images->height * images->width,
                 "the dimensions fit the pixels");
  }
  fuzz::expect(!content.labels || !content.labels->empty(), "there is a label");
  fuzz::expect(!content.labels || !content.images, "a file holds images or labels");
}

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

}  // namespace
}  // namespace gridspot

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const auto bytes = fuzz::text_of(data, size);
  const Content content = read(bytes);
  check(content);
  if (is_gzip(bytes)) return 0;
  const Content packed = read(gzip(bytes));
  fuzz::expect(content.labels == packed.labels, "packing changes no label");
  fuzz::expect(content.images.has_value() == packed.images.has_value() &&
                   (!content.images || content.images->pixels == packed.images->pixels),
               "packing changes no image");
  return 0;
}
