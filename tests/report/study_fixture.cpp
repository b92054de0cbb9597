#include "tests/report/study_fixture.h"

#include <fstream>

#include "eval/evaluation_folder.h"
#include "gridspot/error.h"
#include "io/atomic_file.h"

namespace gridspot::test {
namespace {

constexpr const char* study = R"({"gridspot": "0.2.0", "preset": "quick", "protocol": "quick-64", "recipe": "plain",
 "seed": 7, "images": 0, "epoch_canvases": 320, "max_glyphs": 3, "device": "cpu", "milestones": [10, 20], "evaluations": ["quick-64"],
 "models": [{"name": "A <&>", "folder": "A", "backbone": "From a classifier of digits & more."},
            {"name": "C", "folder": "C", "backbone": "All weights start out random."},
            {"name": "D", "folder": "D", "backbone": "Never trained."}],
 "backbones": [{"name": "digits", "folder": "backbone-digits"}]})";

constexpr const char* config = R"({"network": {"name": "quick"}, "protocol": {"name": "quick-64"}, "batch": 32,
 "epoch_canvases": 320, "seed": 7})";

}  // namespace

ProtocolEvaluation small_evaluation(int found) {
  ProtocolEvaluation result;
  result.set.class_names = {"0", "1"};
  for (int i = 0; i < 8; ++i) {
    if (i % 2 == 0) result.set.images.push_back({64, 64});
    const float side = 0.2f + 0.01f * static_cast<float>(i);
    const Box box{i % 2 == 0 ? 0.3f : 0.7f, 0.5f, side, side};
    result.set.objects.push_back({i / 2, i % 2, box});
    if (i < found) result.set.detections.push_back({i / 2, i % 2, 0.9f, box});
    if (i == 7) result.set.detections.push_back({i / 2, 0, 0.6f, box});
  }
  result.set.detections.push_back({0, 1, 0.55f, {0.5f, 0.9f, 0.1f, 0.1f}});
  result.evaluation = eval::evaluate(result.set, {.score_threshold = 0.5f, .cells = 4});
  result.class_accuracy = 0.8125;
  return result;
}

StudyFixture::StudyFixture() {
  write("study.json", study);
  write_run("A", 200);
  write_run("C", 200);
  write_run("backbone-digits", 450);
  const auto grey = [](int i) { return Image(64, 64, 1, static_cast<std::uint8_t>(i)); };
  const auto add = [&](const char* folder, int found) {
    write_evaluation(path() / folder, small_evaluation(found), "quick-64", grey);
  };
  add("A/evaluation/epoch-10/quick-64", 5);
  add("A/evaluation/final/quick-64", 7);
  add("C/evaluation/epoch-10/quick-64", 2);
  add("C/evaluation/final/quick-64", 6);
  write("backbone-digits/evaluation/final/quick-64/evaluation.json",
        R"({"task": "digits", "canvases": 100, "accuracy": 0.9375, "macro_F1": 0.921875, "per_class":
            [{"name": "0", "present": 50, "found": 50, "precision": 1.0, "recall": 1.0, "F1": 1.0}],
            "confusion_matrix": [[50]]})");
}

void StudyFixture::write_run(const std::string& folder, int steps) const {
  std::string metrics, results = "epoch,step,canvases,seconds,loss,objectness\n", validation;
  for (int step = 1; step <= steps; ++step) {
    const std::string canvases = std::to_string(32 * step);
    metrics += R"({"step":)" + std::to_string(step) + R"(,"canvases":)" + canvases + R"(,"loss":)" +
               std::to_string(step % 2 == 0 ? 1 : 3) + R"(,"objectness":0.5})" + "\n";
    if (step % 10 != 0) continue;
    const std::string epoch = std::to_string(step / 10);
    results += epoch + "," + std::to_string(step) + "," + canvases + "," + epoch + ".5,2.0,0.5\n";
    validation += R"({"step":)" + std::to_string(step) + R"(,"epoch":)" + epoch +
                  R"(,"mAP50":0.5,"mAP50_95":0.25,"class_accuracy":0.75})" + "\n";
  }
  write(folder + "/config.json", config);
  write(folder + "/metrics.jsonl", metrics);
  write(folder + "/results.csv", results);
  write(folder + "/validation.jsonl", validation);
  write(folder + "/model.safetensors", "");
}

std::string StudyFixture::read(const std::string& name) const { return read_file(path() / name, 1 << 24); }

void StudyFixture::write(const std::string& name, const std::string& content) const {
  std::filesystem::create_directories((path() / name).parent_path());
  std::ofstream(path() / name, std::ios::binary) << content;
}

void StudyFixture::replace(const std::string& name, const std::string& from, const std::string& to) const {
  std::string text = read(name);
  const auto at = text.find(from);
  ensure(at != std::string::npos, name + " does not hold " + from);
  write(name, text.replace(at, from.size(), to));
}

}  // namespace gridspot::test
