// Data sets of metric learning: their labels and splits stand in lists of words.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "eval/dataset_builder.h"
#include "eval/dataset_loader.h"
#include "eval/list_file.h"
#include "eval/mat_file.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace fs = std::filesystem;
namespace {

// CUB-200 and Cars-196 are tested on classes that nobody trained on: the second half of them.
std::string_view half_of(std::uint32_t class_number, std::uint32_t classes) {
  return class_number <= classes / 2 ? "train" : "test";
}

fs::path sop_folder(const fs::path& root) {
  return folder_with(root, "Ebay_test.txt", {"", "Stanford_Online_Products"});
}

fs::path cub_folder(const fs::path& root) {
  return folder_with(root, "image_class_labels.txt", {"", "CUB_200_2011"});
}

// The segmentations come in an archive of their own, which unpacks beside CUB_200_2011, or into it.
// Relative to cub_folder(), with a slash at its end; empty: they are not there.
std::string cub_masks(const fs::path& root) {
  constexpr std::string_view kMasks = "segmentations";
  const fs::path place = folder_with(root, kMasks, {"", "CUB_200_2011"});
  if (!holds(place, kMasks)) return {};
  return (place / kMasks).lexically_relative(cub_folder(root)).generic_string() + "/";
}

constexpr std::string_view kInatTest = "Inaturalist_test_set1.txt";

fs::path inat_lists(const fs::path& root) {
  return folder_with(root, kInatTest, {"Inat_dataset_splits", ""});
}

constexpr std::string_view kInshopList = "list_eval_partition.txt";

fs::path inshop_list(const fs::path& root) {
  return folder_with(root, kInshopList, {"Eval", "", "Anno"}) / kInshopList;
}

}  // namespace

Dataset load_sop(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("Stanford Online Products", sop_folder(root), options);
  const std::size_t super = builder.add_field("super_class");
  const auto read = [&](const char* list, std::string_view split, std::uint64_t published) {
    const ListFile file = read_words(builder.root() / list, 4, 1);
    for (const ListLine& line : file.lines) {
      file.number(line, 1);
      const std::string& path = line.cells[3];  // bicycle_final/111085122871_0.JPG
      const std::uint32_t picture = builder.add(path, line.cells[1], split);
      const std::string_view folder = path_parts(path).front();
      builder.set_field(super, picture, folder.substr(0, folder.rfind("_final")));
    }
    builder.expect_count(published, file.lines.size(), fmt::format("{} pictures", split), list);
  };
  read("Ebay_train.txt", "train", 59551);
  read("Ebay_test.txt", "test", 60502);
  builder.add_leave_one_out("test", builder.in_splits({"test"}));
  return builder.finish();
}

bool fits_sop(const fs::path& root) {
  return holds(sop_folder(root), "Ebay_test.txt");
}

Dataset load_inshop(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("In-shop", folder_with(root, "img", {"", "Img"}), options);
  const std::size_t gender = builder.add_field("gender");
  const std::size_t category = builder.add_field("category");
  const fs::path list = inshop_list(root);
  const ListFile file = read_words(list, 3, 2);  // after a count and the names of the columns
  std::map<std::string_view, std::uint64_t> counts;
  for (const ListLine& line : file.lines) {
    const std::string& split = line.cells[2];
    if (split != "train" && split != "query" && split != "gallery") {
      file.fail(line, fmt::format("'{}' is none of train, query and gallery", split));
    }
    ++counts[split];
    const std::uint32_t picture = builder.add(line.cells[0], line.cells[1], split);
    const std::vector<std::string_view> parts = path_parts(line.cells[0]);  // img/MEN/Denim/...
    if (parts.size() < 4) continue;
    builder.set_field(gender, picture, parts[1]);
    builder.set_field(category, picture, parts[2]);
  }
  builder.expect_count(25882, counts["train"], "train pictures", kInshopList);
  builder.expect_count(14218, counts["query"], "query pictures", kInshopList);
  builder.expect_count(12612, counts["gallery"], "gallery pictures", kInshopList);
  Protocol protocol;
  protocol.name = "query-gallery";
  protocol.queries = builder.in_splits({"query"});
  protocol.gallery = builder.in_splits({"gallery"});
  builder.add_protocol(std::move(protocol));
  return builder.finish();
}

bool fits_inshop(const fs::path& root) {
  return holds(root, "img", {"", "Img"}) && holds(root, kInshopList, {"Eval", "", "Anno"});
}

