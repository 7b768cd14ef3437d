// Data sets of instance retrieval, whose right answers are listed for each query: ROxford, RParis,
// INSTRE, GLDv2.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>

#include "eval/dataset_builder.h"
#include "eval/dataset_loader.h"
#include "eval/list_file.h"
#include "eval/mat_file.h"
#include "eval/pickle.h"
#include "eval/picture_size.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<std::uint32_t>;

// A ground truth as the revisited Oxford and Paris have it: names of the pictures of the gallery
// and of the queries; for each query a box and lists of numbers of the gallery.
class GroundTruth {
 public:
  GroundTruth(const fs::path& file, Json content) : file_(file), content_(std::move(content)) {
    // MATLAB counts from 1.
    first_ = file_.extension() == ".mat" ? 1 : 0;
    for (const char* const name : {"imlist", "qimlist", "gnd"}) {
      const Json* const list = member(content_, name);
      if (list == nullptr || !list->is_array()) fail(fmt::format("it has no list '{}'", name));
    }
    if (content_["qimlist"].size() != content_["gnd"].size()) {
      fail(fmt::format("labels do not match: {} queries, but right answers for {}",
                       content_["qimlist"].size(), content_["gnd"].size()),
           ErrorCode::kInvalidArgument);
    }
  }

  const fs::path& file() const { return file_; }
  std::size_t gallery() const { return content_["imlist"].size(); }
  std::size_t queries() const { return content_["qimlist"].size(); }

  std::string name(const char* list, std::size_t number) const {
    const Json& name = content_[list][number];
    if (!name.is_string()) fail(fmt::format("the name {} of '{}' is no text", number, list));
    return name.get<std::string>();
  }

  // Numbers of the gallery, from 0, that the query has in `list`; none if it has no such list.
  Numbers listed(std::size_t query, const char* list) const {
    const Json* const numbers = member(content_["gnd"][query], list);
    Numbers result;
    if (numbers == nullptr) return result;
    if (!numbers->is_array()) fail(fmt::format("'{}' of query {} is no list", list, query));
    for (const Json& number : *numbers) {
      const double value = number.is_number() ? number.get<double>() - first_ : -1;
      if (!(value >= 0 && value < static_cast<double>(gallery()))) {
        fail(fmt::format("'{}' of query {} has {}, and the gallery {} pictures", list, query,
                         number.dump(), gallery()));
      }
      result.push_back(static_cast<std::uint32_t>(value));
    }
    return result;
  }

  // The box of the query, in pixels: left, top, right, bottom.
  std::array<double, 4> box(std::size_t query) const {
    const Json* const numbers = member(content_["gnd"][query], "bbx");
    std::array<double, 4> result{};
    const bool is_box = numbers != nullptr && numbers->is_array() && numbers->size() == 4 &&
                        std::ranges::all_of(*numbers, [](const Json& n) { return n.is_number(); });
    if (!is_box) fail(fmt::format("query {} has no box 'bbx' of four numbers", query));
    for (std::size_t i = 0; i < 4; ++i) result[i] = (*numbers)[i].get<double>();
    if (!(result[0] < result[2] && result[1] < result[3])) {
      fail(fmt::format("the box of query {} is empty", query));
    }
    return result;
  }

  [[noreturn]] void fail(std::string_view what, ErrorCode code = ErrorCode::kCorrupt) const {
    throw Error(code, fmt::format("'{}': {}; get it again from where it is published",
                                  file_.string(), what));
  }

 private:
  fs::path file_;
  Json content_;
  double first_ = 0;
};

fs::path truth_folder(const fs::path& root, const std::string& stem,
                      std::initializer_list<std::string_view> folders,
                      std::initializer_list<std::string_view> endings) {
  for (const std::string_view ending : endings) {
    const std::string name = fmt::format("{}{}", stem, ending);
    if (holds(root, name, folders)) return folder_with(root, name, folders);
  }
  return root;
}

GroundTruth read_truth(const fs::path& folder, const std::string& stem,
                       std::initializer_list<std::string_view> endings) {
  for (const std::string_view ending : endings) {
    const fs::path file = folder / fmt::format("{}{}", stem, ending);
    std::error_code ignored;
    if (!fs::exists(file, ignored)) continue;
    if (ending == ".pkl") return {file, read_pickle(file)};
    if (ending == ".mat") return {file, read_mat_file(file)};
    Json content = Json::parse(read_list_text(file), nullptr, false);
    if (content.is_discarded()) {
      throw Error(ErrorCode::kCorrupt,
                  fmt::format("'{}' is no JSON; write it again", file.string()));
    }
    return {file, std::move(content)};
  }
  std::vector<std::string> names;
  for (const std::string_view ending : endings) names.push_back(fmt::format("{}{}", stem, ending));
  throw Error(ErrorCode::kFileNotFound,
              fmt::format("'{}' holds none of {}, the list of right answers; download it to there",
                          folder.string(), some_of(names)));
}

