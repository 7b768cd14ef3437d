// distill(): from a large package and pictures to a small package.
#include "vsearch/distillation.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "catalog/picture_file.h"
#include "encoder/golden.h"
#include "encoder/manifest.h"
#include "encoder/preprocessing.h"
#include "encoder/torch_archive.h"
#include "encoder/torch_fingerprint.h"
#include "train/augmentation.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/distillation_run.h"
#include "train/network_training.h"
#include "train/training_set.h"
#include "train/tuned_package.h"
#include "train/vit_student.h"
#include "util/parallel.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostHeldOut = 2000;
constexpr double kFreshRate = 1e-3;
constexpr double kPackageRate = 1e-4;

void require_option(bool is_right, const char* option, double value, const char* range) {
  if (is_right) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} is {}; it must be {}", option, value, range));
}

void check_distill_options(const DistillOptions& options) {
  const auto is_weight = [](double weight) { return weight >= 0 && std::isfinite(weight); };
  require_option(is_weight(options.cosine.value_or(0)), "cosine", options.cosine.value_or(0),
                 "0 (not) or more");
  require_option(is_weight(options.relational), "relational", options.relational,
                 "0 (not) or more");
  require_option(options.held_out >= 0 && options.held_out <= 0.5, "held_out", options.held_out,
                 "0 to 0.5, a share of the pictures");
  require_option(options.epochs > 0, "epochs", 0, "at least 1");
  require_option(options.batch_size > 1, "batch_size", options.batch_size, "at least 2");
  const double rate = options.rate.value_or(kFreshRate);
  require_option(rate > 0 && rate <= 1, "rate", rate, "above 0, at most 1");
  require_option(options.weight_decay >= 0 && options.weight_decay <= 1, "weight_decay",
                 options.weight_decay, "0 to 1");
  require_option(options.warm_up >= 0 && options.warm_up < 1, "warm_up", options.warm_up,
                 "0 to less than 1, a share of the steps");
  require_option(is_weight(options.clip_gradients), "clip_gradients", options.clip_gradients,
                 "0 (not) or more");
  if (options.precision == Precision::kFloat16 || options.precision == Precision::kInt8) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("precision is {}; learning takes fp32 or bf16",
                            precision_name(options.precision)));
  }
  training::check_augmentation(options.augmentation);
}

// What the student begins as.
struct StudentStart {
  encoder::Archive archive;
  EncoderInfo info;
  std::string name;  // in errors
  std::string description;
  bool is_fresh = false;
};

StudentStart fresh_start(std::string_view text, const encoder::Archive& teacher,
                         std::uint64_t seed) {
  StudentStart start;
  training::VitConfig config = training::parse_vit_config(text);
  start.archive = training::make_vit_student(config, teacher, seed);
  encoder::Manifest manifest = encoder::parse_manifest(start.archive.manifest, std::string(text));
  start.info = manifest.info;
  start.info.fingerprint =
      encoder::fingerprint(manifest.canonical, start.archive.module, std::string(text));
  start.name = fmt::format("the student {}", text);
  config.dim = start.info.dim;
  start.description = training::to_string(config);
  start.is_fresh = true;
  return start;
}

StudentStart package_start(const fs::path& path, const EncoderOptions& options) {
  StudentStart start;
  start.name = path.string();
  start.info = load_encoder(path, options)->info();  // golden pairs hold
  start.archive = encoder::open_archive(path);
  training::check_student(start.archive, start.name);
  start.description = start.info.fingerprint;
  // Its words are of the space that it leaves.
  nlohmann::json manifest = nlohmann::json::parse(start.archive.manifest);
  manifest["text"] = false;
  manifest.erase("golden_text");
  manifest.erase("text_tuning");
  start.archive.manifest = manifest.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  start.info.has_text = false;
  start.info.image_of.clear();
  return start;
}

double cosine_weight(const DistillOptions& options, std::uint32_t teacher_dim,
                     const StudentStart& student) {
  const bool has_cosines = teacher_dim == student.info.dim;
  const double weight = options.cosine.value_or(has_cosines ? 1.0 : 0.0);
  if (weight > 0 && !has_cosines) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} has embeddings of {} dimensions, the teacher of {}, so that there "
                            "are no cosines between them: leave cosine away, or take a fresh "
                            "student with dim={}",
                            student.name, student.info.dim, teacher_dim, teacher_dim));
  }
  if (weight == 0 && options.relational == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "relational is 0, and so is cosine: nothing would be learned; give one of them");
  }
  return weight;
}

// All in one, by whole paths.
Dataset joined(const std::vector<Dataset>& datasets) {
  Dataset all;
  all.name = "pictures";
  for (const Dataset& dataset : datasets) {
    for (const DatasetPicture& picture : dataset.pictures) {
      DatasetPicture& added = all.pictures.emplace_back();
      added.path = (dataset.root / picture.path).string();
      added.crop = picture.crop;
    }
  }
  if (!all.pictures.empty()) return all;
  throw Error(ErrorCode::kInvalidArgument,
              "there is no picture to learn from; name a folder with pictures");
}

