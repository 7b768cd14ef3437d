// train_text(): from a catalogue with titles to a package that understands words.
#include "vsearch/text_trainer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "catalog/filter_node.h"
#include "catalog/metadata_value.h"
#include "encoder/manifest.h"
#include "encoder/torch_archive.h"
#include "encoder/torch_error.h"
#include "encoder/torch_fingerprint.h"
#include "train/text_learner.h"
#include "train/text_tower.h"
#include "train/text_training.h"
#include "train/tuned_package.h"
#include "util/utf8.h"
#include "vsearch/error.h"

namespace vsearch {
namespace {

using detail::MetadataValue;
using training::TitledPictures;

constexpr char kTextMemoryRemedy[] =
    "take a smaller batch_size or fewer most_pieces, or a machine with more memory";
constexpr std::size_t kGoldenTexts = 2;
constexpr std::size_t kToldItems = 1000;

[[noreturn]] void refuse_text(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, what);
}

void check_text_options(const TextTrainOptions& options) {
  if (options.fields.empty())
    refuse_text("fields is empty; name one that has words, such as title");
  if (!(options.held_out >= 0 && options.held_out <= 0.5)) {
    refuse_text(
        fmt::format("held_out is {}; it is a share of the texts, 0 to 0.5", options.held_out));
  }
  if (options.epochs == 0) refuse_text("epochs is 0; train for one at least");
  if (options.batch_size < 2) {
    refuse_text(fmt::format("batch_size is {}; a text is told from others, so 2 is the least",
                            options.batch_size));
  }
  if (!(options.rate > 0 && options.rate <= 1)) {
    refuse_text(fmt::format("rate is {}; it is above 0, and at most 1", options.rate));
  }
  if (!(options.weight_decay >= 0 && options.weight_decay <= 1)) {
    refuse_text(fmt::format("weight_decay is {}; it is 0 to 1", options.weight_decay));
  }
  if (options.width < 8 || options.width > 4096) {
    refuse_text(fmt::format("width is {}; it is 8 to 4,096", options.width));
  }
  if (options.most_pieces < 100 || options.most_pieces > 1'000'000) {
    refuse_text(fmt::format("most_pieces is {}; it is 100 to 1,000,000", options.most_pieces));
  }
}

// What a value says in words; nothing of objects and booleans.
void append_words(const MetadataValue* value, std::string& text) {
  if (value == nullptr) return;
  const auto append = [&](std::string_view words) {
    if (words.empty()) return;
    if (!text.empty()) text += ' ';
    text += words;
  };
  if (const auto* const words = value->as<std::string>()) {
    append(*words);
  } else if (const auto* const array = value->as<MetadataValue::Array>()) {
    for (const MetadataValue& element : *array) {
      if (const auto* const word = element.as<std::string>()) append(*word);
    }
  } else if (value->as<bool>() == nullptr && value->as<MetadataValue::Object>() == nullptr) {
    append(detail::to_text(*value));
  }
}

class Titles {
 public:
  Titles(const Catalog& catalog, const TextTrainOptions& options, const TextTrainProgress& progress,
         TextTrainReport& report)
      : catalog_(catalog), edition_(catalog.serving()), progress_(progress), report_(report) {
    for (const std::string& field : options.fields) {
      const auto path = detail::split_field(field);
      if (!path) {
        refuse_text(fmt::format("'{}' is no field of metadata; write it as in a filter",
                                util::shorten(field)));
      }
      paths_.push_back(*path);
    }
    state_.epochs = options.epochs;
    state_.steps = catalog.info().items;
  }

  TitledPictures read() {
    titles_.embeddings.cols = catalog_.info().dim;
    catalog_.for_each([&](const ItemRecord& item) {
      take(item);
      if (++state_.step % kToldItems == 0 && progress_ && !progress_(state_)) {
        throw Error(ErrorCode::kCancelled, "asked to stop before anything was learned");
      }
      return true;
    });
    titles_.embeddings.rows = titles_.keys.size();
    return std::move(titles_);
  }

 private:
  void take(const ItemRecord& item) {
    const MetadataValue metadata = detail::parse_metadata(item.metadata, "the metadata");
    std::string text;
    for (const auto& path : paths_) append_words(detail::find_value(metadata, path), text);
    if (text.empty()) {
      ++report_.without_text;
      return;
    }
    const auto [entry, is_new] =
        known_.emplace(text, static_cast<std::int32_t>(titles_.texts.size()));
    bool has_picture = false;
    for (const PictureInfo& picture : item.pictures) {
      const std::optional<std::vector<float>> embedding = unit_embedding(picture.id);
      if (!embedding) {
        ++report_.without_embedding;
        continue;
      }
      has_picture = true;
      titles_.text_of.push_back(entry->second);
      titles_.keys.push_back(item.key);
      titles_.embeddings.data.insert(titles_.embeddings.data.end(), embedding->begin(),
                                     embedding->end());
    }
    if (!is_new) return;
    if (has_picture) {
      titles_.texts.push_back(std::move(text));
    } else {
      known_.erase(entry);
    }
  }

