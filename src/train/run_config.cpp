#include "train/run_config.h"

#include "gridspot/error.h"
#include "io/enum_name.h"
#include "nn/precision_names.h"

namespace gridspot {

namespace {

using namespace std::string_view_literals;

constexpr std::array box_kinds{EnumName{"tile"sv, BoxKind::tile}, EnumName{"tight"sv, BoxKind::tight}};
constexpr std::array box_losses{EnumName{"mse"sv, BoxLoss::mse}, EnumName{"diou"sv, BoxLoss::diou}};
constexpr std::array optimizer_kinds{EnumName{"adamw"sv, OptimizerKind::adamw}, EnumName{"adam"sv, OptimizerKind::adam},
                                     EnumName{"sgd"sv, OptimizerKind::sgd}};
constexpr std::array schedule_kinds{EnumName{"constant"sv, ScheduleKind::constant},
                                    EnumName{"cosine"sv, ScheduleKind::cosine},
                                    EnumName{"one_cycle"sv, ScheduleKind::one_cycle}};

// Each part of the configuration is listed twice, once for each direction; the round trip is a test.

Json protocol_json(const Protocol& protocol) {
  return {{"name", protocol.name},
          {"box", name_of(box_kinds, protocol.box)},
          {"shear", json_number(protocol.max_shear)},
          {"clutter", protocol.max_clutter},
          {"noise", json_number(protocol.noise)},
          {"min_contrast", json_number(protocol.min_contrast)},
          {"inversion", json_number(protocol.inversion)}};
}

Protocol named_protocol(const ObjectReader& reader, const std::string& name) {
  try {
    return find_protocol(name);
  } catch (const InvalidInput& error) {
    reader.fail("name", std::string("is unknown: ") + error.what());
  }
}

Protocol read_protocol(ObjectReader reader) {
  std::string name;
  reader.require("name", name);
  Protocol protocol = named_protocol(reader, name);
  reader.read("box", protocol.box, all(box_kinds));
  reader.read("shear", protocol.max_shear, 0, 1);
  reader.read("clutter", protocol.max_clutter, 0, most_clutter);
  reader.read("noise", protocol.noise, 0, 1);
  reader.read("min_contrast", protocol.min_contrast, lowest_contrast, 1);
  reader.read("inversion", protocol.inversion, 0, 1);
  reader.finish();
  return protocol;
}

Json loss_json(const LossSettings& loss) {
  return {{"objectness_weight", json_number(loss.objectness_weight)},
          {"no_object_weight", json_number(loss.no_object_weight)},
          {"box_weight", json_number(loss.box_weight)},
          {"class_weight", json_number(loss.class_weight)},
          {"box_loss", name_of(box_losses, loss.box_loss)}};
}

void read_loss(ObjectReader reader, LossSettings& loss) {
  for (auto [key, value] : {std::pair{"objectness_weight"sv, &loss.objectness_weight},
                            {"no_object_weight"sv, &loss.no_object_weight},
                            {"box_weight"sv, &loss.box_weight},
                            {"class_weight"sv, &loss.class_weight}})
    reader.read(key, *value, 0, 1e6);
  reader.read("box_loss", loss.box_loss, all(box_losses));
  reader.finish();
}

Json optimizer_json(const OptimizerSettings& optimizer) {
  const Schedule& schedule = optimizer.schedule;
  return {{"kind", name_of(optimizer_kinds, optimizer.kind)},
          {"beta1", json_number(optimizer.beta1)},
          {"beta2", json_number(optimizer.beta2)},
          {"epsilon", json_number(optimizer.epsilon)},
          {"momentum", json_number(optimizer.momentum)},
          {"weight_decay", json_number(optimizer.weight_decay)},
          {"clip_norm", json_number(optimizer.clip_norm)},
          {"ema_decay", json_number(optimizer.ema_decay)},
          {"schedule",
           {{"kind", name_of(schedule_kinds, schedule.kind)},
            {"peak", json_number(schedule.peak)},
            {"warmup", schedule.warmup},
            {"final_fraction", json_number(schedule.final_fraction)}}}};
}

void read_optimizer(ObjectReader reader, OptimizerSettings& optimizer) {
  reader.read("kind", optimizer.kind, all(optimizer_kinds));
  reader.read("beta1", optimizer.beta1, 0, 0.999999);
  reader.read("beta2", optimizer.beta2, 0, 0.999999);
  reader.read("epsilon", optimizer.epsilon, 1e-20, 1);
  reader.read("momentum", optimizer.momentum, 0, 0.999999);
  reader.read("weight_decay", optimizer.weight_decay, 0, 10);
  reader.read("clip_norm", optimizer.clip_norm, 0, 1e9);
  reader.read("ema_decay", optimizer.ema_decay, 0, 0.999999);
  if (reader.has("schedule")) {
    ObjectReader schedule = reader.object("schedule");
    schedule.read("kind", optimizer.schedule.kind, all(schedule_kinds));
    schedule.read("peak", optimizer.schedule.peak, 0, 1e3);
    schedule.read("warmup", optimizer.schedule.warmup);
    schedule.read("final_fraction", optimizer.schedule.final_fraction, 0, 1);
    schedule.finish();
  }
  reader.finish();
}

Json evaluation_json(const EvaluationSettings& evaluation) {
  return {{"count", evaluation.count},
          {"seed", evaluation.seed},
          {"report_threshold", json_number(evaluation.report_threshold)},
          {"score_threshold", json_number(evaluation.detection.score_threshold)},
          {"nms_threshold", json_number(evaluation.detection.nms_threshold)},
          {"class_agnostic", evaluation.detection.class_agnostic},
          {"capacity", evaluation.detection.capacity}};
}

void read_evaluation(ObjectReader reader, EvaluationSettings& evaluation) {
  reader.read("count", evaluation.count, 0, 10'000'000);
  reader.read("seed", evaluation.seed, 0, max_seed);
  reader.read("report_threshold", evaluation.report_threshold, 0, 1);
  reader.read("score_threshold", evaluation.detection.score_threshold, 0, 1);
  reader.read("nms_threshold", evaluation.detection.nms_threshold, 0, 1);
  reader.read("class_agnostic", evaluation.detection.class_agnostic);
  reader.read("capacity", evaluation.detection.capacity, 1, max_nms_slots);
  reader.finish();
}

Json training_set_json(const TrainingSet& set) {
  return {{"images", set.images},
          {"folder", set.folder},
          {"digest", set.digest},
          {"strict", set.strict},
          {"shuffle", set.shuffle},
          {"max_glyphs", set.max_glyphs},
          {"augmentation",
           {{"scale", json_number(set.augmentation.scale)},
            {"shift", json_number(set.augmentation.shift)},
            {"overlay", json_number(set.augmentation.overlay)}}}};
}

void read_training_set(ObjectReader reader, TrainingSet& set) {
  reader.read("images", set.images, 0, 10'000'000);
  reader.read("folder", set.folder);
  reader.read("digest", set.digest);
  reader.read("strict", set.strict);
  reader.read("shuffle", set.shuffle);
  reader.read("max_glyphs", set.max_glyphs, 0, most_glyphs);
  if (reader.has("augmentation")) {
    ObjectReader augmentation = reader.object("augmentation");
    augmentation.read("scale", set.augmentation.scale, 0, most_scale);
    augmentation.read("shift", set.augmentation.shift, 0, most_shift);
    augmentation.read("overlay", set.augmentation.overlay, 0, 1);
    augmentation.finish();
  }
  reader.finish();
}

Json backbone_json(const BackboneSource& backbone) {
  return {{"file", backbone.file}, {"digest", backbone.digest}, {"frozen_epochs", backbone.frozen_epochs}};
}

void read_backbone(ObjectReader reader, BackboneSource& backbone) {
  reader.read("file", backbone.file);
  reader.read("digest", backbone.digest);
  reader.read("frozen_epochs", backbone.frozen_epochs, 0, 1'000'000);
  reader.finish();
}

Json validation_json(const ValidationSettings& validation) {
  return {{"every_epochs", validation.every_epochs},
          {"count", validation.count},
          {"seed", validation.seed},
          {"held_out", json_number(validation.held_out)}};
}

void read_validation(ObjectReader reader, ValidationSettings& validation) {
  reader.read("every_epochs", validation.every_epochs, 0, 1'000'000);
  reader.read("count", validation.count, 1, 10'000'000);
  reader.read("seed", validation.seed, 0, max_seed);
  reader.read("held_out", validation.held_out, 0, 0.9);
  reader.finish();
}

Json engines_json(const EngineSettings& engines) {
  return {{"deterministic", engines.deterministic}, {"autotune", engines.autotune}};
}

void read_engines(ObjectReader reader, EngineSettings& engines) {
  reader.read("deterministic", engines.deterministic);
  reader.read("autotune", engines.autotune);
  reader.finish();
}

Json to_json_value(const RunConfig& config) {
  return {{"gridspot", config.gridspot},
          {"network", parse_json(to_json(config.network), "network")},
          {"protocol", protocol_json(config.protocol)},
          {"data", config.data},
          {"glyphs", config.glyphs},
          {"device", config.device},
          {"seed", config.seed},
          {"steps", config.steps},
          {"epoch_canvases", config.epoch_canvases},
          {"batch", config.batch},
          {"shards", config.shards},
          {"precision", name_of(precision_names, config.precision)},
          {"engines", engines_json(config.engines)},
          {"objectness_prior", json_number(config.objectness_prior)},
          {"loss", loss_json(config.loss)},
          {"optimizer", optimizer_json(config.optimizer)},
          {"training_set", training_set_json(config.training_set)},
          {"backbone", backbone_json(config.backbone)},
          {"validation", validation_json(config.validation)},
          {"evaluation", evaluation_json(config.evaluation)},
          {"checkpoint_every", config.checkpoint_every},
          {"keep_checkpoints", config.keep_checkpoints}};
}

RunConfig read_config(const Json& value, const std::string& origin) {
  ObjectReader reader(value, origin);
  RunConfig config;
  reader.read("gridspot", config.gridspot);
  reader.object("network");  // known to the reader; parsed by its own strict reader
  config.network = parse_network(value.at("network").dump(), origin + ": network");
  config.protocol = read_protocol(reader.object("protocol"));
  reader.read("data", config.data);
  reader.read("glyphs", config.glyphs);
  reader.read("device", config.device);
  reader.read("seed", config.seed, 0, max_seed);
  reader.read("steps", config.steps, 1);
  reader.read("epoch_canvases", config.epoch_canvases, 1);
  reader.read("batch", config.batch, 1, 1 << 20);
  reader.read("shards", config.shards, 0, 1 << 16);
  reader.read("precision", config.precision, all(precision_names));
  if (reader.has("engines")) read_engines(reader.object("engines"), config.engines);
  reader.read("objectness_prior", config.objectness_prior, 1e-6, 1 - 1e-6);
  if (reader.has("loss")) read_loss(reader.object("loss"), config.loss);
  if (reader.has("optimizer")) read_optimizer(reader.object("optimizer"), config.optimizer);
  if (reader.has("training_set")) read_training_set(reader.object("training_set"), config.training_set);
  if (reader.has("backbone")) read_backbone(reader.object("backbone"), config.backbone);
  if (reader.has("validation")) read_validation(reader.object("validation"), config.validation);
  if (reader.has("evaluation")) read_evaluation(reader.object("evaluation"), config.evaluation);
  config.evaluation.detection.precision = config.precision;
  config.evaluation.detection.engines = config.engines;
  reader.read("checkpoint_every", config.checkpoint_every);
  reader.read("keep_checkpoints", config.keep_checkpoints, 1, 1'000'000);
  reader.finish();
  return config;
}

}  // namespace

Protocol training_protocol(const RunConfig& config) {
  Protocol protocol = config.protocol;
  if (config.training_set.max_glyphs > 0) protocol.max_glyphs = config.training_set.max_glyphs;
  validate(protocol);
  return protocol;
}

std::uint64_t frozen_steps(const RunConfig& config) {
  return (config.backbone.frozen_epochs * config.epoch_canvases + config.batch - 1) / config.batch;
}

bool validation_is_due(const RunConfig& config, std::uint64_t step) {
  if (config.validation.every_epochs == 0 || step == 0) return false;
  const auto rounds = [&](std::uint64_t steps) {
    return steps * config.batch / (config.epoch_canvases * config.validation.every_epochs);
  };
  return rounds(step) > rounds(step - 1) || step == config.steps;
}

RunConfig parse_config(std::string_view json_text, const std::string& origin) {
  return read_config(parse_json(json_text, origin), origin);
}

std::string to_json_text(const RunConfig& config) { return to_text(to_json_value(config)); }

void set_value(RunConfig& config, std::string_view assignment) {
  const auto equals = assignment.find('=');
  require(equals != std::string_view::npos && equals > 0,
          "--set takes key=value, found '" + std::string(assignment) + "'");
  const std::string path(assignment.substr(0, equals)), text(assignment.substr(equals + 1));

  Json whole = to_json_value(config);
  Json* place = &whole;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('.', start), path.size());
    const std::string key = path.substr(start, end - start);
    require(place->is_object() && place->contains(key),
            "--set " + path + ": there is no such setting; config.json of any run lists them all");
    place = &(*place)[key];
    start = end + 1;
  }
  require(!place->is_object() && !place->is_array(), "--set " + path + ": this is a group of settings, not one");
  if (place->is_string())
    *place = text;
  else
    *place = parse_json(text, "--set " + path);
  config = read_config(whole, "--set");
}

}  // namespace gridspot
