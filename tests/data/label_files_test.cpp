#include "data/label_files.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "tests/data/file_support.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

using nlohmann::json;
using test::message_of;
using testing::HasSubstr;

const std::vector<std::string> class_names{"zero", "the \"one\": #1"};
const std::vector<Box> boxes{{0.5f, 0.25f, 0.5f, 0.5f}, {0.123456f, 0.5f, 0.1f, 1}};
const std::vector<std::int32_t> labels{1, 0};

std::string text_of(const fs::path& path) { return read_file(path, 1 << 20); }

TEST(YoloWriter, WritesImagesLabelsAndTheirDescription) {
  const test::TemporaryFolder folder;
  const fs::path out = folder.path() / "new" / "set";
  const auto writer = make_label_writer(LabelFormat::yolo, out, class_names);
  const Image canvas(4, 8, 1, 99);
  writer->add(canvas, boxes, labels);
  writer->add(Image(2, 2, 1), {}, {});
  EXPECT_EQ(writer->count(), 2);
  EXPECT_FALSE(fs::exists(out / "data.yaml")) << "it must appear last";
  writer->finish();

  EXPECT_EQ(read_image(out / "images/000000.png"), canvas);
  EXPECT_EQ(read_image(out / "images/000001.png"), Image(2, 2, 1));
  EXPECT_EQ(text_of(out / "labels/000000.txt"),
            "1 0.5 0.25 0.5 0.5\n"
            "0 0.123456 0.5 0.1 1\n");
  EXPECT_EQ(text_of(out / "labels/000001.txt"), "");
  EXPECT_EQ(text_of(out / "data.yaml"),
            "train: images\n"
            "val: images\n"
            "nc: 2\n"
            "names:\n"
            "  0: \"zero\"\n"
            "  1: \"the \\\"one\\\": #1\"\n");
}

TEST(YoloWriter, IsReadBack) {
  const test::TemporaryFolder folder;
  const auto writer = make_label_writer(LabelFormat::yolo, folder.path(), class_names);
  writer->add(Image(4, 8, 1), boxes, labels);
  const auto read = read_yolo_labels(folder.path() / "labels/000000.txt", 2);
  ASSERT_EQ(read.size(), 2u);
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].class_id, labels[i]);
    EXPECT_EQ(read[i].box.cx, boxes[i].cx);
    EXPECT_EQ(read[i].box.cy, boxes[i].cy);
    EXPECT_EQ(read[i].box.w, boxes[i].w);
    EXPECT_EQ(read[i].box.h, boxes[i].h);
  }
}

TEST(CocoWriter, WritesOneFileOfAnnotations) {
  const test::TemporaryFolder folder;
  const auto writer = make_label_writer(LabelFormat::coco, folder.path(), class_names);
  writer->add(Image(4, 8, 1, 99), boxes, labels);
  writer->add(Image(2, 2, 1), {}, {});
  writer->add(Image(10, 10, 1), std::vector<Box>{{0.5f, 0.5f, 1, 1}}, std::vector<std::int32_t>{0});
  EXPECT_FALSE(fs::exists(folder.path() / "annotations.json")) << "it must appear last";
  writer->finish();

  EXPECT_EQ(read_image(folder.path() / "images/000000.png"), Image(4, 8, 1, 99));
  const json file = json::parse(text_of(folder.path() / "annotations.json"));
  EXPECT_EQ(file["categories"], json::parse(R"([{"id": 1, "name": "zero"}, {"id": 2, "name": "the \"one\": #1"}])"));
  EXPECT_EQ(file["images"], json::parse(R"([{"id": 1, "file_name": "000000.png", "height": 4, "width": 8},
                            {"id": 2, "file_name": "000001.png", "height": 2, "width": 2},
                            {"id": 3, "file_name": "000002.png", "height": 10, "width": 10}])"));
  const json& annotations = file["annotations"];
  ASSERT_EQ(annotations.size(), 3u);
  EXPECT_EQ(annotations[0], json::parse(R"({"id": 1, "image_id": 1, "category_id": 2, "bbox": [2.0, 0.0, 4.0, 2.0],
                                            "area": 8.0, "iscrowd": 0})"));
  EXPECT_EQ(annotations[1]["id"], 2);
  EXPECT_EQ(annotations[2]["image_id"], 3);
  EXPECT_EQ(annotations[2]["bbox"], json::parse("[0.0, 0.0, 10.0, 10.0]"));
}

TEST(CocoWriter, WritesValidJsonForNoCanvas) {
  const test::TemporaryFolder folder;
  make_label_writer(LabelFormat::coco, folder.path(), class_names)->finish();
  const json file = json::parse(text_of(folder.path() / "annotations.json"));
  EXPECT_TRUE(file["images"].empty());
  EXPECT_TRUE(file["annotations"].empty());
}

TEST(LabelWriter, RefusesWhatBreaksARule) {
  const test::TemporaryFolder folder;
  const auto writer = make_label_writer(LabelFormat::yolo, folder.path(), class_names);
  const Image canvas(4, 4, 1);
  const std::vector<std::int32_t> beyond{0, 2}, negative{-1, 0};
  EXPECT_EQ(message_of<InvalidInput>([&] { writer->add(canvas, boxes, std::vector<std::int32_t>{0}); }),
            "canvas 0: 2 boxes, but 1 labels");
  EXPECT_EQ(message_of<InvalidInput>([&] { writer->add(canvas, boxes, beyond); }),
            "canvas 0: label 2, but there are 2 classes");
  EXPECT_EQ(message_of<InvalidInput>([&] { writer->add(canvas, boxes, negative); }),
            "canvas 0: label -1, but there are 2 classes");
  EXPECT_EQ(writer->count(), 0);
  EXPECT_THAT(message_of<InvalidInput>([&] { make_label_writer(LabelFormat::coco, folder.path(), class_names); }),
              HasSubstr("already holds images"));
  const auto file = folder.write("file", "");
  EXPECT_THAT(message_of<IoError>([&] { make_label_writer(LabelFormat::coco, file / "below", class_names); }),
              HasSubstr("cannot create the folder"));
  EXPECT_EQ(message_of<InvalidInput>([] { parse_label_format("voc"); }),
            "the label format must be yolo or coco, found \"voc\"");
}

