#pragma once
// Downloading of the public data sets.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gridspot {

struct RemoteFile {
  std::string name;         ///< the same on every mirror
  std::string sha256;       ///< of the content, unpacked where the file is gzip; 64 lower-case digits
  std::uint64_t max_bytes;  ///< of the file as it is sent, and of its content
};

struct RemoteDataSet {
  std::string name;
  std::vector<std::string> mirrors;  ///< addresses that end in "/", tried in this order
  std::vector<RemoteFile> files;
};

/// "mnist" or "fashion-mnist"; throws InvalidInput that lists the names.
RemoteDataSet find_remote_data_set(std::string_view name);

struct FetchProgress {
  std::string file;
  int index, count;        ///< of the file among the files, from 0
  std::uint64_t received;  ///< bytes
  std::uint64_t total;     ///< 0 while unknown
};
/// Called while bytes arrive, from the calling thread; returning false stops the download. May be empty.
using FetchCallback = std::function<bool(const FetchProgress&)>;

struct FetchLimits {
  long connect_seconds = 15;
  long stall_seconds = 30;  ///< a mirror that sends less than 100 bytes/s for so long is given up
};

/// Brings the files of a data set into `folder`, which is created. A file that is there with the right content is kept.
/// A mirror that fails, or sends the wrong content, is given up for the next; a file appears under its name only after
/// its SHA-256 was found right. Redirects are followed to http and https only. Throws IoError that says what each
/// mirror answered, or that the caller stopped.
void fetch(const RemoteDataSet& data_set, const std::filesystem::path& folder, const FetchCallback& callback = {},
           const FetchLimits& limits = {});

/// The same for a name that find_remote_data_set knows.
void fetch(std::string_view name, const std::filesystem::path& folder, const FetchCallback& callback = {});

/// Where `fetch` should put a data set so that load_glyphs(name) finds it: its folder in user_cache_folder(), or in
/// data/ where there is no cache.
std::filesystem::path default_fetch_folder(std::string_view name);

}  // namespace gridspot
