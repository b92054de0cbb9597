#include "apps/gridspot/usage.h"

#include "gridspot/protocol.h"
#include "io/object_reader.h"
#include "nn/network_spec.h"
#include "nn/precision_names.h"

namespace gridspot::app {

void ComputeOptions::apply_to(Precision& its_precision, EngineSettings& its_engines) const {
  its_precision = precision.value_or(its_precision);
  its_engines.autotune = its_engines.autotune || autotune;
}

void add_compute_options(CLI::App& app, ComputeOptions& options) {
  std::vector<std::string> names;
  for (const auto& each : precision_names) names.emplace_back(each.name);
  app.add_option_function<std::string>(
         "--precision",
         [&options](const std::string& asked) {
           for (const auto& each : precision_names)
             if (each.name == asked) options.precision = each.value;
         },
         "of activations and products: fp32, tf32 or bf16; sums, weights and the loss are fp32 always")
      ->check(CLI::IsMember(names));
  app.add_flag("--autotune", options.autotune,
               "on CUDA, measure cuDNN's and cuBLASLt's engines, once for each layer's shape; the fastest are kept in "
               "the user's cache, in gridspot/engines.json");
}

void check_network_name(const std::string& preset_or_path) {
  if (!std::filesystem::is_regular_file(preset_or_path)) load_network(preset_or_path);
}

void check_protocol_option(const std::string& assignment) {
  Protocol any;
  set_option(any, assignment);
}

std::string unknown_subcommand(const CLI::App& root, int argc, char** argv) {
  const CLI::App* command = &root;
  for (int i = 1; i < argc; ++i) {
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* candidate : command->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(candidate->get_name());
      if (names.back() == argv[i]) next = candidate;
    }
    if (next == nullptr) {
      if (names.empty() || argv[i][0] == '-') return {};
      const auto nearest = nearest_name(argv[i], std::vector<std::string_view>(names.begin(), names.end()));
      return "there is no subcommand '" + std::string(argv[i]) + "'" +
             (nearest.empty() ? "" : "; did you mean '" + std::string(nearest) + "'?");
    }
    command = next;
  }
  return {};
}

}  // namespace gridspot::app
