#include "report/findings.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "report/html.h"
#include "report/svg.h"

namespace gridspot::report {
namespace {

/// A study's presets call the model whose weights all start out random C.
constexpr std::string_view untrained_model = "C";
/// And those that differ from A only in how their backbones were pre-trained A-something.
constexpr std::string_view varied_model = "A", variant_prefix = "A-";

/// Null without one of that name.
const RunEntry* find_model(const Report& report, std::string_view name) {
  const auto found = std::find_if(report.models.begin(), report.models.end(),
                                  [name](const auto& model) { return model.name == name; });
  return found == report.models.end() ? nullptr : &*found;
}

std::string number(std::int64_t count) { return count_text(count); }

std::string when(const EvaluationEntry& evaluation) {
  return evaluation.epoch ? "after " + epoch_text(*evaluation.epoch) + " epochs" : "at the end";
}

std::string share_of(std::int64_t part, std::int64_t whole) {
  return number(part) + " of " + number(whole) + " (" +
         percent_text(whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole)) + ")";
}

/// The evaluations on `protocol` at the epoch of the leader's, in the order of the models.
std::vector<Leader> rivals(const Report& report, const std::string& protocol, const Leader& first) {
  std::vector<Leader> others;
  if (!first.evaluation->epoch) return others;
  for (const auto& model : report.models)
    if (const auto* its = find_evaluation(model, *first.evaluation->epoch, protocol);
        its != nullptr && &model != first.model)
      others.push_back({&model, its});
  std::stable_sort(others.begin(), others.end(), [](const auto& a, const auto& b) {
    return a.evaluation->record.evaluation.map50 > b.evaluation->record.evaluation.map50;
  });
  return others;
}

Finding best_model(const Report& report, const std::string& protocol, const Leader& first) {
  const auto& record = first.evaluation->record;
  const auto others = rivals(report, protocol, first);
  Finding finding{.text = "On " + protocol + " " + when(*first.evaluation) + ", " + first.model->name +
                          (others.empty() ? " reaches mAP50 " : " has the highest mAP50, ") +
                          measure_text(record.evaluation.map50),
                  .rule = "the highest mAP50 at the last milestone at which a model was evaluated on the protocol",
                  .files = {first.evaluation->file}};
  std::string rest;
  for (const auto& other : others) {
    rest +=
        (rest.empty() ? "" : ", ") + other.model->name + " " + measure_text(other.evaluation->record.evaluation.map50);
    finding.files.push_back(other.evaluation->file);
  }
  if (!rest.empty()) finding.text += " (" + rest + ")";
  finding.text += "; its mAP50_95 is " + measure_text(record.evaluation.map50_95) + ", its class accuracy " +
                  measure_text(record.class_accuracy) + ".";
  return finding;
}

/// "A +0.123 (0.900 against 0.777)".
std::string gain(const RunEntry& model, double its, double untrained) {
  return model.name + " " + difference_text(its - untrained) + " (" + measure_text(its) + " against " +
         measure_text(untrained) + ")";
}

/// At each epoch at which the untrained model and another one were evaluated.
void add_gains(const Report& report, const std::string& protocol, std::vector<Finding>& findings) {
  const auto* untrained = find_model(report, untrained_model);
  if (untrained == nullptr) return;
  for (const auto epoch : epochs_of(report)) {
    const auto* base = find_evaluation(*untrained, epoch, protocol);
    if (base == nullptr) continue;
    Finding finding{.text = "",
                    .rule = "mAP50 less that of " + untrained->name +
                            ", whose weights all start out random, at the same milestone on the same protocol",
                    .files = {base->file}};
    for (const auto& model : report.models) {
      const auto* its = find_evaluation(model, epoch, protocol);
      if (its == nullptr || its == base) continue;
      finding.text +=
          (finding.text.empty() ? "" : ", ") + gain(model, its->record.evaluation.map50, base->record.evaluation.map50);
      finding.files.push_back(its->file);
    }
    if (finding.text.empty()) continue;
    finding.text = "What pre-training gained over " + untrained->name + " in mAP50 on " + protocol + " after " +
                   epoch_text(epoch) + " epochs: " + finding.text + ".";
    findings.push_back(finding);
  }
}

/// On what A's gain depends: what each change of its pre-training brought at the last epoch of A's evaluation.
std::optional<Finding> gains_of_variants(const Report& report, const std::string& protocol) {
  const auto* varied = find_model(report, varied_model);
  const auto* base = varied == nullptr ? nullptr : last_evaluation(*varied, protocol);
  if (base == nullptr || !base->epoch) return std::nullopt;
  const double its = base->record.evaluation.map50;
  std::vector<Leader> variants;
  for (const auto& model : report.models)
    if (model.name.starts_with(variant_prefix))
      if (const auto* evaluation = find_evaluation(model, *base->epoch, protocol))
        variants.push_back({&model, evaluation});
  if (variants.empty()) return std::nullopt;
  const auto map50 = [](const Leader& variant) { return variant.evaluation->record.evaluation.map50; };
  std::stable_sort(variants.begin(), variants.end(), [&](const auto& a, const auto& b) { return map50(a) > map50(b); });
  Finding finding{.text = "",
                  .rule =
                      "mAP50 less that of A at A's last milestone; these models differ from A only in how their "
                      "backbones were pre-trained",
                  .files = {base->file}};
  for (const Leader& variant : variants) {
    finding.text += (finding.text.empty() ? "" : "; ") + variant.model->name + " " +
                    difference_text(map50(variant) - its) + " (" + variant.model->backbone + ")";
    finding.files.push_back(variant.evaluation->file);
  }
  finding.text = "What another pre-training than A's (" + varied->backbone + ") brought in mAP50 on " + protocol + " " +
                 when(*base) + ": " + finding.text + ".";
  return finding;
}

/// "0.281 (macro F1 of cells)": what a backbone reached in its own task.
std::string own_task(const ClassifierRecord& record) {
  return record.accuracy ? measure_text(*record.accuracy) + " (accuracy on " + record.task + ")"
                         : measure_text(record.macro_f1.value_or(0)) + " (macro F1 on " + record.task + ")";
}

/// Whether a backbone that had learned more was worth more.
std::optional<Finding> gains_of_backbones(const Report& report, const std::string& protocol) {
  const auto* untrained = find_model(report, untrained_model);
  const auto* base = untrained == nullptr ? nullptr : last_evaluation(*untrained, protocol);
  if (base == nullptr || !base->epoch) return std::nullopt;
  Finding finding{.text = "",
                  .rule = "a backbone's evaluation of its own task on test canvases; mAP50 less that of " +
                          untrained->name + " at its last milestone",
                  .files = {base->file}};
  for (const auto& model : report.models) {
    const auto* its = find_evaluation(model, *base->epoch, protocol);
    const auto backbone = std::find_if(report.backbones.begin(), report.backbones.end(), [&](const auto& run) {
      return run.folder == model.backbone_folder && !run.classifications.empty();
    });
    if (its == nullptr || backbone == report.backbones.end()) continue;
    const auto& learned = backbone->classifications.back();
    finding.text += (finding.text.empty() ? "" : "; ") + model.name + " " + own_task(learned.record) + ", gain " +
                    difference_text(its->record.evaluation.map50 - base->record.evaluation.map50);
    finding.files.insert(finding.files.end(), {learned.file, its->file});
  }
  if (finding.text.empty()) return std::nullopt;
  finding.text = "What each backbone had learned of its own task, and what it gained over " + untrained->name +
                 " in mAP50 on " + protocol + " " + when(*base) + ": " + finding.text + ".";
  return finding;
}

Finding commonest_error(const Leader& first) {
  const auto& evaluation = first.evaluation->record.evaluation;
  const auto kinds = error_kinds(evaluation.errors);
  const std::int64_t all = eval::errors(evaluation.errors);
  Finding finding{
      .text = first.model->name + " makes no error on " + first.evaluation->record.protocol + ".",
      .rule = "counts at the score threshold " + measure_text(evaluation.score_threshold) + ", most frequent first",
      .files = {first.evaluation->file}};
  if (all == 0) return finding;
  finding.text =
      "Of the errors of " + first.model->name + ", " + share_of(kinds[0].count, all) + " are " + kinds[0].name;
  const auto made = static_cast<std::size_t>(
      std::count_if(kinds.begin(), kinds.end(), [](const ErrorKind& kind) { return kind.count > 0; }));
  for (std::size_t i = 1; i < made; ++i)
    finding.text += std::string(i == 1          ? "; then come "
                                : i + 1 == made ? " and "
                                                : ", ") +
                    kinds[i].name + " (" + number(kinds[i].count) + ")";
  finding.text += ".";
  const auto& confusions = first.evaluation->record.failures.confusions;
  if (!confusions.empty()) {
    const auto name = [&](int id) { return evaluation.per_class[static_cast<std::size_t>(id)].name; };
    finding.text += " The class error made most often is " + name(confusions[0].true_class) + " taken for " +
                    name(confusions[0].found_class) + ", " +
                    (confusions[0].count == 1 ? "once" : number(confusions[0].count) + " times") + ".";
  }
  return finding;
}

std::string range_text(const eval::RecallBin& bin, int digits) {
  const double step = std::pow(10, -digits);
  return tick_text(bin.from, step) + " to " + tick_text(bin.to, step);
}

std::optional<Finding> recall_by_size(const Leader& first) {
  std::vector<eval::RecallBin> bins;
  for (const auto& bin : first.evaluation->record.failures.by_size)
    if (bin.objects > 0) bins.push_back(bin);
  if (bins.size() < 2) return std::nullopt;
  return Finding{.text = "Of the smallest objects (" + range_text(bins.front(), 1) + " pixels) " + first.model->name +
                         " finds " + share_of(bins.front().found, bins.front().objects) + ", of the largest (" +
                         range_text(bins.back(), 1) + " pixels) " + share_of(bins.back().found, bins.back().objects) +
                         ".",
                 .rule =
                     "the first and the last of the bins of equal width that hold objects; the size is the square "
                     "root of the box's area",
                 .files = {first.evaluation->file}};
}

std::optional<Finding> recall_by_overlap(const Leader& first) {
  eval::Recall apart, touching;
  for (const auto& bin : first.evaluation->record.failures.by_overlap) {
    eval::Recall& its = bin.to > 0 ? touching : apart;
    its.objects += bin.objects;
    its.found += bin.found;
  }
  if (apart.objects == 0 || touching.objects == 0) return std::nullopt;
  return Finding{.text = "Of the objects that overlap no other it finds " + share_of(apart.found, apart.objects) +
                         ", of those that do " + share_of(touching.found, touching.objects) + ".",
                 .rule = "an object overlaps another where the IoU of their boxes is above 0",
                 .files = {first.evaluation->file}};
}

std::optional<Finding> grid_limit(const Leader& first) {
  const auto& evaluation = first.evaluation->record.evaluation;
  const auto cost = collision_cost(evaluation);
  if (!cost) return std::nullopt;
  return Finding{.text = "The grid has a place for " + percent_text(*evaluation.collision_ceiling) +
                         " of the objects; " + first.model->name + " finds " + percent_text(evaluation.recall) +
                         ". Collisions account for at most " + number(std::min(cost->unrepresented, cost->not_found)) +
                         " of the " + number(cost->not_found) + " objects that it does not find: the ceiling " +
                         (cost->binds ? "binds." : "does not bind."),
                 .rule = "the ceiling binds where the objects without a place are at least half of those not found",
                 .files = {first.evaluation->file}};
}

}  // namespace

