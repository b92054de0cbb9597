// gridspot report
#include "report/report.h"

#include <iostream>

#include "apps/gridspot/commands.h"
#include "io/atomic_file.h"

namespace gridspot::app {

namespace {

struct Options {
  std::filesystem::path folder, out;
  bool json = false;
};

int write_report(const Options& options) {
  const report::Report report = report::collect_report(options.folder);
  const auto path = options.out.empty() ? options.folder / "report.html" : options.out;
  write_file_atomically(path, report::to_html(report));
  std::cerr << "Wrote " << path.string() << '\n';
  if (options.json) std::cout << to_text(report::to_json(report));
  return 0;
}

}  // namespace

Command add_report(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("folder", options->folder, "of a run or a study")->required();
  app.add_option("--out", options->out, "the HTML file (default: report.html in the folder)");
  app.add_flag("--json", options->json, "print one JSON object with the same figures");
  return [options] { return write_report(*options); };
}

}  // namespace gridspot::app
