// read_yolo_labels: labels keep what parse_yolo_line promises, and a label that is written is read again as it was.
#include "data/label_files.h"
#include "tests/fuzz/memory_file.h"

namespace gridspot {
namespace {

constexpr int classes = 80;

bool same(const Box& a, const Box& b) { return a.cx == b.cx && a.cy == b.cy && a.w == b.w && a.h == b.h; }

void check(const YoloLabel& label) {
  fuzz::expect(label.class_id >= 0 && label.class_id < classes, "the class is one of those there are");
  fuzz::expect(broken_box_rule(label.box) == nullptr, "the box is as broken_box_rule wants it");
  const std::string line = format_yolo_line(label);
  const YoloLabel again = parse_yolo_line(line, classes, "written");
  fuzz::expect(again.class_id == label.class_id && same(again.box, label.box),
               "a label survives being written: " + line);
}

}  // namespace
}  // namespace gridspot

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gridspot;
  const fuzz::MemoryFile file(fuzz::text_of(data, size));
  const auto path = file.path();
  const auto labels =
      fuzz::read_or_refuse<InvalidInput>(path.string(), [&] { return read_yolo_labels(path, classes); });
  if (!labels) return 0;
  for (const auto& label : *labels) check(label);
  return 0;
}
