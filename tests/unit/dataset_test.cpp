// The data sets of folders and tables, and what all of them have in common.
#include "vsearch/dataset.h"

#include <catch2/catch.hpp>
#include <set>

#include "support/datasets.h"

using namespace vsearch;
using namespace vsearch_test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

TEST_CASE("kinds have different names and say what they are") {
  std::set<std::string_view> names;
  for (const DatasetKind& kind : dataset_kinds()) {
    names.insert(kind.name);
    CHECK_FALSE(kind.title.empty());
    CHECK_FALSE(kind.contents.empty());
    CHECK_FALSE(kind.source.empty());
    CHECK_FALSE(kind.layout.empty());
  }
  CHECK(names.size() == dataset_kinds().size());
  CHECK(names.contains("gpr1200"));
  CHECK(names.contains("folder"));
}

TEST_CASE("a kind, a folder or a protocol that is not there is named with those that are") {
  const TempDir dir;
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "gpr12000", dir.path()),
             Contains("gpr12000") && Contains("gpr1200, sop"));
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "sop", dir / "nowhere"),
             Contains("Stanford Online Products") && Contains("nowhere"));
  const fs::path file = write_text(dir / "list.csv", "path,label\n");
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "sop", file), Contains("is a file"));
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "csv", dir.path()), Contains("is a folder"));

  touch(dir / "set", {"a/1.jpg", "a/2.jpg"});
  const Dataset dataset = load_dataset("folder", dir / "set");
  CHECK(&dataset.protocol("leave-one-out") == &dataset.protocols.front());
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { dataset.protocol("hard"); }),
             Contains("'hard'") && Contains("leave-one-out"));
}

TEST_CASE("a folder of classes") {
  const TempDir dir;
  const fs::path root = dir / "shop";
  touch(root, {"mug/b.jpg", "mug/a.PNG", "mug/deep/er/c.webp", "cup/2.jpg", "cup/1.jpg",
               "mug/.hidden.jpg", ".cache/x.jpg", "mug/notes.txt", "README.md"});
  const Dataset dataset = load_dataset("folder", root);
  CHECK(dataset.name == "shop");
  CHECK(dataset.root == root);
  CHECK(all_paths(dataset) ==
        Paths{"cup/1.jpg", "cup/2.jpg", "mug/a.PNG", "mug/b.jpg", "mug/deep/er/c.webp"});
  CHECK(classes_of(dataset) == Paths{"cup", "cup", "mug", "mug", "mug"});
  CHECK(protocol_names(dataset) == Paths{"leave-one-out"});
  const Protocol& protocol = dataset.protocols.front();
  CHECK(protocol.queries == std::vector<std::uint32_t>{0, 1, 2, 3, 4});
  CHECK(protocol.gallery == protocol.queries);
  CHECK(protocol.self == SelfMatch::kRemoved);
  CHECK(protocol.positives.empty());
  CHECK(protocol.field == -1);
  CHECK(load_dataset("folder", root / "").name == "shop");
  CHECK(guess_dataset_kind(root) == "folder");
}

