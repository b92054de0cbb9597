#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/sha256.h"

namespace gridspot {
namespace {

static_assert(std::endian::native == std::endian::little, "the format stores little-endian values");

constexpr std::string_view metadata_key = "__metadata__";
constexpr std::size_t length_bytes = 8;

enum class Dtype { f32, f16, bf16 };

struct Entry {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t count = 0, begin = 0, end = 0;
};

/// Says which file and which tensor broke a rule.
struct Report {
  std::string_view source;

  [[noreturn]] void fail(const std::string& rule) const { throw CheckpointError(std::string(source) + ": " + rule); }
  [[noreturn]] void fail(const std::string& tensor, const std::string& rule) const {
    fail("tensor '" + tensor + "': " + rule);
  }
};

std::uint64_t bytes_of(Dtype dtype) { return dtype == Dtype::f32 ? 4 : 2; }

std::optional<Dtype> dtype_of(std::string_view name) {
  if (name == "F32") return Dtype::f32;
  if (name == "F16") return Dtype::f16;
  if (name == "BF16") return Dtype::bf16;
  return std::nullopt;
}

/// The product of the dimensions, unless it or its bytes pass 2^63.
std::optional<std::uint64_t> element_count(const std::vector<std::int64_t>& shape) {
  constexpr std::uint64_t most = (std::uint64_t{1} << 61) - 1;  // four bytes each stay below 2^63
  std::uint64_t count = 1;
  // A zero among the dimensions does not excuse the others: their product must be representable in any order.
  bool empty = false;
  for (const auto dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
      continue;
    }
    if (count > most / static_cast<std::uint64_t>(dimension)) return std::nullopt;
    count *= static_cast<std::uint64_t>(dimension);
  }
  return empty ? 0 : count;
}

float from_float16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu, fraction = half & 0x3ffu;
  if (exponent == 0) {  // zero and subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 127 - 15;
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::vector<float> values_of(const Entry& entry, const char* data) {
  std::vector<float> values(entry.count);
  if (entry.dtype == Dtype::f32) {
    if (!values.empty()) std::memcpy(values.data(), data, values.size() * sizeof(float));
    return values;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, data + i * sizeof bits, sizeof bits);
    values[i] = entry.dtype == Dtype::f16 ? from_float16(bits) : from_bfloat16(bits);
  }
  return values;
}

std::string shown(const Json& value) { return value.is_structured() ? value.type_name() : to_line(value); }

std::uint64_t to_unsigned(const Report& report, const std::string& tensor, const Json& value, const char* what) {
  if (!value.is_number_unsigned())
    report.fail(tensor, std::string(what) + " must hold integers from 0, found " + shown(value));
  return value.get<std::uint64_t>();
}

Entry read_entry(const Report& report, const std::string& name, const Json& description) {
  if (!description.is_object()) report.fail(name, "the description must be an object");
  for (const auto& [key, value] : description.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets") report.fail(name, "unknown key '" + key + "'");
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!description.contains(key)) report.fail(name, "'" + std::string(key) + "' is missing");

  Entry entry;
  entry.name = name;
  const Json& dtype_value = description["dtype"];
  const auto dtype = dtype_value.is_string() ? dtype_of(dtype_value.get_ref<const std::string&>()) : std::nullopt;
  if (!dtype) report.fail(name, "dtype must be 'F32', 'F16' or 'BF16', found " + shown(dtype_value));
  entry.dtype = *dtype;

  if (!description["shape"].is_array()) report.fail(name, "shape must be an array");
  for (const Json& value : description["shape"]) {
    const auto dimension = to_unsigned(report, name, value, "shape");
    if (dimension > static_cast<std::uint64_t>(INT64_MAX)) report.fail(name, "the product of the dimensions overflows");
    entry.shape.push_back(static_cast<std::int64_t>(dimension));
  }
  const auto count = element_count(entry.shape);
  if (!count) report.fail(name, "the product of the dimensions overflows");
  entry.count = *count;

  const Json& offsets = description["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) report.fail(name, "data_offsets must be an array of two integers");
  entry.begin = to_unsigned(report, name, offsets[0], "data_offsets");
  entry.end = to_unsigned(report, name, offsets[1], "data_offsets");
  if (entry.begin > entry.end) report.fail(name, "data_offsets end before they begin");
  const auto bytes = entry.count * bytes_of(entry.dtype);
  if (entry.end - entry.begin != bytes)
    report.fail(name, "the shape asks for " + std::to_string(bytes) + " bytes, data_offsets give " +
                          std::to_string(entry.end - entry.begin));
  return entry;
}

std::map<std::string, std::string> read_metadata(const Report& report, const Json& description) {
  if (!description.is_object()) report.fail("__metadata__ must be an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : description.items()) {
    if (!value.is_string()) report.fail("__metadata__: the value of '" + key + "' must be a string");
    metadata.emplace(key, value.get_ref<const std::string&>());
  }
  return metadata;
}

/// The data must be covered from its first to its last byte; `entries` are in the order of their data.
void check_coverage(const Report& report, const std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  for (const auto& entry : entries) {
    if (entry.end > data_bytes)
      report.fail(entry.name, "data_offsets end at byte " + std::to_string(entry.end) + ", beyond the " +
                                  std::to_string(data_bytes) + " bytes of data");
    if (entry.begin < covered)
      report.fail(entry.name, "the data overlaps that of another tensor (it begins at byte " +
                                  std::to_string(entry.begin) + ", the one before ends at " + std::to_string(covered) +
                                  ")");
    if (entry.begin > covered)
      report.fail(entry.name, "there is a hole before the data (it begins at byte " + std::to_string(entry.begin) +
                                  ", the one before ends at " + std::to_string(covered) + ")");
    covered = entry.end;
  }
  if (covered != data_bytes)
    report.fail(std::to_string(data_bytes - covered) + " bytes after the data belong to no tensor");
}

std::string_view header_of(const Report& report, std::string_view bytes) {
  if (bytes.size() < length_bytes)
    report.fail("the file ends within the header's length (" + std::to_string(bytes.size()) + " bytes of 8)");
  std::uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > max_safetensors_header)
    report.fail("the header's length is " + std::to_string(length) + " bytes, at most " +
                std::to_string(max_safetensors_header) + " are allowed");
  if (length > bytes.size() - length_bytes)
    report.fail("the header's length is " + std::to_string(length) + " bytes, but only " +
                std::to_string(bytes.size() - length_bytes) + " follow");
  return bytes.substr(length_bytes, length);
}

Json parse_header(const Report& report, std::string_view header) {
  if (!header.starts_with('{')) report.fail("the header must begin with '{'");
  Json root;
  try {
    root = parse_json(header, std::string(report.source) + " (header)");
  } catch (const InvalidInput& error) {
    throw CheckpointError(error.what());
  }
  if (!root.is_object()) report.fail("the header must be a JSON object");
  return root;
}

constexpr std::size_t digest_digits = 64;
const std::string no_digest(digest_digits, '0'), digest_entry = std::string("\"") + digest_key + "\":\"";

std::string digest_of(std::span<const std::string_view> pieces) {
  Sha256 digest;
  for (const auto piece : pieces) digest.update({reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size()});
  return digest.finish();
}

void check_digest(const Report& report, std::string_view bytes, std::size_t header_bytes, const std::string& stated) {
  const auto entry = bytes.substr(0, length_bytes + header_bytes).find(digest_entry + stated);
  const auto at = entry + digest_entry.size();
  if (stated.size() != digest_digits || entry == std::string_view::npos)
    report.fail(std::string("metadata '") + digest_key + "' must be " + std::to_string(digest_digits) + " digits");
  const std::array pieces{bytes.substr(0, at), std::string_view(no_digest), bytes.substr(at + digest_digits)};
  if (digest_of(pieces) != stated)
    report.fail("the SHA-256 of the file is not the one that it states: it was damaged or changed");
}

/// Refuses what a reader would refuse; returns the header's JSON.
Json describe(const Report& report, const TensorFile& file) {
  Json header = Json::object();
  if (!file.metadata.empty()) header[std::string(metadata_key)] = file.metadata;
  if (file.metadata.contains(digest_key)) header[std::string(metadata_key)][digest_key] = no_digest;
  std::unordered_set<std::string_view> names{metadata_key};
  std::uint64_t begin = 0;
  for (const auto& tensor : file.tensors) {
    if (!names.insert(tensor.name).second) report.fail(tensor.name, "the name is used twice or reserved");
    if (element_count(tensor.shape) != tensor.values.size())
      report.fail(tensor.name, "the shape does not fit the " + std::to_string(tensor.values.size()) + " values");
    const auto end = begin + tensor.values.size() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  return header;
}

}  // namespace

TensorFile parse_safetensors(std::string_view bytes, std::string_view source) {
  const Report report{source};
  const auto header = header_of(report, bytes);
  const auto data = bytes.substr(length_bytes + header.size());

  TensorFile file;
  std::vector<Entry> entries;
  const Json root = parse_header(report, header);
  for (const auto& [name, description] : root.items()) {
    if (name == metadata_key)
      file.metadata = read_metadata(report, description);
    else
      entries.push_back(read_entry(report, name, description));
  }
  if (const auto digest = file.metadata.find(digest_key); digest != file.metadata.end())
    check_digest(report, bytes, header.size(), digest->second);
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;  // empty tensors stand before what begins there
  });
  check_coverage(report, entries, data.size());
  for (const auto& entry : entries)
    file.tensors.push_back({entry.name, entry.shape, values_of(entry, data.data() + entry.begin)});
  return file;
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  try {
    return parse_safetensors(read_file(path, max_safetensors_bytes), path.string());
  } catch (const InvalidInput& error) {  // larger than any checkpoint
    throw CheckpointError(error.what());
  }
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  FileSystem file_system;
  write_safetensors(path, file, file_system);
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file, FileSystem& file_system) {
  const auto source = path.string();
  const Report report{source};
  std::string header;
  try {
    header = describe(report, file).dump();
  } catch (const Json::type_error&) {
    report.fail("a tensor's name or the metadata is not UTF-8");
  }
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > max_safetensors_header) report.fail("the header is longer than the format allows");

  const std::uint64_t length = header.size();
  std::vector<std::string_view> pieces{{reinterpret_cast<const char*>(&length), sizeof length}, header};
  for (const auto& tensor : file.tensors)
    pieces.emplace_back(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
  if (file.metadata.contains(digest_key)) {
    const std::string digest = digest_of(pieces);
    header.replace(header.find(digest_entry + no_digest) + digest_entry.size(), digest_digits, digest);
    pieces[1] = header;
  }
  write_file_atomically(path, pieces, file_system);
}

}  // namespace gridspot
