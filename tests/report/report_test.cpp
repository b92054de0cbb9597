#include "report/report.h"

#include <gmock/gmock.h>

#include <regex>

#include "eval/evaluation_folder.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"
#include "report/findings.h"
#include "report/html.h"
#include "tests/report/study_fixture.h"
#include "tests/report/xml_check.h"

namespace gridspot::report {
namespace {

using test::StudyFixture;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string texts(const Report& report) {
  std::string all;
  for (const auto& finding : report.findings) all += finding.text + "\n";
  return all;
}

Json evaluation_file(const StudyFixture& study, const std::string& folder) {
  return parse_json(study.read(folder + "/evaluation.json"), folder);
}

TEST(Report, JsonAndPageHaveTheFiguresOfTheEvaluations) {
  const StudyFixture study;
  const Report report = collect_report(study.path());
  const Json json = to_json(report);
  const std::string html = to_html(report);
  for (const auto& model : json["models"])
    for (const auto& its : model["evaluations"]) {
      SCOPED_TRACE(its["file"].get<std::string>());
      const Json file = parse_json(study.read(its["file"]), "evaluation.json");
      for (const char* key : {"mAP50", "mAP50_95", "class_accuracy", "precision", "recall", "errors", "per_class",
                              "confusion_matrix", "collision_ceiling"})
        EXPECT_EQ(to_line(its[key]), to_line(file[key])) << key;
      for (const char* key : {"recall_by_size", "recall_by_overlap", "recall_by_cell", "class_confusions"})
        EXPECT_EQ(to_line(its["failures"][key]), to_line(file["failures"][key])) << key;
      for (const char* key : {"mAP50", "mAP50_95", "class_accuracy"})
        EXPECT_THAT(html, HasSubstr("<data value=\"" + to_line(file[key]) + "\">")) << key;
      for (const auto& its_class : file["per_class"])
        EXPECT_THAT(html, HasSubstr("<data value=\"" + to_line(its_class["AP50"]) + "\">"));
    }
  EXPECT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][0]["evaluations"].size(), 2u);
}

TEST(Report, TheComparisonHasARowForEachModelAndMilestone) {
  const StudyFixture study;
  const std::string html = to_html(collect_report(study.path()));
  for (const auto& [folder, name, epochs] : {std::tuple{"A/evaluation/epoch-10", "A &lt;&amp;&gt;", "10"},
                                             {"A/evaluation/final", "A &lt;&amp;&gt;", "20"},
                                             {"C/evaluation/epoch-10", "C", "10"},
                                             {"C/evaluation/final", "C", "20"}}) {
    const Json file = evaluation_file(study, std::string(folder) + "/quick-64");
    std::string row = std::string("<tr><th scope=\"row\">") + name + "</th><th scope=\"row\">" + epochs + "</th>";
    const auto at = html.find(row);
    ASSERT_NE(at, std::string::npos) << row;
    const std::string cells = html.substr(at, html.find("</tr>", at) - at);
    EXPECT_THAT(cells, AllOf(HasSubstr(measure(file["class_accuracy"])), HasSubstr(measure(file["mAP50"])),
                             HasSubstr(measure(file["mAP50_95"]))));
  }
}

TEST(Report, ThePageIsWellFormedAndNeedsNoOtherFile) {
  const StudyFixture study;
  const std::string html = to_html(collect_report(study.path()));
  EXPECT_EQ(test::xml_fault(html), "");
  for (const char* outside : {"http:", "https:", " src=", "url(", "@import", "<script", "<link", "<iframe"})
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  const std::regex reference(" href=\"([^\"]{0,30})");
  int count = 0;
  for (auto it = std::sregex_iterator(html.begin(), html.end(), reference); it != std::sregex_iterator();
       ++it, ++count) {
    const std::string target = (*it)[1];
    EXPECT_TRUE(target.starts_with("#") || target.starts_with("data:image/png;base64,")) << target;
    if (target.starts_with("#")) {
      EXPECT_THAT(html, HasSubstr("id=\"" + target.substr(1) + "\""));
    }
  }
  EXPECT_GT(count, 4);
}

TEST(Report, EachImageIsEmbeddedOnce) {
  const StudyFixture study;
  const std::string html = to_html(collect_report(study.path()));
  const std::string png = base64(study.read("A/evaluation/final/quick-64/images/000000.png"));
  const auto first = html.find(png);
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(html.find(png, first + 1), std::string::npos);
}

TEST(Report, EveryFileNamedIsThere) {
  const StudyFixture study;
  const std::string html = to_html(collect_report(study.path()));
  const std::regex name("<code>([^<]*)</code>");
  std::set<std::string> names;
  for (auto it = std::sregex_iterator(html.begin(), html.end(), name); it != std::sregex_iterator(); ++it)
    names.insert((*it)[1]);
  for (const auto& file : names) EXPECT_TRUE(std::filesystem::exists(study.path() / file)) << file;
  for (const char* wanted : {"study.json", "A/metrics.jsonl", "A/validation.jsonl", "C/results.csv",
                             "A/evaluation/epoch-10/quick-64/evaluation.json",
                             "A/evaluation/final/quick-64/detections.json", "A/evaluation/final/quick-64/images/"})
    EXPECT_THAT(names, Contains(wanted));
}

