#include "train/model.h"

#include <algorithm>

#include "gridspot/error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "train/network_tensors.h"

namespace gridspot {

namespace {

constexpr const char* version = GRIDSPOT_VERSION;

const std::string& metadata_of(const TensorFile& file, const char* key, const std::string& path) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end())
    throw CheckpointError(path + ": the metadata has no '" + key + "', so this is no gridspot model");
  return found->second;
}

// Files that gridspot wrote state their digest; others, say of weights trained further elsewhere, need none.
void require_digest(const TensorFile& file, const std::string& path) {
  if (file.metadata.contains("gridspot") && !file.metadata.contains(digest_key))
    throw CheckpointError(path + ": the metadata has no '" + digest_key + "': the file was damaged or changed");
}

std::vector<std::string> parse_classes(const std::string& text, const std::string& path) {
  const Json list = parse_json(text, path + ": metadata 'classes'");
  const bool names =
      list.is_array() && std::all_of(list.begin(), list.end(), [](auto& name) { return name.is_string(); });
  if (!names) throw CheckpointError(path + ": metadata 'classes' must be a list of names");
  return list.get<std::vector<std::string>>();
}

std::uint64_t parse_step(const std::string& text, const std::string& path) {
  const bool digits = !text.empty() && text.size() < 20 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) throw CheckpointError(path + ": metadata 'step' is '" + text + "', expected a number");
  return std::stoull(text);
}

// Every difference is named: a user who mixes up two networks wants to see how.
void read_weights(const TensorFile& file, const Network& network, std::vector<float>& flat, const std::string& path) {
  TensorIndex tensors(file);
  std::string problems = tensors.take(network, "", flat);
  for (const auto& name : tensors.left()) problems += "; '" + name + "' belongs to no layer";
  if (!problems.empty()) throw CheckpointError(path + ": the tensors do not fit the network" + problems);
}

}  // namespace

void save_model(const std::filesystem::path& path, const Model& model) {
  FileSystem file_system;
  save_model(path, model, file_system);
}

void save_model(const std::filesystem::path& path, const Model& model, FileSystem& file_system) {
  TensorFile file;
  add_tensors(file, Network(model.network), model.weights);
  file.metadata = {{"format", "pt"},
                   {"gridspot", version},
                   {"network", to_json(model.network)},
                   {"classes", to_line(Json(model.classes))},
                   {"protocol", model.protocol},
                   {"step", std::to_string(model.step)},
                   {"config", model.config},
                   {digest_key, ""}};
  write_safetensors(path, file, file_system);
}

Model load_model(const std::filesystem::path& path) {
  const TensorFile file = read_safetensors(path);
  const std::string name = path.string();
  require_digest(file, name);
  Model model;
  try {
    model.network = parse_network(metadata_of(file, "network", name), name + ": metadata 'network'");
    model.classes = parse_classes(metadata_of(file, "classes", name), name);
  } catch (const InvalidInput& error) {
    throw CheckpointError(error.what());
  }
  model.protocol = metadata_of(file, "protocol", name);
  model.step = parse_step(metadata_of(file, "step", name), name);
  model.config = metadata_of(file, "config", name);
  if (static_cast<int>(model.classes.size()) != model.network.detector.classes)
    throw CheckpointError(name + ": metadata 'classes' names " + std::to_string(model.classes.size()) +
                          " classes, the network has " + std::to_string(model.network.detector.classes));
  const Network network(model.network);
  model.weights.resize(network.buffer_size());
  read_weights(file, network, model.weights, name);
  return model;
}

RunConfig config_of(const Model& model) {
  try {
    return parse_config(model.config, "the model's metadata 'config'");
  } catch (const InvalidInput& error) {
    throw CheckpointError(error.what());
  }
}

}  // namespace gridspot