// In shares of the picture, within it.
CropBox crop_of(const std::array<double, 4>& box, const PictureSize& size) {
  const auto share = [](double px, std::uint32_t side_px) {
    return static_cast<float>(std::clamp(px / side_px, 0.0, 1.0));
  };
  return {share(box[0], size.width_px), share(box[1], size.height_px), share(box[2], size.width_px),
          share(box[3], size.height_px)};
}

Protocol truth_protocol(const GroundTruth& truth, std::string_view name,
                        std::initializer_list<const char*> right,
                        std::initializer_list<const char*> ignored) {
  Protocol protocol;
  protocol.name = name;
  protocol.average_precision = AveragePrecision::kTrapezoid;
  const auto all = [&](std::size_t query, std::initializer_list<const char*> lists) {
    Numbers numbers;
    for (const char* const list : lists) {
      const Numbers more = truth.listed(query, list);
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
    std::ranges::sort(numbers);
    return numbers;
  };
  for (std::size_t i = 0; i < truth.queries(); ++i) {
    protocol.queries.push_back(static_cast<std::uint32_t>(truth.gallery() + i));
    protocol.positives.push_back(all(i, right));
    protocol.ignored.push_back(all(i, ignored));
  }
  for (std::uint32_t i = 0; i < truth.gallery(); ++i) protocol.gallery.push_back(i);
  return protocol;
}

// The gallery comes first, so that its numbers are those of the lists; then the queries, which are
// what is in their box. `path` makes a path of a name, `label` the class of a query.
template <typename Path, typename Label>
void add_truth(DatasetBuilder& builder, const GroundTruth& truth, Path path, Label label) {
  for (std::size_t i = 0; i < truth.gallery(); ++i) {
    builder.add(path(truth.name("imlist", i)), {}, "gallery");
  }
  for (std::size_t i = 0; i < truth.queries(); ++i) {
    const std::string name = truth.name("qimlist", i);
    const std::uint32_t picture = builder.add(path(name), label(name), "query");
    const PictureSize size = picture_size(builder.root() / path(name));
    const CropBox crop = crop_of(truth.box(i), size);
    if (!(crop.left < crop.right && crop.top < crop.bottom)) {
      truth.fail(fmt::format("the box of query {} lies outside of '{}' ({} x {} pixels)", i,
                             path(name), size.width_px, size.height_px));
    }
    builder.set_crop(picture, crop);
  }
}

Dataset load_revisited(const fs::path& root, const DatasetOptions& options, std::string_view title,
                       const std::string& name, std::uint64_t gallery) {
  const std::string stem = "gnd_" + name;
  const fs::path folder = truth_folder(root, stem, {"", name}, {".pkl", ".json"});
  const GroundTruth truth = read_truth(folder, stem, {".pkl", ".json"});
  DatasetBuilder builder(std::string(title), folder, options);
  builder.expect_count(gallery, truth.gallery(), "pictures in the gallery", "imlist");
  builder.expect_count(70, truth.queries(), "queries", "qimlist");
  // All pictures lie in jpg/, to where the publisher's scripts move those of Paris, too.
  add_truth(
      builder, truth, [](const std::string& picture) { return fmt::format("jpg/{}.jpg", picture); },
      [](const std::string& query) { return query.substr(0, query.rfind('_')); });
  using Answers = DatasetBuilder::Answers;
  // Not every query has easy answers, or hard ones.
  builder.add_protocol(truth_protocol(truth, "easy", {"easy"}, {"junk", "hard"}),
                       Answers::kAsTheyCome);
  builder.add_protocol(truth_protocol(truth, "medium", {"easy", "hard"}, {"junk"}),
                       Answers::kAsTheyCome);
  builder.add_protocol(truth_protocol(truth, "hard", {"hard"}, {"junk", "easy"}),
                       Answers::kAsTheyCome);
  return builder.finish();
}

bool fits_truth(const fs::path& root, const std::string& stem,
                std::initializer_list<std::string_view> folders,
                std::initializer_list<std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view ending) {
    return holds(root, fmt::format("{}{}", stem, ending), folders);
  });
}

// ---- GLDv2 ----

constexpr std::string_view kSolution = "retrieval_solution_v2.1.csv";

fs::path gld_list(const fs::path& root, std::string_view name) {
  return folder_with(root, name, {"", "metadata", "test", "index", "ground_truth"}) / name;
}

