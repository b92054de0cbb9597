#include "eval/classifier_evaluation.h"

#include <algorithm>
#include <cstdio>

#include "gridspot/error.h"
#include "nn/network_executor.h"

namespace gridspot {

namespace {

struct BatchResult {
  std::vector<std::vector<bool>> present, found;  ///< [canvas][class]
};

class Worker {
 public:
  Worker(const Network& network, Device device, const TestCanvases& canvases, const ClassifierSettings& settings)
      : head_(network.spec().detector),
        stream_(device),
        feed_(make_test_feed(device, canvases, {network.spec().mean, network.spec().deviation},
                             activation_dtype(settings.precision))),
        executor_(network, device, canvases_at_once,
                  {.training = false, .engines = settings.engines, .precision = settings.precision}),
        weights_(device, network.buffer_size(), settings.precision),
        unplaced_(device, canvases_at_once),
        step_(upload(stream_, std::vector<std::uint64_t>{0})) {}

  void take(const std::vector<float>& weights) { weights_.take(stream_, weights); }

  BatchResult run(int first, int count) {
    feed_->fill(stream_, {step_.data(), first}, unplaced_);
    const auto outputs = download(stream_, executor_.forward(stream_, weights_, feed_->canvases()));
    const auto labels = labels_of(stream_, *feed_);
    BatchResult result;
    for (int canvas = 0; canvas < count; ++canvas) {
      auto& present = result.present.emplace_back(head_.classes);
      for (const LabelledBox& object : labels[canvas]) present[object.label] = true;
      result.found.push_back(found(outputs.data() + std::size_t(canvas) * cells_ * head_.classes));
    }
    return result;
  }

 private:
  [[nodiscard]] std::vector<bool> found(const float* outputs) const {
    std::vector<bool> classes(head_.classes);
    if (head_.class_loss == ClassLoss::multi_label)
      for (int i = 0; i < cells_ * head_.classes; ++i)
        classes[i % head_.classes] = classes[i % head_.classes] || outputs[i] >= 0;
    else
      classes[std::max_element(outputs, outputs + head_.classes) - outputs] = true;
    return classes;
  }

