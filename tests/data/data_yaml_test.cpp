#include "data/data_yaml.h"

#include <gmock/gmock.h>

#include "data/label_files.h"
#include "tests/data/file_support.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

using test::message_of;
using testing::ElementsAre;
using testing::IsEmpty;

DataYaml parse(std::string_view text) { return parse_data_yaml(text, "data.yaml"); }
std::vector<std::string> names_of(std::string_view text) { return parse(text).class_names; }

TEST(DataYaml, ReadsWhatTrainersOfYoloWrite) {
  const DataYaml yaml = parse(
      "# COCO8 dataset\n"
      "# Example usage: yolo train data=coco8.yaml\n"
      "\n"
      "path: ../datasets/coco8 # dataset root dir\n"
      "train: images/train # train images (relative to 'path') 4 images\n"
      "val: images/val\n"
      "test: # test images (optional)\n"
      "\n"
      "# Classes\n"
      "names:\n"
      "  0: person\n"
      "  1: bicycle\n"
      "\n"
      "  # two words\n"
      "  2: traffic light\n"
      "\n"
      "download: |\n"
      "  from ultralytics.utils import download\n"
      "  # labels\n"
      "  urls = [f\"{url}: x\", &no *alias !tag]\n"
      "\n"
      "  download(urls)\n");
  EXPECT_EQ(yaml.source, "data.yaml");
  EXPECT_EQ(yaml.path, "../datasets/coco8");
  EXPECT_EQ(yaml.train, "images/train");
  EXPECT_EQ(yaml.val, "images/val");
  EXPECT_EQ(yaml.test, "");
  EXPECT_EQ(yaml.folder(YoloSplit::val), "images/val");
  EXPECT_THAT(yaml.class_names, ElementsAre("person", "bicycle", "traffic light"));
  EXPECT_THAT(yaml.ignored, ElementsAre("download"));
}

TEST(DataYaml, ReadsWhatRoboflowWrites) {
  const DataYaml yaml = parse(
      "train: ../train/images\r\n"
      "val: ../valid/images\r\n"
      "test: ../test/images\r\n"
      "\r\n"
      "nc: 2\r\n"
      "names: ['ace of spades', \"10\"]\r\n"
      "\r\n"
      "roboflow:\r\n"
      "  workspace: w\r\n"
      "  version: 1\r\n"
      "  nested:\r\n"
      "  - a: b\r\n"
      "tags:\r\n"
      "- x\r\n"
      "- {y: [z]}\r\n");
  EXPECT_EQ(yaml.test, "../test/images");
  EXPECT_THAT(yaml.class_names, ElementsAre("ace of spades", "10"));
  EXPECT_THAT(yaml.ignored, ElementsAre("roboflow", "tags"));
}

TEST(DataYaml, ReadsItsOwnWriter) {
  const std::vector<std::string> names{"zero", "the \"one\": #1", "[x], 'y'", "- z\\n\t\xC3\xA4"};
  const test::TemporaryFolder folder;
  make_label_writer(LabelFormat::yolo, folder.path() / "a \"set\"", names)->finish();
  const DataYaml yaml = read_data_yaml(folder.path() / "a \"set\"/data.yaml");
  EXPECT_EQ(yaml.class_names, names);
  EXPECT_EQ(yaml.path, "");
  EXPECT_EQ(root_folder(yaml), folder.path() / "a \"set\"");
  EXPECT_EQ(yaml.train, "images");
  EXPECT_EQ(yaml.val, "images");
  EXPECT_THAT(yaml.ignored, IsEmpty());
}

TEST(DataYaml, ReadsEveryWayToListNames) {
  EXPECT_THAT(names_of("names: [a, b c,'d',\"e\" ]\n"), ElementsAre("a", "b c", "d", "e"));
  EXPECT_THAT(names_of("names: [a, # the first\n  b,\n\n# all\n]"), ElementsAre("a", "b"));
  EXPECT_THAT(names_of("names:\n- a\n-   b # c\n- 'it''s'\nnc: 3"), ElementsAre("a", "b", "it's"));
  EXPECT_THAT(names_of("names:\n    - a\n    - b\n"), ElementsAre("a", "b"));
  EXPECT_THAT(names_of("names:\n  1: b\n  0: a\n"), ElementsAre("a", "b"));
  EXPECT_THAT(names_of("names:\n  '0' : a\n"), ElementsAre("a"));
  EXPECT_THAT(names_of("\xEF\xBB\xBF--- # start\n\"names\": [a]"), ElementsAre("a"));
}

