#include "catalog/edition_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <unordered_set>
#include <vector>

#include "catalog/picture_file.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

// Several of the nearest pictures may be of one item.
constexpr std::uint32_t kPicturesPerItem = 4;

// At least as much as a search for a customer would take.
SearchOptions search_options(std::uint32_t k) {
  SearchOptions options;
  options.k = k;
  options.breadth = std::max<std::uint32_t>(options.breadth, 2 * k);
  return options;
}

std::vector<Id> neighbours(const LiveEdition& edition, Id id, std::uint32_t k) {
  const std::vector<float> vector = edition.index().vector(id);
  std::vector<Id> ids;
  for (const Neighbor& neighbor : edition.index().search(vector, search_options(k + 1))) {
    if (neighbor.id != id && ids.size() < k) ids.push_back(neighbor.id);
  }
  std::ranges::sort(ids);
  return ids;
}

// The share of the old neighbours that are among the new, or nothing if one of the editions lacks
// the picture, or it has no neighbours.
std::optional<double> overlap_of(const LiveEdition& before, const LiveEdition& after, Id id,
                                 std::uint32_t k) {
  try {
    const std::vector<Id> old = neighbours(before, id, k);
    const std::vector<Id> now = neighbours(after, id, k);
    if (old.empty()) return std::nullopt;
    std::vector<Id> common;
    std::ranges::set_intersection(old, now, std::back_inserter(common));
    return static_cast<double>(common.size()) / static_cast<double>(old.size());
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kKeyNotFound) return std::nullopt;  // removed meanwhile
    throw;
  }
}

// What a query asks an edition for; empty if the item is gone meanwhile.
std::vector<std::vector<float>> vectors_of(const CatalogCore& core, const LiveEdition& edition,
                                           const LabelledQuery& query) {
  std::vector<std::vector<float>> vectors;
  if (query.key.empty()) {
    const DecodeOptions options = vsearch::decode_options(edition.encoder().info().preprocessing);
    const Image image =
        decode_image(read_picture_file(query.path, core.fetch()), query.path.c_str(), options);
    const ImageView view = image.view();
    const Matrix encoded = edition.encoder().encode({&view, 1});
    vectors.push_back(encoded.data);
    return vectors;
  }
  const auto item = core.in_store([&](db::Store& store) { return store.item(query.key); });
  if (!item) return vectors;
  for (const db::StoredPicture& picture : item->pictures) {
    try {
      vectors.push_back(edition.index().vector(picture.id));
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kKeyNotFound) throw;
    }
  }
  return vectors;
}

bool finds_relevant(const CatalogCore& core, const LiveEdition& edition, const LabelledQuery& query,
                    const std::vector<std::vector<float>>& vectors, std::uint32_t k) {
  std::vector<NearPictures::Entry> entries;
  for (const std::vector<float>& vector : vectors) {
    NearPictures near =
        core.near_pictures(edition, vector, search_options((k + 1) * kPicturesPerItem));
    std::ranges::move(near.entries, std::back_inserter(entries));
  }
  std::ranges::stable_sort(entries, {}, &NearPictures::Entry::distance);
  std::unordered_set<std::string> seen;
  for (const NearPictures::Entry& entry : entries) {
    const std::string& key = entry.picture.key;
    if (key == query.key || !seen.insert(key).second) continue;
    if (std::ranges::find(query.relevant, key) != query.relevant.end()) return true;
    if (seen.size() == k) break;
  }
  return false;
}

}  // namespace

void check_labelled_queries(const CatalogCore& core, std::span<const LabelledQuery> queries) {
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const LabelledQuery& query = queries[i];
    const auto fail = [&](ErrorCode code, const std::string& what) {
      throw Error(code, fmt::format("labelled query {} {}", i + 1, what));
    };
    if (query.key.empty() == query.path.empty()) {
      fail(ErrorCode::kInvalidArgument, "must have either the key of an item or a picture's path");
    }
    const auto is_there = [&](const std::string& key) {
      return core.in_store([&](db::Store& store) { return store.item(key).has_value(); });
    };
    if (!query.key.empty() && !is_there(query.key)) {
      fail(ErrorCode::kKeyNotFound, fmt::format("is about the item {}, which is not in the "
                                                "catalogue; remove it or correct the key",
                                                util::shorten(query.key)));
    }
    std::error_code ignored;
    if (!query.path.empty() && !is_uri(query.path) &&
        !std::filesystem::exists(query.path, ignored)) {
      fail(ErrorCode::kFileNotFound, fmt::format("is the picture {}, which is not there; check the "
                                                 "path",
                                                 util::shorten(query.path, 1000)));
    }
    if (std::ranges::none_of(query.relevant, is_there)) {
      fail(query.relevant.empty() ? ErrorCode::kInvalidArgument : ErrorCode::kKeyNotFound,
           "has no relevant item that is in the catalogue; name at least one");
    }
  }
}

EditionComparison compare_editions(const CatalogCore& core, const LiveEdition& before,
                                   const LiveEdition& after, const ReencodeOptions& options) {
  EditionComparison result;
  result.k = options.k;
  std::vector<Id> ids = before.index().ids();
  std::mt19937_64 random(options.seed);
  double overlap = 0;
  // Drawn without replacement, one after the other: each step puts what it draws at the front.
  for (std::size_t i = 0; i < ids.size() && result.sampled < options.sample; ++i) {
    std::swap(ids[i], ids[i + random() % (ids.size() - i)]);
    const std::optional<double> share = overlap_of(before, after, ids[i], options.k);
    if (!share) continue;
    overlap += *share;
    ++result.sampled;
  }
  if (result.sampled > 0) result.overlap = overlap / result.sampled;

  std::uint32_t found_before = 0;
  std::uint32_t found_after = 0;
  for (const LabelledQuery& query : options.queries) {
    const auto old = vectors_of(core, before, query);
    if (old.empty()) continue;
    ++result.labelled;
    found_before += finds_relevant(core, before, query, old, options.k) ? 1U : 0U;
    const auto now = vectors_of(core, after, query);
    found_after += finds_relevant(core, after, query, now, options.k) ? 1U : 0U;
  }
  if (result.labelled > 0) {
    result.recall_before = static_cast<double>(found_before) / result.labelled;
    result.recall_after = static_cast<double>(found_after) / result.labelled;
  }
  return result;
}

}  // namespace vsearch::detail
