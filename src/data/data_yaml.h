#pragma once
// data.yaml: the description of a data set in YOLO's layout.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gridspot {

enum class YoloSplit { train, val, test };

/// "train", "val" or "test"; throws InvalidInput for any other text.
YoloSplit parse_yolo_split(std::string_view text);
std::string to_string(YoloSplit split);

struct DataYaml {
  std::string source;                    ///< the file, for messages and as what relative folders start from
  std::vector<std::string> class_names;  ///< at least one
  std::string path, train, val, test;    ///< folders as they stand in the file; empty where absent
  /// Keys that were skipped, such as "download". No script or address in a file is ever followed.
  std::vector<std::string> ignored;

  [[nodiscard]] const std::string& folder(YoloSplit split) const;
};

/// Reads the keys
///   names              the classes: a list, or a map with the keys 0 ... nc - 1 in any order. Needed;
///   nc                 their number, which must agree;
///   path, train, val, test   a folder each, or a list of one; several are refused.
/// Every value is text (a class may be named 0, no or null). What of YAML is read stands in yaml_text.h. Throws
/// InvalidInput with file, line and rule.
DataYaml parse_data_yaml(std::string_view text, const std::string& source);

/// The same of a file of at most 1 MiB. Throws IoError too.
DataYaml read_data_yaml(const std::filesystem::path& path);

/// The folder that the others are relative to: `path`, itself relative to the file's folder. Where `path` is absent or
/// there is no such folder (a data set that was moved) the file's folder.
std::filesystem::path root_folder(const DataYaml& yaml);

/// Whether `path` names a folder that is not there, so that root_folder is another one.
bool lacks_root_folder(const DataYaml& yaml);

/// Whether the file names a folder for the split that is not that of another split before it (train, val, test): many
/// files name the training images under val too, for readers that want the key.
bool has_own_folder(const DataYaml& yaml, YoloSplit split);

/// The folder of a split's images, relative to root_folder(). One that does not exist and begins with "../" is taken
/// without it, as YOLO's own reader does (Roboflow writes such files). Throws InvalidInput when the file names no
/// folder for the split (the message lists those it has) or there is no such folder.
std::filesystem::path split_folder(const DataYaml& yaml, YoloSplit split);

}  // namespace gridspot
