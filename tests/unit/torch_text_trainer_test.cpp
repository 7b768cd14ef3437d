// Words learned from the titles of a catalogue.
#include <fmt/format.h>
#include <torch/script.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/seeded.h"
#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/trainable_package.h"
#include "train/text_tower.h"
#include "vsearch/catalog.h"
#include "vsearch/searcher.h"
#include "vsearch/text_trainer.h"
#include "vsearch/trainer.h"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using vsearch::Catalog;
using vsearch::ErrorCode;
using vsearch::TextTrainOptions;
using vsearch::TextTrainReport;
using vsearch::TextTrainState;
using vsearch_test::error_message;
using vsearch_test::TempDir;

namespace {

const std::vector<std::string> kColours{"red", "green", "blue", "black"};
const std::vector<std::string> kThings{"shoes", "shirt", "watch", "handbag"};
const std::vector<std::string> kBrands{"Acme", "Nord", "Süd",  "Polar", "Zenit",
                                       "Iris", "Otto", "Luna", "Veda",  "Kiwi"};
constexpr std::size_t kTinyDim = 8;

std::vector<float> noise_of(std::uint64_t seed) {
  vsearch::eval::Seeded random(seed);
  std::vector<float> direction(kTinyDim);
  for (float& value : direction) value = random.normal();
  return direction;
}

// Items of every colour, thing and brand; their embeddings lie where colour and thing say.
struct WordShop {
  TempDir dir;
  fs::path model = vsearch_test::save_trainable_package(dir / "start.vsm.pt");
  Catalog catalog = made();

  Catalog made() const {
    vsearch::CatalogCreateOptions options;
    options.encoder = vsearch::load_encoder(model);
    options.encoder_ref = model.string();
    Catalog filled = Catalog::create(dir / "shop", options);
    std::vector<std::vector<float>> embeddings;
    std::vector<vsearch::Item> items;
    embeddings.reserve(kColours.size() * kThings.size() * kBrands.size());
    for (std::size_t c = 0; c < kColours.size(); ++c) {
      for (std::size_t t = 0; t < kThings.size(); ++t) {
        for (std::size_t b = 0; b < kBrands.size(); ++b) {
          std::vector<float>& embedding = embeddings.emplace_back(noise_of(items.size()));
          for (float& value : embedding) value *= 0.1F;
          embedding[c] += 1;
          embedding[kColours.size() + t] += 1;
          vsearch::Item item;
          item.key = fmt::format("{}-{}-{}", kColours[c], kThings[t], b);
          item.metadata =
              fmt::format(R"({{"title":"{} {} {}","tags":["{}"],"price":{},"sold":true}})",
                          kBrands[b], kColours[c], kThings[t], kThings[t], items.size());
          item.pictures.push_back({.embedding = embedding});
          items.push_back(std::move(item));
        }
      }
    }
    REQUIRE(filled.add(items).failures.empty());
    return filled;
  }

  TextTrainReport learn(const std::string& name, const TextTrainOptions& options,
                        const vsearch::TextTrainProgress& progress = {}) const {
    return vsearch::train_text(catalog, dir / name, options, progress);
  }
};

// A sentence encoder that knows what means the same: a number for each meaning, times `weight`.
fs::path save_synonyms(const fs::path& path, double weight, int version = 1) {
  torch::jit::Module module("Synonyms");
  module.register_parameter("weight", torch::full({1}, weight), false);
  module.define(R"(
def meaning(self, word: str) -> int:
    meanings = [["red", "crimson"], ["green"], ["blue", "azure"], ["black"], ["shoes", "trainers"],
                ["shirt"], ["watch", "clock"], ["handbag"]]
    for i in range(len(meanings)):
        if word in meanings[i]:
            return i
    return len(meanings)

def encode_text(self, texts: List[str]) -> Tensor:
    rows = torch.zeros([len(texts), 9])
    for i in range(len(texts)):
        for word in texts[i].lower().split(" "):
            rows[i, self.meaning(word)] += 1.0
    return rows * self.weight
)");
  const torch::jit::ExtraFilesMap extra{
      {"vsearch_sentence.json", fmt::format(R"({{"format_version": {}}})", version)}};
  module.save(path.string(), extra);
  return path;
}

TextTrainOptions quick_words() {
  TextTrainOptions options;
  options.epochs = 40;
  options.batch_size = 32;
  options.rate = 5e-3;
  options.width = 32;
  options.patience = 0;
  return options;
}

std::vector<float> unit_text(const vsearch::Encoder& encoder, const std::string& text) {
  std::vector<float> row = encoder.encode_text({&text, 1}).data;
  double squares = 0;
  for (const float value : row) squares += static_cast<double>(value) * value;
  for (float& value : row) value = static_cast<float>(value / std::sqrt(squares));
  return row;
}

double cosine_of_texts(const vsearch::Encoder& encoder, const std::string& a,
                       const std::string& b) {
  const std::vector<float> x = unit_text(encoder, a);
  const std::vector<float> y = unit_text(encoder, b);
  double sum = 0;
  for (std::size_t d = 0; d < x.size(); ++d) sum += static_cast<double>(x[d]) * y[d];
  return sum;
}

// The share of the first 5 that have `text` in their key.
double share_found(const Catalog& catalog, const std::string& query, const std::string& text) {
  const auto hits = vsearch::Searcher(catalog).search(vsearch::Query::text(query), {.k = 5});
  REQUIRE(hits.size() == 5);
  double found = 0;
  std::string keys;
  for (const auto& hit : hits) {
    found += hit.key.starts_with(text) ? 0.2 : 0;
    keys += hit.key + " ";
  }
  INFO(query << ": " << keys);
  CHECK(found > 0);
  return found;
}

}  // namespace

