#pragma once
// Tensors with names in a file, in the safetensors format (8 bytes length, a JSON header, the data).
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/atomic_file.h"

namespace gridspot {

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;  ///< row-major; {} is a single value
  std::vector<float> values;
};

struct TensorFile {
  std::vector<Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// The metadata key of a file's own SHA-256 (64 lower-case hexadecimal digits): that of all its bytes with these digits
/// replaced by zeros.
inline constexpr const char* digest_key = "sha256";

/// The longest header that any reader of the format accepts.
inline constexpr std::size_t max_safetensors_header = 100'000'000;
/// The largest file that is read into memory.
inline constexpr std::size_t max_safetensors_bytes = std::size_t{1} << 36;

/// Reads a file whose tensors are F32, F16 or BF16 (widened to float). Tensors come in the order of their data.
/// Throws IoError when the file cannot be read, CheckpointError that names the file, the tensor and the rule when it is
/// not exactly what the format asks for: a header that is a JSON object without duplicate keys, metadata of strings,
/// known dtypes, sizes that equal shape x dtype, and data that covers the rest of the file without hole or overlap; or
/// when the metadata hold a digest (digest_key) and the bytes have another.
TensorFile read_safetensors(const std::filesystem::path& path);

/// The same from memory; `source` names the bytes in messages.
TensorFile parse_safetensors(std::string_view bytes, std::string_view source);

/// Writes the tensors as F32 in the order given, with write_file_atomically; equal input gives equal bytes. Where the
/// metadata have the key digest_key its value is replaced by the file's digest. Throws
/// CheckpointError before anything is written when a name is used twice, reserved or not UTF-8, or a shape does not fit
/// its values; IoError when writing fails.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file, FileSystem& file_system);
void write_safetensors(const std::filesystem::path& path, const TensorFile& file);

}  // namespace gridspot
