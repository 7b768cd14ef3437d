// The data sets of metric learning and of shops, whose labels stand in lists.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "support/datasets.h"
#include "support/skip.h"

using namespace vsearch;
using namespace vsearch_test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

TEST_CASE("Stanford Online Products") {
  const TempDir dir;
  const std::string header = "image_id class_id super_class_id path\n";
  const fs::path root = dir / GENERATE("", "Stanford_Online_Products");
  write_text(root / "Ebay_train.txt", header + "1 1 1 bicycle_final/1_0.JPG\n");
  write_text(root / "Ebay_test.txt", header +
                                         "59552 11319 1 bicycle_final/2_0.JPG\n"
                                         "59553 11319 1 bicycle_final/2_1.JPG\r\n"
                                         "59554 11320 10 stapler_final/3_0.JPG\n"
                                         "59555 11320 10 stapler_final/3_1.JPG\n");
  touch(root, {"bicycle_final/1_0.JPG", "bicycle_final/2_0.JPG", "bicycle_final/2_1.JPG",
               "stapler_final/3_0.JPG", "stapler_final/3_1.JPG"});
  const Dataset dataset = load_dataset("sop", dir.path(), part());
  CHECK(classes_of(dataset) == Paths{"1", "11319", "11319", "11320", "11320"});
  CHECK(field_of(dataset, "super_class") ==
        Paths{"bicycle", "bicycle", "bicycle", "stapler", "stapler"});
  CHECK(protocol_names(dataset) == Paths{"test"});
  CHECK(dataset.protocols[0].queries == std::vector<std::uint32_t>{1, 2, 3, 4});
  CHECK(dataset.protocols[0].gallery == dataset.protocols[0].queries);
  CHECK(dataset.pictures[0].split == "train");
  CHECK(guess_dataset_kind(dir.path()) == "sop");

  CHECK_THAT(load_error(ErrorCode::kCorrupt, "sop", dir.path()),
             Contains("has 59,551 train pictures") && Contains("has 1: Ebay_train.txt"));
  fs::remove(root / "stapler_final/3_1.JPG");
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "sop", dir.path(), part()),
             Contains("1 of 5 pictures is not in") && Contains("'stapler_final/3_1.JPG'"));
  write_text(root / "Ebay_test.txt", header + "59552 11319 bicycle_final/2_0.JPG\n");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "sop", dir.path(), part()),
             Contains("Ebay_test.txt', line 2") && Contains("3 cells, where 4"));
  write_text(root / "Ebay_test.txt", header + "59552 eleven 1 bicycle_final/2_0.JPG\n");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "sop", dir.path(), part()),
             Contains("line 2") && Contains("'eleven' is no number"));
  fs::remove(root / "Ebay_test.txt");
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "sop", dir.path(), part()),
             Contains("Ebay_t") && Contains("is missing"));
}

TEST_CASE("In-shop") {
  const TempDir dir;
  const std::string at = GENERATE("", "Img/");
  const std::string list =
      "5\nimage_name item_id evaluation_status\n"
      "img/WOMEN/Dresses/id_00000002/02_1_front.jpg   id_00000002 train\n"
      "img/MEN/Denim/id_00000080/01_1_front.jpg id_00000080 query\n"
      "img/MEN/Denim/id_00000080/01_7_additional.jpg id_00000080 gallery\n"
      "img/b.jpg id_00000081 query\n"
      "img/c.jpg id_00000081 gallery\n";
  write_text(dir / "Eval/list_eval_partition.txt", list);
  touch(dir / at,
        {"img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "img/MEN/Denim/id_00000080/01_1_front.jpg",
         "img/MEN/Denim/id_00000080/01_7_additional.jpg", "img/b.jpg", "img/c.jpg"});
  const Dataset dataset = load_dataset("inshop", dir.path(), part());
  CHECK(classes_of(dataset) ==
        Paths{"id_00000002", "id_00000080", "id_00000080", "id_00000081", "id_00000081"});
  CHECK(field_of(dataset, "gender") == Paths{"WOMEN", "MEN", "MEN", "-", "-"});
  CHECK(field_of(dataset, "category") == Paths{"Dresses", "Denim", "Denim", "-", "-"});
  CHECK(protocol_names(dataset) == Paths{"query-gallery"});
  CHECK(dataset.protocols[0].queries == std::vector<std::uint32_t>{1, 3});
  CHECK(dataset.protocols[0].gallery == std::vector<std::uint32_t>{2, 4});
  CHECK(guess_dataset_kind(dir.path()) == "inshop");

  CHECK_THAT(load_error(ErrorCode::kCorrupt, "inshop", dir.path()),
             Contains("25,882 train pictures"));
  write_text(dir / "Eval/list_eval_partition.txt", list + "img/d.jpg id_00000082 test\n");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "inshop", dir.path(), part()),
             Contains("line 8") && Contains("'test' is none of train, query and gallery"));
  fs::remove(dir / "Eval/list_eval_partition.txt");
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "inshop", dir.path(), part()),
             Contains("list_eval_partition.txt' is missing"));
}