TEST_CASE("a catalogue with titles is searched by words, and no picture is encoded again") {
  WordShop shop;
  std::vector<TextTrainState> states;
  const TextTrainReport report =
      shop.learn("words.vsm.pt", quick_words(), [&](const TextTrainState& state) {
        states.push_back(state);
        return true;
      });
  CHECK(report.texts == 144);
  CHECK(report.pairs == 144);
  CHECK(report.held_out == 16);
  CHECK(report.without_text == 0);
  CHECK(report.epochs.size() == 40);
  REQUIRE(report.best_epoch >= 1);
  const auto& best = report.epochs[report.best_epoch - 1];
  CHECK(report.chance_at_10 == Approx(10.0 / 16).margin(1e-9));
  CHECK(best.mean_reciprocal_rank > 0.5);
  CHECK(best.recall_at_10 > 0.95);
  CHECK(report.epochs.back().loss < 0.6 * report.epochs.front().loss);
  REQUIRE(report.examples.size() == 10);
  CHECK(report.examples[0].found.size() == 5);
  CHECK(states.back().epoch == 40);
  CHECK(states.back().step == states.back().steps);
  CHECK(states.back().seconds_left == Approx(0).margin(1e-6));

  const auto start = vsearch::load_encoder(shop.model);
  const auto words = vsearch::load_encoder(shop.dir / "words.vsm.pt");
  CHECK(words->info().has_text);
  CHECK(words->info().name == "words");
  CHECK(words->info().fingerprint == report.fingerprint);
  CHECK(words->info().fingerprint != start->info().fingerprint);
  CHECK(words->info().image_of == start->info().fingerprint);
  CHECK(report.start_fingerprint == start->info().fingerprint);
  const vsearch_test::Pictures pictures(3);
  CHECK(words->encode(pictures.views).data == start->encode(pictures.views).data);

  vsearch::ReencodeOptions options;
  options.encoder_ref = (shop.dir / "words.vsm.pt").string();
  const auto taken = shop.catalog.reencode(words, options);
  CHECK(taken.switched);
  CHECK(taken.encoded == 0);
  CHECK(taken.reused == 160);
  CHECK(share_found(shop.catalog, "red shoes", "red-shoes") == Approx(1));
  CHECK(share_found(shop.catalog, "BLUE watch!", "blue-watch") == Approx(1));
  CHECK(share_found(shop.catalog, "black", "black") >= 0.6);
  // Words that were never seen are known by their letters.
  CHECK(share_found(shop.catalog, "greenish handbags", "green-handbag") >= 0.6);
}