TEST(Report, LongLossCurvesAreMeansOverWindows) {
  const StudyFixture study;
  const Report report = collect_report(study.path());
  const auto& whole = report.models[0].loss;
  EXPECT_EQ(whole.window, 1u);
  EXPECT_EQ(whole.losses.size(), 200u);
  const auto& thinned = report.backbones[0].loss;  // 450 steps of losses 3, 1, 3, 1, ...
  EXPECT_EQ(thinned.window, 3u);
  ASSERT_EQ(thinned.losses.size(), 150u);
  EXPECT_NEAR(thinned.losses[0], (3 + 1 + 3) / 3.0, 1e-12);
  EXPECT_NEAR(thinned.losses[1], (1 + 3 + 1) / 3.0, 1e-12);
  EXPECT_NEAR(thinned.epochs[0], 3 * 32 / 320.0, 1e-12) << "the end of the window";
  EXPECT_THAT(to_html(report), HasSubstr("mean over a window of steps (digits 3 steps a point)"));
}

TEST(Report, SaysWhatIsMissing) {
  const StudyFixture study;
  std::filesystem::remove(study.path() / "C/evaluation/final/quick-64/evaluation.json");
  std::filesystem::remove(study.path() / "C/validation.jsonl");
  const Report report = collect_report(study.path());
  EXPECT_THAT(
      report.missing,
      testing::UnorderedElementsAre(
          "D has not been trained: there is no D/config.json.", "C: there is no validation in C/validation.jsonl.",
          "C: C/evaluation/final/quick-64 has no evaluation.json; its evaluation was not finished.",
          "C has not been evaluated on quick-64 at 20 epochs."));
  EXPECT_EQ(test::xml_fault(to_html(report)), "");
}

TEST(Report, FindingsFollowTheirRules) {
  const StudyFixture study;
  const Report report = collect_report(study.path());
  const auto map50 = [&](const char* folder) { return evaluation_file(study, folder)["mAP50"].get<double>(); };
  const double a10 = map50("A/evaluation/epoch-10/quick-64"), c10 = map50("C/evaluation/epoch-10/quick-64"),
               a20 = map50("A/evaluation/final/quick-64");
  const std::string all = texts(report);
  EXPECT_THAT(all, HasSubstr("On quick-64 after 20 epochs, A <&> has the highest mAP50, " + measure_text(a20)));
  EXPECT_THAT(all, HasSubstr("after 10 epochs: A <&> " + difference_text(a10 - c10) + " (" + measure_text(a10) +
                             " against " + measure_text(c10) + ")"));
  // Of A's errors at the end one is of a class, one lies in the background; all eight objects were touched.
  EXPECT_THAT(all, HasSubstr("Of the errors of A <&>, 1 of 2 (50.0%) are class errors"));
  EXPECT_THAT(all, HasSubstr("The class error made most often is 1 taken for 0, once."));
  EXPECT_THAT(all, HasSubstr("the ceiling does not bind"));
  for (const auto& finding : report.findings)
    EXPECT_FALSE(finding.rule.empty() || finding.files.empty()) << finding.text;
}

TEST(Findings, WhatAnotherPreTrainingBrings) {
  Report report;
  const auto add = [&](const char* name, const char* backbone, std::uint64_t epoch, double map50) {
    EvaluationEntry entry{.milestone = "m", .epoch = epoch, .folder = name, .file = std::string(name) + ".json"};
    entry.record.protocol = "quick-64";
    entry.record.evaluation.map50 = map50;
    if (report.models.empty() || report.models.back().name != name)
      report.models.push_back({.name = name, .backbone = backbone, .protocol = "quick-64"});
    report.models.back().evaluations.push_back(entry);
  };
  add("A", "few", 10, 0.25);
  add("A", "few", 20, 0.5);
  add("Atlas", "another's", 20, 0.9);
  add("A-less", "fewer", 20, 0.375);
  add("A-early", "not done", 10, 0.75);
  add("A-more", "many", 20, 0.625);
  const auto findings = draw_findings(report);
  const auto found = std::find_if(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.text ==
           "What another pre-training than A's (few) brought in mAP50 on quick-64 after 20 epochs: A-more +0.125 "
           "(many); A-less -0.125 (fewer).";
  });
  ASSERT_NE(found, findings.end()) << texts({.findings = findings});
  EXPECT_THAT(found->files, ElementsAre("A.json", "A-more.json", "A-less.json"));
}

