#include "data/data_yaml.h"

#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "data/yaml_text.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_yaml_file = std::size_t(1) << 20;
constexpr std::array<std::string_view, 6> known_keys{"names", "nc", "path", "train", "val", "test"};
constexpr std::array<YoloSplit, 3> splits{YoloSplit::train, YoloSplit::val, YoloSplit::test};

class Interpreter {
 public:
  explicit Interpreter(const std::string& source) { yaml_.source = source; }

  DataYaml interpret(const std::vector<YamlEntry>& entries) {
    for (const YamlEntry& entry : entries) take(entry);
    if (yaml_.class_names.empty()) throw InvalidInput(yaml_.source + ": the key names, with the classes, is missing");
    check_number_of_classes();
    return std::move(yaml_);
  }

 private:
  [[noreturn]] void fail(const YamlScalar& place, const std::string& rule) const {
    throw InvalidInput(yaml_.source + ", line " + std::to_string(place.line) + ": " + rule);
  }

  void take(const YamlEntry& entry) {
    const std::string& key = entry.key.text;
    if (entry.kind == YamlKind::skipped)
      yaml_.ignored.push_back(key);
    else if (key == "names")
      take_names(entry);
    else if (key == "nc")
      number_of_classes_ = scalar_of(entry);
    else if (key == "path")
      yaml_.path = folder_of(entry);
    else if (key == "train")
      yaml_.train = folder_of(entry);
    else if (key == "val")
      yaml_.val = folder_of(entry);
    else
      yaml_.test = folder_of(entry);
  }

  [[nodiscard]] YamlScalar scalar_of(const YamlEntry& entry) const {
    if (entry.kind != YamlKind::scalar) fail(entry.key, entry.key.text + " must be one value");
    return entry.values[0];
  }

  [[nodiscard]] std::string folder_of(const YamlEntry& entry) const {
    const std::string& key = entry.key.text;
    if (entry.kind == YamlKind::empty) return {};
    if (entry.kind == YamlKind::map) fail(entry.key, key + " must be a folder");
    if (entry.values.size() != 1)
      fail(entry.key, key + " lists " + std::to_string(entry.values.size()) + " folders; only one is read");
    if (entry.values[0].text.empty()) fail(entry.values[0], key + " is an empty text");
    return entry.values[0].text;
  }

  void take_names(const YamlEntry& entry) {
    if (entry.values.empty() || entry.kind == YamlKind::scalar)
      fail(entry.key, "names must be a list or a map of at least one class");
    yaml_.class_names.resize(entry.values.size());
    std::set<std::string> seen;
    for (std::size_t i = 0; i < entry.values.size(); ++i) {
      const YamlScalar& name = entry.values[i];
      if (name.text.empty()) fail(name, "the class name is empty");
      if (!seen.insert(name.text).second) fail(name, "the class \"" + name.text + "\" is named twice");
      std::string& place = yaml_.class_names[entry.kind == YamlKind::map ? index_of(entry, i) : i];
      if (!place.empty()) fail(name, "the key " + entry.keys[i].text + " appears twice");
      place = name.text;
    }
  }

  /// Of n keys that are below n and differ, each of 0 ... n - 1 is one.
  [[nodiscard]] std::size_t index_of(const YamlEntry& names, std::size_t i) const {
    const YamlScalar& key = names.keys[i];
    const std::size_t classes = names.values.size();
    const auto index = parse_number(key.text);
    if (!index || *index >= classes)
      fail(key, "the keys of names must be 0 to " + std::to_string(classes - 1) + ", one for each of the " +
                    std::to_string(classes) + " classes, found " + key.text);
    return *index;
  }

  void check_number_of_classes() const {
    if (!number_of_classes_) return;
    const std::size_t classes = yaml_.class_names.size();
    if (parse_number(number_of_classes_->text) != classes)
      fail(*number_of_classes_,
           "nc is " + number_of_classes_->text + ", but there are " + std::to_string(classes) + " names");
  }

  static std::optional<std::size_t> parse_number(std::string_view text) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
  }

  DataYaml yaml_;
  std::optional<YamlScalar> number_of_classes_;
};

std::string named_splits(const DataYaml& yaml) {
  std::string text;
  for (const YoloSplit split : splits)
    if (!yaml.folder(split).empty()) text += (text.empty() ? "" : ", ") + to_string(split);
  return text.empty() ? "none" : text;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

fs::path own_folder(const DataYaml& yaml) { return fs::absolute(yaml.source).lexically_normal().parent_path(); }

/// An absolute `path` replaces what is before it.
fs::path named_root(const DataYaml& yaml) { return (own_folder(yaml) / yaml.path).lexically_normal(); }

}  // namespace

YoloSplit parse_yolo_split(std::string_view text) {
  for (const YoloSplit split : splits)
    if (text == to_string(split)) return split;
  throw InvalidInput("the split must be train, val or test, found \"" + std::string(text) + "\"");
}

std::string to_string(YoloSplit split) {
  switch (split) {
    case YoloSplit::train:
      return "train";
    case YoloSplit::val:
      return "val";
    case YoloSplit::test:
      break;
  }
  return "test";
}

const std::string& DataYaml::folder(YoloSplit split) const {
  if (split == YoloSplit::train) return train;
  return split == YoloSplit::val ? val : test;
}

DataYaml parse_data_yaml(std::string_view text, const std::string& source) {
  return Interpreter(source).interpret(parse_yaml_map(text, source, known_keys));
}

DataYaml read_data_yaml(const fs::path& path) { return parse_data_yaml(read_file(path, max_yaml_file), path.string()); }

bool lacks_root_folder(const DataYaml& yaml) { return !yaml.path.empty() && !is_folder(named_root(yaml)); }

fs::path root_folder(const DataYaml& yaml) {
  if (yaml.path.empty() || lacks_root_folder(yaml)) return own_folder(yaml);
  const fs::path named = named_root(yaml);
  return named.has_filename() ? named : named.parent_path();
}

bool has_own_folder(const DataYaml& yaml, YoloSplit split) {
  if (yaml.folder(split).empty()) return false;
  for (const YoloSplit other : splits) {
    if (other == split) return true;
    if (!yaml.folder(other).empty() && split_folder(yaml, other) == split_folder(yaml, split)) return false;
  }
  return true;
}

fs::path split_folder(const DataYaml& yaml, YoloSplit split) {
  const std::string& named = yaml.folder(split);
  require(!named.empty(),
          yaml.source + ": there is no split " + to_string(split) + "; the splits are " + named_splits(yaml));
  const fs::path root = root_folder(yaml), folder = (root / named).lexically_normal();
  if (is_folder(folder)) return folder;
  if (named.starts_with("../") && is_folder(root / named.substr(3))) return (root / named.substr(3)).lexically_normal();
  throw InvalidInput(yaml.source + ": there is no folder " + folder.string() + " for the split " + to_string(split));
}

}  // namespace gridspot