  GridHead head_;
  int cells_ = head_.cells * head_.cells;
  Stream stream_;
  std::unique_ptr<CanvasFeed> feed_;
  NetworkExecutor executor_;
  DeviceWeights weights_;
  Buffer<std::int32_t> unplaced_;
  Buffer<std::uint64_t> step_;
};

void count_canvas(const std::vector<bool>& present, const std::vector<bool>& found, ClassifierEvaluation& result) {
  ++result.canvases;
  if (present == found) ++result.right;
  for (std::size_t i = 0; i < present.size(); ++i) {
    ClassCounts& counts = result.per_class[i];
    counts.present += present[i];
    counts.found += found[i];
    counts.right += present[i] && found[i];
  }
  if (result.multi_label) return;
  const auto only = [](const std::vector<bool>& classes) {
    return std::find(classes.begin(), classes.end(), true) - classes.begin();
  };
  require(std::count(present.begin(), present.end(), true) == 1,
          "canvas " + std::to_string(result.canvases - 1) + " does not show one class, as this network expects");
  ++result.confusion[only(present)][only(found)];
}

std::string line(const std::string& name, std::size_t width, std::int64_t present, std::int64_t found, double precision,
                 double recall, double f1) {
  char text[96];
  std::snprintf(text, sizeof text, "%10lld%10lld%10.4f%10.4f%10.4f\n", static_cast<long long>(present),
                static_cast<long long>(found), precision, recall, f1);
  return name + std::string(width - name.size(), ' ') + text;
}

}  // namespace

double ClassifierEvaluation::macro_f1() const {
  double sum = 0;
  for (const ClassCounts& counts : per_class) sum += counts.f1();
  return per_class.empty() ? 0 : sum / static_cast<double>(per_class.size());
}

double ClassifierEvaluation::micro_f1() const {
  ClassCounts sum;
  for (const ClassCounts& counts : per_class) {
    sum.present += counts.present;
    sum.found += counts.found;
    sum.right += counts.right;
  }
  return sum.f1();
}

struct ClassifierEvaluator::Implementation : EvaluatorState<Worker, ClassifierSettings> {
  using EvaluatorState::EvaluatorState;
};

ClassifierEvaluator::ClassifierEvaluator(const NetworkSpec& spec, Device device, const TestCanvases& canvases,
                                         const ClassifierSettings& settings, int threads) {
  require(spec.detector.classifies_only(), "network '" + spec.name + "' is no classifier");
  require(spec.detector.cells == 1 || spec.detector.class_loss == ClassLoss::multi_label,
          "network '" + spec.name + "' finds one class in each of several cells, which no measure here is for");
  require_fit(canvases, spec);
  implementation_ = std::make_unique<Implementation>(spec, device, canvases, settings, threads);
}
ClassifierEvaluator::~ClassifierEvaluator() = default;

ClassifierEvaluation ClassifierEvaluator::run(const std::vector<float>& weights, const std::atomic<int>* stop_signal) {
  const GridHead& head = implementation_->network.spec().detector;
  const auto batches = implementation_->team.run(weights, stop_signal);
  ClassifierEvaluation result;
  result.multi_label = head.class_loss == ClassLoss::multi_label;
  result.cells = head.cells;
  result.stopped = batches.stopped;
  if (result.stopped) return result;
  result.seconds = batches.seconds;
  for (const auto& name : implementation_->canvases.class_names()) result.per_class.push_back({.name = name});
  const std::size_t classes = result.per_class.size();
  if (!result.multi_label) result.confusion.assign(classes, std::vector<std::int64_t>(classes, 0));
  for (const BatchResult& batch : batches.results)
    for (std::size_t i = 0; i < batch.present.size(); ++i) count_canvas(batch.present[i], batch.found[i], result);
  return result;
}

ClassifierEvaluation evaluate_classifier(const NetworkSpec& network, const std::vector<float>& weights, Device device,
                                         const TestCanvases& canvases, const ClassifierSettings& settings, int threads,
                                         const std::atomic<int>* stop_signal) {
  return ClassifierEvaluator(network, device, canvases, settings, threads).run(weights, stop_signal);
}

Json to_json(const ClassifierEvaluation& evaluation) {
  const char* task = !evaluation.multi_label ? "digits" : evaluation.cells == 1 ? "canvases" : "cells";
  Json json{{"task", task},
            {"canvases", evaluation.canvases},
            {evaluation.multi_label ? "exact_match" : "accuracy", evaluation.accuracy()},
            {"macro_F1", evaluation.macro_f1()}};
  if (evaluation.multi_label) json["micro_F1"] = evaluation.micro_f1();
  Json per_class = Json::array();
  for (const ClassCounts& counts : evaluation.per_class)
    per_class.push_back({{"name", counts.name},
                         {"present", counts.present},
                         {"found", counts.found},
                         {"precision", counts.precision()},
                         {"recall", counts.recall()},
                         {"F1", counts.f1()}});
  json["per_class"] = per_class;
  if (!evaluation.multi_label) json["confusion_matrix"] = evaluation.confusion;
  return json;
}

std::string to_table(const ClassifierEvaluation& evaluation) {
  std::size_t width = 5;
  for (const ClassCounts& counts : evaluation.per_class) width = std::max(width, counts.name.size());
  std::string table = "class" + std::string(width - 5, ' ') + "   present     found precision    recall        F1\n";
  ClassCounts sum;
  for (const ClassCounts& counts : evaluation.per_class) {
    table += line(counts.name, width, counts.present, counts.found, counts.precision(), counts.recall(), counts.f1());
    sum.present += counts.present;
    sum.found += counts.found;
    sum.right += counts.right;
  }
  return table + line("all", width, sum.present, sum.found, sum.precision(), sum.recall(), evaluation.macro_f1());
}

}  // namespace gridspot