// index/a/b/c/abcdef0123456789.jpg
std::string gld_path(std::string_view part, const ListTable& table, const ListLine& line,
                     std::string_view id) {
  if (id.size() < 3) table.fail(line, fmt::format("'{}' is no name of a picture", id));
  return fmt::format("{}/{}/{}/{}/{}.jpg", part, id[0], id[1], id[2], id);
}

}  // namespace

Dataset load_roxford5k(const fs::path& root, const DatasetOptions& options) {
  return load_revisited(root, options, "ROxford", "roxford5k", 4993);
}

bool fits_roxford5k(const fs::path& root) {
  return fits_truth(root, "gnd_roxford5k", {"", "roxford5k"}, {".pkl", ".json"});
}

Dataset load_rparis6k(const fs::path& root, const DatasetOptions& options) {
  return load_revisited(root, options, "RParis", "rparis6k", 6322);
}

bool fits_rparis6k(const fs::path& root) {
  return fits_truth(root, "gnd_rparis6k", {"", "rparis6k"}, {".pkl", ".json"});
}

Dataset load_instre(const fs::path& root, const DatasetOptions& options) {
  const GroundTruth truth = read_truth(root, "gnd_instre", {".mat", ".json"});
  DatasetBuilder builder("INSTRE", root, options);
  builder.expect_count(27293, truth.gallery(), "pictures in the gallery", "imlist");
  builder.expect_count(1250, truth.queries(), "queries", "qimlist");
  add_truth(
      builder, truth, [](const std::string& picture) { return picture; },
      [](const std::string& query) { return query.substr(0, query.rfind('/')); });
  builder.add_protocol(truth_protocol(truth, "query-gallery", {"ok"}, {"junk"}));
  return builder.finish();
}

bool fits_instre(const fs::path& root) {
  return fits_truth(root, "gnd_instre", {""}, {".mat", ".json"});
}

Dataset load_gldv2(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("GLDv2", root, options);
  const ListTable index(gld_list(root, "index.csv"));
  const std::size_t index_id = index.column("id");
  builder.expect_count(761757, index.lines().size(), "pictures in the gallery", "index.csv");
  std::map<std::string_view, std::uint32_t> numbers;
  for (const ListLine& line : index.lines()) {
    const std::string& id = line.cells[index_id];
    numbers[id] = builder.add(gld_path("index", index, line, id), {}, "gallery");
  }

  const ListTable solution(gld_list(root, kSolution));
  const std::size_t query_id = solution.column("id");
  const std::size_t images = solution.column("images");
  const std::size_t usage = solution.column("Usage");
  // The test set is "Private"; "Public" is what was shown while the challenge went on.
  std::array<Protocol, 2> protocols;
  protocols[0].name = "private";
  protocols[1].name = "public";
  for (const ListLine& line : solution.lines()) {
    const std::string& use = line.cells[usage];
    const std::string& right = line.cells[images];
    if (use == "Ignored" || right == "None" || right.empty()) continue;
    if (use != "Private" && use != "Public") {
      solution.fail(line, fmt::format("'{}' is none of Private, Public and Ignored", use));
    }
    Numbers positives;
    for (std::size_t begin = 0; begin < right.size();) {
      const std::size_t end = std::min(right.find(' ', begin), right.size());
      const std::string_view id = std::string_view(right).substr(begin, end - begin);
      begin = end + 1;
      if (id.empty()) continue;
      const auto found = numbers.find(id);
      if (found != numbers.end()) {
        positives.push_back(found->second);
      } else if (builder.checks_counts()) {
        solution.fail(line, fmt::format("labels do not match: index.csv has no '{}'", id),
                      ErrorCode::kInvalidArgument);
      }
    }
    std::ranges::sort(positives);
    Protocol& protocol = protocols[use == "Private" ? 0 : 1];
    protocol.queries.push_back(
        builder.add(gld_path("test", solution, line, line.cells[query_id]), {}, "test"));
    protocol.positives.push_back(std::move(positives));
  }
  for (Protocol& protocol : protocols) {
    protocol.gallery = builder.in_splits({"gallery"});
    protocol.cutoff = 100;
    if (protocol.queries.empty() && !builder.checks_counts()) continue;
    builder.expect_count(protocol.name == "private" ? 750 : 379, protocol.queries.size(),
                         fmt::format("{} queries", protocol.name), kSolution);
    builder.add_protocol(std::move(protocol));
  }
  return builder.finish();
}

bool fits_gldv2(const fs::path& root) {
  return holds(gld_list(root, kSolution).parent_path(), kSolution);
}

}  // namespace vsearch::eval
