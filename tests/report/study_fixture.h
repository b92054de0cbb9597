#pragma once
// A small study in a folder, written as a trainer writes it.
#include <filesystem>
#include <string>

#include "eval/protocol_evaluation.h"
#include "tests/io/temporary_folder.h"

namespace gridspot::test {

/// Four canvases of 64 x 64 pixels with two objects each, of which `found` of the eight are found; one more detection
/// is of the wrong class and one lies in the background.
ProtocolEvaluation small_evaluation(int found);

/// study.json with the models A (its name holds markup: "A <&>"), C and D, milestones at 10 and 20 epochs on quick-64,
/// and the backbone "digits". A and C are trained and evaluated, D is not there.
class StudyFixture {
 public:
  StudyFixture();
  [[nodiscard]] std::filesystem::path path() const { return folder_.path(); }
  [[nodiscard]] std::string read(const std::string& name) const;
  void write(const std::string& name, const std::string& content) const;
  /// The first `from` in the file becomes `to`.
  void replace(const std::string& name, const std::string& from, const std::string& to) const;

 private:
  void write_run(const std::string& folder, int steps) const;

  TemporaryFolder folder_;
};

}  // namespace gridspot::test
