#include "data/fetch.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "data/files.h"
#include "data/glyph_set.h"
#include "io/atomic_file.h"
#include "io/sha256.h"
#include "tests/data/file_support.h"
#include "tests/data/http_server.h"
#include "tests/support/environment.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

using test::gzip;
using test::HttpServer;
using test::message_of;
using test::ok;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t limit = 10000;
const std::string content = "the content of the file";
const std::string dead_mirror = "file:///nowhere/";

/// One file named "file.gz" with `content` in it.
RemoteDataSet one_file(std::vector<std::string> mirrors) {
  return {"test", std::move(mirrors), {{"file.gz", sha256(as_bytes(content)), limit}}};
}

class Fetch : public testing::Test {
 protected:
  [[nodiscard]] std::string mirror(const std::string& name, const std::string& bytes) const {
    return "file://" + folder_.write(name + "/file.gz", bytes).parent_path().string() + "/";
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(out_)) names.push_back(entry.path().filename());
    return names;
  }
  std::string failure(const RemoteDataSet& data_set) const {
    const std::string message = message_of<IoError>([&] { fetch(data_set, out_); });
    EXPECT_TRUE(names().empty()) << "a failed download leaves nothing behind";
    return message;
  }

  test::TemporaryFolder folder_;
  fs::path out_ = folder_.path() / "new" / "out";
  test::Environment no_proxy_{"no_proxy", "127.0.0.1"};
};

TEST_F(Fetch, BringsAFileThatIsRight) {
  fetch(one_file({mirror("good", gzip(content))}), out_);
  EXPECT_EQ(read_file(out_ / "file.gz", limit), gzip(content));
  EXPECT_THAT(names(), testing::ElementsAre("file.gz"));
}

TEST_F(Fetch, TakesTheNextMirrorWhenOneIsDeadOrWrong) {
  const std::string good = mirror("good", gzip(content));
  for (const std::string& bad : {dead_mirror, std::string("http://127.0.0.1:1/"), mirror("wrong", gzip("other")),
                                 mirror("cut", gzip(content).substr(0, 20)), mirror("empty", "")}) {
    fs::remove_all(out_);
    fetch(one_file({bad, good}), out_);
    EXPECT_EQ(read_file(out_ / "file.gz", limit), gzip(content)) << bad;
  }
}

TEST_F(Fetch, SaysWhatEachMirrorAnswered) {
  const std::string wrong = mirror("wrong", gzip("other")), cut = mirror("cut", gzip(content).substr(0, 20));
  EXPECT_THAT(failure(one_file({dead_mirror, wrong, cut})),
              AllOf(HasSubstr("file.gz of test could not be fetched from any mirror"),
                    HasSubstr("\n  file:///nowhere/file.gz: "),
                    HasSubstr("\n  " + wrong + "file.gz: the SHA-256 of the content is " + sha256(as_bytes("other"))),
                    HasSubstr("\n  " + cut + "file.gz: file.gz, byte 20: the gzip stream ends early")));
}

TEST_F(Fetch, RefusesContentThatUnpacksBeyondTheLimit) {
  const std::string bomb = gzip(std::string(10000000, '\0'));
  RemoteDataSet data_set = one_file({mirror("bomb", bomb)});
  data_set.files[0].max_bytes = bomb.size();
  EXPECT_THAT(failure(data_set), HasSubstr("the content is larger than expected"));
}

TEST_F(Fetch, KeepsAFileThatIsRightAndReplacesOneThatIsNot) {
  fs::create_directories(out_);
  write_file(out_ / "file.gz", gzip(content));
  fetch(one_file({dead_mirror}), out_);
  write_file(out_ / "file.gz", "damaged");
  EXPECT_THAT(message_of<IoError>([&] { fetch(one_file({dead_mirror}), out_); }), HasSubstr("could not be fetched"));
  EXPECT_EQ(read_file(out_ / "file.gz", limit), "damaged");
  fetch(one_file({mirror("good", gzip(content))}), out_);
  EXPECT_EQ(read_file(out_ / "file.gz", limit), gzip(content));
}

