#pragma once
// Wrong calls of the program: they end with exit code 2.
#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gridspot/error.h"
#include "nn/block.h"

namespace gridspot::app {

/// A check of an option: a text that `parse` refuses with InvalidInput is a usage error.
template <class Parse>
std::function<std::string(const std::string&)> accepted_by(Parse parse) {
  return [parse](const std::string& text) -> std::string {
    try {
      parse(text);
      return {};
    } catch (const InvalidInput& error) {
      return error.what();
    }
  };
}

/// An option whose values have names.
template <class Enum>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Enum& value,
                        const std::vector<std::pair<std::string, Enum>>& choices, const std::string& text) {
  std::vector<std::string> names;
  for (const auto& [choice, its] : choices) names.push_back(choice);
  return app
      .add_option_function<std::string>(
          name,
          [&value, choices](const std::string& asked) {
            for (const auto& [choice, its] : choices)
              if (choice == asked) value = its;
          },
          text)
      ->check(CLI::IsMember(names));
}

/// How networks are computed, as far as the command line says.
struct ComputeOptions {
  std::optional<Precision> precision;
  bool autotune = false;

  void apply_to(Precision& its_precision, EngineSettings& its_engines) const;
};

/// --precision fp32|tf32|bf16 and --autotune.
void add_compute_options(CLI::App& app, ComputeOptions& options);

/// For accepted_by: a preset's name, or a file (whose content is not looked at).
void check_network_name(const std::string& preset_or_path);
/// For accepted_by: "option=value" of a protocol.
void check_protocol_option(const std::string& assignment);

/// What stands at the place of a subcommand and is none, with the name that was probably meant; empty when there is no
/// such argument.
std::string unknown_subcommand(const CLI::App& root, int argc, char** argv);

}  // namespace gridspot::app