TEST(DataYaml, TakesEveryScalarAsText) {
  EXPECT_THAT(names_of("names: [0, no, null, 1.50, http://x, a#b, a:b, -c]"),
              ElementsAre("0", "no", "null", "1.50", "http://x", "a#b", "a:b", "-c"));
  EXPECT_THAT(names_of("names:\n- \"\\u00e4 \\\"\\\\ \\t\"\n- '\"#: '\n- a, [b]\n"),
              ElementsAre("\xC3\xA4 \"\\ \t", "\"#: ", "a, [b]"));
}

TEST(DataYaml, TakesAListOfOneFolder) {
  EXPECT_EQ(parse("names: [a]\ntrain: [images/train]").train, "images/train");
  EXPECT_EQ(parse("names: [a]\ntrain:\n  - images/train\n").train, "images/train");
  EXPECT_EQ(parse("names: [a]\ntrain: ~\nval: null").train, "");
  EXPECT_EQ(parse("names: [a]\nval: 'null'").val, "null");
}

TEST(DataYaml, RefusesWhatBreaksARule) {
  const struct {
    const char* text;
    const char* message;
  } rows[] = {
      {"", "data.yaml: the key names, with the classes, is missing"},
      {"nc: 2\n", "data.yaml: the key names, with the classes, is missing"},
      {"names:\n", "data.yaml, line 1: names must be a list or a map of at least one class"},
      {"names: []\n", "data.yaml, line 1: names must be a list or a map of at least one class"},
      {"names: a\n", "data.yaml, line 1: names must be a list or a map of at least one class"},
      {"names: [a, '']", "data.yaml, line 1: the class name is empty"},
      {"names:\n- a\n-\n", "data.yaml, line 3: the class name is empty"},
      {"names: [a, b, a]", "data.yaml, line 1: the class \"a\" is named twice"},
      {"names:\n  0: a\n  2: b\n",
       "data.yaml, line 3: the keys of names must be 0 to 1, one for each of the 2 classes, found 2"},
      {"names:\n  0: a\n  -1: b\n",
       "data.yaml, line 3: the keys of names must be 0 to 1, one for each of the 2 classes, found -1"},
      {"names:\n  0: a\n  x: b\n",
       "data.yaml, line 3: the keys of names must be 0 to 1, one for each of the 2 classes, found x"},
      {"names:\n  0: a\n  00: b\n", "data.yaml, line 3: the key 00 appears twice"},
      {"names: [a]\nnc: 2", "data.yaml, line 2: nc is 2, but there are 1 names"},
      {"names: [a]\nnc: one", "data.yaml, line 2: nc is one, but there are 1 names"},
      {"names: [a]\nnc: [1]", "data.yaml, line 2: nc must be one value"},
      {"names: [a]\nnc:", "data.yaml, line 2: nc must be one value"},
      {"names: [a]\ntrain: [x, y]", "data.yaml, line 2: train lists 2 folders; only one is read"},
      {"names: [a]\nval: []", "data.yaml, line 2: val lists 0 folders; only one is read"},
      {"names: [a]\nval: ''", "data.yaml, line 2: val is an empty text"},
      {"names: [a]\ntest:\n  x: y", "data.yaml, line 2: test must be a folder"},
      {"names: [a]\nnames: [b]", "data.yaml, line 2: the key names appears twice"},
      {"x: 1\nnames: [a]\nx: 2", "data.yaml, line 3: the key x appears twice"},
      {"names: &n [a]", "data.yaml, line 1: anchors and aliases are not read"},
      {"names: [a, *b]", "data.yaml, line 1: anchors and aliases are not read"},
      {"x: &y 1\nnames: [a]", "data.yaml, line 1: anchors and aliases are not read"},
      {"<<: *base\nnames: [a]", "data.yaml, line 1: anchors and aliases are not read"},
      {"names: !!seq [a]", "data.yaml, line 1: tags are not read"},
      {"names:\n- !!str a", "data.yaml, line 2: tags are not read"},
      {"names: [a]\n---\nnames: [b]", "data.yaml, line 2: directives and further documents are not read"},
      {"names: [a]\n...\n", "data.yaml, line 2: directives and further documents are not read"},
      {"%YAML 1.2\n---\nnames: [a]", "data.yaml, line 1: directives and further documents are not read"},
      {"--- names: [a]", "data.yaml, line 1: found \"names: [a]\" behind the value"},
      {"names:\n\t- a", "data.yaml, line 2: a tab in the indentation"},
      {"names:\n  0: a\n \t1: b", "data.yaml, line 3: a tab in the indentation"},
      {"\tnames: [a]", "data.yaml, line 1: a tab in the indentation"},
      {"names: [a]\n  nc: 1", "data.yaml, line 2: this line is indented more than the map it belongs to"},
      {"names:\n  - a\n   - b", "data.yaml, line 3: this line is indented differently from those before it"},
      {"names:\n  0: a\n 1: b", "data.yaml, line 3: this line is indented differently from those before it"},
      {"names:\n  0: a\n  - b", "data.yaml, line 3: items and keys in one value"},
      {"names:\n  - a: b", "data.yaml, line 2: a map inside a value is not read"},
      {"names: a: b", "data.yaml, line 1: a map inside a value is not read"},
      {"names: [a: b]", "data.yaml, line 1: a map inside a value is not read"},
      {"names:\n- - a", "data.yaml, line 2: expected a plain or quoted value on one line, found \"- a\""},
      {"names: [a:]", "data.yaml, line 1: a map inside a value is not read"},
      {"names: [?a]", "data.yaml, line 1: expected a plain or quoted value on one line, found \"?a]\""},
      {"x: {\nnames: [b]}\n", "data.yaml, line 1: the brackets of this value are not balanced"},
      {"names: [[a]]", "data.yaml, line 1: expected a plain or quoted value on one line, found \"[a]]\""},
      {"names: {0: a}", "data.yaml, line 1: expected a plain or quoted value on one line, found \"{0: a}\""},
      {"names: |\n  a", "data.yaml, line 1: expected a plain or quoted value on one line, found \"|\""},
      {"? names\n: [a]", "data.yaml, line 1: expected a plain or quoted value on one line, found \"? names\""},
      {"names: [a, , b]", "data.yaml, line 1: expected a plain or quoted value on one line, found \", b]\""},
      {"\nnames: [a,\nb\n", "data.yaml, line 2: the list is not closed"},
      {"names: [a 'b' c}", "data.yaml, line 1: expected a comma or ], found \"}\""},
      {"names: ['a' b]", "data.yaml, line 1: expected a comma or ], found \"b]\""},
      {"names: [a] b", "data.yaml, line 1: found \"b\" behind the value"},
      {"train: 'a'#b\nnames: [a]", "data.yaml, line 1: found \"#b\" behind the value"},
      {"names: ['a\n']", "data.yaml, line 1: the string is not closed on its line"},
      {"names: [\"a\\\"]", "data.yaml, line 1: the string is not closed on its line"},
      {"names: [\"\\x41\"]",
       "data.yaml, line 1: in double quotes, a backslash starts one of JSON's escapes, all else is UTF-8 without tabs; "
       "found \"\\x41\""},
      {"names", "data.yaml, line 1: expected \"key: value\", found \"names\""},
      {"names:[a]", "data.yaml, line 1: expected \"key: value\", found \"names:[a]\""},
      {"names: [a]\n]", "data.yaml, line 2: expected a plain or quoted value on one line, found \"]\""},
      {"names: [\"a\x01\"]", "data.yaml, line 1: a control character"},
      {"names: [a]\rnc: 1", "data.yaml, line 1: a control character"},
  };
  for (const auto& row : rows) EXPECT_EQ(message_of<InvalidInput>([&] { parse(row.text); }), row.message) << row.text;
}

