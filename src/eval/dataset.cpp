// The data sets that can be read, and finding the one that is meant.
#include "vsearch/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <system_error>

#include "eval/dataset_loader.h"
#include "vsearch/error.h"

namespace vsearch {
namespace fs = std::filesystem;
namespace {

struct Layout {
  DatasetKind kind;
  eval::LoadDataset* load;
  eval::FitsDataset* fits;
};

constexpr Layout kLayouts[] = {
    {{"gpr1200", "GPR1200", "1,200 classes of 10 pictures in six domains",
      "https://github.com/Visual-Computing/GPR1200 (arXiv 2111.13122)",
      "images/CLASS_NAME.jpg, classes from 0 to 1199"},
     eval::load_gpr1200,
     eval::fits_gpr1200},
    {{"sop", "Stanford Online Products",
      "120,053 pictures of 22,634 products; 60,502 of them for tests",
      "https://cvgl.stanford.edu/projects/lifted_struct/ (arXiv 1511.06452)",
      "Ebay_train.txt, Ebay_test.txt, SUPER_CLASS_final/*.JPG"},
     eval::load_sop,
     eval::fits_sop},
    {{"inshop", "In-shop", "52,712 pictures of 7,982 clothes; 14,218 queries, a gallery of 12,612",
      "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
      "Eval/list_eval_partition.txt, img/ or Img/img/"},
     eval::load_inshop,
     eval::fits_inshop},
    {{"cub200", "CUB-200-2011", "11,788 pictures of 200 birds; the last 100 for tests",
      "https://www.vision.caltech.edu/datasets/cub_200_2011/",
      "images.txt, image_class_labels.txt, classes.txt, images/CLASS/*.jpg; segmentations/"},
     eval::load_cub200,
     eval::fits_cub200},
    {{"cars196", "Cars-196", "16,185 pictures of 196 cars; the last 98 for tests",
      "https://ai.stanford.edu/~jkrause/cars/car_dataset.html", "cars_annos.mat, car_ims/*.jpg"},
     eval::load_cars196,
     eval::fits_cars196},
    {{"inaturalist", "iNaturalist 2018",
      "461,939 pictures of 8,142 species; 2,452 of them for tests",
      "https://github.com/visipedia/inat_comp/tree/master/2018, split of arXiv 2007.12163",
      "Inat_dataset_splits/Inaturalist_train_set1.txt and ..._test_set1.txt, "
      "train_val2018/SUPER_CLASS/CLASS/*.jpg"},
     eval::load_inaturalist,
     eval::fits_inaturalist},
    {{"roxford5k", "ROxford", "70 queries for landmarks among 4,993 pictures",
      "http://cmp.felk.cvut.cz/revisitop/ (arXiv 1803.11285)",
      "gnd_roxford5k.pkl or .json, jpg/*.jpg"},
     eval::load_roxford5k,
     eval::fits_roxford5k},
    {{"rparis6k", "RParis", "70 queries for landmarks among 6,322 pictures",
      "http://cmp.felk.cvut.cz/revisitop/ (arXiv 1803.11285)",
      "gnd_rparis6k.pkl or .json, jpg/*.jpg"},
     eval::load_rparis6k,
     eval::fits_rparis6k},
    {{"gldv2", "GLDv2", "1,129 queries for landmarks among 761,757 pictures",
      "https://github.com/cvdfoundation/google-landmark (arXiv 2004.01804)",
      "retrieval_solution_v2.1.csv, index.csv, index/a/b/c/ID.jpg, test/a/b/c/ID.jpg"},
     eval::load_gldv2,
     eval::fits_gldv2},
    {{"instre", "INSTRE", "1,250 queries for 250 objects among 27,293 pictures",
      "http://123.57.42.89/instre/home.html, queries of arXiv 1611.05113",
      "gnd_instre.mat or .json, INSTRE-S1/, INSTRE-S2/, INSTRE-M/"},
     eval::load_instre,
     eval::fits_instre},
    {{"grocery", "GroceryStore", "5,421 pictures of 81 groceries in shops, and a pack shot of each",
      "https://github.com/marcusklasson/GroceryStoreDataset (arXiv 1901.00711)",
      "classes.csv, train.txt, val.txt, test.txt, in dataset/ or not"},
     eval::load_grocery,
     eval::fits_grocery},
    {{"caltech101", "Caltech-101", "8,677 pictures of 101 classes",
      "https://data.caltech.edu/records/mzrjq-6wc02",
      "101_ObjectCategories/CLASS/*.jpg, or the classes alone"},
     eval::load_caltech101,
     eval::fits_caltech101},
    {{"fashion", "Fashion Product Images", "products of a shop with their metadata",
      "https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-small",
      "styles.csv or catalog.csv (with a column path), images/ID.jpg"},
     eval::load_fashion,
     eval::fits_fashion},
    {{"csv", "a CSV file", "pictures and labels of your own", "docs/datasets.md",
      "columns path and label; split, domain, mask; others are fields"},
     eval::load_csv,
     eval::fits_csv},
    {{"folder", "a folder of classes", "pictures of your own", "docs/datasets.md",
      "CLASS/**, or query/CLASS/** and gallery/CLASS/**, or train/ and test/ or val/; masks/"},
     eval::load_folder,
     eval::fits_folder},
};

// A folder of classes is what many published data sets are, too: it is asked last.
constexpr const Layout& kFolder = kLayouts[std::size(kLayouts) - 1];

constexpr auto kKinds = [] {
  std::array<DatasetKind, std::size(kLayouts)> kinds;
  std::ranges::transform(kLayouts, kinds.begin(), &Layout::kind);
  return kinds;
}();

}  // namespace

std::span<const DatasetKind> dataset_kinds() {
  return kKinds;
}

const Protocol& Dataset::protocol(std::string_view protocol_name) const {
  const auto found = std::ranges::find(protocols, protocol_name, &Protocol::name);
  if (found != protocols.end()) return *found;
  std::vector<std::string_view> names;
  for (const Protocol& protocol : protocols) names.push_back(protocol.name);
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} has no protocol '{}'; it has: {}", name,
                                                       protocol_name, fmt::join(names, ", ")));
}