TEST_CASE("a folder with queries apart") {
  const TempDir dir;
  SECTION("query and gallery") {
    touch(dir.path(), {"query/mug/1.jpg", "gallery/mug/1.jpg", "gallery/cup/2.jpg"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(classes_of(dataset) == Paths{"cup", "mug", "mug"});
    CHECK(protocol_names(dataset) == Paths{"query-gallery"});
    CHECK(paths_of(dataset, dataset.protocols[0].queries) == Paths{"query/mug/1.jpg"});
    CHECK(paths_of(dataset, dataset.protocols[0].gallery) ==
          Paths{"gallery/cup/2.jpg", "gallery/mug/1.jpg"});
    CHECK(dataset.pictures[0].split == "gallery");
  }
  SECTION("test and train") {
    touch(dir.path(), {"train/mug/1.jpg", "test/mug/2.jpg", "val/mug/3.jpg"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(protocol_names(dataset) == Paths{"test-train"});
    CHECK(paths_of(dataset, dataset.protocols[0].queries) == Paths{"test/mug/2.jpg"});
    CHECK(paths_of(dataset, dataset.protocols[0].gallery) == Paths{"train/mug/1.jpg"});
  }
  SECTION("val and train") {
    touch(dir.path(), {"train/mug/1.jpg", "train/cup/2.jpg", "val/mug/3.jpg"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(classes_of(dataset) == Paths{"cup", "mug", "mug"});
    CHECK(protocol_names(dataset) == Paths{"val-train"});
    CHECK(paths_of(dataset, dataset.protocols[0].queries) == Paths{"val/mug/3.jpg"});
    CHECK(paths_of(dataset, dataset.protocols[0].gallery) ==
          Paths{"train/cup/2.jpg", "train/mug/1.jpg"});
    CHECK(dataset.pictures[2].split == "val");
  }
  SECTION("a class that the gallery lacks") {
    touch(dir.path(), {"train/mug/1.jpg", "test/mug/2.jpg", "test/cup/3.jpg"});
    CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "folder", dir.path()),
               Contains("labels do not match") && Contains("'cup'") && Contains("test-train"));
    CHECK(load_dataset("folder", dir.path(), part()).protocols[0].queries.size() == 2);
  }
  SECTION("classes that are called train and test") {
    touch(dir.path(), {"train/1.jpg", "train/2.jpg", "test/1.jpg", "test/2.jpg"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(classes_of(dataset) == Paths{"test", "test", "train", "train"});
    CHECK(protocol_names(dataset) == Paths{"leave-one-out"});
  }
}

TEST_CASE("a folder of classes with masks beside them") {
  const TempDir dir;
  SECTION("by class") {
    touch(dir.path(), {"cup/1.jpg", "cup/2.jpg", "mug/deep.er/a.JPG", "mug/b.webp",
                       "masks/cup/2.png", "masks/mug/deep.er/a.png"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(all_paths(dataset) == Paths{"cup/1.jpg", "cup/2.jpg", "mug/b.webp", "mug/deep.er/a.JPG"});
    CHECK(masks_of(dataset) == Paths{"", "masks/cup/2.png", "", "masks/mug/deep.er/a.png"});
    CHECK(dataset.classes == Paths{"cup", "mug"});
  }
  SECTION("with queries apart") {
    touch(dir.path(), {"query/mug/1.jpg", "gallery/mug/1.jpg", "masks/query/mug/1.png"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(protocol_names(dataset) == Paths{"query-gallery"});
    CHECK(masks_of(dataset) == Paths{"", "masks/query/mug/1.png"});
  }
  SECTION("a class that is called so") {
    touch(dir.path(), {"cup/1.jpg", "cup/2.jpg", "masks/1.jpg", "masks/2.jpg"});
    const Dataset dataset = load_dataset("folder", dir.path());
    CHECK(dataset.classes == Paths{"cup", "masks"});
    CHECK(masks_of(dataset) == Paths(4));
  }
  SECTION("a mask of no picture") {
    touch(dir.path(), {"cup/1.jpg", "cup/2.jpg", "masks/cup/1.png", "masks/cup/3.png"});
    CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "folder", dir.path()),
               Contains("'masks/cup/3.png'") && !Contains("'masks/cup/1.png'"));
    CHECK(masks_of(load_dataset("folder", dir.path(), part())) == Paths{"masks/cup/1.png", ""});
  }
}

TEST_CASE("a folder of classes that makes no data set") {
  const TempDir dir;
  SECTION("classes with one picture") {
    touch(dir.path(), {"a/1.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg", "e/1.jpg", "e/2.jpg"});
    CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "folder", dir.path()),
               Contains("one picture") && Contains("'a', 'b', 'c' and 1 more") && !Contains("'e'"));
    CHECK(load_dataset("folder", dir.path(), part()).pictures.size() == 6);
  }
  SECTION("a picture of no class") {
    touch(dir.path(), {"a/1.jpg", "a/2.jpg", "stray.jpg"});
    CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "folder", dir.path()),
               Contains("'stray.jpg' lies in no folder"));
  }
  SECTION("no pictures") {
    CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "folder", dir.path()),
               Contains("holds no pictures"));
  }
}

TEST_CASE("a CSV file with splits, domains and fields") {
  const TempDir dir;
  const fs::path file = write_text(dir / "shop.csv",
                                   "path,label,split,domain,colour\n"
                                   "q/1.jpg,mug,query,photo,red\n"
                                   "g/1.jpg,mug,gallery,sketch,\n"
                                   "g/2.jpg,\"cup, large\",gallery,photo,blue\n"
                                   "g/3.jpg,,gallery,,red\n");
  touch(dir.path(), {"q/1.jpg", "g/1.jpg", "g/2.jpg", "g/3.jpg"});
  const Dataset dataset = load_dataset("csv", file);
  CHECK(dataset.name == "shop");
  CHECK(dataset.root == dir.path());
  CHECK(classes_of(dataset) == Paths{"mug", "mug", "cup, large", "-"});
  CHECK(dataset.domains == Paths{"photo", "sketch"});
  CHECK(dataset.pictures[1].domain == 1);
  CHECK(dataset.pictures[3].domain == -1);
  CHECK(field_of(dataset, "colour") == Paths{"red", "-", "blue", "red"});
  CHECK(protocol_names(dataset) == Paths{"query-gallery"});
  CHECK(paths_of(dataset, dataset.protocols[0].queries) == Paths{"q/1.jpg"});
  CHECK(dataset.protocols[0].gallery == std::vector<std::uint32_t>{1, 2, 3});
  CHECK(guess_dataset_kind(file) == "csv");
}

TEST_CASE("columns of a CSV file are known however they are written") {
  const TempDir dir;
  const fs::path file =
      write_text(dir / "a.csv", "Path,LABEL,Domain,Colour\n1.jpg,x,photo,red\n2.jpg,x,,blue\n");
  touch(dir.path(), {"1.jpg", "2.jpg"});
  const Dataset dataset = load_dataset("csv", file);
  REQUIRE(dataset.fields.size() == 1);
  CHECK(dataset.fields[0].name == "Colour");
  CHECK(dataset.domains == Paths{"photo"});
}

TEST_CASE("a folder where a list should be is an error that names it") {
  const TempDir dir;
  fs::create_directories(dir / "classes.csv");
  touch(dir.path(), {"train.txt", "val.txt", "test.txt"});
  CHECK_THAT(load_error(ErrorCode::kIo, "grocery", dir.path()), Contains("classes.csv"));
}

TEST_CASE("a CSV file without splits: each picture that has a label is left out in turn") {
  const TempDir dir;
  const fs::path file = write_text(dir / "a.csv", "label,path\nx,1.jpg\nx,2.jpg\n,3.jpg\n");
  touch(dir.path(), {"1.jpg", "2.jpg", "3.jpg"});
  const Dataset dataset = load_dataset("csv", file);
  CHECK(protocol_names(dataset) == Paths{"leave-one-out"});
  CHECK(dataset.protocols[0].queries == std::vector<std::uint32_t>{0, 1});
  CHECK(dataset.protocols[0].gallery == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("a CSV file with masks") {
  const TempDir dir;
  const fs::path file = write_text(dir / "a.csv", "path,mask,label\n1.jpg,cut/1.png,x\n2.jpg,,x\n");
  touch(dir.path(), {"1.jpg", "2.jpg"});
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "csv", file),
             Contains("1 of 1 masks is not in") && Contains("'cut/1.png'"));
  touch(dir.path(), {"cut/1.png"});
  const Dataset dataset = load_dataset("csv", file);
  CHECK(masks_of(dataset) == Paths{"cut/1.png", ""});
  CHECK(dataset.fields.empty());
}

TEST_CASE("a CSV file that cannot be used says where") {
  const TempDir dir;
  const auto error = [&](ErrorCode code, const std::string& text) {
    return load_error(code, "csv", write_text(dir / "a.csv", text));
  };
  CHECK_THAT(error(ErrorCode::kCorrupt, ""), Contains("is empty"));
  CHECK_THAT(error(ErrorCode::kCorrupt, "path,class\n"),
             Contains("no column 'label'") && Contains("path, class"));
  CHECK_THAT(error(ErrorCode::kCorrupt, "path,label\n1.jpg,x\n2.jpg\n"),
             Contains("line 3") && Contains("1 cells, where 2"));
  CHECK_THAT(error(ErrorCode::kCorrupt, "path,label\n1.jpg,\"x\n"), Contains("line 2"));
  CHECK_THAT(error(ErrorCode::kCorrupt, "path,label\n1.jpg,x\n,x\n"),
             Contains("line 3") && Contains("no path"));
  CHECK_THAT(error(ErrorCode::kCorrupt, "path,label\n1.jpg,x\n2.jpg,x\n1.jpg,y\n"),
             Contains("line 4") && Contains("line 2"));
  CHECK_THAT(error(ErrorCode::kCorrupt, "path,label,split\n1.jpg,,query\n2.jpg,x,gallery\n"),
             Contains("line 2") && Contains("no label"));
  CHECK_THAT(error(ErrorCode::kInvalidArgument, "path,label\n"), Contains("no queries"));
  CHECK_THAT(error(ErrorCode::kFileNotFound, "path,label\n1.jpg,x\n2.jpg,x\n"),
             Contains("2 of 2 pictures are not in") && Contains("'1.jpg' and '2.jpg'"));
  touch(dir.path(), {"1.jpg", "2.jpg", "3.jpg"});
  CHECK_THAT(error(ErrorCode::kInvalidArgument, "path,label\n1.jpg,x\n2.jpg,x\n3.jpg,y\n"),
             Contains("one picture") && Contains("'y'"));
  CHECK_THAT(
      error(ErrorCode::kInvalidArgument, "path,label,split\n1.jpg,x,query\n2.jpg,y,gallery\n"),
      Contains("labels do not match") && Contains("'x'"));
}

TEST_CASE("GPR1200") {
  const TempDir dir;
  const auto picture = [](int label, int number) {
    return "images/" + std::to_string(label) + "_p" + std::to_string(number) + ".jpg";
  };
  SECTION("a part of it") {
    touch(dir.path(), {picture(1199, 0), picture(200, 1), picture(200, 0), picture(17, 0),
                       picture(17, 1), picture(3, 0)});
    const Dataset dataset = load_dataset("gpr1200", dir.path(), part());
    CHECK(dataset.root == dir / "images");
    CHECK(all_paths(dataset) ==
          Paths{"3_p0.jpg", "17_p0.jpg", "17_p1.jpg", "200_p0.jpg", "200_p1.jpg", "1199_p0.jpg"});
    CHECK(classes_of(dataset) == Paths{"3", "17", "17", "200", "200", "1199"});
    CHECK(dataset.domains == Paths{"landmarks", "nature", "faces"});
    CHECK(dataset.pictures[3].domain == 1);
    const Protocol& protocol = dataset.protocol("all");
    CHECK(protocol.queries.size() == 6);
    CHECK(protocol.gallery == protocol.queries);
    CHECK(protocol.self == SelfMatch::kKept);
    CHECK(protocol.cutoff == 0);
    CHECK(guess_dataset_kind(dir.path()) == "gpr1200");
  }
  SECTION("all of it but three pictures") {
    std::vector<std::string> names;
    for (int label = 0; label < 1200; ++label) {
      for (int number = 0; number < 10; ++number) {
        if (label == 17 && number < 2) continue;
        if (label == 1100 && number == 9) continue;
        names.push_back(picture(label, number));
      }
    }
    touch(dir.path(), names);
    CHECK_THAT(load_error(ErrorCode::kCorrupt, "gpr1200", dir.path()),
               Contains("GPR1200 has 12,000 pictures, this folder has 11,997: missing 2 of class "
                        "17, missing 1 of class 1100"));
    touch(dir.path(), {picture(17, 0), picture(17, 1), picture(1100, 9)});
    const Dataset whole = load_dataset("gpr1200", dir.path());
    CHECK(whole.pictures.size() == 12000);
    CHECK(whole.classes.size() == 1200);
    CHECK(whole.domains ==
          Paths{"landmarks", "nature", "sketches", "objects", "products", "faces"});
  }
  SECTION("what does not belong there") {
    touch(dir.path(), {picture(0, 0), "images/1200_x.jpg"});
    CHECK_THAT(load_error(ErrorCode::kCorrupt, "gpr1200", dir.path(), part()),
               Contains("'1200_x.jpg'") && Contains("0 to 1199"));
    CHECK(guess_dataset_kind(dir.path()) != "gpr1200");
  }
  SECTION("no folder of pictures") {
    CHECK_THAT(load_error(ErrorCode::kFileNotFound, "gpr1200", dir.path()),
               Contains("no folder 'images'"));
  }
}

TEST_CASE("Caltech-101") {
  const TempDir dir;
  const std::string top = GENERATE("", "101_ObjectCategories/");
  touch(dir.path(), {top + "Faces_easy/image_0001.jpg", top + "Faces_easy/image_0002.jpg",
                     top + "accordion/image_0001.jpg", top + "accordion/image_0002.jpg",
                     top + "yin_yang/image_0001.jpg", top + "yin_yang/image_0002.jpg",
                     top + "BACKGROUND_Google/image_0001.jpg"});
  const Dataset dataset = load_dataset("caltech101", dir.path(), part());
  CHECK(dataset.classes == Paths{"Faces_easy", "accordion", "yin_yang"});
  CHECK(dataset.pictures.size() == 6);
  CHECK(protocol_names(dataset) == Paths{"leave-one-out"});
  CHECK(guess_dataset_kind(dir.path()) == "caltech101");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "caltech101", dir.path()),
             Contains("Caltech-101 has 101 classes") && Contains("has 3"));
}

TEST_CASE("a folder that is no data set, or two") {
  const TempDir dir;
  CHECK_FALSE(guess_dataset_kind(dir.path()).has_value());
  CHECK_FALSE(guess_dataset_kind(dir / "nowhere").has_value());
  write_text(dir / "Ebay_test.txt", "");
  CHECK(guess_dataset_kind(dir.path()) == "sop");
  write_text(dir / "cars_annos.mat", "");
  CHECK_FALSE(guess_dataset_kind(dir.path()).has_value());
}
