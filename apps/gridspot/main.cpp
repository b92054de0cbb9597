// The command line. Results go to stdout, log and progress to stderr.
#include <exception>
#include <iostream>
#include <new>
#include <vector>

#include "apps/gridspot/commands.h"
#include "apps/gridspot/usage.h"

namespace {

using gridspot::ExitCode;
namespace app = gridspot::app;

int code(ExitCode exit_code) { return static_cast<int>(exit_code); }

int run(int argc, char** argv) {
  CLI::App root{"gridspot trains and runs single-shot grid detectors on canvases it composes itself."};
  root.require_subcommand(1);
  root.set_version_flag("--version", "gridspot " GRIDSPOT_VERSION);
  root.footer(
      "Exit codes: 0 ok, 1 runtime failure, 2 usage, 3 bad input data or model, 4 out of memory, 5 no usable device,\n"
      "6 checkpoint, 7 numerical failure, 130/143 after a clean stop by SIGINT/SIGTERM.");
  std::vector<std::pair<CLI::App*, app::Command>> commands;
  const auto add = [&](CLI::App* command, app::Command (*declare)(CLI::App&)) {
    commands.emplace_back(command, declare(*command));
  };
  add(root.add_subcommand("train", "train a detector"), app::add_train);
  add(root.add_subcommand("pretrain", "train a backbone as a classifier"), app::add_pretrain);
  add(root.add_subcommand("study", "train three models that differ in their backbones' origin"), app::add_study);
  add(root.add_subcommand("report", "show a run or a study as one HTML file"), app::add_report);
  add(root.add_subcommand("eval", "measure a model on canvases of a protocol"), app::add_eval);
  add(root.add_subcommand("detect", "find objects in images"), app::add_detect);
  CLI::App* data = root.add_subcommand("data", "fetch glyphs, render canvases")->require_subcommand(1);
  add(data->add_subcommand("fetch", "download a glyph data set"), app::add_data_fetch);
  add(data->add_subcommand("render", "write labelled canvases as image files"), app::add_data_render);
  add(root.add_subcommand("bench", "measure training and inference on this machine"), app::add_bench);
  add(root.add_subcommand("info", "describe this build, the presets or a model"), app::add_info);

  try {
    root.parse(argc, argv);
    for (const auto& [command, execute] : commands)
      if (command->parsed()) return execute();
  } catch (const CLI::Success& success) {
    return root.exit(success);
  } catch (const CLI::ParseError& error) {
    if (const std::string unknown = app::unknown_subcommand(root, argc, argv); !unknown.empty())
      std::cerr << "gridspot: " << unknown << '\n';
    else
      root.exit(error, std::cout, std::cerr);
  }
  return code(ExitCode::usage);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int result = run(argc, argv);
    std::cout.flush();
    if (!std::cout) {
      std::cerr << "gridspot: the results could not be written to stdout\n";
      return code(ExitCode::runtime_failure);
    }
    return result;
  } catch (const gridspot::Error& error) {
    std::cerr << "gridspot: " << error.what() << '\n';
    return code(error.exit_code());
  } catch (const std::bad_alloc&) {
    std::cerr << "gridspot: out of memory\n";
    return code(ExitCode::out_of_memory);
  } catch (const std::exception& error) {
    std::cerr << "gridspot: " << error.what() << '\n';
    return code(ExitCode::runtime_failure);
  }
}