TEST(Findings, WhatBackbonesHadLearned) {
  Report report;
  const auto add = [&](const char* name, const char* backbone, double map50) {
    EvaluationEntry entry{.milestone = "m", .epoch = 20, .folder = name, .file = std::string(name) + ".json"};
    entry.record.protocol = "quick-64";
    entry.record.evaluation.map50 = map50;
    report.models.push_back(
        {.name = name, .backbone_folder = backbone, .protocol = "quick-64", .evaluations = {entry}});
  };
  add("A", "backbone-canvases", 0.25);
  add("B", "backbone-digits", 0.75);
  add("C", "", 0.5);
  for (const char* folder : {"backbone-digits", "backbone-canvases"}) {
    ClassifierRecord record{.task = "canvases", .macro_f1 = 0.25};
    if (folder == std::string("backbone-digits")) record = {.task = "digits", .accuracy = 0.875, .macro_f1 = 0.5};
    report.backbones.push_back(
        {.name = "any", .folder = folder, .classifications = {{"final", "p", std::string(folder) + ".json", record}}});
  }
  const auto findings = draw_findings(report);
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [](const auto& finding) { return finding.text.starts_with("What each backbone"); });
  ASSERT_NE(found, findings.end()) << texts({.findings = findings});
  EXPECT_EQ(found->text,
            "What each backbone had learned of its own task, and what it gained over C in mAP50 on quick-64 after 20 "
            "epochs: A 0.250 (macro F1 on canvases), gain -0.250; B 0.875 (accuracy on digits), gain +0.250.");
  EXPECT_THAT(found->files,
              ElementsAre("C.json", "backbone-canvases.json", "A.json", "backbone-digits.json", "B.json"));
}

TEST(Findings, KindsOfErrorsThatWereNotMadeAreNotNamed) {
  const StudyFixture study;
  write_evaluation(study.path() / "A/evaluation/final/quick-64", test::small_evaluation(0), "quick-64",
                   [](int) { return Image(64, 64, 1); });
  std::filesystem::remove_all(study.path() / "C/evaluation");
  const std::string all = texts(collect_report(study.path()));
  EXPECT_THAT(all, HasSubstr("Of the errors of A <&>, 7 of 9 (77.8%) are misses; then come"));
  EXPECT_THAT(all, Not(HasSubstr("(0)")));
}

TEST(Report, ARunThatEndsWithinAnEpochSaysSo) {
  const StudyFixture study;
  std::string results = read_file(study.path() / "A/results.csv", 1 << 20);
  const auto last = results.rfind("20,200,6400,");
  ASSERT_NE(last, std::string::npos) << results;
  study.write("A/results.csv", results.replace(last, 12, "20,192,6144,"));
  const Report report = collect_report(study.path() / "A");
  EXPECT_THAT(to_html(report), HasSubstr("after 19.2 epochs"));
  EXPECT_EQ(to_json(report)["models"][0]["evaluations"][1]["epoch"], 19.2);
}

TEST(Findings, TheCeilingBindsWhereItCostsHalfOfWhatIsNotFound) {
  struct Case {
    std::int64_t found;
    double ceiling;
    bool binds;
  };
  for (const auto& [found, ceiling, binds] :
       {Case{80, 0.9, true}, {79, 0.9, false}, {90, 0.9, true}, {50, 1, false}, {100, 1, false}}) {
    eval::Evaluation evaluation;
    evaluation.objects = 100;
    evaluation.errors.true_positives = found;
    evaluation.collision_ceiling = ceiling;
    EXPECT_EQ(collision_cost(evaluation)->binds, binds) << found << " found, ceiling " << ceiling;
  }
  EXPECT_FALSE(collision_cost({}).has_value());
}

TEST(Report, OfARunAlone) {
  const StudyFixture study;
  const Report report = collect_report(study.path() / "A");
  EXPECT_EQ(report.title, "Run A");
  EXPECT_FALSE(report.study.has_value());
  EXPECT_THAT(report.missing, ElementsAre());
  const std::string html = to_html(report);
  EXPECT_EQ(test::xml_fault(html), "");
  EXPECT_THAT(html, HasSubstr("<code>evaluation/final/quick-64/evaluation.json</code>"));
  EXPECT_EQ(to_html(collect_report(study.path() / "A" / "")), html) << "a slash at the end changes nothing";
}

TEST(Report, OfAClassifierAlone) {
  const StudyFixture study;
  const Report report = collect_report(study.path() / "backbone-digits");
  EXPECT_THAT(to_html(report), HasSubstr(measure(0.921875)));
  const Json shown = to_json(report)["models"][0]["classifications"][0];
  EXPECT_EQ(shown["accuracy"], 0.9375);
  EXPECT_EQ(shown["confusion_matrix"], Json::array({{50}}));
}

TEST(Report, NeedsARunOrAStudy) {
  const test::TemporaryFolder empty;
  try {
    collect_report(empty.path());
    FAIL() << "an empty folder was accepted";
  } catch (const InvalidInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("holds neither a study (study.json) nor a run (config.json)"));
  }
}

}  // namespace
}  // namespace gridspot::report
