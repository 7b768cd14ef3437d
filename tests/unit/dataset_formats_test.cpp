// The lists of data sets in formats of MATLAB and Python, whole and damaged.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "eval/mat_file.h"
#include "eval/pickle.h"
#include "support/datasets.h"
#include "support/vectors.h"

using namespace vsearch;
using namespace vsearch::eval;
using namespace vsearch_test;
using Catch::Matchers::Contains;
using nlohmann::json;
using namespace std::string_literals;

namespace {

std::string text_of(const std::string& name) {
  const std::vector<std::byte> bytes = read_file(dataset_file(name));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

json unpickled(std::string_view bytes) {
  return parse_pickle(bytes, "list.pkl");
}

std::string pickle_error(std::string_view bytes) {
  return error_message(ErrorCode::kCorrupt, [&] { unpickled(bytes); });
}

// Whatever was done to the bytes, they are read or refused as damaged.
template <typename Parse>
void read_or_refuse(const Parse& parse, std::string_view bytes) {
  try {
    parse(bytes, "list");
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::kCorrupt);
  }
}

template <typename Parse>
void damage(const Parse& parse, const std::string& bytes) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    read_or_refuse(parse, std::string_view(bytes).substr(0, size));
  }
  Random random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = bytes;
    for (std::size_t i = 0; i <= random.below(3); ++i) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.bits());
    }
    read_or_refuse(parse, damaged);
  }
}

}  // namespace

TEST_CASE("a MATLAB file") {
  const json cars = parse_mat(text_of("cars_annos.mat"), "cars_annos.mat");
  REQUIRE(cars["annotations"].size() == 7);
  CHECK(cars["annotations"][2] == json{{"relative_im_path", "car_ims/000003.jpg"},
                                       {"bbox_x1", {39}},
                                       {"bbox_y1", {116}},
                                       {"bbox_x2", {569}},
                                       {"bbox_y2", {375}},
                                       {"class", {98}},
                                       {"test", {1}}});
  CHECK(cars["class_names"].size() == 196);
  CHECK(cars["class_names"][97] == "Citroën C3 Hatchback 2012");
  const json instre = parse_mat(text_of("gnd_instre.mat"), "gnd_instre.mat");
  CHECK(instre["imlist"][3] == "INSTRE-M/01/001.jpg");
  CHECK(instre["gnd"][0] == json{{"ok", {1.0, 2.0, 4.0}}, {"bbx", {2.0, 4.0, 12.0, 12.0}}});
}

TEST_CASE("a damaged MATLAB file is refused") {
  const auto error = [](std::string_view bytes) {
    return error_message(ErrorCode::kCorrupt, [&] { parse_mat(bytes, "a.mat"); });
  };
  CHECK_THAT(error(""), Contains("'a.mat' is no MATLAB file of version 5"));
  CHECK_THAT(error(std::string(200, 'x')), Contains("no MATLAB file"));
  const std::string whole = text_of("gnd_instre.mat");
  CHECK_THAT(error(std::string_view(whole).substr(0, whole.size() - 1)), Contains("damaged"));
  damage(parse_mat, whole);
  damage(parse_mat, text_of("cars_annos.mat"));
}

TEST_CASE("a pickle of lists") {
  const json lists = unpickled(text_of("gnd_roxford5k.pkl"));
  CHECK(lists["imlist"].size() == 6);
  CHECK(lists["imlist"][5] == "oxford_000005");
  CHECK(lists["gnd"][0] ==
        json{{"bbx", {2.0, 4.0, 12.0, 12.0}}, {"easy", {0, 1}}, {"hard", {2}}, {"junk", {3}}});
}

TEST_CASE("a pickle of NumPy's arrays, in every protocol") {
  const int protocol = GENERATE(0, 1, 2, 3, 4, 5);
  const json arrays = unpickled(text_of("numpy_" + std::to_string(protocol) + ".pkl"));
  CHECK(arrays["qimlist"] == json{"paris_hall_000100", "paris_tower_000200"});
  CHECK(arrays["gnd"][0]["bbx"] == json{2.0, 4.0, 12.0, 12.0});
  CHECK(arrays["gnd"][0]["easy"] == json{0, 1});
  CHECK(arrays["gnd"][0]["junk"] == json::array({3}));
  CHECK(arrays["gnd"][1]["easy"] == json::array());
}

TEST_CASE("pickles as Python 2 writes them") {
  CHECK(
      unpickled("(dp1\nS'imlist'\np2\n(lp3\nS'a\\x62\\\\'\np4\naV\\u00e9\xE9\naI-7\naL300L\naF1.5\n"
                "aI01\nas.") == json{{"imlist", {"ab\\", "\u00e9\u00e9", -7, 300, 1.5, true}}});
  CHECK(unpickled("\x80\x02]q\x01(U\x03"
                  "abcM\x2C\x01J\xFE\xFF\xFF\xFF\x8A\x02\x00\xFFN\x89"
                  "e."s) == json{"abc", 300, -2, -256, nullptr, false});
}

TEST_CASE("a list that is filled after it was remembered is filled wherever it stands") {
  // [a, a] with a = [5]: the second is fetched before the five is put in.
  CHECK(unpickled("](]q\x01h\x01"
                  "e0]q\x02(h\x01h\x01"
                  "eh\x01K\x05"
                  "a0.") == json{{5}, {5}});
}

TEST_CASE("a pickle that calls what lists do not need is refused, and nothing is called") {
  CHECK_THAT(pickle_error("cos\nsystem\n(S'touch /tmp/called'\ntR."),
             Contains("it calls 'os system'"));
  CHECK_THAT(pickle_error("cbuiltins\neval\n."), Contains("of a kind that lists"));
  CHECK_THAT(pickle_error("(ios\nsystem\n."), Contains("0x69"));
  CHECK_THAT(pickle_error("]q\x01h\x01"
                          "a."),
             Contains("stands in itself"));
  CHECK_THAT(pickle_error("(K\x01K\x02"
                          "d."),
             Contains("no text"));
  CHECK_THAT(pickle_error("K"), Contains("byte 1") && Contains("is cut"));
  CHECK_THAT(pickle_error("."), Contains("damaged"));
  // Lists of two, each twice in the next: 2 to the power of 28 of them.
  std::string bomb = "]q\x01";
  for (int i = 0; i < 28; ++i) bomb += "h\x01h\x01\x86q\x01"s + "0";
  CHECK_THAT(pickle_error(bomb + "h\x01."), Contains("nested too deep"));
}

TEST_CASE("a damaged pickle is refused") {
  damage(parse_pickle, text_of("gnd_roxford5k.pkl"));
  damage(parse_pickle, text_of("numpy_2.pkl"));
  damage(parse_pickle, text_of("numpy_4.pkl"));
}
