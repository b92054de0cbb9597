#include "data/glyph_set.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <set>
#include <sstream>

#include "data/builtin_glyphs.h"
#include "data/idx.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "io/user_cache.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 2> known_names{"mnist", "fashion-mnist"};
constexpr std::array<const char*, 10> fashion_classes{"t-shirt", "trouser", "pullover", "dress", "coat",
                                                      "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};
constexpr std::size_t max_classes_file = std::size_t(1) << 20;

bool is_known(std::string_view name) {
  return std::find(known_names.begin(), known_names.end(), name) != known_names.end();
}

/// The last component, also of "folder/" and ".".
std::string name_of(const fs::path& folder) {
  const fs::path canonical = fs::weakly_canonical(folder);
  return canonical.has_filename() ? canonical.filename().string() : canonical.parent_path().filename().string();
}

std::vector<std::string> spellings(Split split, std::string_view kind) {
  const std::string stem = (split == Split::test ? "t10k-" : "train-") + std::string(kind);
  const std::string tail = kind == "images" ? "idx3-ubyte" : "idx1-ubyte";
  return {stem + "-" + tail + ".gz", stem + "-" + tail, stem + "." + tail + ".gz", stem + "." + tail};
}

std::optional<fs::path> find_file(const fs::path& folder, Split split, std::string_view kind) {
  for (const auto& name : spellings(split, kind)) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

fs::path require_file(const fs::path& folder, Split split, std::string_view kind) {
  if (auto path = find_file(folder, split, kind)) return *path;
  throw IoError(folder.string() + ": the file " + spellings(split, kind)[1] + " (or .gz) is missing");
}

/// A folder with any of the four files is taken for the data set, so that what is missing is reported instead of being
/// mixed in from elsewhere.
bool holds_glyphs(const fs::path& folder) {
  for (const Split split : {Split::train, Split::test})
    for (const char* kind : {"images", "labels"})
      if (find_file(folder, split, kind)) return true;
  return false;
}

std::optional<fs::path> first_that_holds_glyphs(const std::vector<fs::path>& candidates) {
  const auto found = std::find_if(candidates.begin(), candidates.end(), holds_glyphs);
  return found == candidates.end() ? std::nullopt : std::optional(*found);
}

std::vector<fs::path> candidates_of_name(const std::string& name) {
  std::vector<fs::path> candidates;
  for (const auto& folder : data_folders()) {
    candidates.push_back(folder / name);
    // The file names of all data sets are the same: a folder named after another one is not this one.
    if (const std::string own = name_of(folder); own == name || !is_known(own)) candidates.push_back(folder);
  }
  return candidates;
}

[[noreturn]] void fail_to_find(const std::string& source, const std::vector<fs::path>& candidates) {
  std::string message =
      "no glyphs \"" + source + "\" found; looked for " + spellings(Split::train, "images")[1] + "[.gz] in";
  for (const auto& folder : candidates) message += "\n  " + folder.string();
  if (is_known(source))
    message += "\n\"gridspot data fetch " + source + "\" downloads them; \"builtin\" needs no files";
  throw IoError(message);
}

std::vector<std::string> read_class_names(const fs::path& path) {
  std::istringstream text(read_file(path, max_classes_file));
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const std::string place = path.string() + ", line " + std::to_string(names.size() + 1) + ": ";
    if (line.empty()) throw InvalidInput(place + "the class name is empty");
    if (!seen.insert(line).second) throw InvalidInput(place + "the class \"" + line + "\" is named twice");
    names.push_back(line);
  }
  if (names.empty()) throw InvalidInput(path.string() + ": no class is named");
  return names;
}

std::vector<std::string> numbers(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

std::vector<std::string> class_names_of(const fs::path& folder) {
  if (fs::exists(folder / "classes.txt")) return read_class_names(folder / "classes.txt");
  const std::string name = name_of(folder);
  if (name == "fashion-mnist") return {fashion_classes.begin(), fashion_classes.end()};
  if (name == "mnist") return numbers(10);
  int largest = 0;  // over both splits: a class may be missing in one of them
  for (const Split split : {Split::train, Split::test})
    if (const auto path = find_file(folder, split, "labels"))
      for (const std::uint8_t label : read_idx_labels(*path)) largest = std::max<int>(largest, label);
  return numbers(largest + 1);
}

/// Refuses here what validate() would, because here the file and the place in it are known.
void check_labels(const fs::path& path, const std::vector<std::uint8_t>& labels, int images, int classes) {
  if (labels.size() != std::size_t(images))
    throw InvalidInput(path.string() + ": " + std::to_string(labels.size()) + " labels for " + std::to_string(images) +
                       " images");
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= classes)
      throw InvalidInput(path.string() + ", label " + std::to_string(i) + ": class " + std::to_string(labels[i]) +
                         ", but there are " + std::to_string(classes) + " classes");
}

GlyphSet load_folder(const fs::path& folder, Split split) {
  const fs::path image_path = require_file(folder, split, "images"), label_path = require_file(folder, split, "labels");
  auto images = read_idx_images(image_path);
  if (images.height > max_glyph_side || images.width > max_glyph_side)
    throw InvalidInput(image_path.string() + ": glyphs of " + std::to_string(images.height) + "x" +
                       std::to_string(images.width) + " pixels; a side has at most " + std::to_string(max_glyph_side));
  const auto labels = read_idx_labels(label_path);
  GlyphSet glyphs{images.height,
                  images.width,
                  std::move(images.pixels),
                  {labels.begin(), labels.end()},
                  class_names_of(folder),
                  fs::absolute(folder).lexically_normal().string()};
  check_labels(label_path, labels, images.count, glyphs.classes());
  return glyphs;
}

GlyphSet load_name(const std::string& name, Split split) {
  const auto candidates = candidates_of_name(name);
  if (const auto folder = first_that_holds_glyphs(candidates)) return load_folder(*folder, split);
  fail_to_find(name, candidates);
}

}  // namespace

