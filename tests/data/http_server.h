#pragma once
// A web server on the loopback interface, for the tests of fetch.
#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace gridspot::test {

/// Answers every connection with what `respond` makes of the request's path, byte for byte, and closes it.
class HttpServer {
 public:
  explicit HttpServer(std::function<std::string(const std::string& path)> respond);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://127.0.0.1:PORT/"
  [[nodiscard]] std::string address() const;
  [[nodiscard]] int requests() const { return requests_; }

 private:
  void serve();
  void answer(int connection);

  std::function<std::string(const std::string&)> respond_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> requests_ = 0;
  std::thread thread_;
};

/// A whole response with a Content-Length.
std::string ok(const std::string& body);

}  // namespace gridspot::test
