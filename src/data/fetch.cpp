#include "data/fetch.h"

#include <span>

#include "data/byte_reader.h"
#include "data/download.h"
#include "data/files.h"
#include "data/glyph_set.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/sha256.h"
#include "io/user_cache.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

// The largest file has 26 MB packed and 47 MB unpacked.
constexpr std::uint64_t max_file_bytes = std::uint64_t(1) << 26;

RemoteDataSet mnist() {
  return {"mnist",
          {"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"},
          {{"train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            max_file_bytes},
           {"train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            max_file_bytes},
           {"t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            max_file_bytes},
           {"t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            max_file_bytes}}};
}

RemoteDataSet fashion_mnist() {
  return {"fashion-mnist",
          {"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
           "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"},
          {{"train-images-idx3-ubyte.gz", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            max_file_bytes},
           {"train-labels-idx1-ubyte.gz", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            max_file_bytes},
           {"t10k-images-idx3-ubyte.gz", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            max_file_bytes},
           {"t10k-labels-idx1-ubyte.gz", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            max_file_bytes}}};
}

std::string hash_content(std::string_view bytes, const RemoteFile& file) {
  ByteReader reader(as_bytes(bytes), file.name);
  Sha256 hash;
  std::vector<std::uint8_t> piece(std::size_t(1) << 16);
  for (std::size_t read = piece.size(); read == piece.size();) {
    read = reader.read(piece);
    hash.update(std::span(piece).first(read));
    if (reader.offset() > file.max_bytes) reader.fail(file.max_bytes, "the content is larger than expected");
  }
  return hash.finish();
}

/// Empty when the content is right, else why not.
std::string check_content(std::string_view bytes, const RemoteFile& file) {
  try {
    const std::string found = hash_content(bytes, file);
    return found == file.sha256 ? "" : "the SHA-256 of the content is " + found + " instead of " + file.sha256;
  } catch (const InvalidInput& error) {
    return error.what();
  }
}

bool is_present(const fs::path& path, const RemoteFile& file) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return !error && size <= file.max_bytes && check_content(read_file(path, file.max_bytes), file).empty();
}

void fetch_file(const RemoteDataSet& data_set, const RemoteFile& file, const fs::path& folder,
                const DownloadCallback& callback, const FetchLimits& limits) {
  if (is_present(folder / file.name, file)) return;
  std::string failures;
  for (const std::string& mirror : data_set.mirrors) {
    Download answer =
        download(mirror + file.name, {file.max_bytes, limits.connect_seconds, limits.stall_seconds}, callback);
    if (answer.failure.empty()) answer.failure = check_content(answer.content, file);
    if (answer.failure.empty()) return write_file_atomically(folder / file.name, answer.content);
    failures += "\n  " + mirror + file.name + ": " + answer.failure;
  }
  throw IoError(file.name + " of " + data_set.name + " could not be fetched from any mirror:" + failures);
}

}  // namespace

RemoteDataSet find_remote_data_set(std::string_view name) {
  if (name == "mnist") return mnist();
  if (name == "fashion-mnist") return fashion_mnist();
  throw InvalidInput("no data set \"" + std::string(name) + "\" to fetch; there are mnist and fashion-mnist");
}

void fetch(const RemoteDataSet& data_set, const fs::path& folder, const FetchCallback& callback,
           const FetchLimits& limits) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(folder.string() + ": cannot create the folder: " + error.message());
  const int count = static_cast<int>(data_set.files.size());
  for (int i = 0; i < count; ++i) {
    const RemoteFile& file = data_set.files[i];
    const auto forward = [&](std::uint64_t received, std::uint64_t total) {
      return !callback || callback({file.name, i, count, received, total});
    };
    fetch_file(data_set, file, folder, forward, limits);
  }
}

void fetch(std::string_view name, const fs::path& folder, const FetchCallback& callback) {
  fetch(find_remote_data_set(name), folder, callback);
}

fs::path default_fetch_folder(std::string_view name) {
  const fs::path cache = user_cache_folder();
  return (cache.empty() ? fs::path("data") : cache) / name;
}

}  // namespace gridspot
