// Labelled queries from CSV and JSON lines files.
#include "vsearch/labelled_queries.h"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/catalogs.h"
#include "support/sources.h"
#include "support/temp_dir.h"

using namespace vsearch_test;
using vsearch::ErrorCode;
using vsearch::LabelledQuery;
using vsearch::read_labelled_queries;

namespace {

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("rows of a CSV file about one item or picture are one query") {
  TempDir dir;
  const std::vector<LabelledQuery> queries =
      read_labelled_queries(write_text(dir / "known.csv",
                                       "path,key,note,relevant\n"
                                       ",007,x,a|b\n"
                                       "img/../a.jpg,,,12\n"
                                       ",007,,|c|\n"
                                       "/x/b.jpg,,,d\n"
                                       "https://shop/x.jpg,,,e\n"));
  REQUIRE(queries.size() == 4);
  CHECK(queries[0].key == "007");
  CHECK(queries[0].path.empty());
  CHECK(queries[0].relevant == Keys{"a", "b", "c"});
  CHECK(queries[1].key.empty());
  CHECK(queries[1].path == (dir / "a.jpg").string());
  CHECK(queries[1].relevant == Keys{"12"});
  CHECK(queries[2].path == "/x/b.jpg");
  CHECK(queries[3].path == "https://shop/x.jpg");
}

TEST_CASE("lines of JSON name right answers as a text or an array") {
  TempDir dir;
  const std::vector<LabelledQuery> queries = read_labelled_queries(
      write_text(dir / "known.jsonl", R"({"key": 7, "relevant": ["a|b", "c"]})"
                                      "\n"
                                      R"({"key": "8", "path": null, "relevant": "a|b"})"));
  REQUIRE(queries.size() == 2);
  CHECK(queries[0].key == "7");
  CHECK(queries[0].relevant == Keys{"a|b", "c"});
  CHECK(queries[1].relevant == Keys{"a", "b"});
}

TEST_CASE("what is wrong with a file of labelled queries is said with its line") {
  TempDir dir;
  const auto read = [&](std::string_view name, std::string_view text) {
    return read_labelled_queries(write_text(dir.path() / name, text));
  };
  CHECK_ERROR(read("a.csv", "key\na\n"), ErrorCode::kInvalidArgument,
              "a.csv', line 2: there is no 'relevant'");
  CHECK_ERROR(read("a.csv", "key,relevant\na,|\n"), ErrorCode::kInvalidArgument, "line 2");
  CHECK_ERROR(read("a.csv", "key,path,relevant\na,b,c\n"), ErrorCode::kInvalidArgument,
              "line 2: a query is either an item (key) or a picture (path)");
  CHECK_ERROR(read("a.csv", "key,relevant\n"), ErrorCode::kInvalidArgument, "has no queries");
  CHECK_ERROR(read("a.csv", "key,relevant\na,1.5\n"), ErrorCode::kInvalidArgument,
              "line 2: 'relevant' must be a text or an integer");
  CHECK_ERROR(read("a.jsonl", R"({"key": "a", "relevant": [1]})"), ErrorCode::kInvalidArgument,
              "line 1: 'relevant' must be a text, or an array of texts");
  CHECK_ERROR(read("a.txt", "key,relevant\n"), ErrorCode::kInvalidArgument, ".csv or .jsonl");
  CHECK_ERROR(read_labelled_queries(dir / "none.csv"), ErrorCode::kFileNotFound, "none.csv");
}
