// Data sets whose labels are names of files and folders: GPR1200, Caltech-101, any folder.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "eval/dataset_builder.h"
#include "eval/dataset_loader.h"
#include "util/folder_names.h"
#include "vsearch/error.h"
#include "vsearch/image.h"

namespace vsearch::eval {
namespace fs = std::filesystem;
namespace {

// ---- GPR1200 ----

constexpr std::uint32_t kGprClasses = 1200;
constexpr std::uint32_t kGprPerClass = 10;
constexpr std::uint32_t kGprPerDomain = 200;  // classes
// As eval/GPR1200.py of its repository takes its results apart; the names are the paper's.
constexpr std::array<std::string_view, 6> kGprDomains = {"landmarks", "nature",   "sketches",
                                                         "objects",   "products", "faces"};

// The class in "17_name.jpg".
std::optional<std::uint32_t> gpr_class(std::string_view file) {
  const std::size_t line = file.find('_');
  if (line == std::string_view::npos || line == 0) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(file.data(), file.data() + line, number);
  if (error != std::errc() || end != file.data() + line || number >= kGprClasses) {
    return std::nullopt;
  }
  return number;
}

fs::path gpr_folder(const fs::path& root) {
  return folder_with(root, "images", {"", "GPR1200"}) / "images";
}

// "1 of class 17 and 2 of class 401"
std::string gpr_missing(const std::map<std::uint32_t, std::uint32_t>& counts) {
  std::vector<std::string> odd;
  for (std::uint32_t number = 0; number < kGprClasses; ++number) {
    const auto found = counts.find(number);
    const std::uint32_t count = found == counts.end() ? 0 : found->second;
    if (count < kGprPerClass) {
      odd.push_back(fmt::format("missing {} of class {}", kGprPerClass - count, number));
    } else if (count > kGprPerClass) {
      odd.push_back(fmt::format("{} too many of class {}", count - kGprPerClass, number));
    }
  }
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(odd.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + odd[i];
  }
  if (odd.size() > kShown) {
    text += fmt::format(" and so on in {} more classes", with_commas(odd.size() - kShown));
  }
  return text;
}

// ---- Caltech-101 ----

constexpr std::string_view kCaltechClutter = "BACKGROUND_Google";

fs::path caltech_folder(const fs::path& root) {
  for (const std::string_view folder :
       {"101_ObjectCategories", "caltech-101/101_ObjectCategories"}) {
    std::error_code ignored;
    if (fs::is_directory(root / folder, ignored)) return root / folder;
  }
  return root;
}

// ---- any folder ----

// Folders at the top that are parts of a data set and not classes.
struct Split {
  std::string_view queries;
  std::string_view gallery;
  std::array<std::string_view, 4> all;
};
constexpr std::array<Split, 3> kSplits = {{
    {"query", "gallery", {"query", "gallery", "train", "val"}},
    {"test", "train", {"test", "train", "val", "val"}},
    {"val", "train", {"val", "train", "val", "val"}},
}};

const Split* split_of(const std::vector<std::string>& paths) {
  std::set<std::string_view> tops;
  for (const std::string& path : paths) {
    const std::vector<std::string_view> parts = path_parts(path);
    if (parts.size() < 3) return nullptr;
    tops.insert(parts.front());
  }
  for (const Split& split : kSplits) {
    const bool is_known = std::ranges::all_of(tops, [&](std::string_view top) {
      return std::ranges::find(split.all, top) != split.all.end();
    });
    if (is_known && tops.contains(split.queries) && tops.contains(split.gallery)) return &split;
  }
  return nullptr;
}

// The masks beside the classes: masks/cup/1.png is that of cup/1.jpg. By the paths of their
// pictures, without what these end in.
using FolderMasks = std::map<std::string, std::string, std::less<>>;

// Takes them out of `paths`. A folder of that name in which nothing is called like another picture
// is a class. Throws kInvalidArgument (masks of no picture), unless the data set may lack some.
FolderMasks take_masks(std::vector<std::string>& paths, const fs::path& root, bool whole) {
  constexpr std::string_view kMasks = "masks/";
  std::set<std::string_view> pictures;
  for (const std::string& path : paths) pictures.insert(without_extension(path));
  FolderMasks masks;
  std::vector<std::string> strange;
  for (const std::string& path : paths) {
    if (!path.starts_with(kMasks)) continue;
    const std::string_view of = without_extension(path).substr(kMasks.size());
    if (pictures.contains(of)) {
      masks.emplace(of, path);
    } else {
      strange.push_back(path);
    }
  }
  if (masks.empty()) return masks;
  if (!strange.empty() && whole) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("masks of no picture in '{}': {} (masks/CLASS/NAME.png is that of "
                    "CLASS/NAME.jpg); add the pictures, take the masks out, or, if 'masks' is a "
                    "class, call it otherwise",
                    root.string(), some_of(strange)));
  }
  std::erase_if(paths, [&](const std::string& path) { return path.starts_with(kMasks); });
  return masks;
}

