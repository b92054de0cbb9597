#pragma once
// One file over the network, by libcurl. Used by fetch.cpp.
#include <cstdint>
#include <functional>
#include <string>

namespace gridspot {

struct DownloadLimits {
  std::uint64_t max_bytes;
  long connect_seconds, stall_seconds;
};
/// Bytes received and expected (0: unknown); false stops.
using DownloadCallback = std::function<bool(std::uint64_t received, std::uint64_t total)>;

struct Download {
  std::string content;
  std::string failure;  ///< empty, or why the address failed
};

/// http, https and file addresses; redirects to http and https only. Throws IoError when the callback stopped it.
Download download(const std::string& url, const DownloadLimits& limits, const DownloadCallback& callback);

}  // namespace gridspot