TEST_CASE("CUB-200-2011") {
  const TempDir dir;
  const fs::path root = dir / "CUB_200_2011";
  write_text(root / "classes.txt",
             "1 001.Black_footed_Albatross\n100 100.Brown_Pelican\n101 101.White_Pelican\n");
  write_text(root / "images.txt",
             "1 001.Black_footed_Albatross/a.jpg\n2 100.Brown_Pelican/b.jpg\n"
             "3 101.White_Pelican/c.jpg\n4 101.White_Pelican/d.jpg\n");
  write_text(root / "image_class_labels.txt", "1 1\n2 100\n3 101\n4 101\n");
  touch(root / "images", {"001.Black_footed_Albatross/a.jpg", "100.Brown_Pelican/b.jpg",
                          "101.White_Pelican/c.jpg", "101.White_Pelican/d.jpg"});
  const Dataset dataset = load_dataset("cub200", dir.path(), part());
  CHECK(dataset.pictures[2].path == "images/101.White_Pelican/c.jpg");
  CHECK(classes_of(dataset) == Paths{"001.Black_footed_Albatross", "100.Brown_Pelican",
                                     "101.White_Pelican", "101.White_Pelican"});
  CHECK(dataset.protocol("test").queries == std::vector<std::uint32_t>{2, 3});
  CHECK(dataset.protocol("test").gallery == std::vector<std::uint32_t>{2, 3});
  CHECK(guess_dataset_kind(dir.path()) == "cub200");
  CHECK(masks_of(dataset) == Paths(4));

  SECTION("with its segmentations, beside it or within") {
    const bool beside = GENERATE(true, false);
    const fs::path place = beside ? dir.path() : root;
    const std::string mask = "segmentations/101.White_Pelican/";
    touch(place, {"segmentations/001.Black_footed_Albatross/a.png",
                  "segmentations/100.Brown_Pelican/b.png", mask + "c.png"});
    CHECK_THAT(load_error(ErrorCode::kFileNotFound, "cub200", dir.path(), part()),
               Contains("1 of 4 masks is not in") && Contains(mask + "d.png"));
    touch(place, {mask + "d.png"});
    const Dataset masked = load_dataset("cub200", dir.path(), part());
    CHECK(masked.pictures[2].mask == (beside ? "../" : "") + mask + "c.png");
    CHECK(fs::equivalent(masked.root / masked.pictures[2].mask, place / (mask + "c.png")));
    CHECK(all_paths(masked) == all_paths(dataset));
  }

  CHECK_THAT(load_error(ErrorCode::kCorrupt, "cub200", dir.path()), Contains("200 classes"));
  write_text(root / "image_class_labels.txt", "1 1\n2 100\n3 101\n4 102\n");
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "cub200", dir.path(), part()),
             Contains("labels do not match") && Contains("no class 102") && Contains("d.jpg"));
  write_text(root / "image_class_labels.txt", "1 1\n2 100\n3 101\n");
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "cub200", dir.path(), part()),
             Contains("labels do not match") && Contains("the picture 4"));
}

TEST_CASE("Cars-196") {
  const TempDir dir;
  copy_dataset_file("cars_annos.mat", dir / "cars_annos.mat");
  touch(dir / "car_ims", {"000001.jpg", "000002.jpg", "000003.jpg", "000004.jpg", "000005.jpg",
                          "000006.jpg", "000007.jpg"});
  const Dataset dataset = load_dataset("cars196", dir.path(), part());
  CHECK(dataset.pictures[0].path == "car_ims/000001.jpg");
  CHECK(classes_of(dataset) == Paths{"Maker Model 1 Coupe 2012", "Maker Model 1 Coupe 2012",
                                     "Citroën C3 Hatchback 2012", "Maker Model 99 Coupe 2012",
                                     "Maker Model 99 Coupe 2012", "Maker Model 196 Coupe 2012",
                                     "Maker Model 196 Coupe 2012"});
  CHECK(dataset.protocol("test").queries == std::vector<std::uint32_t>{3, 4, 5, 6});
  CHECK(guess_dataset_kind(dir.path()) == "cars196");

  CHECK_THAT(load_error(ErrorCode::kCorrupt, "cars196", dir.path()),
             Contains("16,185 pictures") && Contains("has 7"));
  fs::remove(dir / "cars_annos.mat");
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "cars196", dir.path()),
             Contains("cars_annos.mat' is missing"));
  copy_dataset_file("gnd_instre.mat", dir / "cars_annos.mat");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "cars196", dir.path(), part()),
             Contains("no 'class_names' and 'annotations'"));
}

