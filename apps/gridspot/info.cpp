// gridspot info
#include <iomanip>
#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/library_versions.h"
#include "device/thread_team.h"
#include "io/json.h"
#include "train/model.h"

namespace gridspot::app {

namespace {

struct Options {
  std::string model;
  bool json = false;
};

bool is_checkpoint(const std::string& name) { return std::filesystem::path(name).extension() == ".safetensors"; }

Json describe_build() {
  std::string reason;
  const int count = cuda_device_count(&reason);
  Json cuda = Json::array();
  for (int index = 0; index < count; ++index) cuda.push_back(describe({DeviceKind::cuda, index}));
  Json build{{"version", GRIDSPOT_VERSION},
             {"cpu", describe({DeviceKind::cpu, 0})},
             {"processors", available_processors()},
             {"cuda_devices", cuda}};
  if (count == 0) build["cuda"] = reason;
  Json& libraries = build["libraries"] = Json::object();
  for (const auto& [library, version] : library_versions()) libraries[library] = version;
  Json presets = Json::array();
  for (const std::string& name : network_presets()) {
    const NetworkSpec spec = load_network(name);
    const NetworkCost cost = cost_of(spec);
    presets.push_back({{"name", name},
                       {"input", Json::array({spec.input.height, spec.input.width})},
                       {"cells", spec.detector.cells},
                       {"parameters", cost.parameters},
                       {"forward_flop", cost.forward_flop}});
  }
  build["presets"] = presets;
  build["protocols"] = protocol_names();
  return build;
}

void print_build(const Json& build) {
  std::cout << "gridspot " << build["version"].get<std::string>() << "\ncpu      " << build["cpu"].get<std::string>()
            << ", " << build["processors"] << " processors\n";
  if (build.contains("cuda")) std::cout << "cuda     " << build["cuda"].get<std::string>() << '\n';
  for (const Json& name : build["cuda_devices"]) std::cout << "cuda     " << name.get<std::string>() << '\n';
  for (const auto& [library, version] : build["libraries"].items())
    std::cout << "library  " << library << ' ' << version.get<std::string>() << '\n';
  for (const Json& preset : build["presets"])
    std::cout << "preset   " << std::left << std::setw(9) << preset["name"].get<std::string>() << preset["input"][1]
              << "x" << preset["input"][0] << ", grid " << preset["cells"] << "x" << preset["cells"] << ", "
              << preset["parameters"] << " parameters, " << std::setprecision(3)
              << preset["forward_flop"].get<double>() * 1e-9 << " GFLOP forward\n";
  std::cout << "protocol";
  for (const Json& name : build["protocols"]) std::cout << ' ' << name.get<std::string>();
  std::cout << '\n';
}

Json describe_network(const NetworkSpec& spec) {
  const NetworkCost cost = cost_of(spec);
  return {{"network", parse_json(to_json(spec), "network")},
          {"parameters", cost.parameters},
          {"forward_flop", cost.forward_flop}};
}

void print_layers(const NetworkSpec& spec) {
  const NetworkCost cost = cost_of(spec);
  std::cout << spec.name << ": " << cost.parameters << " parameters, " << std::setprecision(3)
            << cost.forward_flop * 1e-9 << " GFLOP forward\n";
  for (const NetworkLayer& layer : layers_of(spec))
    std::cout << "  " << std::left << std::setw(26) << layer.name << layer.output.height << "x" << layer.output.width
              << "x" << layer.output.channels << '\n';
}

int info(const Options& options) {
  if (options.model.empty()) {
    const Json build = describe_build();
    if (options.json)
      std::cout << to_text(build);
    else
      print_build(build);
    return 0;
  }
  Json json;
  NetworkSpec spec;
  if (is_checkpoint(options.model)) {
    const Model model = load_model(options.model);
    spec = model.network;
    json = {{"model", options.model}, {"classes", model.classes}, {"protocol", model.protocol}, {"step", model.step}};
    if (!options.json) {
      std::cout << options.model << ": trained for " << model.step << " steps on " << model.protocol << ", classes";
      for (const std::string& name : model.classes) std::cout << ' ' << name;
      std::cout << '\n';
    }
  } else {
    spec = load_network(options.model);
    json = {{"model", options.model}};
  }
  if (options.json) {
    json.update(describe_network(spec));
    std::cout << to_text(json);
  } else {
    print_layers(spec);
  }
  return 0;
}

}  // namespace

Command add_info(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "a model.safetensors, a preset or a network's JSON file");
  app.add_flag("--json", options->json, "print one JSON object");
  return [options] { return info(*options); };
}

}  // namespace gridspot::app