// Reports what is done before the first step, of all that is to be done.
class Preparation {
 public:
  Preparation(const TrainProgress& progress, std::uint32_t epochs, std::size_t total)
      : progress_(progress), epochs_(epochs), total_(total) {}

  bool go_on(std::uint64_t done) const {
    if (!progress_) return true;
    TrainState state;
    state.epochs = epochs_;
    state.step = done;
    state.steps = total_;
    return progress_(state);
  }

 private:
  const TrainProgress& progress_;
  std::uint32_t epochs_;
  std::size_t total_;
};

// Reads every picture once, as small as the steps will: one that cannot be read, or that has no
// shape for one of `inputs`, is better known before. Why it cannot, of each picture; empty if it
// can.
std::vector<std::string> find_unreadable(const Dataset& pictures, std::uint32_t shorter_px,
                                         const std::vector<Preprocessing>& inputs,
                                         const Preparation& preparation) {
  std::vector<std::string> faults(pictures.pictures.size());
  std::atomic<std::uint64_t> done = 0;
  std::atomic<bool> is_over = false;
  const std::thread::id caller = std::this_thread::get_id();
  const auto body = [&](const auto& next) {
    while (const auto number = next()) {
      if (is_over) return;
      const DatasetPicture& picture = pictures.pictures[*number];
      DecodeOptions decode;
      decode.cover_width_px = shorter_px;
      decode.cover_height_px = shorter_px;
      try {
        const Image image = read_image(pictures.root / picture.path,
                                       detail::for_crop(std::move(decode), picture.crop));
        for (const Preprocessing& input : inputs) {
          encoder::resized_size(input, {image.width_px, image.height_px}, picture.path);
        }
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kOutOfMemory) throw;
        faults[*number] = error.what();
      }
      ++done;
      if (std::this_thread::get_id() == caller && !preparation.go_on(done)) is_over = true;
    }
  };
  util::share(faults.size(), std::max(1U, std::thread::hardware_concurrency()), body);
  if (is_over) {
    throw Error(ErrorCode::kCancelled, "asked to stop before anything was learned");
  }
  return faults;
}

struct PictureSplit {
  std::vector<std::uint32_t> learned;
  std::vector<std::uint32_t> held_out;
};

PictureSplit split_pictures(const Dataset& pictures, const std::vector<std::string>& faults,
                            double held_out, DistillReport& report) {
  std::vector<std::uint32_t> readable;
  for (std::uint32_t i = 0; i < faults.size(); ++i) {
    if (faults[i].empty()) {
      readable.push_back(i);
      continue;
    }
    ++report.skipped_count;
    if (report.skipped.size() < training::kListed) {
      report.skipped.push_back({pictures.pictures[i].path, faults[i]});
    }
  }
  if (readable.empty()) {
    throw Error(ErrorCode::kBadImage, fmt::format("no picture could be read; the first: {}",
                                                  report.skipped.front().message));
  }
  PictureSplit split;
  const std::size_t count = readable.size();
  std::size_t every = count + 1;
  if (held_out > 0) {
    every = std::max(static_cast<std::size_t>(std::lround(1 / held_out)),
                     (count + kMostHeldOut - 1) / kMostHeldOut);
  }
  for (std::size_t i = 0; i < count; ++i) {
    (i % every == every - 1 ? split.held_out : split.learned).push_back(readable[i]);
  }
  if (split.learned.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} picture to learn from; two are needed, and thousands do well",
                            split.learned.size()));
  }
  report.pictures = split.learned.size();
  report.held_out = split.held_out.size();
  return split;
}

Matrix held_out_rows(const Encoder& teacher, const Dataset& pictures,
                     const std::vector<std::uint32_t>& held_out, const Preparation& preparation,
                     std::uint64_t done_before) {
  if (held_out.empty()) return {};
  EvaluationOptions how;
  how.progress = [&](std::uint64_t done, std::uint64_t) {
    return preparation.go_on(done_before + done);
  };
  return embed_dataset(teacher, training::part_of(pictures, held_out), how).rows;
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Both in turn, for about a second.
void measure_speeds(const Encoder& teacher, const Encoder& student, DistillReport& report) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kPicturesAtATime = 16;
  constexpr std::size_t kMostRounds = 9;
  constexpr auto kLongEnough = std::chrono::seconds(1);
  const auto run = [](const Encoder& encoder) {
    const Preprocessing& input = encoder.info().preprocessing;
    const bool is_resized = input.resize_edge != ResizeEdge::kNone;
    const Image picture = encoder::golden_picture(is_resized ? 320 : input.width_px,
                                                  is_resized ? 240 : input.height_px, 1);
    const std::vector<ImageView> views(kPicturesAtATime, picture.view());
    const auto began = Clock::now();
    encoder.encode(views);
    return static_cast<double>(kPicturesAtATime) / training::seconds_since(began);
  };
  std::vector<double> of_teacher;
  std::vector<double> of_student;
  const auto began = Clock::now();
  run(student);
  do {
    of_teacher.push_back(run(teacher));
    of_student.push_back(run(student));
  } while (of_teacher.size() < kMostRounds && Clock::now() - began < kLongEnough);
  report.teacher.pictures_per_second = median_of(std::move(of_teacher));
  report.student.pictures_per_second = median_of(std::move(of_student));
}