TEST_CASE("iNaturalist 2018") {
  const TempDir dir;
  const fs::path lists = dir / GENERATE("", "Inat_dataset_splits");
  write_text(lists / "Inaturalist_train_set1.txt", "train_val2018/Aves/1/a.jpg\n");
  write_text(lists / "Inaturalist_test_set1.txt",
             "train_val2018/Aves/2/b.jpg\ntrain_val2018/Aves/2/c.jpg\n"
             "train_val2018/Fungi/3/d.jpg\ntrain_val2018/Fungi/3/e.jpg\n");
  touch(dir / "train_val2018",
        {"Aves/1/a.jpg", "Aves/2/b.jpg", "Aves/2/c.jpg", "Fungi/3/d.jpg", "Fungi/3/e.jpg"});
  const Dataset dataset = load_dataset("inaturalist", dir.path(), part());
  CHECK(classes_of(dataset) == Paths{"Aves/1", "Aves/2", "Aves/2", "Fungi/3", "Fungi/3"});
  CHECK(field_of(dataset, "super_class") == Paths{"Aves", "Aves", "Aves", "Fungi", "Fungi"});
  CHECK(dataset.protocol("test").gallery == std::vector<std::uint32_t>{1, 2, 3, 4});
  CHECK(guess_dataset_kind(dir.path()) == "inaturalist");

  CHECK_THAT(load_error(ErrorCode::kCorrupt, "inaturalist", dir.path()), Contains("325,846"));
  write_text(lists / "Inaturalist_test_set1.txt", "b.jpg\n");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "inaturalist", dir.path(), part()),
             Contains("line 1") && Contains("SUPER_CLASS/CLASS"));
}

TEST_CASE("GroceryStore") {
  const TempDir dir;
  const fs::path root = dir / GENERATE("", "dataset");
  const auto line = [](const char* part, const char* name, int fine, int coarse) {
    return std::string(part) + "/" + name + ".jpg, " + std::to_string(fine) + ", " +
           std::to_string(coarse) + "\n";
  };
  write_text(root / "classes.csv",
             "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
             "Iconic Image Path (str),Product Description Path (str)\n"
             "Pink-Lady,0,Apple,0,/iconic/Pink-Lady_Iconic.jpg,/iconic/d.txt\n"
             "Oatly-Oat-Milk,1,Milk,7,/iconic/Oatly_Iconic.jpg,/iconic/e.txt\n");
  write_text(root / "train.txt", line("train", "a", 0, 0) + line("train", "b", 1, 7));
  write_text(root / "val.txt", line("val", "c", 1, 7));
  write_text(root / "test.txt", line("test", "d", 0, 0) + line("test", "e", 1, 7));
  touch(root, {"train/a.jpg", "train/b.jpg", "val/c.jpg", "test/d.jpg", "test/e.jpg",
               "iconic/Pink-Lady_Iconic.jpg", "iconic/Oatly_Iconic.jpg"});
  const Dataset dataset = load_dataset("grocery", dir.path(), part());
  CHECK(classes_of(dataset) == Paths{"Pink-Lady", "Oatly-Oat-Milk", "Oatly-Oat-Milk", "Pink-Lady",
                                     "Oatly-Oat-Milk", "Pink-Lady", "Oatly-Oat-Milk"});
  CHECK(field_of(dataset, "coarse") ==
        Paths{"Apple", "Milk", "Milk", "Apple", "Milk", "Apple", "Milk"});
  CHECK(dataset.domains == Paths{"shop", "iconic"});
  CHECK(protocol_names(dataset) == Paths{"test-train", "test-iconic", "val-train"});
  CHECK(dataset.protocol("test-iconic").queries == std::vector<std::uint32_t>{3, 4});
  CHECK(paths_of(dataset, dataset.protocol("test-iconic").gallery) ==
        Paths{"iconic/Pink-Lady_Iconic.jpg", "iconic/Oatly_Iconic.jpg"});
  CHECK(paths_of(dataset, dataset.protocol("val-train").queries) == Paths{"val/c.jpg"});
  CHECK(guess_dataset_kind(dir.path()) == "grocery");

  CHECK_THAT(load_error(ErrorCode::kCorrupt, "grocery", dir.path()), Contains("81 classes"));
  write_text(root / "val.txt", line("val", "c", 1, 0));
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "grocery", dir.path(), part()),
             Contains("val.txt', line 1") && Contains("labels do not match"));
  fs::remove(root / "val.txt");
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "grocery", dir.path(), part()),
             Contains("val.txt' is missing"));
}