TEST_F(Fetch, SpeaksHttp) {
  const HttpServer server([](const std::string& path) {
    if (path == "/a/file.gz") return ok(gzip(content));
    if (path == "/redirect/file.gz")
      return std::string(
          "HTTP/1.1 302 Found\r\nLocation: /a/file.gz\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return std::string("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone");
  });
  fetch(one_file({server.address() + "missing/", server.address() + "a/"}), out_);
  EXPECT_EQ(read_file(out_ / "file.gz", limit), gzip(content));
  EXPECT_EQ(server.requests(), 2);
  fs::remove_all(out_);
  fetch(one_file({server.address() + "redirect/"}), out_);
  EXPECT_EQ(read_file(out_ / "file.gz", limit), gzip(content));
  fs::remove_all(out_);
  EXPECT_THAT(failure(one_file({server.address() + "missing/"})), HasSubstr("404"));
}

TEST_F(Fetch, FollowsNoRedirectToAFile) {
  const std::string good = mirror("good", gzip(content));
  const HttpServer server([&](const std::string&) {
    return "HTTP/1.1 302 Found\r\nLocation: " + good + "file.gz\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  });
  EXPECT_THAT(failure(one_file({server.address()})), HasSubstr("not supported or disabled"));
}

TEST_F(Fetch, StopsRedirectsThatGoInCircles) {
  const HttpServer server([](const std::string&) {
    return std::string("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  EXPECT_THAT(failure(one_file({server.address()})), HasSubstr("redirects"));
  EXPECT_EQ(server.requests(), 6);
}

TEST_F(Fetch, RefusesMoreThanTheLimitAnnouncedOrNot) {
  const std::string large(limit + 1, 'x');
  const HttpServer announced([&](const std::string&) { return ok(large); });
  const HttpServer unannounced(
      [&](const std::string&) { return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + large; });
  for (const auto* server : {&announced, &unannounced})
    EXPECT_THAT(failure(one_file({server->address()})), HasSubstr("larger than the limit of 10000 bytes"));
}

TEST_F(Fetch, RefusesAnAnswerThatEndsEarly) {
  const HttpServer server([](const std::string&) { return ok(gzip(content)).substr(0, 90); });
  EXPECT_THAT(failure(one_file({server.address()})), HasSubstr("\n  " + server.address()));
}

TEST_F(Fetch, GivesUpAMirrorThatSendsNothing) {
  // The server's thread answers one connection at a time; here it waits until the client has gone.
  std::atomic<bool> done = false;
  const HttpServer server([&](const std::string&) {
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return std::string();
  });
  const std::string message = message_of<IoError>(
      [&] { fetch(one_file({server.address()}), out_, {}, {.connect_seconds = 1, .stall_seconds = 1}); });
  done = true;
  EXPECT_THAT(message, HasSubstr("Operation too slow"));
}

TEST_F(Fetch, ReportsProgressAndStopsWhenAsked) {
  RemoteDataSet data_set = one_file({mirror("good", gzip(content))});
  std::uint64_t received = 0;
  fetch(data_set, out_, [&](const FetchProgress& progress) {
    EXPECT_EQ(progress.file, "file.gz");
    EXPECT_EQ(progress.index, 0);
    EXPECT_EQ(progress.count, 1);
    received = std::max(received, progress.received);
    return true;
  });
  EXPECT_EQ(received, gzip(content).size());

  fs::remove_all(out_);
  data_set.mirrors.push_back(data_set.mirrors[0]);
  int calls = 0;
  const auto stop = [&](const FetchProgress&) { return ++calls, false; };
  EXPECT_THAT(message_of<IoError>([&] { fetch(data_set, out_, stop); }), HasSubstr("the download was stopped"));
  EXPECT_EQ(calls, 1) << "the second mirror is not tried";
  EXPECT_TRUE(names().empty());

  const auto fail = [](const FetchProgress&) -> bool { throw NumericalError("from the callback"); };
  EXPECT_THROW(fetch(data_set, out_, fail), NumericalError);
}

TEST_F(Fetch, NamesAFolderThatCannotBeCreated) {
  const auto file = folder_.write("file", "");
  EXPECT_THAT(message_of<IoError>([&] { fetch(one_file({dead_mirror}), file / "below"); }),
              HasSubstr((file / "below").string() + ": cannot create the folder"));
}

TEST(RemoteDataSets, AreKnownByName) {
  for (const char* name : {"mnist", "fashion-mnist"}) {
    const RemoteDataSet data_set = find_remote_data_set(name);
    EXPECT_EQ(data_set.name, name);
    EXPECT_EQ(data_set.mirrors.size(), 2u);
    ASSERT_EQ(data_set.files.size(), 4u);
    for (const auto& file : data_set.files) EXPECT_EQ(file.sha256.size(), 64u);
    for (const auto& mirror : data_set.mirrors) EXPECT_TRUE(mirror.starts_with("http") && mirror.ends_with("/"));
  }
  EXPECT_EQ(message_of<InvalidInput>([] { find_remote_data_set("cifar"); }),
            "no data set \"cifar\" to fetch; there are mnist and fashion-mnist");
}

TEST(RemoteDataSets, HaveTheHashesOfTheirFiles) {
  // Fetching what is already there downloads nothing if, and only if, the hashes are right.
  int found = 0;
  for (const char* name : {"mnist", "fashion-mnist"}) {
    RemoteDataSet data_set = find_remote_data_set(name);
    data_set.mirrors = {dead_mirror};
    for (const auto& folder : data_folders()) {
      const auto has = [&](const auto& file) { return fs::exists(folder / name / file.name); };
      if (!std::all_of(data_set.files.begin(), data_set.files.end(), has)) continue;
      EXPECT_NO_THROW(fetch(data_set, folder / name)) << folder / name;
      ++found;
    }
  }
  if (found == 0) GTEST_SKIP() << "neither MNIST nor Fashion-MNIST is here ($GRIDSPOT_DATA)";
}

TEST(RemoteDataSets, AreFetchedToWhereTheyAreLookedFor) {
  const test::Environment cache("XDG_CACHE_HOME", "/somewhere");
  EXPECT_EQ(default_fetch_folder("mnist"), "/somewhere/gridspot/mnist");
  const test::Environment no_cache("XDG_CACHE_HOME", nullptr), no_home("HOME", nullptr);
  EXPECT_EQ(default_fetch_folder("mnist"), "data/mnist");
}

}  // namespace
}  // namespace gridspot