DistillModel describe_model(const EncoderInfo& info, const torch::jit::Module& network) {
  DistillModel model;
  model.fingerprint = info.fingerprint;
  model.parameters = training::image_parameter_count(network);
  model.dim = info.dim;
  model.width_px = info.preprocessing.width_px;
  model.height_px = info.preprocessing.height_px;
  return model;
}

std::string distillation_of(const DistillOptions& options, double cosine,
                            const DistillReport& report) {
  return nlohmann::json{{"teacher", report.teacher.fingerprint},
                        {"start", report.start},
                        {"pictures", report.pictures},
                        {"cosine", cosine},
                        {"relational", options.relational},
                        {"epoch", report.best_epoch},
                        {"seed", options.seed}}
      .dump();
}

}  // namespace

DistillReport distill(const fs::path& teacher, std::string_view student,
                      const std::vector<Dataset>& pictures, const fs::path& output,
                      const DistillOptions& options, const TrainProgress& progress) {
  const auto began = std::chrono::steady_clock::now();
  check_distill_options(options);
  const bool is_fresh = training::is_vit_config(student);
  if (is_fresh) training::parse_vit_config(student);  // before anything is loaded
  const fs::path student_path = is_fresh ? fs::path() : find_encoder(student);
  training::check_output(teacher, output, "the teacher");
  if (!is_fresh) training::check_output(student_path, output, "the student it starts from");
  const Dataset all = joined(pictures);
  training::check_writable(output);
  const training::WorkFolder work(options.work);

  EncoderOptions exact;
  exact.precision = Precision::kFloat32;
  exact.device = options.device;
  exact.device_index = options.device_index;
  const std::shared_ptr<Encoder> teacher_encoder = load_encoder(teacher, exact);
  const encoder::Archive archive = encoder::open_archive(teacher);
  const StudentStart start =
      is_fresh ? fresh_start(student, archive, options.seed) : package_start(student_path, exact);
  const double cosine = cosine_weight(options, teacher_encoder->info().dim, start);

  DistillReport report;
  report.package = output;
  report.start = start.description;
  report.has_text = start.info.has_text;
  const Preprocessing& of_teacher = teacher_encoder->info().preprocessing;
  const std::uint32_t shorter_px =
      training::kept_shorter_px(start.info.preprocessing, of_teacher, options.augmentation);
  const std::vector<Preprocessing> inputs{
      training::augmented_preprocessing(start.info.preprocessing, options.augmentation),
      training::augmented_preprocessing(of_teacher, options.augmentation)};
  const Preparation reading(progress, options.epochs, all.pictures.size());
  const std::vector<std::string> faults = find_unreadable(all, shorter_px, inputs, reading);
  PictureSplit split = split_pictures(all, faults, options.held_out, report);
  const Preparation encoding(progress, options.epochs, all.pictures.size() + split.held_out.size());
  const Matrix taught =
      held_out_rows(*teacher_encoder, all, split.held_out, encoding, all.pictures.size());

  const training::DistillRun run{archive,
                                 teacher_encoder->info(),
                                 teacher.string(),
                                 start.archive,
                                 start.info,
                                 start.name,
                                 options.rate.value_or(is_fresh ? kFreshRate : kPackageRate),
                                 cosine,
                                 all,
                                 std::move(split.learned),
                                 std::move(split.held_out),
                                 taught};
  training::TunedModel learned;
  learned.network = training::run_distillation(run, options, progress, report);
  report.teacher = describe_model(teacher_encoder->info(), archive.module);
  report.student = describe_model(start.info, learned.network);
  learned.name = output.stem().stem().string();
  learned.tuning = distillation_of(options, cosine, report);
  training::WrittenPackage written = training::write_package(start.archive, learned, output);
  report.student.fingerprint = std::move(written.fingerprint);
  report.dropped_forms = std::move(written.dropped_forms);
  measure_speeds(*teacher_encoder, *load_encoder(output, exact), report);
  report.seconds = training::seconds_since(began);
  return report;
}

}  // namespace vsearch