  // None: there is none, as of a picture that was added this moment, or it has no direction.
  std::optional<std::vector<float>> unit_embedding(Id id) const {
    try {
      std::vector<float> embedding = edition_->index().vector(id);
      double squares = 0;
      for (const float value : embedding) squares += static_cast<double>(value) * value;
      if (!(squares > 0)) return std::nullopt;
      const double length = std::sqrt(squares);
      for (float& value : embedding) value = static_cast<float>(value / length);
      return embedding;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kKeyNotFound) throw;
      return std::nullopt;
    }
  }

  const Catalog& catalog_;
  const std::shared_ptr<const Edition> edition_;
  const TextTrainProgress& progress_;
  TextTrainReport& report_;
  TextTrainState state_;
  std::vector<std::vector<std::string>> paths_;
  std::unordered_map<std::string, std::int32_t> known_;  // titles_.texts
  TitledPictures titles_;
};

// The model that the embeddings of the catalogue come from.
encoder::Archive open_model(const std::filesystem::path& model, const CatalogInfo& catalog) {
  encoder::Archive archive = encoder::open_archive(model);
  if (archive.manifest.empty()) {
    throw Error(ErrorCode::kBadModel,
                fmt::format("{}: a TorchScript file without {}; {}", model.string(),
                            encoder::kManifestFile, encoder::kExportRemedy));
  }
  const encoder::Manifest manifest = encoder::parse_manifest(archive.manifest, model.string());
  const std::string found =
      encoder::fingerprint(manifest.canonical, archive.module, model.string());
  if (found != catalog.encoder_fingerprint) {
    throw Error(ErrorCode::kEncoderMismatch,
                fmt::format("{} (fingerprint {}) is not the model that the embeddings of {} come "
                            "from: that is {} ({}); name that one, or re-encode the catalogue",
                            model.string(), found, catalog.path.string(), catalog.encoder_name,
                            catalog.encoder_fingerprint));
  }
  if (!manifest.info.has_text && archive.module.find_method("encode_text")) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: it was distilled from a student with words, whose text tower is "
                            "still in it, of no use and in the way; distil from one without words",
                            model.string()));
  }
  return archive;
}

std::string description_of(const TextTrainOptions& options, const TextTrainReport& report) {
  return nlohmann::json{{"fields", options.fields},
                        {"pairs", report.pairs},
                        {"texts", report.texts},
                        {"pieces", report.pieces},
                        {"epoch", report.best_epoch},
                        {"seed", options.seed},
                        {"sentence", options.sentence.filename().string()}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

TextTrainReport train_text(const Catalog& catalog, const std::filesystem::path& output,
                           const TextTrainOptions& options, const TextTrainProgress& progress) {
  const auto began = std::chrono::steady_clock::now();
  check_text_options(options);
  const CatalogInfo info = catalog.info();
  const std::filesystem::path model =
      options.model.empty() ? find_encoder(info.encoder) : options.model;
  training::check_output(model, output);
  training::check_writable(output);
  const encoder::Archive archive = open_model(model, info);
  std::optional<torch::jit::Module> sentence;
  if (!options.sentence.empty()) sentence = training::open_sentence_encoder(options.sentence);
  const torch::jit::Module* const behind = sentence ? &*sentence : nullptr;
  training::check_takes_tower(archive.module, behind, model.string());
  // Its own if it has one: the same weights, but perhaps another tokenizer before them.
  if (const auto own = training::sentence_encoder_of(archive.module)) sentence = own;

  TextTrainReport report;
  report.start_fingerprint = info.encoder_fingerprint;
  report.package = output;
  const TitledPictures titles = Titles(catalog, options, progress, report).read();
  if (titles.texts.empty()) {
    refuse_text(
        fmt::format("no item of {} has a text in {}; name a field of its metadata that has "
                    "one ('vsx get' shows them)",
                    info.path.string(), fmt::join(options.fields, ", ")));
  }
  training::TunedModel tuned;
  tuned.network = encoder::run_torch(
      ErrorCode::kInternal, model.string() + ": learning words",
      {"please report this", kTextMemoryRemedy}, [&] {
        return training::with_text_tower(
            archive.module, training::train_tower(titles, behind, options, progress, report),
            model.string());
      });
  tuned.name = output.stem().stem().string();
  tuned.text_tuning = description_of(options, report);
  for (std::size_t i = 0; i < std::min(kGoldenTexts, titles.texts.size()); ++i) {
    tuned.golden_texts.push_back(titles.texts[i]);
  }
  report.fingerprint = training::write_package(archive, tuned, output).fingerprint;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return report;
}

}  // namespace vsearch