TEST(YoloLine, IsTheShortestDecimalOfEachNumber) {
  EXPECT_EQ(format_yolo_line({12, {0.1f, 1.0f / 3, 1e-7f, 1}}), "12 0.1 0.33333334 0.0000001 1");
  EXPECT_EQ(format_yolo_line({0, {0.49999997f, 0.123456789f, 0.0009765625f, 0}}),
            "0 0.49999997 0.12345679 0.0009765625 0");
  const float smallest = std::numeric_limits<float>::min();
  EXPECT_EQ(format_yolo_line({0, {0, 0, 0, -smallest}}), "0 0 0 0 -0." + std::string(37, '0') + "11754944");
}

TEST(YoloLine, IsReadBackBitForBit) {
  test::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    // A centre anywhere, of any exponent; a size that fits.
    const auto centre = [&] { return std::ldexp(random.uniform(0.5f, 1), -random.integer(0, 20)); };
    const auto size = [&](float at) { return 2 * std::min(at, 1 - at) * random.uniform(0.01f, 1); };
    Box box{centre(), centre(), 0, 0};
    box.w = std::max(size(box.cx), 1e-9f);
    box.h = std::max(size(box.cy), 1e-9f);
    const std::string line = format_yolo_line({3, box});
    ASSERT_EQ(line.find('e'), std::string::npos) << line;
    const Box read = parse_yolo_line(line, 4, "here").box;
    ASSERT_EQ(std::memcmp(&read, &box, sizeof box), 0) << line;
  }
}

TEST(YoloLine, IsReadStrictly) {
  const auto label = parse_yolo_line("  3\t0.5 0.25  0.5 5e-1 ", 4, "here");
  EXPECT_EQ(label.class_id, 3);
  EXPECT_EQ(label.box.cy, 0.25f);
  EXPECT_EQ(label.box.h, 0.5f);
  EXPECT_NO_THROW(parse_yolo_line("0 0.049999 0.5 0.1 1", 1, "here")) << "rounding is forgiven";
  const struct {
    const char* line;
    const char* message;
  } rows[] = {
      {"", "here: expected 5 numbers (class cx cy w h), found 0"},
      {"0 0.5 0.5 0.1", "here: expected 5 numbers (class cx cy w h), found 4"},
      {"0 0.5 0.5 0.1 0.1 0.9", "here: expected 5 numbers (class cx cy w h), found 6"},
      {"0.0 0.5 0.5 0.1 0.1", "here: the class must be a number, found \"0.0\""},
      {"x 0.5 0.5 0.1 0.1", "here: the class must be a number, found \"x\""},
      {"4 0.5 0.5 0.1 0.1", "here: class 4, but there are 4 classes"},
      {"-1 0.5 0.5 0.1 0.1", "here: class -1, but there are 4 classes"},
      {"99999999999 0.5 0.5 0.1 0.1", "here: the class must be a number, found \"99999999999\""},
      {"0 nan 0.5 0.1 0.1", "here: cx must be a number, found \"nan\""},
      {"0 0.5 inf 0.1 0.1", "here: cy must be a number, found \"inf\""},
      {"0 0.5 1e999 0.1 0.1", "here: cy must be a number, found \"1e999\""},
      {"0 0.5 0.5 1e-60 0.1", "here: w must be a number, found \"1e-60\""},
      {"0 0.5 0.5 0,1 0.1", "here: w must be a number, found \"0,1\""},
      {"0 0.5 0.5 0x1 0.1", "here: w must be a number, found \"0x1\""},
      {"0 0.5 0.5 0 0.1", "here: w and h must be above 0 and at most 1"},
      {"0 0.5 0.5 0.1 -0.1", "here: w and h must be above 0 and at most 1"},
      {"0 0.5 0.5 1.1 0.1", "here: w and h must be above 0 and at most 1"},
      {"0 0.04 0.5 0.1 0.1", "here: the box leaves the canvas"},
      {"0 0.5 0.96 0.1 0.1", "here: the box leaves the canvas"},
      {"0 1.5 0.5 0.1 0.1", "here: the box leaves the canvas"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(message_of<InvalidInput>([&] { parse_yolo_line(row.line, 4, "here"); }), row.message) << row.line;
}

TEST(YoloFile, NamesTheLine) {
  const test::TemporaryFolder folder;
  const auto good = folder.write("good.txt", "0 0.5 0.5 0.1 0.1\r\n1 0.5 0.5 0.1 0.1");
  EXPECT_EQ(read_yolo_labels(good, 2).size(), 2u);
  EXPECT_TRUE(read_yolo_labels(folder.write("empty.txt", ""), 2).empty());
  const auto bad = folder.write("bad.txt", "0 0.5 0.5 0.1 0.1\n\n0 0.5 0.5 0.1 0.1\n");
  EXPECT_EQ(message_of<InvalidInput>([&] { read_yolo_labels(bad, 2); }),
            bad.string() + ", line 2: expected 5 numbers (class cx cy w h), found 0");
}

}  // namespace
}  // namespace gridspot
