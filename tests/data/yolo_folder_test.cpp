#include "data/yolo_folder.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <tuple>

#include "data/builtin_glyphs.h"
#include "data/image.h"
#include "data/label_files.h"
#include "kernels/letterbox.h"
#include "tests/data/file_support.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

using test::message_of;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* usual_yaml = "names: [a, b]\ntrain: images/train\nval: images/val\n";

class YoloFolderTest : public test::DeviceTest {
 protected:
  YoloFolder read(const fs::path& path, YoloSplit split = YoloSplit::train, int height = 4, int width = 6,
                  bool strict = false) {
    Stream stream(device());
    return read_yolo_folder(stream, path, split, height, width, strict);
  }

  /// One data set of its own, the images of `train` 4 x 6 pixels.
  void write_good(const std::string& folder) const {
    folder_.write(folder + "/data.yaml", usual_yaml);
    for (const std::string name : {"a", "b"}) {
      write_image(folder + "/images/train/" + name + ".png", Image(4, 6, 1, name == "a" ? 10 : 20));
      folder_.write(folder + "/labels/train/" + name + ".txt", "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.1 0.1\n");
    }
  }
  void write_image(const std::string& name, const Image& image) const { write_png(folder_.write(name, ""), image); }

  test::TemporaryFolder folder_;
};
GRIDSPOT_ON_EVERY_DEVICE(YoloFolderTest);

void expect_equal(const CanvasSet& read, const CanvasSet& written) {
  EXPECT_EQ(read.height, written.height);
  EXPECT_EQ(read.width, written.width);
  EXPECT_EQ(read.class_names, written.class_names);
  EXPECT_TRUE(read.pixels == written.pixels);
  ASSERT_EQ(read.labels.size(), written.labels.size());
  for (std::size_t canvas = 0; canvas < read.labels.size(); ++canvas) {
    ASSERT_EQ(read.labels[canvas].size(), written.labels[canvas].size()) << "canvas " << canvas;
    for (std::size_t i = 0; i < read.labels[canvas].size(); ++i) {
      const auto& [label, box] = read.labels[canvas][i];
      EXPECT_EQ(label, written.labels[canvas][i].label) << "canvas " << canvas << ", label " << i;
      EXPECT_EQ(std::memcmp(&box, &written.labels[canvas][i].box, sizeof box), 0)
          << "canvas " << canvas << ", box " << i << ": " << format_yolo_line({label, box});
    }
  }
}

TEST_P(YoloFolderTest, ARenderedFolderIsReadBackBitForBit) {
  const GlyphSet glyphs = draw_builtin_glyphs(Split::train, 40);
  for (const std::string& name : protocol_names()) {
    SCOPED_TRACE(name);
    Stream stream(device());
    const Protocol protocol = find_protocol(name);
    const CanvasSet canvases =
        render_canvases(stream, protocol, glyphs, Split::train, 4, name == "quick-64" ? 120 : 12);
    const auto writer = make_label_writer(LabelFormat::yolo, folder_.path() / name, canvases.class_names);
    const std::size_t size = std::size_t(canvases.height) * canvases.width;
    for (int i = 0; i < canvases.count(); ++i) {
      Image image(canvases.height, canvases.width, 1);
      std::copy_n(canvases.pixels.begin() + std::ptrdiff_t(i * size), size, image.pixels.begin());
      std::vector<Box> boxes;
      std::vector<std::int32_t> labels;
      for (const auto& [label, box] : canvases.labels[i]) {
        boxes.push_back(box);
        labels.push_back(label);
      }
      writer->add(image, boxes, labels);
    }
    writer->finish();
    const YoloFolder read = this->read(folder_.path() / name, YoloSplit::val, canvases.height, canvases.width, true);
    EXPECT_EQ(read.images, std::size_t(canvases.count()));
    EXPECT_THAT(read.skipped, IsEmpty());
    expect_equal(read.canvases, canvases);
    EXPECT_EQ(canvas_digest(read.canvases), canvas_digest(canvases));
  }
}

