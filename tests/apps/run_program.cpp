#include "tests/apps/run_program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "io/atomic_file.h"

namespace gridspot::test {

namespace {
constexpr std::size_t max_output = 64 << 20;

[[noreturn]] void execute(const std::vector<std::string>& arguments, const std::filesystem::path& out,
                          const std::filesystem::path& error) {
  dup2(open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600), STDOUT_FILENO);
  dup2(open(error.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600), STDERR_FILENO);
  std::vector<char*> argv{const_cast<char*>(GRIDSPOT_PROGRAM)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(GRIDSPOT_PROGRAM, argv.data());
  _exit(127);
}

bool has_content(const std::filesystem::path& path) {
  std::error_code error;
  const bool is_empty = std::filesystem::is_empty(path, error);
  return !error && !is_empty;
}
}  // namespace

ProgramResult run_gridspot(const std::vector<std::string>& arguments, int signal,
                           const std::filesystem::path& signal_after) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) execute(arguments, folder / "out", folder / "error");
  int status = 0;
  if (signal != 0) {
    const auto awaited = signal_after.empty() ? folder / "error" : signal_after;
    while (!has_content(awaited) && waitpid(child, &status, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(child, signal);
  }
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / "out", max_output),
          read_file(folder / "error", max_output)};
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "gridspot-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder could be made");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace gridspot::test
