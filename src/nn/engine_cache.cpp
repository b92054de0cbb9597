#include "nn/engine_cache.h"

#include <algorithm>
#include <utility>

#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/folder_lock.h"
#include "io/json.h"
#include "io/user_cache.h"
#include "nn/precision_names.h"

namespace gridspot {

namespace {

/// An object of objects of strings.
Json read(const std::filesystem::path& file) {
  constexpr std::size_t max_bytes = 64 << 20;
  if (!std::filesystem::exists(file)) return Json::object();
  Json machines = parse_json(read_file(file, max_bytes), file.string());
  const auto is_map = [](const Json& value, const auto& is_entry) {
    return value.is_object() && std::all_of(value.begin(), value.end(), is_entry);
  };
  const bool valid = is_map(machines, [&](const Json& tasks) {
    return is_map(tasks, [](const Json& engine) { return engine.is_string(); });
  });
  require(valid, file.string() +
                     ": must map machines to tasks and tasks to the names of engines; once it is removed, "
                     "engines are measured anew");
  return machines;
}

}  // namespace

EngineCache::EngineCache(std::filesystem::path file, std::string machine)
    : file_(std::move(file)), machine_(std::move(machine)) {}

EngineCache EngineCache::of_user(std::string machine) {
  const auto folder = user_cache_folder();
  require(!folder.empty(), "autotuning keeps what it measures in the user's cache: XDG_CACHE_HOME or HOME must be set");
  return {folder / "engines.json", std::move(machine)};
}

std::optional<std::size_t> EngineCache::find(const std::string& task, std::span<const std::string> engines) const {
  const Json machines = read(file_);
  if (!machines.contains(machine_) || !machines[machine_].contains(task)) return std::nullopt;
  const auto found = std::find(engines.begin(), engines.end(), machines[machine_][task].get<std::string>());
  if (found == engines.end()) return std::nullopt;
  return static_cast<std::size_t>(found - engines.begin());
}

std::size_t EngineCache::choose(const std::string& task, std::span<const std::string> engines,
                                const std::function<std::size_t()>& measure) {
  if (const auto found = find(task, engines)) return *found;
  const auto folder = file_.parent_path();
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) throw IoError(folder.string() + ": cannot create: " + failure.message());
  const FolderLock lock(folder, FolderLock::IfHeld::wait);
  if (const auto found = find(task, engines)) return *found;
  const std::size_t chosen = measure();
  Json machines = read(file_);
  machines[machine_][task] = engines[chosen];
  write_file_atomically(file_, to_text(machines));
  return chosen;
}

std::string engine_task(Precision precision, const EngineSettings& engines, const std::string& pass,
                        const std::string& object) {
  return name_of(precision_names, precision) + (engines.deterministic ? " deterministic " : " ") + pass + " of the " +
         object;
}

}  // namespace gridspot
