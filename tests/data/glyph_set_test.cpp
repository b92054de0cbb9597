#include "data/glyph_set.h"

#include <gmock/gmock.h>

#include "io/user_cache.h"
#include "tests/data/file_support.h"
#include "tests/support/environment.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

using test::Environment;
using test::gzip;
using test::idx;
using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;

/// No data set of this machine is found: the working directory, the cache and $GRIDSPOT_DATA are in a new folder.
class GlyphSetTest : public testing::Test {
 protected:
  GlyphSetTest()
      : former_(fs::current_path()),
        data_("GRIDSPOT_DATA", (folder_.path() / "environment").c_str()),
        cache_("XDG_CACHE_HOME", (folder_.path() / "cache").c_str()) {
    fs::current_path(folder_.path());
  }
  ~GlyphSetTest() override { fs::current_path(former_); }

  /// A data set of 1x2 glyphs; the first pixel of each is `mark`.
  void write_set(const std::string& name, char mark, const std::string& labels = std::string("\0\1", 2)) const {
    const auto count = static_cast<std::uint32_t>(labels.size());
    std::string pixels;
    for (std::size_t i = 0; i < labels.size(); ++i) pixels += std::string{mark, char(i)};
    for (const char* split : {"train", "t10k"}) {
      folder_.write(name + "/" + split + "-images-idx3-ubyte.gz", gzip(idx({count, 1, 2}, pixels)));
      folder_.write(name + "/" + split + "-labels-idx1-ubyte", idx({count}, labels));
    }
  }
  [[nodiscard]] std::string path_of(const std::string& name) const { return (folder_.path() / name).string(); }

  test::TemporaryFolder folder_;
  fs::path former_;
  Environment data_, cache_;
};

TEST_F(GlyphSetTest, LoadsAFolder) {
  write_set("set", 'a');
  const GlyphSet glyphs = load_glyphs(path_of("set"), Split::test);
  EXPECT_EQ(glyphs.height, 1);
  EXPECT_EQ(glyphs.width, 2);
  EXPECT_THAT(glyphs.pixels, ElementsAre('a', 0, 'a', 1));
  EXPECT_THAT(glyphs.labels, ElementsAre(0, 1));
  EXPECT_THAT(glyphs.class_names, ElementsAre("0", "1"));
  EXPECT_EQ(glyphs.source, path_of("set"));
  EXPECT_NO_THROW(validate(glyphs));
  EXPECT_EQ(load_glyphs(glyphs.source, Split::test).pixels, glyphs.pixels);
}

TEST(HoldOut, TakesTheLastOfEachClass) {
  GlyphSet glyphs{1, 1, {}, {}, {"0", "1", "2"}, "set"};
  for (const int label : {0, 0, 0, 0, 1, 0, 1, 2, 1, 1}) {  // five, four and one of a class
    glyphs.pixels.push_back(static_cast<std::uint8_t>(glyphs.count()));
    glyphs.labels.push_back(label);
  }
  const auto [kept, held_out] = hold_out(glyphs, 0.5);
  EXPECT_THAT(kept.pixels, ElementsAre(0, 1, 2, 4, 6, 7));
  EXPECT_THAT(kept.labels, ElementsAre(0, 0, 0, 1, 1, 2));
  EXPECT_THAT(held_out.pixels, ElementsAre(3, 5, 8, 9));
  EXPECT_THAT(held_out.labels, ElementsAre(0, 0, 1, 1));
  for (const GlyphSet* part : {&kept, &held_out}) {
    EXPECT_NO_THROW(validate(*part));
    EXPECT_EQ(part->class_names, glyphs.class_names);
    EXPECT_EQ(part->source, "set");
  }
  EXPECT_EQ(message_of<InvalidInput>([&] { hold_out(glyphs, 0.1); }),
            "set: of 10 glyphs a share of 0.100000 of each class cannot be held out");
}

