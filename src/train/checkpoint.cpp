#include "train/checkpoint.h"

#include <algorithm>
#include <cstdio>

#include "gridspot/error.h"
#include "train/network_tensors.h"

namespace gridspot {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view stem = "step-", suffix = ".safetensors";

std::string file_name(std::uint64_t step) {
  char number[32];
  std::snprintf(number, sizeof number, "%012llu", static_cast<unsigned long long>(step));
  return std::string(stem) + number + std::string(suffix);
}

bool is_checkpoint(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(stem) || !name.ends_with(suffix)) return false;
  const auto digits = name.substr(stem.size(), name.size() - stem.size() - suffix.size());
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
}

const std::string& metadata_of(const TensorFile& file, const char* key, const std::string& path) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end())
    throw CheckpointError(path + ": the metadata has no '" + key + "', so this is no checkpoint of a run");
  return found->second;
}

std::uint64_t parse_step(const std::string& text, const std::string& path) {
  const bool digits = !text.empty() && text.size() < 20 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) throw CheckpointError(path + ": metadata 'step' is '" + text + "', expected a number");
  return std::stoull(text);
}

}  // namespace

void save_checkpoint(const fs::path& path, const RunConfig& config, const TrainerState& state,
                     FileSystem& file_system) {
  const Network network(config.network);
  TensorFile file;
  add_tensors(file, network, state.weights, "weights.");
  add_tensors(file, network, state.moment1, "moment1.");
  if (!state.moment2.empty()) add_tensors(file, network, state.moment2, "moment2.");
  if (!state.average.empty()) add_tensors(file, network, state.average, "average.");
  file.metadata = {{"format", "pt"},
                   {"gridspot", GRIDSPOT_VERSION},
                   {"step", std::to_string(state.step)},
                   {"config", to_json_text(config)},
                   {digest_key, ""}};
  write_safetensors(path, file, file_system);
}

TrainerState load_checkpoint(const fs::path& path, const RunConfig& config) {
  const TensorFile file = read_safetensors(path);
  const std::string name = path.string();
  metadata_of(file, digest_key, name);
  // Read and written again: a later version lists settings that this file's did not have.
  if (to_json_text(parse_config(metadata_of(file, "config", name), name)) != to_json_text(config))
    throw CheckpointError(name + ": the checkpoint belongs to a run with another configuration");
  const Network network(config.network);
  TensorIndex tensors(file);
  std::string problems;
  const auto take = [&](const char* prefix, bool wanted) {
    std::vector<float> flat(wanted ? network.buffer_size() : 0);
    if (wanted) problems += tensors.take(network, prefix, flat);
    return flat;
  };
  TrainerState state{.step = parse_step(metadata_of(file, "step", name), name),
                     .weights = take("weights.", true),
                     .moment1 = take("moment1.", true),
                     .moment2 = take("moment2.", has_second_moment(config.optimizer.kind)),
                     .average = take("average.", config.optimizer.ema_decay > 0)};
  for (const auto& left : tensors.left()) problems += "; '" + left + "' is not of this run";
  if (!problems.empty()) throw CheckpointError(name + ": the tensors do not fit the run" + problems);
  return state;
}

CheckpointFolder::CheckpointFolder(fs::path folder, int keep, FileSystem& file_system)
    : folder_(std::move(folder)), keep_(keep), file_system_(file_system) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw IoError(folder_.string() + ": cannot create the folder: " + error.message());
}

std::vector<fs::path> CheckpointFolder::files() const {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_))
    if (is_checkpoint(entry.path())) files.push_back(entry.path());
  std::sort(files.rbegin(), files.rend());
  return files;
}

void CheckpointFolder::save(const RunConfig& config, const TrainerState& state) {
  const fs::path path = folder_ / file_name(state.step);
  save_checkpoint(path, config, state, file_system_);
  link_atomically(path.filename(), folder_ / "latest.safetensors", file_system_);
  const auto present = files();
  // Newer ones are damaged, or this run would have gone on from them; they are written anew when it gets there.
  auto kept = std::find(present.begin(), present.end(), path);
  for (int i = 0; i < keep_ && kept != present.end(); ++i) ++kept;
  for (; kept != present.end(); ++kept) file_system_.unlink(kept->c_str());
}

CheckpointFolder::Found CheckpointFolder::newest(const RunConfig& config) const {
  Found found;
  for (const auto& path : files()) {
    try {
      found.state = load_checkpoint(path, config);
      return found;
    } catch (const Error& error) {
      found.refused.emplace_back(error.what());
    }
  }
  return found;
}

}  // namespace gridspot
