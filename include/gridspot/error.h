#pragma once
// The exceptions that gridspot throws, and the checks that throw them.
//
// Every message is one sentence that names the file or object, the place in it and the rule that was broken.
// `exit_code` is what the command line ends with (see apps/gridspot/main.cpp).
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gridspot {

enum class ExitCode : int {
  ok = 0,
  runtime_failure = 1,
  usage = 2,
  invalid_input = 3,
  out_of_memory = 4,
  no_device = 5,
  checkpoint = 6,
  numerical = 7,
  interrupted = 130,
  terminated = 143,
};

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = ExitCode::runtime_failure)
      : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ExitCode exit_code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// Data, a model description, a configuration or an argument that breaks a stated rule.
struct InvalidInput : Error {
  explicit InvalidInput(const std::string& message) : Error(message, ExitCode::invalid_input) {}
};
/// A call of CUDA, cuDNN, cuBLAS or oneDNN failed, or a kernel broke a rule of the host runtime.
struct DeviceError : Error {
  explicit DeviceError(const std::string& message) : Error(message, ExitCode::runtime_failure) {}
};
/// The device that was asked for does not exist here.
struct NoDevice : Error {
  explicit NoDevice(const std::string& message) : Error(message, ExitCode::no_device) {}
};
struct OutOfMemory : Error {
  explicit OutOfMemory(const std::string& message) : Error(message, ExitCode::out_of_memory) {}
};
/// A checkpoint that is truncated, damaged, or does not fit the network.
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message) : Error(message, ExitCode::checkpoint) {}
};
/// A loss or gradient that is not finite.
struct NumericalError : Error {
  explicit NumericalError(const std::string& message) : Error(message, ExitCode::numerical) {}
};
/// A file that cannot be opened, read or written.
struct IoError : Error {
  explicit IoError(const std::string& message) : Error(message, ExitCode::runtime_failure) {}
};

/// Throws InvalidInput with `rule` when `condition` is false. `rule` says what was expected and what was found.
inline void require(bool condition, std::string_view rule) {
  if (!condition) throw InvalidInput(std::string(rule));
}

/// For rules between parts of gridspot itself: the message carries the place in the source.
inline void ensure(bool condition, std::string_view rule,
                   std::source_location where = std::source_location::current()) {
  if (!condition) throw Error(std::string(rule) + " (" + where.file_name() + ":" + std::to_string(where.line()) + ")");
}

}  // namespace gridspot
