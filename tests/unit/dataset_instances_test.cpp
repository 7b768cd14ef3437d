// The data sets of instance retrieval, with right answers for each query.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "support/datasets.h"

using namespace vsearch;
using namespace vsearch_test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;
using Numbers = std::vector<std::uint32_t>;
using Lists = std::vector<Numbers>;

namespace {

// What tests/data/make_datasets.py writes as pickles.
nlohmann::json truth(const std::string& place) {
  nlohmann::json gallery;
  for (int i = 0; i < 6; ++i) gallery.push_back(place + "_00000" + std::to_string(i));
  return {{"imlist", gallery},
          {"qimlist", {place + "_hall_000100", place + "_tower_000200"}},
          {"gnd",
           {{{"bbx", {2.0, 4.0, 12.0, 12.0}}, {"easy", {0, 1}}, {"hard", {2}}, {"junk", {3}}},
            {{"bbx", {0.0, 0.0, 16.0, 16.0}},
             {"easy", nlohmann::json::array()},
             {"hard", {4}},
             {"junk", nlohmann::json::array()}}}}};
}

void draw_revisited(const fs::path& root, const std::string& place) {
  Paths gallery;
  for (int i = 0; i < 6; ++i) gallery.push_back(place + "_00000" + std::to_string(i) + ".jpg");
  touch(root / "jpg", gallery);
  draw(root / "jpg", {place + "_hall_000100.jpg", place + "_tower_000200.jpg"}, 16, 16);
}

}  // namespace

TEST_CASE("ROxford and RParis") {
  const TempDir dir;
  const bool is_paris = GENERATE(false, true);
  const std::string place = is_paris ? "paris" : "oxford";
  const std::string kind = is_paris ? "rparis6k" : "roxford5k";
  const fs::path root = dir / GENERATE_COPY(std::string(), kind);
  const bool is_pickle = GENERATE(false, true);
  if (!is_pickle) {
    write_text(root / ("gnd_" + kind + ".json"), truth(place).dump());
  } else {
    copy_dataset_file(is_paris ? "numpy_2.pkl" : "gnd_roxford5k.pkl",
                      root / ("gnd_" + kind + ".pkl"));
  }
  draw_revisited(root, place);

  const Dataset dataset = load_dataset(kind, dir.path(), part());
  REQUIRE(dataset.pictures.size() == 8);
  CHECK(dataset.pictures[0].path == "jpg/" + place + "_000000.jpg");
  CHECK(dataset.pictures[0].crop.is_whole());
  CHECK(dataset.pictures[6].crop == CropBox{0.125F, 0.25F, 0.75F, 0.75F});
  CHECK(dataset.pictures[7].crop.is_whole());
  CHECK(classes_of(dataset) ==
        Paths{"-", "-", "-", "-", "-", "-", place + "_hall", place + "_tower"});
  CHECK(protocol_names(dataset) == Paths{"easy", "medium", "hard"});
  for (const Protocol& protocol : dataset.protocols) {
    CHECK(protocol.queries == Numbers{6, 7});
    CHECK(protocol.gallery == Numbers{0, 1, 2, 3, 4, 5});
    CHECK(protocol.average_precision == AveragePrecision::kTrapezoid);
  }
  CHECK(dataset.protocols[0].positives == Lists{{0, 1}, {}});
  CHECK(dataset.protocols[0].ignored == Lists{{2, 3}, {4}});
  CHECK(dataset.protocols[1].positives == Lists{{0, 1, 2}, {4}});
  CHECK(dataset.protocols[1].ignored == Lists{{3}, {}});
  CHECK(dataset.protocols[2].positives == Lists{{2}, {4}});
  CHECK(dataset.protocols[2].ignored == Lists{{0, 1, 3}, {}});
  CHECK(guess_dataset_kind(dir.path()) == kind);
  CHECK_THAT(load_error(ErrorCode::kCorrupt, kind, dir.path()),
             Contains(is_paris ? "6,322 pictures" : "4,993 pictures") && Contains("has 6: imlist"));
}

