// The report for people: one page.
#include "report/html.h"
#include "report/report.h"
#include "report/sections.h"

namespace gridspot::report {
namespace {

std::string facts(const StudyFile& study) {
  const auto count = [](std::uint64_t number) { return count_text(static_cast<std::int64_t>(number)); };
  const std::string canvases = study.images == 0 ? "epochs of " + count(study.epoch_canvases) + " new canvases"
                                                 : count(study.images) + " training canvases";
  return "Preset " + study.preset + ", protocol " + study.protocol + ", recipe " + study.recipe + ", seed " +
         std::to_string(study.seed) + ", " + canvases + " of at most " + count(study.max_glyphs) +
         " glyphs; trained on " + study.device + " by gridspot " + study.gridspot + ". From ";
}

std::string header(const Report& report) {
  std::string html = "<header>\n<h1>" + escape(report.title) + "</h1>\n<p class=\"facts\">";
  if (report.study)
    html += escape(facts(*report.study)) + file_name("study.json") + ".";
  else if (!report.models.empty())
    html += escape("Network " + report.models[0].network + " on " + report.models[0].protocol + " canvases, batch " +
                   std::to_string(report.models[0].batch) + ". From ") +
            file_name("config.json") + ".";
  return html + " File names are relative to the folder of this report's run or study.</p>\n</header>\n";
}

std::string findings(const Report& report) {
  if (report.findings.empty()) return "";
  std::string sentences, rules;
  for (const auto& finding : report.findings) {
    sentences += "<p>" + escape(finding.text) + "</p>\n";
    std::string files;
    for (const auto& file : finding.files) files += (files.empty() ? "" : ", ") + file_name(file);
    rules += "<li>" + escape(finding.text.substr(0, finding.text.find_first_of(",;:("))) +
             " …: " + escape(finding.rule) + ". From " + files + ".</li>\n";
  }
  return section("findings", "What this says",
                 "<div class=\"panel\">\n" + sentences + "</div>\n" +
                     details("The rules behind these sentences", "<ul class=\"facts\">\n" + rules + "</ul>\n"));
}

std::string missing(const Report& report) {
  if (report.missing.empty()) return "";
  std::string items;
  for (const auto& sentence : report.missing) items += "<li>" + escape(sentence) + "</li>\n";
  return section("missing", "What is missing", "<ul>\n" + items + "</ul>\n");
}

}  // namespace

std::string to_html(const Report& report) {
  return page(report.title, header(report) + findings(report) + missing(report) + results_section(report) +
                                training_section(report) + failures_section(report));
}

}  // namespace gridspot::report
