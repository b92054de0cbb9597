#pragma once
// Runs the gridspot program as its users do.
#include <filesystem>
#include <string>
#include <vector>

namespace gridspot::test {

struct ProgramResult {
  int exit_code = 0;  ///< 128 + the signal's number when a signal ended it
  std::string out, error;
};

/// Runs gridspot with the arguments; `signal` (if not 0) is sent once the file or folder `signal_after` exists and is
/// not empty, without one as soon as something stands on stderr.
ProgramResult run_gridspot(const std::vector<std::string>& arguments, int signal = 0,
                           const std::filesystem::path& signal_after = {});

/// A folder of the test's own, removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace gridspot::test