TEST_P(YoloFolderTest, TakesEveryFormatInTheOrderOfNames) {
  folder_.write("data.yaml", usual_yaml);
  write_image("images/train/b.png", Image(4, 6, 1, 20));
  folder_.write("images/train/a.PGM", "P5 6 4 255\n" + std::string(24, '\x0a'));
  folder_.write("images/train/c.ppm", "P6 6 4 255\n" + std::string(72, '\x1e'));
  write_image("images/train/below/a.png", Image(4, 6, 1, 40));
  folder_.write("images/train/.hidden", "x");
  folder_.write("images/train/notes.txt", "x");
  for (const std::string name : {"a", "b", "c", "below/a"})
    folder_.write("labels/train/" + name + ".txt", name == "b" ? "" : "1 0.5 0.5 0.5 0.5");
  const YoloFolder read = this->read(folder_.path() / "data.yaml", YoloSplit::train, 4, 6, true);
  EXPECT_EQ(read.images, 4u);
  EXPECT_EQ(read.canvases.source, (folder_.path() / "data.yaml").string() + ", split train");
  EXPECT_THAT(read.canvases.class_names, ElementsAre("a", "b"));
  std::vector<int> values, counts;
  for (int i = 0; i < read.canvases.count(); ++i) {
    values.push_back(read.canvases.pixels[std::size_t(i) * 24]);
    counts.push_back(int(read.canvases.labels[i].size()));
  }
  EXPECT_THAT(values, ElementsAre(10, 20, 40, 30));
  EXPECT_THAT(counts, ElementsAre(1, 0, 1, 1));
}

TEST_P(YoloFolderTest, TakesLabelsBesideImagesWhereNoFolderIsNamedImages) {
  folder_.write("data.yaml", "names: [a]\ntrain: pictures\n");
  write_image("pictures/a.png", Image(4, 6, 1));
  folder_.write("pictures/a.txt", "0 0.5 0.5 0.5 0.5");
  folder_.write("pictures/b.txt", "");
  const YoloFolder read = this->read(folder_.path());
  EXPECT_EQ(read.canvases.labels.at(0).size(), 1u);
  EXPECT_THAT(read.skipped, ElementsAre("pictures/b.txt: there is no image for it"));
}

TEST_P(YoloFolderTest, ReplacesTheLastFolderNamedImages) {
  folder_.write("images/data.yaml", "names: [a]\ntrain: images\n");
  write_image("images/images/a.png", Image(4, 6, 1));
  folder_.write("images/labels/a.txt", "0 0.5 0.5 0.5 0.5");
  EXPECT_EQ(read(folder_.path() / "images", YoloSplit::train, 4, 6, true).canvases.labels.at(0).size(), 1u);
}

// 8 x 16 into 8 x 8: half the size, 2 rows of black above and below. 3 x 3 into 8 x 8: the whole of it.
TEST_P(YoloFolderTest, FitsOtherSizesInWithTheirBoxes) {
  folder_.write("data.yaml", usual_yaml);
  write_image("images/train/a.png", Image(8, 16, 3, 200));
  folder_.write("labels/train/a.txt", "0 0.5 0.5 1 1\n1 0.25 0.125 0.5 0.25\n");
  write_image("images/train/b.png", Image(3, 3, 1, 100));
  folder_.write("labels/train/b.txt", "0 0.5 0.5 1 1\n1 0.25 0.125 0.5 0.25\n");
  const CanvasSet canvases = read(folder_.path(), YoloSplit::train, 8, 8, true).canvases;
  for (int row = 0; row < 8; ++row)
    for (int column = 0; column < 8; ++column) {
      const std::size_t place = std::size_t(row) * 8 + column;
      EXPECT_EQ(int(canvases.pixels[place]), row < 2 || row >= 6 ? 0 : 200) << row << ", " << column;
      EXPECT_EQ(int(canvases.pixels[64 + place]), 100) << row << ", " << column;
    }
  const auto box = [&](int canvas, int i) {
    const Box& b = canvases.labels.at(canvas).at(i).box;
    return std::vector<float>{b.cx, b.cy, b.w, b.h};
  };
  EXPECT_THAT(box(0, 0), ElementsAre(0.5f, 0.5f, 1, 0.5f));
  EXPECT_THAT(box(0, 1), ElementsAre(0.25f, 0.3125f, 0.5f, 0.125f));
  EXPECT_THAT(box(1, 0), ElementsAre(0.5f, 0.5f, 1, 1));
  EXPECT_THAT(box(1, 1), ElementsAre(0.25f, 0.125f, 0.5f, 0.25f));
}