std::string name_of(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

Dataset load_gpr1200(const fs::path& root, const DatasetOptions& options) {
  const fs::path folder = gpr_folder(root);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw Error(
        ErrorCode::kFileNotFound,
        fmt::format("GPR1200: there is no folder 'images' in '{}'; unpack GPR1200.zip there",
                    root.string()));
  }
  std::vector<std::pair<std::uint32_t, std::string>> pictures;
  std::map<std::uint32_t, std::uint32_t> counts;
  for (std::string& path : pictures_below(folder)) {
    const std::optional<std::uint32_t> number = gpr_class(path_parts(path).back());
    if (!number) {
      throw Error(ErrorCode::kCorrupt,
                  fmt::format("GPR1200: '{}' is not named CLASS_NAME.jpg with a class from 0 to "
                              "1199; move what does not belong there out of '{}'",
                              path, folder.string()));
    }
    ++counts[*number];
    pictures.emplace_back(*number, std::move(path));
  }
  std::ranges::sort(pictures);

  DatasetBuilder builder("GPR1200", folder, options);
  for (auto& [number, path] : pictures) {
    builder.add(std::move(path), std::to_string(number), {}, kGprDomains[number / kGprPerDomain]);
  }
  builder.expect_count(std::uint64_t{kGprClasses} * kGprPerClass, pictures.size(), "pictures",
                       gpr_missing(counts));
  builder.expect_count(kGprClasses, counts.size(), "classes", gpr_missing(counts));
  Protocol protocol;
  protocol.name = "all";
  protocol.queries = protocol.gallery = builder.in_splits({});
  protocol.self = SelfMatch::kKept;
  builder.add_protocol(std::move(protocol));
  return builder.finish();
}

bool fits_gpr1200(const fs::path& root) {
  std::error_code error;
  bool has_pictures = false;
  for (const std::string& name : util::names_in(gpr_folder(root), error)) {
    if (!has_image_extension(name)) continue;
    if (!gpr_class(name)) return false;
    has_pictures = true;
  }
  return has_pictures;
}

Dataset load_caltech101(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("Caltech-101", caltech_folder(root), options);
  for (std::string& path : pictures_below(builder.root())) {
    const std::vector<std::string_view> parts = path_parts(path);
    if (parts.size() != 2 || parts.front() == kCaltechClutter) continue;
    const std::string label(parts.front());
    builder.add(std::move(path), label);
  }
  builder.expect_count(101, builder.class_count(), "classes");
  builder.expect_count(8677, builder.pictures().size(), "pictures besides BACKGROUND_Google");
  builder.add_leave_one_out("leave-one-out", builder.in_splits({}));
  return builder.finish();
}

bool fits_caltech101(const fs::path& root) {
  const fs::path folder = caltech_folder(root);
  return holds(folder, "accordion") && holds(folder, "Faces_easy") && holds(folder, "yin_yang");
}

Dataset load_folder(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder(name_of(root), root, options);
  std::vector<std::string> paths = pictures_below(root);
  const FolderMasks masks = take_masks(paths, root, options.check_counts);
  const Split* const split = split_of(paths);
  for (std::string& path : paths) {
    const std::vector<std::string_view> parts = path_parts(path);
    if (parts.size() < 2) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' lies in no folder of '{}': a picture's class is the folder it "
                              "lies in; move it to one, or out",
                              path, root.string()));
    }
    const std::string label(parts[split == nullptr ? 0 : 1]);
    const std::string part(split == nullptr ? std::string_view() : parts.front());
    const auto mask = masks.find(without_extension(path));
    const std::uint32_t picture = builder.add(std::move(path), label, part);
    if (mask != masks.end()) builder.set_mask(picture, mask->second);
  }
  if (split == nullptr) {
    builder.add_leave_one_out("leave-one-out", builder.in_splits({}));
  } else {
    Protocol protocol;
    protocol.name = fmt::format("{}-{}", split->queries, split->gallery);
    protocol.queries = builder.in_splits({split->queries});
    protocol.gallery = builder.in_splits({split->gallery});
    // What is held out of training may be of classes that are new.
    builder.add_protocol(std::move(protocol), split->queries == "val"
                                                  ? DatasetBuilder::Answers::kAsTheyCome
                                                  : DatasetBuilder::Answers::kPromised);
  }
  return builder.finish();
}

bool fits_folder(const fs::path& root) {
  std::error_code error;
  std::size_t folders = 0;
  for (const std::string& name : util::names_in(root, error)) {
    if (name.starts_with('.')) continue;
    if (has_image_extension(name)) return false;
    if (fs::is_directory(root / name, error)) ++folders;
  }
  return folders >= 2;
}

}  // namespace vsearch::eval
