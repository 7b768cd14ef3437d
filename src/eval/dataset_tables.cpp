// Data sets whose labels stand in tables: GroceryStore, the fashion products, any CSV file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "eval/dataset_builder.h"
#include "eval/dataset_loader.h"
#include "eval/list_file.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace fs = std::filesystem;
namespace {

using Answers = DatasetBuilder::Answers;

// ---- GroceryStore ----

fs::path grocery_folder(const fs::path& root) {
  return folder_with(root, "classes.csv", {"", "dataset"});
}

Protocol between(const DatasetBuilder& builder, std::string_view queries,
                 std::string_view gallery) {
  Protocol protocol;
  protocol.name = fmt::format("{}-{}", queries, gallery);
  protocol.queries = builder.in_splits({queries});
  protocol.gallery = builder.in_splits({gallery});
  return protocol;
}

// ---- fashion ----

// The publisher's archive has no pictures of these, though styles.csv lists them.
constexpr std::array<std::string_view, 5> kFashionLost = {"12347", "39401", "39403", "39410",
                                                          "39425"};

// The table of the publisher, or one with a column of paths beside it.
fs::path fashion_table(const fs::path& root) {
  return root / (holds(root, "catalog.csv") ? "catalog.csv" : "styles.csv");
}

}  // namespace

Dataset load_grocery(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("GroceryStore", grocery_folder(root), options);
  const std::size_t coarse = builder.add_field("coarse");
  const ListTable classes(builder.root() / "classes.csv");
  const std::size_t name = classes.column("Class Name (str)");
  const std::size_t id = classes.column("Class ID (int)");
  const std::size_t coarse_name = classes.column("Coarse Class Name (str)");
  const std::size_t coarse_id = classes.column("Coarse Class ID (int)");
  const std::size_t iconic = classes.column("Iconic Image Path (str)");

  std::map<std::string_view, const ListLine*> class_lines;
  for (const ListLine& line : classes.lines()) class_lines[line.cells[id]] = &line;
  builder.expect_count(81, class_lines.size(), "classes", "classes.csv");
  const auto add = [&](std::string path, const ListLine& line, std::string_view split,
                       std::string_view domain) {
    const std::uint32_t picture = builder.add(std::move(path), line.cells[name], split, domain);
    builder.set_field(coarse, picture, line.cells[coarse_name]);
  };
  const auto read = [&](std::string_view split, std::uint64_t published) {
    const std::string list = fmt::format("{}.txt", split);
    const ListFile file = read_cells(builder.root() / list, 3);
    for (const ListLine& line : file.lines) {
      const auto found = class_lines.find(line.cells[1]);
      if (found == class_lines.end() || found->second->cells[coarse_id] != line.cells[2]) {
        file.fail(
            line,
            fmt::format("labels do not match: classes.csv has no class {} of the coarse class {}",
                        line.cells[1], line.cells[2]),
            ErrorCode::kInvalidArgument);
      }
      add(line.cells[0], *found->second, split, "shop");
    }
    builder.expect_count(published, file.lines.size(), fmt::format("{} pictures", split), list);
  };
  read("train", 2640);
  read("val", 296);
  read("test", 2485);
  for (const ListLine& line : classes.lines()) {
    const std::string& path = line.cells[iconic];  // from "/"
    add(path.substr(std::min(path.find_first_not_of('/'), path.size())), line, "iconic", "iconic");
  }
  builder.add_protocol(between(builder, "test", "train"));
  builder.add_protocol(between(builder, "test", "iconic"));
  builder.add_protocol(between(builder, "val", "train"));
  return builder.finish();
}

bool fits_grocery(const fs::path& root) {
  const fs::path folder = grocery_folder(root);
  return holds(folder, "classes.csv") && holds(folder, "train.txt") && holds(folder, "val.txt") &&
         holds(folder, "test.txt");
}

