// Labelled queries from a file.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "catalog/picture_file.h"
#include "catalog/source_table.h"
#include "vsearch/labelled_queries.h"

namespace vsearch {
namespace detail {
namespace {

constexpr const char* kRelevant = "relevant";

void add_keys(std::string_view text, std::vector<std::string>& keys) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('|'), text.size());
    if (end > 0) keys.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<std::string> relevant_keys(const Table& table, TableRow& row) {
  std::vector<std::string> keys;
  const auto found = row.fields.find(kRelevant);
  if (found != row.fields.end() && found->is_array()) {
    for (const nlohmann::json& key : *found) {
      if (!key.is_string()) {
        fail_at(table, row.number, "'relevant' must be a text, or an array of texts");
      }
      keys.push_back(key.get<std::string>());
    }
  } else {
    add_keys(take_text(table, row.number, row.fields, kRelevant), keys);
  }
  if (!keys.empty()) return keys;
  fail_at(table, row.number,
          "there is no 'relevant': the keys of the right answers, with | between "
          "them");
}

std::string picture_path(const Table& table, const std::string& path) {
  if (path.empty() || is_uri(path)) return path;
  return (std::filesystem::absolute(table.file).parent_path() / path).lexically_normal().string();
}

}  // namespace
}  // namespace detail

std::vector<LabelledQuery> read_labelled_queries(const std::filesystem::path& file) {
  using namespace detail;
  const Table table = open_table(file, "file of labelled queries", "key", RowNeeds::kName);
  std::vector<LabelledQuery> queries;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  read_rows(table, [&](TableRow&& row) {
    if (!row.key.empty() && !row.path.empty()) {
      fail_at(table, row.number,
              "a query is either an item (key) or a picture (path), and this row has both");
    }
    const std::string path = picture_path(table, row.path);
    const auto [place, is_new] = places.try_emplace({row.key, path}, queries.size());
    if (is_new) queries.push_back({row.key, path, {}});
    for (std::string& key : relevant_keys(table, row)) {
      queries[place->second].relevant.push_back(std::move(key));
    }
  });
  if (queries.empty()) fail_at(table, 0, "the file has no queries");
  return queries;
}

}  // namespace vsearch