Dataset load_cub200(const fs::path& root, const DatasetOptions& options) {
  constexpr std::uint32_t kClasses = 200;
  DatasetBuilder builder("CUB-200-2011", cub_folder(root), options);
  const ListFile classes = read_words(builder.root() / "classes.txt", 2);
  const ListFile images = read_words(builder.root() / "images.txt", 2);
  const ListFile labels = read_words(builder.root() / "image_class_labels.txt", 2);

  std::map<std::string_view, std::string_view> class_names;
  for (const ListLine& line : classes.lines) class_names[line.cells[0]] = line.cells[1];
  std::map<std::string_view, const ListLine*> label_lines;
  for (const ListLine& line : labels.lines) label_lines[line.cells[0]] = &line;
  const std::string masks = cub_masks(root);
  for (const ListLine& line : images.lines) {
    const auto label = label_lines.find(line.cells[0]);
    if (label == label_lines.end()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: labels do not match: '{}' gives no class to the picture {} ('{}'); "
                      "take both lists from the same archive",
                      builder.name(), labels.path.string(), line.cells[0], line.cells[1]));
    }
    const std::uint32_t number = labels.number(*label->second, 1);
    const auto name = class_names.find(label->second->cells[1]);
    if (name == class_names.end()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{}: labels do not match: '{}' has no class {}, which the picture '{}' is "
                      "of; take both lists from the same archive",
                      builder.name(), classes.path.string(), number, line.cells[1]));
    }
    const std::uint32_t picture =
        builder.add("images/" + line.cells[1], name->second, half_of(number, kClasses));
    if (masks.empty()) continue;
    builder.set_mask(picture, fmt::format("{}{}.png", masks, without_extension(line.cells[1])));
  }
  builder.expect_count(kClasses, classes.lines.size(), "classes", "classes.txt");
  builder.expect_count(11788, images.lines.size(), "pictures", "images.txt");
  builder.add_leave_one_out("test", builder.in_splits({"test"}));
  return builder.finish();
}

bool fits_cub200(const fs::path& root) {
  // NABirds has lists of the same names.
  return holds(cub_folder(root), "image_class_labels.txt") &&
         holds(cub_folder(root), "images/001.Black_footed_Albatross");
}

Dataset load_cars196(const fs::path& root, const DatasetOptions& options) {
  constexpr std::uint32_t kClasses = 196;
  DatasetBuilder builder("Cars-196", root, options);
  const fs::path list = root / "cars_annos.mat";
  const nlohmann::json file = read_mat_file(list);
  const auto fail = [&](std::string_view what) {
    throw Error(
        ErrorCode::kCorrupt,
        fmt::format("'{}': {}; get it again from where it is published", list.string(), what));
  };
  const nlohmann::json names = file.value("class_names", nlohmann::json::array());
  const nlohmann::json pictures = file.value("annotations", nlohmann::json::array());
  if (!names.is_array() || !pictures.is_array() || pictures.empty()) {
    fail("no 'class_names' and 'annotations'");
  }
  for (const nlohmann::json& picture : pictures) {
    const nlohmann::json* const path = member(picture, "relative_im_path");
    const nlohmann::json* const label = member(picture, "class");
    const double number = label == nullptr ? 0 : first_number(*label).value_or(0);
    if (path == nullptr || !path->is_string() || number == 0) {
      fail("a picture has no 'relative_im_path' and 'class'");
    }
    if (!(number >= 1 && number <= static_cast<double>(names.size()))) {
      fail(fmt::format("'{}' is of class {}, of {}", path->get<std::string>(), number,
                       names.size()));
    }
    const auto class_number = static_cast<std::uint32_t>(number);
    const nlohmann::json& name = names[class_number - 1];
    if (!name.is_string()) fail(fmt::format("class {} has no name", class_number));
    builder.add(path->get<std::string>(), name.get<std::string>(), half_of(class_number, kClasses));
  }
  builder.expect_count(kClasses, names.size(), "classes");
  builder.expect_count(16185, pictures.size(), "pictures");
  builder.add_leave_one_out("test", builder.in_splits({"test"}));
  return builder.finish();
}

bool fits_cars196(const fs::path& root) {
  return holds(root, "cars_annos.mat");
}

Dataset load_inaturalist(const fs::path& root, const DatasetOptions& options) {
  DatasetBuilder builder("iNaturalist 2018", root, options);
  const std::size_t super = builder.add_field("super_class");
  const auto read = [&](std::string_view list, std::string_view split, std::uint64_t published) {
    const ListFile file = read_words(inat_lists(root) / list, 1);
    for (const ListLine& line : file.lines) {
      const std::string& path = line.cells[0];  // train_val2018/Aves/2761/0f3c.jpg
      const std::vector<std::string_view> parts = path_parts(path);
      if (parts.size() < 3) file.fail(line, "no .../SUPER_CLASS/CLASS/NAME.jpg");
      const std::string_view super_class = parts[parts.size() - 3];
      const std::uint32_t picture =
          builder.add(path, fmt::format("{}/{}", super_class, parts[parts.size() - 2]), split);
      builder.set_field(super, picture, super_class);
    }
    builder.expect_count(published, file.lines.size(), fmt::format("{} pictures", split), list);
  };
  read("Inaturalist_train_set1.txt", "train", 325846);
  read(kInatTest, "test", 136093);
  builder.add_leave_one_out("test", builder.in_splits({"test"}));
  return builder.finish();
}

bool fits_inaturalist(const fs::path& root) {
  return holds(inat_lists(root), kInatTest);
}

}  // namespace vsearch::eval
