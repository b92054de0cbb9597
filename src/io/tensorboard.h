#pragma once
// Event files that TensorBoard reads: a sequence of records, each an Event message of tensorflow's protocol buffers.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "io/atomic_file.h"

namespace gridspot {

/// Writes one event file, events.out.tfevents.<seconds>.<host>.<pid>.<n>, into a folder that exists. Several files in
/// one folder are one run: TensorBoard reads them in the order of their names, so a file's name stands behind those of
/// all files that were there before it, whatever the clock says.
///
/// The file begins with its format's version and the start of a session at `first_step`, the first step that this
/// writer will tell of; there TensorBoard forgets what earlier files say about `first_step` and later steps (its fast
/// loader: for the curves that go on). So a run that resumes from a checkpoint replaces what was written beyond it, and
/// earlier files stay as they are. Steps are below 2^63.
class EventWriter {
 public:
  /// Throws IoError.
  EventWriter(const std::filesystem::path& folder, std::uint64_t first_step);
  EventWriter(const std::filesystem::path& folder, std::uint64_t first_step, FileSystem& file_system);
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;
  /// Writes what `flush` has not, if it can.
  ~EventWriter();

  /// A point of the curve `tag`, at the present time. The value may be NaN or infinite. Throws IoError as `flush`,
  /// which it calls when many points have gathered.
  void scalar(std::uint64_t step, std::string_view tag, float value);

  /// All points are with the operating system when it returns. Throws IoError; nothing is lost then, and the next call
  /// goes on where this one ended.
  void flush();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  FileSystem own_file_system_;
  FileSystem& file_system_;
  std::filesystem::path path_;
  int file_ = -1;
  std::string pending_;  ///< records that are not in the file yet, from where it ends
};

}  // namespace gridspot