TEST_CASE("a ground truth that cannot be used") {
  const TempDir dir;
  draw_revisited(dir.path(), "oxford");
  const auto error = [&](ErrorCode code, const nlohmann::json& content) {
    write_text(dir / "gnd_roxford5k.json", content.dump());
    return load_error(code, "roxford5k", dir.path(), part());
  };
  nlohmann::json content = truth("oxford");
  SECTION("missing") {
    CHECK_THAT(load_error(ErrorCode::kFileNotFound, "roxford5k", dir.path()),
               Contains("'gnd_roxford5k.pkl' and 'gnd_roxford5k.json'"));
  }
  SECTION("no JSON") {
    write_text(dir / "gnd_roxford5k.json", "{");
    CHECK_THAT(load_error(ErrorCode::kCorrupt, "roxford5k", dir.path()), Contains("no JSON"));
  }
  SECTION("a list that is missing") {
    content.erase("qimlist");
    CHECK_THAT(error(ErrorCode::kCorrupt, content), Contains("no list 'qimlist'"));
  }
  SECTION("fewer answers than queries") {
    content["gnd"].erase(1);
    CHECK_THAT(error(ErrorCode::kInvalidArgument, content),
               Contains("labels do not match: 2 queries, but right answers for 1"));
  }
  SECTION("an answer that is not in the gallery") {
    content["gnd"][1]["hard"] = {6};
    CHECK_THAT(error(ErrorCode::kCorrupt, content),
               Contains("'hard' of query 1 has 6, and the gallery 6 pictures"));
    content["gnd"][1]["hard"] = {-1};
    CHECK_THAT(error(ErrorCode::kCorrupt, content), Contains("has -1"));
  }
  SECTION("a box that is none") {
    content["gnd"][0]["bbx"] = {4, 4, 4, 8};
    CHECK_THAT(error(ErrorCode::kCorrupt, content), Contains("box of query 0 is empty"));
    content["gnd"][0]["bbx"] = {4, 4, 8};
    CHECK_THAT(error(ErrorCode::kCorrupt, content), Contains("no box 'bbx' of four numbers"));
    content["gnd"][0]["bbx"] = {16, 4, 20, 8};
    CHECK_THAT(error(ErrorCode::kCorrupt, content),
               Contains("lies outside of") && Contains("16 x 16 pixels"));
    content["gnd"][0]["bbx"] = {8, 4, 20, 8};  // cut to the picture
    write_text(dir / "gnd_roxford5k.json", content.dump());
    CHECK(load_dataset("roxford5k", dir.path(), part()).pictures[6].crop ==
          CropBox{0.5F, 0.25F, 1.0F, 0.5F});
  }
  SECTION("the picture of a query is missing, though files are not checked") {
    write_text(dir / "gnd_roxford5k.json", content.dump());
    fs::remove(dir / "jpg/oxford_hall_000100.jpg");
    CHECK_THAT(load_error(ErrorCode::kFileNotFound, "roxford5k", dir.path(), lists_alone()),
               Contains("oxford_hall_000100.jpg"));
  }
  SECTION("a picture of the gallery is missing") {
    write_text(dir / "gnd_roxford5k.json", content.dump());
    fs::remove(dir / "jpg/oxford_000003.jpg");
    CHECK_THAT(load_error(ErrorCode::kFileNotFound, "roxford5k", dir.path(), part()),
               Contains("1 of 8 pictures is not in") && Contains("oxford_000003.jpg"));
    CHECK(load_dataset("roxford5k", dir.path(), lists_alone()).pictures.size() == 8);
  }
}

TEST_CASE("a JPEG that lies on its side has the box of the upright picture") {
  const TempDir dir;
  nlohmann::json content = truth("oxford");
  content["gnd"][0]["bbx"] = {4, 6, 8, 12};
  write_text(dir / "gnd_roxford5k.json", content.dump());
  draw_revisited(dir.path(), "oxford");
  // 24 x 16 as stored.
  const fs::path images = fs::path(VSEARCH_SOURCE_DIR) / "tests" / "data" / "images";
  const std::string name = GENERATE("orientation-1.jpg", "orientation-6.jpg");
  REQUIRE(fs::exists(images / name));
  fs::copy_file(images / name, dir / "jpg/oxford_hall_000100.jpg",
                fs::copy_options::overwrite_existing);
  const bool is_turned = name == "orientation-6.jpg";
  const float width = is_turned ? 16.0F : 24.0F;
  const float height = is_turned ? 24.0F : 16.0F;
  const CropBox crop = load_dataset("roxford5k", dir.path(), part()).pictures[6].crop;
  CHECK(crop.left == Approx(4 / width));
  CHECK(crop.top == Approx(6 / height));
  CHECK(crop.right == Approx(8 / width));
  CHECK(crop.bottom == Approx(12 / height));
}

