#pragma once
// The subcommands, one file each. `add_X` declares the options; the returned function runs the command and returns the
// exit code.
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

namespace gridspot::app {

using Command = std::function<int()>;

Command add_train(CLI::App& app);
Command add_pretrain(CLI::App& app);
Command add_study(CLI::App& app);
Command add_report(CLI::App& app);
Command add_eval(CLI::App& app);
Command add_detect(CLI::App& app);
Command add_data_fetch(CLI::App& app);
Command add_data_render(CLI::App& app);
Command add_bench(CLI::App& app);
Command add_info(CLI::App& app);

}  // namespace gridspot::app
