// gridspot data fetch, gridspot data render
#include <unistd.h>

#include <iostream>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/signals.h"
#include "apps/gridspot/usage.h"
#include "data/canvas_source.h"
#include "data/fetch.h"
#include "data/label_files.h"

namespace gridspot::app {

namespace {

struct FetchOptions {
  std::string name;
  std::filesystem::path out;
};

int fetch_data(const FetchOptions& options) {
  const auto folder = options.out.empty() ? default_fetch_folder(options.name) : options.out;
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const StopSignals signals;
  const auto show = [&](const FetchProgress& progress) {
    if (terminal) {
      std::cerr << "\r\033[K[" << progress.index + 1 << '/' << progress.count << "] " << progress.file << "  "
                << progress.received / 1024 << " KiB";
      if (progress.total > 0) std::cerr << " of " << progress.total / 1024;
      std::cerr << std::flush;
    }
    return signals.flag() == 0;
  };
  try {
    fetch(options.name, folder, show);
  } catch (const Error&) {
    if (terminal) std::cerr << '\n';
    if (signals.exit_code() != 0) return signals.exit_code();
    throw;
  }
  if (terminal) std::cerr << '\n';
  std::cout << folder.string() << '\n';
  return 0;
}

struct RenderOptions {
  std::string protocol, data = "auto", format = "yolo", split = "train", device = "auto";
  std::vector<std::string> settings;
  std::filesystem::path out;
  int count = 0;
  std::uint64_t seed = 1;
};

int render(const RenderOptions& options) {
  constexpr int canvases_at_once = 32;
  Protocol protocol = find_protocol(options.protocol);
  for (const std::string& setting : options.settings) set_option(protocol, setting);
  const Split split = options.split == "train" ? Split::train : Split::test;
  const GlyphSet glyphs = load_glyphs(options.data, split);
  const auto writer = make_label_writer(parse_label_format(options.format), options.out, glyphs.class_names);
  const Device device = parse_device(options.device);
  Stream stream(device);
  const GlyphBank bank(stream, glyphs);
  CanvasSource source(device, protocol, bank, split, options.seed, canvases_at_once);
  const StopSignals signals;
  std::int64_t unplaced = 0;
  for (int first = 0; first < options.count; first += canvases_at_once) {
    const auto pixels = source.compose_images(stream, first);
    const auto labels = source.labels(stream);
    const auto left_out = download(stream, source.scenes().unplaced);
    const std::size_t size = std::size_t(protocol.height) * protocol.width;
    for (int i = 0; i < std::min(canvases_at_once, options.count - first); ++i) {
      if (signals.exit_code() != 0) {
        std::cerr << "Stopped after " << writer->count() << " canvases; " << options.out.string() << " is unfinished\n";
        return signals.exit_code();
      }
      Image canvas(protocol.height, protocol.width, 1);
      std::copy_n(pixels.begin() + i * size, size, canvas.pixels.begin());
      std::vector<Box> boxes;
      std::vector<std::int32_t> classes;
      for (const LabelledBox& object : labels[i]) {
        boxes.push_back(object.box);
        classes.push_back(object.label);
      }
      writer->add(canvas, boxes, classes);
      unplaced += left_out[i];
    }
  }
  writer->finish();
  std::cerr << "Wrote " << writer->count() << ' ' << protocol.name << " canvases of glyphs from " << glyphs.source
            << " to " << options.out.string();
  if (unplaced > 0) std::cerr << "; there was no place for " << unplaced << " glyphs";
  std::cerr << '\n';
  return 0;
}

}  // namespace

Command add_data_fetch(CLI::App& app) {
  const auto options = std::make_shared<FetchOptions>();
  app.add_option("name", options->name, "mnist or fashion-mnist")->required()->check(accepted_by(find_remote_data_set));
  app.add_option("--out", options->out, "folder (default: where gridspot looks for data)");
  return [options] { return fetch_data(*options); };
}

Command add_data_render(CLI::App& app) {
  const auto options = std::make_shared<RenderOptions>();
  app.add_option("--protocol", options->protocol, "which canvases")->required()->check(accepted_by(find_protocol));
  app.add_option("--count", options->count, "how many")->required()->check(CLI::PositiveNumber);
  app.add_option("--out", options->out, "folder")->required();
  app.add_option("--seed", options->seed, "of the canvases")
      ->check(CLI::Range(std::uint64_t{0}, max_seed))
      ->capture_default_str();
  app.add_option("--format", options->format, "yolo or coco")
      ->check(CLI::IsMember({"yolo", "coco"}))
      ->capture_default_str();
  app.add_option("--split", options->split, "whose glyphs and seed space")
      ->check(CLI::IsMember({"train", "test"}))
      ->capture_default_str();
  app.add_option("--data", options->data, "glyphs: auto, builtin, mnist, fashion-mnist or a folder")
      ->capture_default_str();
  app.add_option("--set", options->settings, "an option of the protocol, e.g. noise=0.1")
      ->allow_extra_args(false)
      ->check(accepted_by(check_protocol_option));
  app.add_option("--device", options->device, "auto, cpu, cuda, cuda:N")
      ->check(accepted_by(parse_device))
      ->capture_default_str();
  return [options] { return render(*options); };
}

}  // namespace gridspot::app