TEST_CASE("a text is what its words are, however they are written") {
  WordShop shop;
  shop.learn("words.vsm.pt", quick_words());
  const auto words = vsearch::load_encoder(shop.dir / "words.vsm.pt");
  CHECK(cosine_of_texts(*words, "Süd red shoes", "sud RED\tshoés") == Approx(1));
  CHECK(cosine_of_texts(*words, "red shoes", "shoes red") == Approx(1));
  CHECK(cosine_of_texts(*words, "red shoes", "red shoe") >
        cosine_of_texts(*words, "red shoes", "red watch"));
  // None of a text may be known: it is some direction all the same, and each has a row of its own.
  const std::vector<std::string> odd{"", "東京", "\xef\xbf\xbd", std::string(100'000, 'x'),
                                     "red shoes"};
  const vsearch::Matrix rows = words->encode_text(odd);
  CHECK(rows.rows == odd.size());
  for (const float value : rows.data) CHECK(std::isfinite(value));
  const std::vector<float> red = words->encode_text({&odd[4], 1}).data;
  for (std::size_t d = 0; d < kTinyDim; ++d) CHECK(rows.row(4)[d] == Approx(red[d]).margin(1e-5));
}

TEST_CASE("how a text is read") {
  const vsearch::training::TextReader reader;
  const auto same = [&](const std::string& a, const std::string& b) {
    const auto x = reader.read(a);
    const auto y = reader.read(b);
    return x.hashes == y.hashes && x.words == y.words;
  };
  for (int again = 0; again < 5; ++again) CHECK(same("Red Shoes", "red shoes"));
  CHECK(reader.read("Red Shoes").hashes.size() == 1 + 5 + 1 + 12);
  CHECK(same("red, (shoes)!", "red shoes"));
  CHECK(same("men's", "MEN’S"));
  CHECK(same("Crème brûlée", "creme brulee"));
  CHECK(same("Crème", "Cre\xCC\x80me"));  // a mark of its own
  CHECK(same("ČESKÝ Řízek", "cesky rizek"));
  CHECK(same("ΆΘΕΝΣ ς", "αθενσ σ"));
  CHECK(same("КРАСНЫЙ Ёж", "красный еж"));
  CHECK(same("ＡＢＣ１", "abc1"));
  CHECK_FALSE(same("red shoes", "redshoes"));
  CHECK_FALSE(same("red", "green"));
  CHECK(reader.read("").hashes.empty());
  CHECK(reader.read(" - !? ").hashes.empty());
  CHECK(reader.read("\xE2\x82").hashes.size() <= 2);  // cut short

  const auto two = reader.read("ab cd");
  CHECK(two.words ==
        std::vector<std::int32_t>{0, 0, 0, 1, 1, 1});  // <ab>, <ab, ab>; the same of cd
  // A sign says as much as a syllable.
  CHECK(reader.read("東京").hashes.size() == 7);
  CHECK(reader.read("to").hashes.size() == 3);

  std::string many;
  for (int i = 0; i < 100; ++i) many += fmt::format("word{} ", i);
  CHECK(reader.read(many).words.back() == 63);
  CHECK(same(std::string(1000, 'a'), std::string(40, 'a')));
}

TEST_CASE("the same words, catalogue and seed make the same package") {
  WordShop shop;
  auto options = quick_words();
  options.epochs = 3;
  const auto first = shop.learn("words.vsm.pt", options);
  const auto again = shop.learn("words.vsm.pt", options);
  CHECK(first.fingerprint == again.fingerprint);
  options.seed = 2;
  CHECK(shop.learn("words.vsm.pt", options).fingerprint != first.fingerprint);
}

TEST_CASE("words are learned anew, in the place of those that were learned before") {
  WordShop shop;
  auto options = quick_words();
  options.epochs = 2;
  shop.learn("first.vsm.pt", options);
  vsearch::ReencodeOptions taken;
  taken.encoder_ref = (shop.dir / "first.vsm.pt").string();
  REQUIRE(shop.catalog.reencode(vsearch::load_encoder(shop.dir / "first.vsm.pt"), taken).switched);

  options = quick_words();
  options.fields = {"tags"};
  options.held_out = 0;
  const std::string few =
      error_message(ErrorCode::kInvalidArgument, [&] { shop.learn("second.vsm.pt", options); });
  CHECK_THAT(few, Contains("4 different texts"));
  options.fields = {"tags", "title"};
  const auto report = shop.learn("second.vsm.pt", options);
  CHECK(report.held_out == 0);
  CHECK(std::isnan(report.epochs.back().recall_at_10));
  CHECK(report.best_epoch == 40);
  const auto second = vsearch::load_encoder(shop.dir / "second.vsm.pt");
  CHECK(second->info().image_of == report.start_fingerprint);
  CHECK(fs::file_size(shop.dir / "second.vsm.pt") <
        fs::file_size(shop.dir / "first.vsm.pt") / 5 * 6);
  taken.encoder_ref = (shop.dir / "second.vsm.pt").string();
  REQUIRE(shop.catalog.reencode(second, taken).switched);
  CHECK(share_found(shop.catalog, "black shirt", "black-shirt") >= 0.8);
}

TEST_CASE("a head behind a model with words lets words through") {
  WordShop shop;
  shop.learn("words.vsm.pt", quick_words());
  TempDir pictures;
  const auto dataset = vsearch_test::bright_quarters(pictures, 6, 4);
  vsearch::TrainOptions options;
  options.epochs = 2;
  vsearch::train(shop.dir / "words.vsm.pt", dataset, shop.dir / "tuned.vsm.pt", options);
  const auto tuned = vsearch::load_encoder(shop.dir / "tuned.vsm.pt");
  CHECK(tuned->info().has_text);
  CHECK(tuned->info().image_of.empty());  // its pictures lie elsewhere now
}

TEST_CASE("what train_text() does not take") {
  WordShop shop;
  const auto message = [&](ErrorCode code, const TextTrainOptions& options) {
    return error_message(code, [&] { shop.learn("words.vsm.pt", options); });
  };
  auto options = quick_words();
  SECTION("fields") {
    options.fields = {};
    CHECK_THAT(message(ErrorCode::kInvalidArgument, options), Contains("fields is empty"));
    options.fields = {"name", "sold"};
    CHECK_THAT(message(ErrorCode::kInvalidArgument, options),
               Contains("no item of") && Contains("name, sold"));
    options.fields = {R"("a"b)"};
    CHECK_THAT(message(ErrorCode::kInvalidArgument, options), Contains("is no field of metadata"));
    options.fields = {"price"};  // numbers are words, too
    options.epochs = 1;
    CHECK(shop.learn("words.vsm.pt", options).texts == 144);
  }
  SECTION("numbers") {
    const auto refused = [&](const char* what, auto TextTrainOptions::*member, auto value) {
      auto wrong = options;
      wrong.*member = value;
      CHECK_THAT(message(ErrorCode::kInvalidArgument, wrong), Contains(what));
    };
    refused("held_out is 0.6", &TextTrainOptions::held_out, 0.6);
    refused("epochs is 0", &TextTrainOptions::epochs, 0U);
    refused("batch_size is 1", &TextTrainOptions::batch_size, 1U);
    refused("rate is 0", &TextTrainOptions::rate, 0.0);
    refused("rate is nan", &TextTrainOptions::rate, std::nan(""));
    refused("weight_decay is -1", &TextTrainOptions::weight_decay, -1.0);
    refused("width is 4", &TextTrainOptions::width, 4U);
    refused("most_pieces is 10", &TextTrainOptions::most_pieces, 10U);
  }
  SECTION("models") {
    options.model = shop.dir / "none.vsm.pt";
    CHECK_THAT(message(ErrorCode::kFileNotFound, options), Contains("none.vsm.pt"));
    options.model = vsearch_test::save_sound_package(shop.dir / "other.vsm.pt");
    CHECK_THAT(message(ErrorCode::kEncoderMismatch, options),
               Contains("other.vsm.pt") && Contains("is not the model"));
    options.model.clear();
    CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                             [&] { vsearch::train_text(shop.catalog, shop.model, options); }),
               Contains("would replace its start"));
    CHECK_THAT(
        error_message(ErrorCode::kFileNotFound,
                      [&] { vsearch::train_text(shop.catalog, shop.dir / "no/x", options); }),
        Contains("no such folder"));
  }
  CHECK_FALSE(fs::exists(shop.dir / "no"));
}