Dataset load_dataset(std::string_view kind, const fs::path& root, const DatasetOptions& options) {
  if (kind.empty()) {
    const std::optional<std::string> guess = guess_dataset_kind(root);
    if (guess) return load_dataset(*guess, root, options);
    std::error_code ignored;
    if (fs::exists(root, ignored)) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("the layout of '{}' does not tell what it holds; say which data set it "
                      "is, as in \"folder\"",
                      root.string()));
    }
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("there is no folder '{}'; check the path", root.string()));
  }
  const auto layout_name = [](const Layout& layout) { return layout.kind.name; };
  const auto* const found = std::ranges::find(kLayouts, kind, layout_name);
  if (found == std::end(kLayouts)) {
    std::vector<std::string_view> names;
    for (const DatasetKind& known : kKinds) names.push_back(known.name);
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("there is no kind of data set '{}'; name one of: {}", kind,
                            fmt::join(names, ", ")));
  }
  const bool is_file = kind == "csv";
  std::error_code ignored;
  if (!fs::exists(root, ignored)) {
    throw Error(ErrorCode::kFileNotFound,
                fmt::format("{}: there is no {} '{}'; check the path", found->kind.title,
                            is_file ? "file" : "folder", root.string()));
  }
  if (fs::is_directory(root, ignored) == is_file) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: '{}' is a {}; name the {}: {}", found->kind.title, root.string(),
                    is_file ? "folder" : "file", is_file ? "file" : "folder", found->kind.layout));
  }
  return found->load(root, options);
}

std::optional<std::string> guess_dataset_kind(const fs::path& root) {
  std::vector<std::string_view> names;
  for (const Layout& layout : kLayouts) {
    if (&layout != &kFolder && layout.fits(root)) names.push_back(layout.kind.name);
  }
  if (names.empty() && kFolder.fits(root)) names.push_back(kFolder.kind.name);
  if (names.size() != 1) return std::nullopt;
  return std::string(names.front());
}

}  // namespace vsearch