TEST_CASE("fashion products") {
  const TempDir dir;
  const std::string columns =
      "gender,masterCategory,subCategory,articleType,baseColour,season,year,usage";
  const std::string rest =
      "Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Shirt";
  const bool is_published = GENERATE(true, false);
  if (is_published) {
    write_text(dir / "styles.csv", "id," + columns + ",productDisplayName\n15970," + rest +
                                       "\n15971," + rest + ", with a comma\n39403," + rest + "\n");
  } else {
    write_text(dir / "catalog.csv", "sku,path," + columns + ",title\n15970,images/15970.jpg," +
                                        rest + "\n15971,images/15971.jpg," + rest + "\n");
  }
  touch(dir / "images", {"15970.jpg", "15971.jpg"});
  const Dataset dataset = load_dataset("fashion", dir.path());
  CHECK(all_paths(dataset) == Paths{"images/15970.jpg", "images/15971.jpg"});
  CHECK(classes_of(dataset) == Paths{"Shirts", "Shirts"});
  CHECK(field_of(dataset, "baseColour") == Paths{"Navy Blue", "Navy Blue"});
  CHECK(field_of(dataset, "season") == Paths{"Fall", "Fall"});
  CHECK(field_of(dataset, "articleType+baseColour") ==
        Paths{"Shirts, Navy Blue", "Shirts, Navy Blue"});
  CHECK(protocol_names(dataset) == Paths{"articleType", "articleType+baseColour"});
  const Protocol& both = dataset.protocols[1];
  REQUIRE(both.field >= 0);
  CHECK(dataset.fields.at(static_cast<std::size_t>(both.field)).name == "articleType+baseColour");
  CHECK(both.queries == std::vector<std::uint32_t>{0, 1});
  CHECK(guess_dataset_kind(dir.path()) == "fashion");
}

// The archives of the shared folder, which are not part of the project.
namespace {

bool unpack(const std::string& name, const fs::path& to) {
  const fs::path shared = shared_dir();
  if (shared.empty() || !fs::exists(shared / "data" / (name + ".tar"))) return false;
  const std::string command =
      "tar -xf '" + (shared / "data" / (name + ".tar")).string() + "' -C '" + to.string() + "'";
  return std::system(command.c_str()) == 0;
}

}  // namespace

TEST_CASE("GroceryStore as it is published") {
  const TempDir dir;
  if (!unpack("grocery", dir.path())) VSEARCH_SKIP("no grocery.tar in ../shared/data");
  const Dataset dataset = load_dataset("grocery", dir / "grocery");
  CHECK(dataset.pictures.size() == 5421 + 81);
  CHECK(dataset.classes.size() == 81);
  CHECK(dataset.protocol("test-train").queries.size() == 2485);
  CHECK(dataset.protocol("test-train").gallery.size() == 2640);
  CHECK(dataset.protocol("test-iconic").gallery.size() == 81);
  CHECK(dataset.protocol("val-train").queries.size() == 296);
  CHECK(dataset.fields.at(0).values.size() == 43);
  CHECK(guess_dataset_kind(dir / "grocery") == "grocery");
}

TEST_CASE("Caltech-101, at most 45 pictures a class") {
  const TempDir dir;
  if (!unpack("caltech101", dir.path())) VSEARCH_SKIP("no caltech101.tar in ../shared/data");
  const Dataset dataset = load_dataset("caltech101", dir / "caltech101", part());
  CHECK(dataset.pictures.size() == 4370);
  CHECK(dataset.classes.size() == 101);
  CHECK(guess_dataset_kind(dir / "caltech101") == "caltech101");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "caltech101", dir / "caltech101"),
             Contains("8,677 pictures") && Contains("4,370"));
  CHECK(load_dataset("folder", dir / "caltech101").pictures.size() == 4370);
}

TEST_CASE("20,517 fashion products") {
  const TempDir dir;
  if (!unpack("fashion", dir.path())) VSEARCH_SKIP("no fashion.tar in ../shared/data");
  const Dataset dataset = load_dataset("fashion", dir / "fashion");
  CHECK(dataset.pictures.size() == 20517);
  CHECK(dataset.classes.size() == 130);
  CHECK(dataset.protocol("articleType").queries.size() == 20517);
  CHECK(dataset.protocol("articleType+baseColour").queries.size() == 20517);
  CHECK(dataset.fields.back().values.size() == 1393);
  CHECK(guess_dataset_kind(dir / "fashion") == "fashion");
  const fs::path table = dir / "fashion" / "catalog.csv";
  CHECK_FALSE(guess_dataset_kind(table).has_value());  // its columns are called otherwise
}