// Whatever the text, it is read or refused.
TEST(DataYaml, SurvivesAnyText) {
  const std::string good =
      "--- # x\npath: 'a''b' # c\ntrain: [x]\nval:\n- y\nnames:\n  0: \"\\u00e4\"\n  1: b\nz: |\n  {\nnc: 2\n"
      "test: [\n 'w',\n]\n";
  ASSERT_EQ(parse(good).class_names.size(), 2u);
  const std::string characters = "\"'[]{}:,-#&*!|>%?~ \t\n\r\\0a\x80";
  test::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string text = good;
    for (int change = random.integer(1, 3); change > 0 && !text.empty(); --change) {
      const std::size_t place = random.integer(0, int(text.size()) - 1);
      const char c = characters[random.integer(0, int(characters.size()) - 1)];
      switch (random.integer(0, 3)) {
        case 0:
          text[place] = c;
          break;
        case 1:
          text.insert(place, 1, c);
          break;
        case 2:
          text.erase(place, 1);
          break;
        default:
          text.resize(place + 1);
      }
    }
    try {
      const DataYaml yaml = parse(text);
      ASSERT_FALSE(yaml.class_names.empty()) << text;
    } catch (const InvalidInput& error) {
      ASSERT_THAT(error.what(), testing::StartsWith("data.yaml")) << text;
    }
  }
}