void validate(const GlyphSet& glyphs) {
  const std::string place = (glyphs.source.empty() ? "glyphs" : glyphs.source) + ": ";
  const auto valid_side = [](int side) { return side >= 1 && side <= max_glyph_side; };
  require(valid_side(glyphs.height) && valid_side(glyphs.width),
          place + "a glyph's sides must be 1 to " + std::to_string(max_glyph_side) + " pixels, found " +
              std::to_string(glyphs.height) + "x" + std::to_string(glyphs.width));
  require(!glyphs.labels.empty(), place + "there is no glyph");
  require(!glyphs.class_names.empty(), place + "there is no class");
  const std::size_t expected = glyphs.labels.size() * glyphs.height * glyphs.width;
  require(glyphs.pixels.size() == expected,
          place + "expected " + std::to_string(expected) + " pixels, found " + std::to_string(glyphs.pixels.size()));
  for (std::size_t i = 0; i < glyphs.labels.size(); ++i)
    if (glyphs.labels[i] < 0 || glyphs.labels[i] >= glyphs.classes())
      throw InvalidInput(place + "glyph " + std::to_string(i) + " has class " + std::to_string(glyphs.labels[i]) +
                         ", but there are " + std::to_string(glyphs.classes()) + " classes");
}

std::pair<GlyphSet, GlyphSet> hold_out(const GlyphSet& glyphs, double share) {
  std::vector<std::int64_t> kept_of_class(static_cast<std::size_t>(glyphs.classes()));
  for (const auto label : glyphs.labels) ++kept_of_class[static_cast<std::size_t>(label)];
  for (auto& kept : kept_of_class) kept -= static_cast<std::int64_t>(share * static_cast<double>(kept));

  GlyphSet kept{glyphs.height, glyphs.width, {}, {}, glyphs.class_names, glyphs.source}, held_out = kept;
  const std::ptrdiff_t pixels = std::ptrdiff_t{glyphs.height} * glyphs.width;
  for (int i = 0; i < glyphs.count(); ++i) {
    const auto label = glyphs.labels[static_cast<std::size_t>(i)];
    GlyphSet& set = kept_of_class[static_cast<std::size_t>(label)]-- > 0 ? kept : held_out;
    const auto first = glyphs.pixels.begin() + i * pixels;
    set.pixels.insert(set.pixels.end(), first, first + pixels);
    set.labels.push_back(label);
  }
  require(kept.count() > 0 && held_out.count() > 0, glyphs.source + ": of " + std::to_string(glyphs.count()) +
                                                        " glyphs a share of " + std::to_string(share) +
                                                        " of each class cannot be held out");
  return {std::move(kept), std::move(held_out)};
}

std::vector<fs::path> data_folders() {
  std::vector<fs::path> folders;
  if (const char* data = std::getenv("GRIDSPOT_DATA"); data != nullptr && *data != 0) folders.emplace_back(data);
  folders.emplace_back("data");
  if (const auto cache = user_cache_folder(); !cache.empty()) folders.push_back(cache);
  folders.emplace_back("/usr/share/datasets");
  return folders;
}

GlyphSet load_glyphs(const std::string& source, Split split) {
  if (source == "builtin") return draw_builtin_glyphs(split);
  if (source == "auto") {
    const auto folder = first_that_holds_glyphs(candidates_of_name("mnist"));
    return folder ? load_folder(*folder, split) : draw_builtin_glyphs(split);
  }
  if (is_known(source)) return load_name(source, split);
  const fs::path folder(source);
  const std::vector<fs::path> candidates{folder, folder / "mnist", folder / "fashion-mnist"};
  if (const auto found = first_that_holds_glyphs(candidates)) return load_folder(*found, split);
  fail_to_find(source, candidates);
}

}  // namespace gridspot
