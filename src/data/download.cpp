#include "data/download.h"

#include <curl/curl.h>

#include <exception>
#include <memory>
#include <utility>

#include "gridspot/error.h"

namespace gridspot {
namespace {

constexpr long max_redirects = 5;
constexpr long least_bytes_a_second = 100;

/// What libcurl's callbacks share. They are C: exceptions wait here until the transfer has returned.
struct Transfer {
  std::string content;
  std::uint64_t max_bytes;
  const DownloadCallback& callback;
  bool too_large = false, stopped = false;
  std::exception_ptr error;
};

size_t on_bytes(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t length = size * count;
  if (length > transfer.max_bytes - transfer.content.size()) {
    transfer.too_large = true;
    return 0;
  }
  try {
    transfer.content.append(bytes, length);
  } catch (...) {
    transfer.error = std::current_exception();
    return 0;
  }
  return length;
}

int on_progress(void* user, curl_off_t total, curl_off_t received, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.stopped || transfer.error) return 1;  // libcurl may ask once more
  try {
    transfer.stopped = !transfer.callback(static_cast<std::uint64_t>(received), static_cast<std::uint64_t>(total));
  } catch (...) {
    transfer.error = std::current_exception();
    return 1;
  }
  return transfer.stopped ? 1 : 0;
}

void allow_protocols(CURL* curl) {
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, long(CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_FILE));
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, long(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

}  // namespace

Download download(const std::string& url, const DownloadLimits& limits, const DownloadCallback& callback) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) throw OutOfMemory("no memory for the download library");
  Transfer transfer{.content = {}, .max_bytes = limits.max_bytes, .callback = callback, .error = nullptr};
  char message[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  allow_protocols(curl.get());
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, max_redirects);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, limits.connect_seconds);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, least_bytes_a_second);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, limits.stall_seconds);
  // Refuses by the announced length; on_bytes refuses what arrives without one.
  curl_easy_setopt(curl.get(), CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.max_bytes));
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "gridspot");
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &on_bytes);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, &on_progress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &transfer);

  const CURLcode result = curl_easy_perform(curl.get());
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (transfer.stopped) throw IoError(url + ": the download was stopped");
  if (transfer.too_large || result == CURLE_FILESIZE_EXCEEDED)
    return {{}, "larger than the limit of " + std::to_string(limits.max_bytes) + " bytes"};
  if (result != CURLE_OK) return {{}, *message != 0 ? message : curl_easy_strerror(result)};
  return {std::move(transfer.content), {}};
}

}  // namespace gridspot