TEST_CASE("a text tower of another's is not replaced") {
  torch::jit::Module network("Other");
  network.define("def encode_text(self, texts: List[str]):\n    return torch.zeros([1, 8])\n");
  const auto tower = vsearch::training::make_text_tower({8, 8, 1, {1, 5}});
  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument,
                    [&] { vsearch::training::with_text_tower(network, tower, "clip.vsm.pt"); }),
      Contains("clip.vsm.pt") && Contains("understands words already"));
}

TEST_CASE("words stand behind a sentence encoder, and mean what it knows of them") {
  WordShop shop;
  auto options = quick_words();
  options.sentence = save_synonyms(shop.dir / "synonyms.vst.pt", 1);
  std::uint64_t encoded = 0;
  const TextTrainReport report =
      shop.learn("words.vsm.pt", options, [&](const TextTrainState& state) {
        if (state.epoch == 0) encoded = state.steps;
        return true;
      });
  CHECK(encoded == 2 * 160);  // as it is, and shortened
  CHECK(report.pieces == 0);
  const auto taken = vsearch::load_encoder(report.package);  // golden texts hold
  CHECK(taken->info().has_text);
  CHECK(taken->info().image_of == report.start_fingerprint);
  CHECK(cosine_of_texts(*taken, "crimson trainers", "Red shoes") > 0.999);
  vsearch::ReencodeOptions how;
  how.encoder_ref = report.package.string();
  REQUIRE(shop.catalog.reencode(taken, how).switched);
  // Words that no title has.
  CHECK(share_found(shop.catalog, "crimson trainers", "red-shoes") >= 0.8);
  CHECK(share_found(shop.catalog, "azure clock", "blue-watch") >= 0.8);

  // Anew, from the package that has words behind the same encoder; not behind another, or none.
  const auto again = vsearch::load_encoder(shop.learn("again.vsm.pt", options).package);
  CHECK(again->info().image_of == taken->info().fingerprint);
  CHECK(cosine_of_texts(*again, "crimson trainers", "Red shoes") > 0.999);
  const auto refused = [&] {
    return error_message(ErrorCode::kInvalidArgument, [&] { shop.learn("no.vsm.pt", options); });
  };
  options.sentence = save_synonyms(shop.dir / "others.vst.pt", 2);
  CHECK_THAT(refused(), Contains("behind another sentence encoder"));
  options.sentence.clear();
  CHECK_THAT(refused(), Contains("behind a sentence encoder before"));
  CHECK_FALSE(fs::exists(shop.dir / "no.vsm.pt"));
}

