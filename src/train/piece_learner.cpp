// Texts by their words and the letters in a row that these are made of.
#include <ATen/Parallel.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "train/sampler.h"
#include "train/text_learner.h"
#include "train/text_tower.h"
#include "vsearch/error.h"

namespace vsearch::training {
namespace {

// In fewer texts than this a piece that comes once is known, too.
constexpr std::size_t kManyTexts = 1000;
constexpr double kSpelledOut = 0.15;  // share of the words that are known by their letters alone

std::vector<TextPieces> read_texts(const std::vector<std::string>& texts) {
  const TextReader reader;
  std::vector<TextPieces> read(texts.size());
  at::parallel_for(0, static_cast<std::int64_t>(read.size()), 64,
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t i = begin; i < end; ++i) {
                       const auto text = static_cast<std::size_t>(i);
                       read[text] = reader.read(texts[text]);
                     }
                   });
  return read;
}

// The pieces that stand in the most of the texts that are learned from, ascending.
std::vector<std::int64_t> common_pieces(const std::vector<TextPieces>& read,
                                        const std::vector<std::int32_t>& learned,
                                        std::size_t most) {
  std::unordered_map<std::int64_t, std::uint32_t> counts;
  for (const std::int32_t text : learned) {
    std::vector<std::int64_t> hashes = read[static_cast<std::size_t>(text)].hashes;
    std::ranges::sort(hashes);
    hashes.erase(std::ranges::unique(hashes).begin(), hashes.end());
    for (const std::int64_t hash : hashes) ++counts[hash];
  }
  const std::uint32_t least = learned.size() < kManyTexts ? 1 : 2;
  std::vector<std::pair<std::uint32_t, std::int64_t>> common;
  for (const auto& [hash, count] : counts) {
    if (count >= least) common.emplace_back(count, hash);
  }
  if (common.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "the texts have no word of letters or digits that comes twice; name fields with "
                "words, such as the title");
  }
  std::ranges::sort(common, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (common.size() > most) common.resize(most);
  std::vector<std::int64_t> pieces;
  pieces.reserve(common.size());
  for (const auto& [count, hash] : common) pieces.push_back(hash);
  std::ranges::sort(pieces);
  return pieces;
}

// A text as rows of the tower; words[i] is the word that rows[i] is of.
struct KnownPieces {
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> words;
};

class PieceLearner final : public TextLearner {
 public:
  PieceLearner(const TextTowerSettings& settings, const std::vector<TextPieces>& read)
      : TextLearner(make_text_tower(settings)), known_(read.size()) {
    for (std::size_t text = 0; text < read.size(); ++text) {
      for (std::size_t i = 0; i < read[text].hashes.size(); ++i) {
        const auto found = std::ranges::lower_bound(settings.pieces, read[text].hashes[i]);
        if (found == settings.pieces.end() || *found != read[text].hashes[i]) continue;
        known_[text].rows.push_back(found - settings.pieces.begin() + 1);  // 0: of no piece
        known_[text].words.push_back(read[text].words[i]);
      }
    }
  }

  at::Tensor embed(std::span<const std::int32_t> texts) const override {
    return embed_bags(texts, [](const KnownPieces& text, std::vector<std::int64_t>& rows) {
      rows.insert(rows.end(), text.rows.begin(), text.rows.end());
    });
  }

  at::Tensor embed_some(std::span<const std::int32_t> texts, eval::Seeded& random) const override {
    return embed_bags(texts, [&](const KnownPieces& text, std::vector<std::int64_t>& rows) {
      show_some(text, random, rows);
    });
  }

 private:
  // `show` adds what is shown of a text to the rows.
  template <class Show>
  at::Tensor embed_bags(std::span<const std::int32_t> texts, const Show& show) const {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> offsets;
    for (const std::int32_t text : texts) {
      offsets.push_back(static_cast<std::int64_t>(rows.size()));
      show(known_[static_cast<std::size_t>(text)], rows);
      if (static_cast<std::size_t>(offsets.back()) == rows.size()) rows.push_back(0);
    }
    return tower()
        .get_method("embed")({at::tensor(rows, at::kLong), at::tensor(offsets, at::kLong)})
        .toTensor();
  }

  static void show_some(const KnownPieces& text, eval::Seeded& random,
                        std::vector<std::int64_t>& rows) {
    if (text.words.empty()) return;
    const bool is_whole = random.share() > kShortened;
    const double share = is_whole ? 1 : kFewestWords + (1 - kFewestWords) * random.share();
    const auto words = static_cast<std::size_t>(text.words.back()) + 1;
    const auto at_least = static_cast<std::int32_t>(random.below(words));
    std::int32_t word = -1;
    bool is_shown = false;
    for (std::size_t i = 0; i < text.rows.size(); ++i) {
      const bool begins = text.words[i] != word;
      if (begins) {
        word = text.words[i];
        is_shown = is_whole || word == at_least || random.share() <= share;
      }
      // The first known piece of a word is nearly always the whole of it.
      if (begins && random.share() <= kSpelledOut) continue;
      if (is_shown) rows.push_back(text.rows[i]);
    }
  }

  std::vector<KnownPieces> known_;  // [texts]
};

}  // namespace

std::unique_ptr<TextLearner> learn_pieces(const std::vector<std::string>& texts,
                                          const std::vector<std::int32_t>& learned, std::size_t dim,
                                          const TextTrainOptions& options,
                                          TextTrainReport& report) {
  const std::vector<TextPieces> read = read_texts(texts);
  TextTowerSettings settings;
  settings.width = options.width;
  settings.dim = static_cast<std::int64_t>(dim);
  settings.seed = derived_seed(options.seed, 1);
  settings.pieces = common_pieces(read, learned, options.most_pieces);
  report.pieces = settings.pieces.size();
  return std::make_unique<PieceLearner>(settings, read);
}

}  // namespace vsearch::training
