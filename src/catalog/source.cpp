#include "vsearch/source.h"

#include <algorithm>
#include <array>
#include <utility>

#include "catalog/source_list.h"
#include "catalog/source_table.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"

namespace vsearch {
namespace detail {
namespace {

constexpr std::chrono::milliseconds kReportEvery{50};

}  // namespace

bool ReadCounter::go_on() {
  if (!progress_) return true;
  const auto now = std::chrono::steady_clock::now();
  if (now - asked_ < kReportEvery) return true;
  asked_ = now;
  return progress_(read_, 0);
}

void ReadCounter::finish() {
  if (progress_ && !progress_(read_, 0)) throw_cancelled();
}

void ReadCounter::throw_cancelled() {
  throw Error(ErrorCode::kCancelled, "reading the source was stopped; nothing was changed");
}

}  // namespace detail

std::optional<KeyRule> find_key_rule(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, KeyRule>, 4> kRules{
      {{"path", KeyRule::kPath},
       {"stem", KeyRule::kStem},
       {"name", KeyRule::kName},
       {"folder", KeyRule::kFolder}}};
  const auto found = std::ranges::find(kRules, name, &decltype(kRules)::value_type::first);
  if (found == kRules.end()) return std::nullopt;
  return found->second;
}

SourceListing list_source(const Source& source, const Progress& progress) {
  detail::ReadCounter counter(progress);
  SourceListing listing =
      std::visit([&](const auto& kind) { return detail::list(kind, counter); }, source);
  counter.finish();
  return listing;
}

std::vector<MetadataPatch> read_patches(const std::filesystem::path& file,
                                        const std::string& key_column) {
  std::vector<MetadataPatch> patches;
  const detail::Table table =
      detail::open_table(file, "metadata file", key_column, detail::RowNeeds::kKey);
  detail::read_rows(table, [&](detail::TableRow&& row) {
    patches.push_back({std::move(row.key), detail::metadata_text(table, row)});
  });
  return patches;
}

}  // namespace vsearch