TEST_P(YoloFolderTest, RoundsWhatLetterboxingGives) {
  folder_.write("data.yaml", usual_yaml);
  test::Random random(1);
  int number = 0;
  std::vector<std::uint8_t> expected;
  Stream stream(device());
  for (const auto& [height, width, channels] : {std::tuple{16, 16, 3}, {7, 30, 1}, {40, 33, 3}, {5, 5, 1}}) {
    Image image(height, width, channels);
    for (auto& value : image.pixels) value = std::uint8_t(random.integer(0, 255));
    const std::string name = std::to_string(number++);
    write_image("images/train/" + name + ".png", image);
    folder_.write("labels/train/" + name + ".txt", "");
    const auto pixels = upload(stream, image.pixels);
    const Buffer<float> output(device(), 256);
    letterbox_image(stream, pixels, height, width, channels, 16, 16, {}, output);
    for (const float value : download(stream, output)) expected.push_back(std::uint8_t(255 * value + 0.5f));
  }
  EXPECT_EQ(read(folder_.path(), YoloSplit::train, 16, 16, true).canvases.pixels, expected);
}

// One wrong thing a row, in a data set of its own: what is left out, and how many good canvases stay.
TEST_P(YoloFolderTest, LeavesOutAndNamesBadPairs) {
  const struct {
    const char* what;
    std::function<void(const fs::path&, const test::TemporaryFolder&, const std::string&)> spoil;
    const char* message;
    int good;
  } rows[] = {
      {"no label file", [](auto& root, auto&, auto&) { fs::remove(root / "labels/train/a.txt"); },
       "images/train/a.png: there is no label file labels/train/a.txt", 1},
      {"no image", [](auto& root, auto&, auto&) { fs::remove(root / "images/train/a.png"); },
       "labels/train/a.txt: there is no image for it", 1},
      {"a format that is not read", [](auto&, auto& f, auto& s) { f.write(s + "/images/train/c.jpg", "x"); },
       "images/train/c.jpg: an image must be a .png, .pgm or .ppm file", 2},
      {"an empty image", [](auto&, auto& f, auto& s) { f.write(s + "/images/train/a.png", ""); },
       "images/train/a.png: the file is empty", 1},
      {"no image at all", [](auto&, auto& f, auto& s) { f.write(s + "/images/train/a.png", "GIF89a"); },
       "images/train/a.png, byte 0: neither a PNG nor a PGM or PPM file", 1},
      {"four columns", [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "0 0.5 0.5 0.5\n"); },
       "labels/train/a.txt, line 1: expected 5 numbers (class cx cy w h), found 4", 1},
      {"six columns",
       [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "0 .5 .5 .5 .5\n0 .5 .5 .5 .5 .9\n"); },
       "labels/train/a.txt, line 2: expected 5 numbers (class cx cy w h), found 6", 1},
      {"a blank line", [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "0 .5 .5 .5 .5\n\n"); },
       "labels/train/a.txt, line 2: expected 5 numbers (class cx cy w h), found 0", 1},
      {"a class beyond nc", [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "2 .5 .5 .5 .5\n"); },
       "labels/train/a.txt, line 1: class 2, but there are 2 classes", 1},
      {"a centre outside", [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "1 1.5 .5 .5 .5\n"); },
       "labels/train/a.txt, line 1: the box leaves the canvas", 1},
      {"a size above 1", [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "1 .5 .5 .5 20\n"); },
       "labels/train/a.txt, line 1: w and h must be above 0 and at most 1", 1},
      {"a text", [](auto&, auto& f, auto& s) { f.write(s + "/labels/train/a.txt", "b .5 .5 .5 .5\n"); },
       "labels/train/a.txt, line 1: the class must be a number, found \"b\"", 1},
      {"a line twice",
       [](auto&, auto& f, auto& s) {
         f.write(s + "/labels/train/a.txt", "1 .5 .5 .5 .5\n0 .5 .5 .5 .5\n1 0.50 0.5 0.5 0.5\n");
       },
       "labels/train/a.txt, line 3: the same label as in line 1", 1},
      {"too many labels",
       [](auto&, auto& f, auto& s) {
         std::string lines;
         for (int i = 0; i < 4097; ++i) lines += "0 0.5 0.5 0.5 0.5\n";
         f.write(s + "/labels/train/a.txt", lines);
       },
       "labels/train/a.txt: 4097 labels; the most is 4096", 1},
  };
  int number = 0;
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    const std::string name = std::to_string(number++);
    const fs::path root = folder_.path() / name;
    write_good(name);
    row.spoil(root, folder_, name);
    const YoloFolder read = this->read(root);
    EXPECT_THAT(read.skipped, ElementsAre(row.message));
    EXPECT_EQ(read.canvases.count(), row.good);
    EXPECT_EQ(message_of<InvalidInput>([&] { this->read(root, YoloSplit::train, 4, 6, true); }),
              (root / "data.yaml").string() + ", split train: 1 file is bad: " + row.message);
  }
}