TEST_F(GlyphSetTest, ReadsTheSplitThatIsAskedFor) {
  folder_.write("set/train-images.idx3-ubyte", idx({1, 1, 1}, "t"));
  folder_.write("set/train-labels.idx1-ubyte", idx({1}, {"\2", 1}));
  folder_.write("set/t10k-images.idx3-ubyte.gz", gzip(idx({1, 1, 1}, "e")));
  folder_.write("set/t10k-labels.idx1-ubyte.gz", gzip(idx({1}, {"\4", 1})));
  const auto train = load_glyphs("set", Split::train), evaluation = load_glyphs("set", Split::test);
  EXPECT_THAT(train.pixels, ElementsAre('t'));
  EXPECT_THAT(evaluation.pixels, ElementsAre('e'));
  // The classes are those of both splits.
  EXPECT_EQ(train.classes(), 5);
  EXPECT_EQ(evaluation.classes(), 5);
}

TEST_F(GlyphSetTest, NamesClasses) {
  write_set("x/mnist", 'a');
  write_set("y/fashion-mnist", 'b');
  write_set("named", 'c');
  folder_.write("named/classes.txt", "left\r\nright\nneither");
  EXPECT_THAT(load_glyphs("x", Split::train).class_names,
              ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
  EXPECT_EQ(load_glyphs("y", Split::train).class_names[9], "ankle boot");
  EXPECT_EQ(load_glyphs("y/fashion-mnist/", Split::train).class_names[0], "t-shirt");
  EXPECT_THAT(load_glyphs("named", Split::train).class_names, ElementsAre("left", "right", "neither"));
}

TEST_F(GlyphSetTest, LooksInTheFoldersInOrder) {
  const auto mark = [](const char* name) { return char(load_glyphs(name, Split::train).pixels[0]); };
  write_set("cache/gridspot/mnist", 'c');
  EXPECT_EQ(mark("mnist"), 'c');
  write_set("data", 'd');
  EXPECT_EQ(mark("mnist"), 'd');
  EXPECT_EQ(mark("auto"), 'd');
  write_set("data/mnist", 'D');
  EXPECT_EQ(mark("mnist"), 'D');
  write_set("environment", 'e');
  EXPECT_EQ(mark("mnist"), 'e');
  EXPECT_EQ(mark("auto"), 'e');
}

TEST_F(GlyphSetTest, DoesNotTakeOneKnownDataSetForAnother) {
  const Environment data("GRIDSPOT_DATA", path_of("fashion-mnist").c_str());
  write_set("fashion-mnist", 'f');
  EXPECT_THAT(message_of<IoError>([] { load_glyphs("mnist", Split::train); }), HasSubstr("no glyphs \"mnist\" found"));
  EXPECT_EQ(load_glyphs("fashion-mnist", Split::train).pixels[0], 'f');
}

TEST_F(GlyphSetTest, FallsBackToBuiltinGlyphs) {
  EXPECT_EQ(load_glyphs("auto", Split::test).source, "builtin");
  EXPECT_EQ(load_glyphs("builtin", Split::test).classes(), 10);
}

TEST_F(GlyphSetTest, SaysWhereItLooked) {
  const std::string message = message_of<IoError>([] { load_glyphs("mnist", Split::train); });
  for (const std::string& folder : {path_of("environment/mnist"), std::string("\n  data/mnist"),
                                    path_of("cache/gridspot/mnist"), std::string("/usr/share/datasets")})
    EXPECT_THAT(message, HasSubstr(folder));
  EXPECT_THAT(message, HasSubstr("gridspot data fetch mnist"));
  EXPECT_THAT(message_of<IoError>([] { load_glyphs("elsewhere", Split::train); }), HasSubstr("\n  elsewhere/mnist"));
}

TEST_F(GlyphSetTest, LooksInHomeWhereNoCacheIsNamed) {
  const Environment cache("XDG_CACHE_HOME", nullptr), home("HOME", "/home/someone");
  EXPECT_EQ(user_cache_folder(), "/home/someone/.cache/gridspot");
  const Environment no_home("HOME", nullptr);
  EXPECT_EQ(user_cache_folder(), "");
}

TEST_F(GlyphSetTest, RefusesSetsThatBreakARule) {
  const struct {
    const char* what;
    const char* file;
    std::string bytes, message;
  } rows[] = {
      {"fewer labels", "train-labels-idx1-ubyte", idx({1}, {"\0", 1}),
       "train-labels-idx1-ubyte: 1 labels for 2 images"},
      {"label beyond the classes", "train-labels-idx1-ubyte", idx({2}, "\1\2"),
       "train-labels-idx1-ubyte, label 1: class 2, but there are 2 classes"},
      {"high glyphs", "train-images-idx3-ubyte.gz", idx({1, 257, 1}, std::string(257, 'x')),
       "glyphs of 257x1 pixels; a side has at most 256"},
      {"wide glyphs", "train-images-idx3-ubyte.gz", idx({1, 1, 257}, std::string(257, 'x')),
       "glyphs of 1x257 pixels; a side has at most 256"},
      {"empty class name", "classes.txt", "a\n\nb\n", "classes.txt, line 2: the class name is empty"},
      {"class named twice", "classes.txt", "a\nb\na\n", "classes.txt, line 3: the class \"a\" is named twice"},
      {"no class", "classes.txt", "", "classes.txt: no class is named"},
  };
  for (const auto& row : rows) {
    write_set("set", 'a');
    folder_.write("set/classes.txt", "a\nb\n");
    folder_.write(std::string("set/") + row.file, row.bytes);
    EXPECT_THAT(message_of<InvalidInput>([] { load_glyphs("set", Split::train); }), HasSubstr(row.message)) << row.what;
  }
}

TEST_F(GlyphSetTest, ReportsAFileThatIsMissingInsteadOfLookingElsewhere) {
  write_set("cache/gridspot/mnist", 'c');
  write_set("data/mnist", 'd');
  fs::remove(folder_.path() / "data/mnist/train-labels-idx1-ubyte");
  EXPECT_THAT(message_of<IoError>([] { load_glyphs("auto", Split::train); }),
              HasSubstr("data/mnist: the file train-labels-idx1-ubyte (or .gz) is missing"));
}

TEST(GlyphSetValidation, RefusesWhatBreaksARule) {
  const GlyphSet good{2, 2, std::vector<std::uint8_t>(8), {0, 1}, {"a", "b"}, "set"};
  EXPECT_NO_THROW(validate(good));
  const struct {
    void (*spoil)(GlyphSet&);
    const char* message;
  } rows[] = {
      {[](GlyphSet& set) { set.height = 0; }, "set: a glyph's sides must be 1 to 256 pixels, found 0x2"},
      {[](GlyphSet& set) { set.width = 257; }, "set: a glyph's sides must be 1 to 256 pixels, found 2x257"},
      {[](GlyphSet& set) { set.labels.clear(); }, "set: there is no glyph"},
      {[](GlyphSet& set) { set.class_names.clear(); }, "set: there is no class"},
      {[](GlyphSet& set) { set.pixels.pop_back(); }, "set: expected 8 pixels, found 7"},
      {[](GlyphSet& set) { set.labels[1] = 2; }, "set: glyph 1 has class 2, but there are 2 classes"},
      {[](GlyphSet& set) { set.labels[0] = -1; }, "set: glyph 0 has class -1, but there are 2 classes"},
  };
  for (const auto& row : rows) {
    GlyphSet bad = good;
    row.spoil(bad);
    EXPECT_EQ(message_of<InvalidInput>([&] { validate(bad); }), row.message);
  }
}

TEST(GlyphSetData, LoadsMnist) {
  if (std::getenv("GRIDSPOT_DATA") == nullptr) GTEST_SKIP() << "$GRIDSPOT_DATA is not set";
  const GlyphSet train = load_glyphs("mnist", Split::train), evaluation = load_glyphs("mnist", Split::test);
  EXPECT_EQ(train.count(), 60000);
  EXPECT_EQ(evaluation.count(), 10000);
  EXPECT_EQ(train.height, 28);
  EXPECT_EQ(train.width, 28);
  EXPECT_EQ(train.classes(), 10);
  EXPECT_THAT(std::vector(train.labels.begin(), train.labels.begin() + 5), ElementsAre(5, 0, 4, 1, 9));
}

}  // namespace
}  // namespace gridspot