Leader leader(const Report& report, const std::string& protocol) {
  Leader best;
  const auto epoch = [](const EvaluationEntry& its) { return its.epoch.value_or(0); };
  for (const auto& model : report.models) {
    const auto* its = last_evaluation(model, protocol);
    if (its == nullptr || its->record.evaluation.map50 < 0) continue;
    const bool later = best.evaluation == nullptr || epoch(*its) > epoch(*best.evaluation);
    const bool better = best.evaluation != nullptr && epoch(*its) == epoch(*best.evaluation) &&
                        its->record.evaluation.map50 > best.evaluation->record.evaluation.map50;
    if (later || better) best = {&model, its};
  }
  return best;
}

std::vector<ErrorKind> error_kinds(const eval::ErrorCounts& counts) {
  std::vector<ErrorKind> kinds{{"misses", counts.misses},
                               {"duplicates", counts.duplicates},
                               {"class errors", counts.class_errors},
                               {"localisation errors", counts.localisation_errors},
                               {"finds in the background", counts.background}};
  std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return kinds;
}

std::optional<CollisionCost> collision_cost(const eval::Evaluation& evaluation) {
  if (!evaluation.collision_ceiling) return std::nullopt;
  CollisionCost cost;
  cost.unrepresented = std::llround((1 - *evaluation.collision_ceiling) * static_cast<double>(evaluation.objects));
  cost.not_found = evaluation.objects - evaluation.errors.true_positives;
  cost.binds = cost.unrepresented > 0 && 2 * cost.unrepresented >= cost.not_found;
  return cost;
}

std::vector<Finding> draw_findings(const Report& report) {
  std::vector<Finding> findings;
  const auto protocols = protocols_of(report);
  for (const auto& protocol : protocols)
    if (const Leader first = leader(report, protocol); first.model != nullptr)
      findings.push_back(best_model(report, protocol, first));
  for (const auto& protocol : protocols) add_gains(report, protocol, findings);
  for (const auto& protocol : protocols)
    for (const auto& finding : {gains_of_variants(report, protocol), gains_of_backbones(report, protocol)})
      if (finding) findings.push_back(*finding);
  const Leader first = protocols.empty() ? Leader{} : leader(report, protocols[0]);
  if (first.model == nullptr) return findings;
  findings.push_back(commonest_error(first));
  for (const auto& finding : {recall_by_size(first), recall_by_overlap(first), grid_limit(first)})
    if (finding) findings.push_back(*finding);
  return findings;
}

}  // namespace gridspot::report