TEST_P(YoloFolderTest, LeavesOutWhatCannotBeRead) {
  write_good("set");
  fs::create_symlink("nowhere.png", folder_.path() / "set/images/train/c.png");
  write_image("set/images/train/d.png", Image(4, 6, 1));
  fs::resize_file(folder_.path() / "set/images/train/d.png", 40);
  folder_.write("set/labels/train/c.txt", "");
  folder_.write("set/labels/train/d.txt", "");
  const YoloFolder read = this->read(folder_.path() / "set");
  EXPECT_EQ(read.images, 4u);
  EXPECT_EQ(read.canvases.count(), 2);
  EXPECT_THAT(read.skipped, ElementsAre(StartsWith("images/train/c.png: cannot"), StartsWith("images/train/d.png")));
  EXPECT_THAT(message_of<InvalidInput>([&] { this->read(folder_.path() / "set", YoloSplit::train, 4, 6, true); }),
              StartsWith((folder_.path() / "set/data.yaml").string() +
                         ", split train: 2 files are bad, the first: images/train/c.png: cannot"));
}

TEST_P(YoloFolderTest, NeedsOneGoodImage) {
  write_good("set");
  const fs::path root = folder_.path() / "set";
  const std::string place = (root / "data.yaml").string() + ", split train: ";
  fs::remove(root / "labels/train/a.txt");
  fs::remove(root / "labels/train/b.txt");
  EXPECT_EQ(message_of<InvalidInput>([&] { read(root); }),
            place +
                "no image with its labels is good; 2 files are bad, the first: images/train/a.png: there is no "
                "label file labels/train/a.txt");
  fs::remove(root / "images/train/a.png");
  fs::remove(root / "images/train/b.png");
  EXPECT_EQ(message_of<InvalidInput>([&] { read(root); }), place + "the folder holds no image");
}

TEST_P(YoloFolderTest, RefusesWhatIsNoDataSet) {
  write_good("set");
  const fs::path root = folder_.path() / "set";
  EXPECT_EQ(message_of<InvalidInput>([&] { read(root, YoloSplit::test); }),
            (root / "data.yaml").string() + ": there is no split test; the splits are train, val");
  EXPECT_THAT(message_of<InvalidInput>([&] { read(root, YoloSplit::val); }), testing::HasSubstr("there is no folder"));
  EXPECT_THAT(message_of<IoError>([&] { read(folder_.path()); }), StartsWith((folder_.path() / "data.yaml").string()));
  EXPECT_EQ(message_of<InvalidInput>([&] { read(root, YoloSplit::train, 0, 6); }),
            "read_yolo_folder: the input's sides must be 1 to 16384 pixels, found 0x6");
}

}  // namespace
}  // namespace gridspot