TEST_CASE("what is no sentence encoder is named, and how to make one") {
  WordShop shop;
  auto options = quick_words();
  const auto message = [&](ErrorCode code) {
    return error_message(code, [&] { shop.learn("no.vsm.pt", options); });
  };
  options.sentence = shop.dir / "absent.vst.pt";
  CHECK_THAT(message(ErrorCode::kFileNotFound),
             Contains("absent.vst.pt") && Contains("vsx model export sentence"));
  options.sentence = shop.model;  // of pictures
  CHECK_THAT(message(ErrorCode::kBadModel), Contains("not a sentence encoder"));
  options.sentence = shop.dir / "text.vst.pt";
  std::ofstream(options.sentence) << "words";
  CHECK_THAT(message(ErrorCode::kBadModel), Contains("not a TorchScript archive"));
  options.sentence = save_synonyms(shop.dir / "newer.vst.pt", 1, 2);
  CHECK_THAT(message(ErrorCode::kBadModel), Contains("of format version 2") && Contains("knows 1"));
  options.sentence = save_synonyms(shop.dir / "synonyms.vst.pt", 1);
  const auto stopped = [](const TextTrainState& state) { return state.steps == 160; };
  CHECK_THAT(
      error_message(ErrorCode::kCancelled, [&] { shop.learn("no.vsm.pt", options, stopped); }),
      Contains("before anything was learned"));
}

TEST_CASE("learning words stops when it is asked to, and keeps the best") {
  WordShop shop;
  const auto stop_in = [](std::uint32_t epoch) {
    return [epoch](const TextTrainState& state) { return state.epoch < epoch; };
  };
  const auto options = quick_words();
  error_message(ErrorCode::kCancelled, [&] { shop.learn("words.vsm.pt", options, stop_in(1)); });
  CHECK_FALSE(fs::exists(shop.dir / "words.vsm.pt"));
  const auto report = shop.learn("words.vsm.pt", options, stop_in(4));
  CHECK(report.epochs.size() == 3);
  CHECK_THAT(report.stopped, Contains("asked to stop in epoch 4"));
  CHECK(vsearch::load_encoder(shop.dir / "words.vsm.pt")->info().has_text);
  auto patient = options;
  patient.patience = 1;
  CHECK_THAT(shop.learn("words.vsm.pt", patient).stopped, Contains("no better in 1 epochs"));
}

TEST_CASE("the report of learning words as JSON") {
  WordShop shop;
  auto options = quick_words();
  options.epochs = 2;
  const auto report = shop.learn("words.vsm.pt", options);
  const auto json = nlohmann::json::parse(vsearch::to_json(report));
  CHECK(json["epochs"].size() == 2);
  CHECK(json["fingerprint"] == report.fingerprint);
  CHECK(json["examples"][0]["found"][0]["key"].is_string());
}