TEST_CASE("INSTRE") {
  const TempDir dir;
  copy_dataset_file("gnd_instre.mat", dir / "gnd_instre.mat");
  touch(dir.path(), {"INSTRE-S1/01a_canada_book/001.jpg", "INSTRE-S1/01a_canada_book/002.jpg",
                     "INSTRE-S2/03_coke/001.jpg", "INSTRE-M/01/001.jpg"});
  draw(dir.path(), {"INSTRE-S1/01a_canada_book/013.jpg", "INSTRE-S2/03_coke/002.jpg"}, 16, 16);
  const Dataset dataset = load_dataset("instre", dir.path(), part());
  CHECK(classes_of(dataset) ==
        Paths{"-", "-", "-", "-", "INSTRE-S1/01a_canada_book", "INSTRE-S2/03_coke"});
  const Protocol& protocol = dataset.protocol("query-gallery");
  CHECK(protocol.queries == Numbers{4, 5});
  CHECK(protocol.gallery == Numbers{0, 1, 2, 3});
  CHECK(protocol.positives == Lists{{0, 1, 3}, {2}});  // MATLAB counts from 1
  CHECK(protocol.average_precision == AveragePrecision::kTrapezoid);
  CHECK(dataset.pictures[4].crop == CropBox{0.125F, 0.25F, 0.75F, 0.75F});
  CHECK(dataset.pictures[5].crop == CropBox{0.0F, 0.0F, 1.0F, 0.5F});
  CHECK(guess_dataset_kind(dir.path()) == "instre");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "instre", dir.path()), Contains("27,293 pictures"));
}

TEST_CASE("GLDv2") {
  const TempDir dir;
  const std::string at = GENERATE("", "metadata/");
  write_text(dir / (at + "index.csv"), "id\nabc1\nabd2\nfff3\n");
  const std::string header = "id,images,Usage\n";
  const std::string solution = at + "retrieval_solution_v2.1.csv";
  write_text(dir / solution, header +
                                 "0123,abd2 abc1,Private\n"
                                 "0124,None,Ignored\n"
                                 "0125,fff3,Public\n");
  touch(dir.path(), {"index/a/b/c/abc1.jpg", "index/a/b/d/abd2.jpg", "index/f/f/f/fff3.jpg",
                     "test/0/1/2/0123.jpg", "test/0/1/2/0125.jpg"});
  const Dataset dataset = load_dataset("gldv2", dir.path(), part());
  CHECK(all_paths(dataset) == Paths{"index/a/b/c/abc1.jpg", "index/a/b/d/abd2.jpg",
                                    "index/f/f/f/fff3.jpg", "test/0/1/2/0123.jpg",
                                    "test/0/1/2/0125.jpg"});
  CHECK(protocol_names(dataset) == Paths{"private", "public"});
  CHECK(dataset.protocols[0].queries == Numbers{3});
  CHECK(dataset.protocols[0].positives == Lists{{0, 1}});
  CHECK(dataset.protocols[1].positives == Lists{{2}});
  for (const Protocol& protocol : dataset.protocols) {
    CHECK(protocol.gallery == Numbers{0, 1, 2});
    CHECK(protocol.cutoff == 100);
    CHECK(protocol.average_precision == AveragePrecision::kStandard);
  }
  CHECK(guess_dataset_kind(dir.path()) == "gldv2");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "gldv2", dir.path()),
             Contains("761,757 pictures in the gallery") && Contains("has 3: index.csv"));

  write_text(dir / solution, header + "0123,abc1,private\n");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "gldv2", dir.path(), part()),
             Contains("line 2") && Contains("'private' is none of"));
  write_text(dir / solution, header + "0123,abc1 9999,Private\n");  // a part of the gallery
  CHECK(load_dataset("gldv2", dir.path(), part()).protocols[0].positives == Lists{{0}});
  CHECK(protocol_names(load_dataset("gldv2", dir.path(), part())) == Paths{"private"});
  write_text(dir / solution, header + "01,abc1,Private\n");
  CHECK_THAT(load_error(ErrorCode::kCorrupt, "gldv2", dir.path(), part()),
             Contains("line 2") && Contains("'01' is no name"));
  write_text(dir / solution, header);
  CHECK_THAT(load_error(ErrorCode::kInvalidArgument, "gldv2", dir.path(), part()),
             Contains("no query"));
  fs::remove(dir / (at + "index.csv"));
  CHECK_THAT(load_error(ErrorCode::kFileNotFound, "gldv2", dir.path(), part()),
             Contains("index.csv' is missing"));
}
