#include "io/safetensors.h"

#include <gmock/gmock.h>

#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "tests/io/temporary_folder.h"
#include "tests/support/device_test.h"

namespace gridspot {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TensorFile example() {
  return {{{"backbone.0.weight", {2, 3}, {1, -2, 0.5f, 1e-30f, 3e38f, -0.0f}},
           {"empty", {0, 4}, {}},
           {"scale", {}, {7}},
           {"head.bias", {2}, {0.1f, -0.1f}}},
          {{"step", "12"}, {"classes", "[\"null\", \"f\u00fcnf\"]"}}};
}

std::string written(const TensorFile& file) {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "file", file);
  return read_file(folder / "file", 1 << 20);
}

std::string file_of(const std::string& header, const std::string& data = "") {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

/// "" when the bytes are accepted.
std::string refusal(const std::string& bytes) {
  try {
    parse_safetensors(bytes, "model");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

void expect_equal(const TensorFile& actual, const TensorFile& expected) {
  EXPECT_EQ(actual.metadata, expected.metadata);
  ASSERT_EQ(actual.tensors.size(), expected.tensors.size());
  for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
    EXPECT_EQ(actual.tensors[i].name, expected.tensors[i].name);
    EXPECT_EQ(actual.tensors[i].shape, expected.tensors[i].shape);
    ASSERT_EQ(actual.tensors[i].values.size(), expected.tensors[i].values.size());
    for (std::size_t k = 0; k < expected.tensors[i].values.size(); ++k)
      EXPECT_EQ(std::bit_cast<std::uint32_t>(actual.tensors[i].values[k]),
                std::bit_cast<std::uint32_t>(expected.tensors[i].values[k]));
  }
}

TEST(Safetensors, RoundTrip) {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", example());
  expect_equal(read_safetensors(folder / "model.safetensors"), example());
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
  expect_equal(parse_safetensors(written({}), "empty"), {});
}

TEST(Safetensors, RandomTensorsRoundTrip) {
  test::Random random;
  for (int repeat = 0; repeat < 50; ++repeat) {
    TensorFile file;
    for (int t = random.integer(0, 6); t > 0; --t) {
      Tensor tensor{"tensor." + std::to_string(t), {}, {}};
      std::size_t count = 1;
      for (int d = random.integer(0, 4); d > 0; --d) {
        tensor.shape.push_back(random.integer(0, 5));
        count *= static_cast<std::size_t>(tensor.shape.back());
      }
      tensor.values = random.uniforms(count);
      file.tensors.push_back(tensor);
    }
    expect_equal(parse_safetensors(written(file), "file"), file);
  }
}

TEST(Safetensors, WritesTheStatedBytes) {
  const auto bytes = written({{{"a", {1}, {1.0f}}}, {{"k", "v"}}});
  const std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string padding((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(bytes, file_of(header + padding, std::string("\0\0\x80\x3f", 4)));
  EXPECT_EQ((bytes.size() - 4) % 8, 0u);
  EXPECT_EQ(written(example()), written(example()));
}

TEST(Safetensors, WidensHalfPrecision) {
  const auto values = [](const char* dtype, std::initializer_list<std::uint16_t> bits) {
    std::string data(bits.size() * 2, '\0');
    std::memcpy(data.data(), bits.begin(), data.size());
    return parse_safetensors(
               file_of(std::string(R"({"t":{"dtype":")") + dtype + R"(","shape":[)" + std::to_string(bits.size()) +
                           R"(],"data_offsets":[0,)" + std::to_string(data.size()) + "]}}",
                       data),
               "file")
        .tensors[0]
        .values;
  };
  EXPECT_THAT(values("BF16", {0x3f80, 0xc000, 0x0000, 0x7f80}), testing::ElementsAre(1.0f, -2.0f, 0.0f, INFINITY));
  // Largest, smallest normal, largest and smallest subnormal, 1/3 rounded, infinities (IEEE 754 binary16).
  EXPECT_THAT(values("F16", {0x3c00, 0xc000, 0x7bff, 0x0400, 0x03ff, 0x0001, 0x3555, 0x7c00, 0xfc00, 0x8000}),
              testing::ElementsAre(1.0f, -2.0f, 65504.0f, 0x1p-14f, 1023 * 0x1p-24f, 0x1p-24f, 1365 * 0x1p-12f,
                                   INFINITY, -INFINITY, 0.0f));
  EXPECT_TRUE(std::isnan(values("F16", {0x7e00})[0]));
  EXPECT_TRUE(std::signbit(values("F16", {0x8000})[0]));
}

TEST(Safetensors, RefusesBrokenHeaders) {
  const auto tensor = [](const char* shape, const char* offsets, const char* dtype = "\"F32\"") {
    return std::string("{\"t\":{\"dtype\":") + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
  };
  const auto two = [](const char* a, const char* b) {
    return std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)") + a +
           R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}";
  };
  struct Case {
    std::string header;
    std::size_t data_bytes;
    const char *tensor, *rule;
  };
  const std::vector<Case> cases = {
      {"", 0, "", "must begin with '{'"},
      {"[]", 0, "", "must begin with '{'"},
      {" {}", 0, "", "must begin with '{'"},
      {"{", 0, "", "model (header):1:2: "},
      {"{}x", 0, "", "model (header):1:3: "},
      {R"({"t":1,"t":2})", 0, "", "duplicate key 't'"},
      {R"({"t":{"dtype":"F32","dtype":"F32"}})", 0, "", "duplicate key 'dtype'"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "", "duplicate key 'a'"},
      {R"({"__metadata__":[]})", 0, "", "__metadata__ must be an object"},
      {R"({"__metadata__":{"step":1}})", 0, "", "__metadata__: the value of 'step' must be a string"},
      {R"({"t":[]})", 0, "t", "the description must be an object"},
      {R"({"t":{"dtype":"F32","shape":[]}})", 0, "t", "'data_offsets' is missing"},
      {R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", 4, "t", "'shape' is missing"},
      {R"({"t":{"shape":[],"data_offsets":[0,4]}})", 4, "t", "'dtype' is missing"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":0}})", 4, "t", "unknown key 'x'"},
      {tensor("[1]", "[0,4]", "\"I32\""), 4, "t", "dtype must be 'F32', 'F16' or 'BF16', found \"I32\""},
      {tensor("[1]", "[0,4]", "\"f32\""), 4, "t", "dtype must be"},
      {tensor("[1]", "[0,4]", "32"), 4, "t", "dtype must be"},
      {tensor("{}", "[0,4]"), 4, "t", "shape must be an array"},
      {tensor("[-1]", "[0,4]"), 4, "t", "shape must hold integers from 0, found -1"},
      {tensor("[1.0]", "[0,4]"), 4, "t", "shape must hold integers from 0, found 1.0"},
      {tensor("[[1]]", "[0,4]"), 4, "t", "shape must hold integers from 0, found array"},
      {tensor("[1]", "[0]"), 4, "t", "data_offsets must be an array of two"},
      {tensor("[1]", "[0,4,8]"), 4, "t", "data_offsets must be an array of two"},
      {tensor("[1]", "4"), 4, "t", "data_offsets must be an array of two"},
      {tensor("[1]", "[-4,0]"), 4, "t", "data_offsets must hold integers"},
      {tensor("[1]", "[4,0]"), 4, "t", "data_offsets end before they begin"},
      {tensor("[2]", "[0,4]"), 4, "t", "the shape asks for 8 bytes, data_offsets give 4"},
      {tensor("[2]", "[0,8]", "\"F16\""), 8, "t", "the shape asks for 4 bytes, data_offsets give 8"},
      {tensor("[0]", "[0,4]"), 4, "t", "the shape asks for 0 bytes, data_offsets give 4"},
      {tensor("[]", "[0,0]"), 0, "t", "the shape asks for 4 bytes, data_offsets give 0"},
      {tensor("[4294967296,4294967296]", "[0,0]"), 0, "t", "the product of the dimensions overflows"},
      {tensor("[4611686018427387904,4]", "[0,0]"), 0, "t", "the product of the dimensions overflows"},
      {tensor("[18446744073709551615]", "[0,4]"), 4, "t", "the product of the dimensions overflows"},
      {tensor("[9223372036854775807]", "[0,4]"), 4, "t", "the product of the dimensions overflows"},
      {tensor("[0,9223372036854775807,9]", "[0,0]"), 0, "t", "the product of the dimensions overflows"},
      {tensor("[1]", "[0,4]"), 3, "t", "data_offsets end at byte 4, beyond the 3 bytes of data"},
      {tensor("[1]", "[18446744073709551612,18446744073709551616]"), 4, "t", "data_offsets must hold integers"},
      {tensor("[1]", "[18446744073709551608,18446744073709551612]"), 4, "t", "beyond the 4 bytes of data"},
      {tensor("[1]", "[0,4]"), 5, "", "1 bytes after the data belong to no tensor"},
      {tensor("[1]", "[4,8]"), 8, "t", "there is a hole before the data"},
      {two("[0,4]", "[8,12]"), 12, "b",
       "there is a hole before the data (it begins at byte 8, the one before ends at 4)"},
      {two("[0,4]", "[0,4]"), 8, "b", "the data overlaps"},
      {two("[2,6]", "[0,4]"), 6, "a", "the data overlaps"},
      {"{}", 1, "", "1 bytes after the data belong to no tensor"},
  };
  for (const auto& [header, data_bytes, name, rule] : cases) {
    const auto message = refusal(file_of(header, std::string(data_bytes, 'x')));
    EXPECT_THAT(message, AllOf(testing::StartsWith("model"), HasSubstr(rule))) << header;
    EXPECT_EQ(message.find("tensor '" + std::string(name) + "': ") != std::string::npos, *name != '\0') << header;
  }
  EXPECT_EQ(refusal(file_of(two("[4,8]", "[0,4]"), std::string(8, 'x'))), "") << "any order of data is allowed";
  EXPECT_EQ(refusal(file_of("{}   ")), "");
}

TEST(Safetensors, RefusesWrongHeaderLengths) {
  const auto with_length = [](std::uint64_t length) {
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + "{}";
  };
  EXPECT_THAT(refusal(with_length(3)), HasSubstr("the header's length is 3 bytes, but only 2 follow"));
  EXPECT_THAT(refusal(with_length(0)), HasSubstr("must begin with '{'"));
  EXPECT_THAT(refusal(with_length(100'000'001)), HasSubstr("at most 100000000 are allowed"));
  EXPECT_THAT(refusal(with_length(~std::uint64_t{0})), HasSubstr("at most 100000000 are allowed"));
}

TEST(Safetensors, RefusesTruncationAtEveryByteAndTrailingBytes) {
  const auto bytes = written(example());
  ASSERT_EQ(refusal(bytes), "");
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_NE(refusal(bytes.substr(0, length)), "") << length;
  EXPECT_NE(refusal(bytes + '\0'), "");
}

TEST(Safetensors, SurvivesEveryFlippedBitOfTheHeader) {
  const auto bytes = written(example());
  std::uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof length);
  int refused = 0;
  for (std::size_t bit = 0; bit < (8 + length) * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto message = refusal(damaged);  // anything but CheckpointError ends the test
    EXPECT_TRUE(bit >= 64 || !message.empty()) << "the header's length, bit " << bit;
    if (!message.empty()) ++refused;
  }
  // Flips inside names and metadata can give another valid file; those of structure, sizes and dtypes cannot.
  EXPECT_GT(refused, static_cast<int>(length) * 4);
}

/// Bytes that are a good file without a digest.
bool parses_without_digest(const std::string& bytes) {
  try {
    return !parse_safetensors(bytes, "model").metadata.contains(digest_key);
  } catch (const CheckpointError&) {
    return false;
  }
}

TensorFile example_with_digest() {
  TensorFile file = example();
  file.metadata[digest_key] = "";
  return file;
}

// Of Python's hashlib: sha256 of the file with zeros for the digest's digits.
TEST(Safetensors, WritesTheFilesOwnDigest) {
  const auto bytes = written({{{"a", {1}, {1.0f}}}, {{digest_key, "anything"}}});
  const std::string digest = "3985d98d27a2d73c3e71339bed67d4f302ba0fcc5315e8f4c00ba815a099a769";
  const std::string header =
      R"({"__metadata__":{"sha256":")" + digest + R"("},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  EXPECT_EQ(bytes, file_of(header + std::string((8 - header.size() % 8) % 8, ' '), std::string("\0\0\x80\x3f", 4)));
  const TensorFile read = parse_safetensors(bytes, "file");
  EXPECT_EQ(read.metadata.at(digest_key), digest);
  EXPECT_EQ(written(read), bytes) << "a digest that was read is replaced";
}

TEST(Safetensors, ADigestIsFoundAmongTextsLikeIt) {
  TensorFile file = example_with_digest();
  const std::string zeros(64, '0'), entry = "\"sha256\":\"" + zeros + "\"";
  file.metadata["a"] = entry;  // before it in the header
  file.metadata["z"] = entry;
  file.metadata["sha25"] = file.metadata["sha2566"] = zeros;
  file.tensors.push_back({"sha256", {1}, {1}});
  file.tensors.push_back({entry, {1}, {1}});
  const auto bytes = written(file);
  EXPECT_EQ(refusal(bytes), "");
  TensorFile read = parse_safetensors(bytes, "file");
  EXPECT_NE(read.metadata.at(digest_key), zeros);
  read.metadata[digest_key] = file.metadata[digest_key];
  expect_equal(read, file);
}

TEST(Safetensors, AnyChangedBitBreaksTheDigest) {
  const auto bytes = written(example_with_digest());
  ASSERT_EQ(refusal(bytes), "");
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto message = refusal(damaged);
    // Without its key the digest is metadata as any other; the reader of a model or a checkpoint asks for the key.
    const bool in_key = parses_without_digest(damaged);
    EXPECT_EQ(message.empty(), in_key) << "bit " << bit;
  }
}

TEST(Safetensors, RefusesADigestThatIsNone) {
  const auto with = [](const std::string& digest) {
    const std::string header = R"({"__metadata__":{"sha256":")" + digest + R"("}})";
    return refusal(file_of(header));
  };
  const std::string right = "37f6cab6b4d660d9748878ee7a8a75df25468b81ed6ae160d24a9df1f7cce0ce";
  EXPECT_EQ(with(right), "");
  for (const std::string& wrong :
       {std::string(), right.substr(1), right + "0", std::string(64, '0'), std::string(64, 'x')})
    EXPECT_THAT(with(wrong),
                AllOf(testing::StartsWith("model: "),
                      testing::AnyOf(HasSubstr("'sha256' must be 64 digits"), HasSubstr("it was damaged or changed"))))
        << wrong;
  std::string upper = right;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_THAT(with(upper), HasSubstr("it was damaged or changed")) << "the digits are lower-case";
  const auto escaped = "\\u00" + std::string("3") + std::string(1, right[0]) + right.substr(1);
  EXPECT_NE(with(escaped), "") << "the digits stand in the file as they are";
}

TEST(Safetensors, RefusesToWriteWhatItWouldNotRead) {
  const test::TemporaryFolder folder;
  const auto write_refusal = [&](const TensorFile& file) {
    try {
      write_safetensors(folder / "out", file);
    } catch (const CheckpointError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(write_refusal({{{"a", {1}, {0}}, {"a", {1}, {0}}}, {}}), HasSubstr("tensor 'a': the name is used twice"));
  EXPECT_THAT(write_refusal({{{"__metadata__", {1}, {0}}}, {}}), HasSubstr("reserved"));
  EXPECT_THAT(write_refusal({{{"a", {2}, {0}}}, {}}),
              HasSubstr("out: tensor 'a': the shape does not fit the 1 values"));
  EXPECT_THAT(write_refusal({{{"a", {-1}, {}}}, {}}), HasSubstr("does not fit"));
  EXPECT_THAT(write_refusal({{{"a\xff", {}, {0}}}, {}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(write_refusal({{}, {{"k", "\xc3"}}}), HasSubstr("not UTF-8"));
  EXPECT_TRUE(folder.names().empty());
}

TEST(Safetensors, TellsAMissingFileFromADamagedOne) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(read_safetensors(folder / "none"), IoError);
  write_file_atomically(folder / "short", "abc");
  EXPECT_THROW(read_safetensors(folder / "short"), CheckpointError);
}

}  // namespace
}  // namespace gridspot