Dataset load_fashion(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("Fashion Product Images", root, options);
  const ListTable table(fashion_table(root), true);
  const std::optional<std::size_t> path = table.find("path");
  const std::size_t id = path ? *path : table.column("id");
  const std::size_t type = table.column("articleType");
  const std::size_t colour = table.column("baseColour");
  std::vector<std::pair<std::size_t, std::size_t>> fields;  // of the data set, of the table
  for (const std::string_view column :
       {"gender", "masterCategory", "subCategory", "baseColour", "season", "year", "usage"}) {
    if (const auto found = table.find(column))
      fields.emplace_back(builder.add_field(column), *found);
  }
  const std::size_t both = builder.add_field("articleType+baseColour");

  for (const ListLine& line : table.lines()) {
    std::string file = path ? line.cells[*path] : fmt::format("images/{}.jpg", line.cells[id]);
    if (!path && std::ranges::find(kFashionLost, line.cells[id]) != kFashionLost.end() &&
        !holds(root, file)) {
      continue;
    }
    const std::uint32_t picture = builder.add(std::move(file), line.cells[type]);
    for (const auto& [field, column] : fields) {
      builder.set_field(field, picture, line.cells[column]);
    }
    const bool has_both = !line.cells[type].empty() && !line.cells[colour].empty();
    builder.set_field(both, picture,
                      has_both ? fmt::format("{}, {}", line.cells[type], line.cells[colour]) : "");
  }
  // A shop has articles of which there is but one.
  builder.add_leave_one_out("articleType", builder.in_splits({}), Answers::kAsTheyCome);
  builder.add_leave_one_out("articleType+baseColour", builder.in_splits({}), Answers::kAsTheyCome,
                            static_cast<std::int32_t>(both));
  return builder.finish();
}

bool fits_fashion(const fs::path& root) {
  if (!holds(root, "images") || !(holds(root, "catalog.csv") || holds(root, "styles.csv"))) {
    return false;
  }
  try {
    return ListTable(fashion_table(root), true).find("articleType").has_value();
  } catch (const Error&) {
    return false;
  }
}

Dataset load_csv(const fs::path& root, const DatasetOptions& options) {
  const fs::path folder = root.has_parent_path() ? root.parent_path() : fs::path(".");
  DatasetBuilder builder(root.stem().string(), folder, options);
  const ListTable table(root);
  const std::size_t path = table.column("path");
  const std::size_t label = table.column("label");
  const std::optional<std::size_t> split = table.find("split");
  const std::optional<std::size_t> domain = table.find("domain");
  const std::optional<std::size_t> mask = table.find("mask");
  std::vector<std::pair<std::size_t, std::size_t>> fields;  // of the data set, of the table
  for (std::size_t i = 0; i < table.columns().size(); ++i) {
    if (i == path || i == label || i == split || i == domain || i == mask) continue;
    fields.emplace_back(builder.add_field(table.columns()[i]), i);
  }

  std::map<std::string_view, std::size_t> lines;  // where each picture stands
  std::set<std::string_view> splits;
  for (const ListLine& line : table.lines()) {
    const std::string& file = line.cells[path];
    if (file.empty()) table.fail(line, "there is no path");
    const auto [before, is_new] = lines.emplace(file, line.line);
    if (!is_new) {
      table.fail(line, fmt::format("'{}' stands in line {} already, and would find itself", file,
                                   before->second));
    }
    const std::string_view part = split ? std::string_view(line.cells[*split]) : std::string_view();
    if (line.cells[label].empty() && (part == "query" || part == "test")) {
      table.fail(line, fmt::format("the query '{}' has no label", file));
    }
    splits.insert(part);
    const std::uint32_t picture =
        builder.add(file, line.cells[label], part,
                    domain ? std::string_view(line.cells[*domain]) : std::string_view());
    if (mask) builder.set_mask(picture, line.cells[*mask]);
    for (const auto& [field, column] : fields) {
      builder.set_field(field, picture, line.cells[column]);
    }
  }
  if (splits.contains("query") && splits.contains("gallery")) {
    builder.add_protocol(between(builder, "query", "gallery"));
  } else if (splits.contains("test") && splits.contains("train")) {
    builder.add_protocol(between(builder, "test", "train"));
  } else {
    builder.add_leave_one_out("leave-one-out", builder.in_splits({}));
  }
  return builder.finish();
}

bool fits_csv(const fs::path& root) {
  std::error_code ignored;
  if (root.extension() != ".csv" || !fs::is_regular_file(root, ignored)) return false;
  try {
    const ListTable table(root);
    return table.find("path").has_value() && table.find("label").has_value();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace vsearch::eval