TEST(DataYaml, RefusesALargeFile) {
  const test::TemporaryFolder folder;
  const std::string text = "names: [a]\n#" + std::string(1 << 20, 'x');
  const auto path = folder.write("data.yaml", text);
  EXPECT_THAT(message_of<InvalidInput>([&] { read_data_yaml(path); }), testing::StartsWith(path.string()));
  EXPECT_THROW(read_data_yaml(folder.path() / "none.yaml"), IoError);
}

class SplitFolder : public testing::Test {
 protected:
  SplitFolder() {
    folder_.write("set/images/train/a.png", "");
    folder_.write("set/test/images/a.png", "");
    folder_.write("elsewhere/images/train/a.png", "");
  }
  fs::path find(const std::string& text, YoloSplit split = YoloSplit::train) const {
    return split_folder(parse_data_yaml("names: [a]\n" + text, (folder_.path() / "set/data.yaml").string()), split);
  }
  test::TemporaryFolder folder_;
  fs::path root_ = folder_.path();
};

TEST_F(SplitFolder, IsRelativeToThePath) {
  EXPECT_EQ(find("train: images/train"), root_ / "set/images/train");
  EXPECT_EQ(find("path: .\ntrain: ./images/train"), root_ / "set/images/train");
  EXPECT_EQ(find("path: ../elsewhere/\ntrain: images/train"), root_ / "elsewhere/images/train");
  EXPECT_EQ(find("path: " + (root_ / "elsewhere").string() + "\ntrain: images/train"),
            root_ / "elsewhere/images/train");
  EXPECT_EQ(find("train: " + (root_ / "elsewhere/images").string()), root_ / "elsewhere/images");
}

TEST_F(SplitFolder, IsFoundWhereTheDataSetWasMoved) {
  EXPECT_EQ(find("path: /no/such/folder\ntrain: images/train"), root_ / "set/images/train");
  EXPECT_EQ(find("test: ../test/images", YoloSplit::test), root_ / "set/test/images");
}

TEST_F(SplitFolder, IsRefusedWhereThereIsNone) {
  const std::string yaml = (root_ / "set/data.yaml").string();
  const auto message = [&](const std::string& text) {
    return message_of<InvalidInput>([&] { find(text, YoloSplit::val); });
  };
  EXPECT_EQ(message("train: images/train\ntest: x"), yaml + ": there is no split val; the splits are train, test");
  EXPECT_EQ(message(""), yaml + ": there is no split val; the splits are none");
  EXPECT_EQ(message("val: images/val"),
            yaml + ": there is no folder " + (root_ / "set/images/val").string() + " for the split val");
  EXPECT_EQ(message("val: data.yaml"),
            yaml + ": there is no folder " + (root_ / "set/data.yaml").string() + " for the split val");
}

TEST(YoloSplit, IsReadFromItsName) {
  for (const YoloSplit split : {YoloSplit::train, YoloSplit::val, YoloSplit::test})
    EXPECT_EQ(parse_yolo_split(to_string(split)), split);
  EXPECT_EQ(message_of<InvalidInput>([] { parse_yolo_split("valid"); }),
            "the split must be train, val or test, found \"valid\"");
}

}  // namespace
}  // namespace gridspot
