#include "vsearch/vector_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#ifdef VSEARCH_HAS_HDF5
#include <hdf5.h>
#endif

#include "support/errors.h"
#include "support/temp_dir.h"
#include "support/vectors.h"

using Catch::Matchers::Contains;
using vsearch::add_file;
using vsearch::ErrorCode;
using vsearch::Id;
using vsearch::Index;
using vsearch::IndexOptions;
using vsearch::Matrix;
using vsearch::VectorFile;
using vsearch_test::Clusters;
using vsearch_test::error_message;
using vsearch_test::ids_from;
using vsearch_test::TempDir;

namespace {

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// The file that numpy.save() writes, or would write.
std::string npy(const std::string& type, const std::string& shape, const std::string& data,
                int version = 1, const std::string& order = "False") {
  std::string text =
      "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  text += std::string(63 - text.size() % 64, ' ') + "\n";
  std::string file = "\x93NUMPY";
  file += {static_cast<char>(version), '\0'};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    file += static_cast<char>(text.size() >> (8 * i) & 0xFF);
  }
  return file + text + data;
}

// Rows of the dim, an int32, and that many numbers.
template <typename T>
std::string vecs(std::int32_t dim, const std::vector<T>& values) {
  std::string file;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % static_cast<std::size_t>(dim) == 0) file += bytes_of(std::vector<std::int32_t>{dim});
    file += bytes_of(std::vector<T>{values[i]});
  }
  return file;
}

class Folder {
 public:
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

 private:
  TempDir folder_;
};

std::vector<float> all_of(const VectorFile& file) {
  std::vector<float> values(file.rows() * file.dim());
  file.read(0, values);
  return values;
}

std::vector<Id> all_ids_of(const VectorFile& file) {
  std::vector<Id> values(file.rows() * file.dim());
  file.read_ids(0, values);
  return values;
}

std::string refusal(const std::filesystem::path& path) {
  return error_message(ErrorCode::kInvalidArgument, [&] { const VectorFile file(path); });
}

const std::vector<float> kSix{1.5F, -2, 3, 4e30F, 0, -1e-30F};

}  // namespace

TEST_CASE("NumPy's files are read") {
  const Folder folder;
  const auto version = GENERATE(1, 2, 3);
  const VectorFile file(folder.write("a.npy", npy("<f4", "(2, 3)", bytes_of(kSix), version)));
  CHECK(file.rows() == 2);
  CHECK(file.dim() == 3);
  CHECK_FALSE(file.holds_ids());
  CHECK(all_of(file) == kSix);
  std::vector<float> last(3);
  file.read(1, last);
  CHECK(last == std::vector<float>{4e30F, 0, -1e-30F});
  file.read(2, {});
  const VectorFile none(folder.write("b.NPY", npy("<f4", "(0, 3)", "")));
  CHECK(none.rows() == 0);
  CHECK(none.dim() == 3);
}

TEST_CASE("small numbers become float32") {
  const Folder folder;
  const VectorFile bytes(
      folder.write("a.npy", npy("|u1", "(1, 3)", bytes_of(std::vector<std::uint8_t>{0, 7, 255}))));
  CHECK(all_of(bytes) == std::vector<float>{0, 7, 255});
  const VectorFile chars(folder.write(
      "b.npy", npy("|i1", "(3, 1)", bytes_of(std::vector<std::int8_t>{-128, 0, 127}))));
  CHECK(all_of(chars) == std::vector<float>{-128, 0, 127});
  // One of each kind: zeros, the least subnormal, the largest subnormal, 1, -2, the largest, Inf.
  const std::vector<std::uint16_t> halves{0x0000, 0x8000, 0x0001, 0x03FF, 0x3C00,
                                          0xC000, 0x7BFF, 0xFC00, 0x3555};
  const VectorFile half(folder.write("c.npy", npy("<f2", "(1, 9)", bytes_of(halves))));
  CHECK(all_of(half) == std::vector<float>{0, 0, 0x1p-24F, 1023 * 0x1p-24F, 1, -2, 65504,
                                           -std::numeric_limits<float>::infinity(), 0.333251953F});
  const VectorFile nan(
      folder.write("d.npy", npy("<f2", "(1, 1)", bytes_of(std::vector<std::uint16_t>{0x7E00}))));
  CHECK(std::isnan(all_of(nan)[0]));
}

TEST_CASE("the files of TEXMEX are read") {
  const Folder folder;
  const VectorFile floats(folder.write("a.fvecs", vecs(2, kSix)));
  CHECK(floats.rows() == 3);
  CHECK(floats.dim() == 2);
  CHECK(all_of(floats) == kSix);
  std::vector<float> middle(2);
  floats.read(1, middle);
  CHECK(middle == std::vector<float>{3, 4e30F});
  const VectorFile bytes(
      folder.write("a.bvecs", vecs(4, std::vector<std::uint8_t>{1, 2, 3, 255, 0, 9, 8, 7})));
  CHECK(all_of(bytes) == std::vector<float>{1, 2, 3, 255, 0, 9, 8, 7});
  const VectorFile ids(folder.write("a.ivecs", vecs(2, std::vector<std::int32_t>{5, 0, 7, 1})));
  CHECK(ids.holds_ids());
  CHECK(all_ids_of(ids) == std::vector<Id>{5, 0, 7, 1});
}

TEST_CASE("ids come in integers") {
  const Folder folder;
  const VectorFile one(folder.write(
      "a.npy", npy("<i8", "(3,)", bytes_of(std::vector<std::int64_t>{4, 1LL << 40, 0}))));
  CHECK(one.rows() == 3);
  CHECK(one.dim() == 1);
  CHECK(all_ids_of(one) == std::vector<Id>{4, Id{1} << 40, 0});
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const VectorFile large(
      folder.write("b.npy", npy("<u8", "(1, 2)", bytes_of(std::vector<std::uint64_t>{most, 1}))));
  CHECK(all_ids_of(large) == std::vector<Id>{most, 1});
  const VectorFile wide(
      folder.write("c.npy", npy("<u4", "(1,)", bytes_of(std::vector<std::uint32_t>{4294967295U}))));
  CHECK(all_ids_of(wide) == std::vector<Id>{4294967295U});
  const VectorFile bad(
      folder.write("d.npy", npy("<i4", "(2, 1)", bytes_of(std::vector<std::int32_t>{3, -4}))));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { all_ids_of(bad); }),
             Contains("row 1 holds -4, and an id is not negative"));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { all_of(bad); }),
             Contains("it holds ids: give a file of floats, or of bytes"));
  const VectorFile floats(folder.write("e.fvecs", vecs(2, kSix)));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { all_ids_of(floats); }),
             Contains("it holds no ids: give a file of integers of 32 or 64 bits"));
}

TEST_CASE("more rows than are read at once") {
  const Folder folder;
  Matrix rows(70000, 9);
  for (std::size_t i = 0; i < rows.data.size(); ++i) rows.data[i] = static_cast<float>(i % 65521);
  const VectorFile a(folder.write("a.npy", npy("<f4", "(70000, 9)", bytes_of(rows.data))));
  const VectorFile b(folder.write("a.fvecs", vecs(9, rows.data)));
  CHECK(all_of(a) == rows.data);
  CHECK(all_of(b) == rows.data);
}

TEST_CASE("what is no such file is refused with its reason") {
  const Folder folder;
  const std::string data = bytes_of(kSix);
  const auto reason = [&](const std::string& bytes) {
    return refusal(folder.write("x.npy", bytes));
  };
  CHECK_THAT(reason(""), Contains("it is no .npy file: write it with numpy.save()"));
  CHECK_THAT(reason("\x93NUMPY\x01"), Contains("it is no .npy file"));
  CHECK_THAT(reason(data + data), Contains("it is no .npy file"));
  CHECK_THAT(reason(npy("<f4", "(2, 3)", data, 4)), Contains("it is of version 4 of its format"));
  CHECK_THAT(reason(npy("<f8", "(1, 3)", data)),
             Contains("its numbers are of type '<f8': save array.astype('float32')"));
  CHECK_THAT(reason(npy(">f4", "(2, 3)", data)), Contains("are big-endian: save"));
  CHECK_THAT(reason(npy("<f4", "(2, 3)", data, 1, "True")),
             Contains("Fortran order: save numpy.ascontiguousarray(array)"));
  CHECK_THAT(reason(npy("<f4", "(6,)", data)), Contains("1 dimension: save one of 2, [rows, dim]"));
  CHECK_THAT(reason(npy("<f4", "(1, 2, 3)", data)), Contains("3 dimensions"));
  CHECK_THAT(reason(npy("<f4", "()", data)), Contains("0 dimensions"));
  CHECK_THAT(reason(npy("<f4", "(6, 0)", "")),
             Contains("its rows have 0 numbers: 1 to 65536 are possible"));
  CHECK_THAT(reason(npy("<f4", "(1, 65537)", "")), Contains("its rows have 65537 numbers"));
  CHECK_THAT(reason(npy("<f4", "(2, 4)", data)),
             Contains("24 bytes follow its header, and 2 rows of 16 bytes are to be there"));
  CHECK_THAT(reason(npy("<f4", "(2, 3)", data + "x")), Contains("25 bytes follow its header"));
  // Numbers whose product is 24, but for the overflow.
  CHECK_THAT(reason(npy("<f4", "(4611686018427387906, 3)", data)), Contains("24 bytes follow"));
  CHECK_THAT(reason(npy("<f4", "(99999999999999999999, 3)", data)), Contains("header is damaged"));
  CHECK_THAT(reason(npy("<f4", "(-2, 3)", data)), Contains("its header is damaged"));
  CHECK_THAT(reason(npy("<f4'), ('b', '<f4", "(2, 3)", data)), Contains("its header is damaged"));
  CHECK_THAT(reason(npy("<f4", "(2, 3", data)), Contains("its header is damaged"));
  CHECK_THAT(reason(npy("<f4", "(2, 3), 'more': 1", data)), Contains("its header is damaged"));
  std::string cut = npy("<f4", "(2, 3)", data);
  cut.resize(40);
  CHECK_THAT(reason(cut), Contains("its header is damaged"));
  std::string records = npy("<f4", "(2, 3)", data);
  records.replace(records.find("'<f4'"), 5, "[('a'");
  CHECK_THAT(reason(records), Contains("it holds records of several fields"));

  const auto rows_reason = [&](const std::string& bytes) {
    return refusal(folder.write("x.fvecs", bytes));
  };
  CHECK_THAT(rows_reason(""), Contains("it is empty, or ends within its first row"));
  CHECK_THAT(rows_reason("abc"), Contains("it is empty, or ends within its first row"));
  CHECK_THAT(rows_reason(bytes_of(std::vector<std::int32_t>{-3, 1, 1, 1})),
             Contains("row 0 says that it has -3 numbers"));
  CHECK_THAT(rows_reason(bytes_of(std::vector<std::int32_t>{0})), Contains("has 0 numbers"));
  CHECK_THAT(rows_reason(bytes_of(std::vector<std::int32_t>{2147483647, 1})),
             Contains("it is 8 bytes long, which is no multiple of the 8589934592 of a row"));
  CHECK_THAT(rows_reason(vecs(2, kSix) + "x"),
             Contains("it is 37 bytes long, which is no multiple"));
  std::string changed = vecs(2, kSix);
  changed[24] = 3;  // of the last row
  const VectorFile file(folder.write("x.fvecs", changed));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { all_of(file); }),
             Contains("row 2 says that it has 3 numbers, row 0 has 2: the file is damaged"));

  CHECK_THAT(refusal(folder.write("x.csv", "1,2")),
             Contains("x.csv': its name ends in none of .npy .fvecs .bvecs .ivecs .hdf5 .h5"));
  std::filesystem::create_directory(folder / "f.npy");
  CHECK_THAT(refusal(folder / "f.npy"), Contains("it is no regular file"));
  REQUIRE(mkfifo((folder / "p.npy").c_str(), 0600) == 0);
  CHECK_THAT(refusal(folder / "p.npy"), Contains("it is no regular file"));
  for (const char* name : {"none.npy", "none.bvecs"}) {
    CHECK_THAT(
        error_message(ErrorCode::kFileNotFound, [&] { const VectorFile none(folder / name); }),
        Contains(name));
  }
}

TEST_CASE("only rows that are there are read") {
  const Folder folder;
  const VectorFile file(folder.write("a.fvecs", vecs(2, kSix)));
  std::vector<float> values(4);
  const auto message = [&](std::uint64_t begin, std::size_t count) {
    return error_message(ErrorCode::kInvalidArgument,
                         [&] { file.read(begin, std::span(values).first(count)); });
  };
  CHECK_THAT(message(2, 4), Contains("rows 2 to 4 were asked for, and"));
  CHECK_THAT(message(std::numeric_limits<std::uint64_t>::max(), 4), Contains("has 3"));
  CHECK_THAT(message(0, 3), Contains("there is room for 3 numbers, and a row of"));
}

TEST_CASE("a file that becomes shorter is an error") {
  const Folder folder;
  const auto path = folder.write("a.fvecs", vecs(2, kSix));
  const VectorFile file(path);
  std::filesystem::resize_file(path, 30);
  CHECK_THAT(error_message(ErrorCode::kIo, [&] { all_of(file); }), Contains("it became shorter"));
}

TEST_CASE("an index is filled from a file") {
  const Folder folder;
  Clusters clusters(101, 24);
  Matrix rows = clusters.draw(3000);
  const VectorFile file(folder.write("a.npy", npy("<f4", "(3000, 24)", bytes_of(rows.data))));
  IndexOptions options;
  options.dim = 24;
  Index index(options);
  std::vector<std::uint64_t> seen;
  add_file(index, file, {}, [&](std::uint64_t done, std::uint64_t total) {
    CHECK(total == 3000);
    seen.push_back(done);
    return true;
  });
  CHECK(seen.front() == 0);
  CHECK(seen.back() == 3000);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(index.ids() == ids_from(0, 3000));
  Index by_hand(options);
  by_hand.add(rows.view(), ids_from(0, 3000));
  for (const std::size_t row : {std::size_t{0}, std::size_t{2999}}) {
    CHECK(index.search(rows.row(row)) == by_hand.search(rows.row(row)));
  }
  add_file(index, file, ids_from(2000, 3000));
  CHECK(index.ids() == ids_from(0, 5000));
  CHECK(index.search(rows.row(7))[0].distance < 1e-4F);

  CHECK_THAT(
      error_message(ErrorCode::kInvalidArgument, [&] { add_file(index, file, ids_from(0, 2999)); }),
      Contains("has 3000 rows but there are 2999 ids: give one id a row"));
  options.dim = 25;
  Index other(options);
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { add_file(other, file); }),
             Contains("the rows of"));
  rows.row(2500)[3] = std::nanf("");
  const VectorFile bad(folder.write("b.fvecs", vecs(24, rows.data)));
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument,
                           [&] { add_file(index, bad, ids_from(9000, 3000)); }),
             Contains("row 2500 of") && Contains("b.fvecs' holds NaN or infinity: leave it out"));
  CHECK(index.size() == 5000);
  error_message(ErrorCode::kCancelled, [&] {
    add_file(index, file, ids_from(9000, 3000),
             [](std::uint64_t done, std::uint64_t) { return done < 1000; });
  });
  CHECK(index.size() >= 6000);
  CHECK(index.size() < 8000);
}

#ifdef VSEARCH_HAS_HDF5

namespace {

// Writes datasets as ann-benchmarks does.
class Hdf5 {
 public:
  explicit Hdf5(const std::filesystem::path& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~Hdf5() { H5Fclose(file_); }
  Hdf5(const Hdf5&) = delete;
  Hdf5& operator=(const Hdf5&) = delete;

  void put(const char* name, hid_t stored, hid_t given, const std::vector<hsize_t>& shape,
           const void* values, bool compressed = false) const {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    if (compressed) {
      H5Pset_chunk(how, static_cast<int>(shape.size()), shape.data());
      H5Pset_deflate(how, 4);
    }
    const hid_t data = H5Dcreate2(file_, name, stored, space, H5P_DEFAULT, how, H5P_DEFAULT);
    if (values != nullptr) H5Dwrite(data, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(data);
    H5Pclose(how);
    H5Sclose(space);
  }

 private:
  hid_t file_;
};

}  // namespace

TEST_CASE("the files of ann-benchmarks are read") {
  const Folder folder;
  const auto path = folder / "a.hdf5";
  const std::vector<std::int32_t> neighbours{5, 0, 7, 1};
  const std::vector<std::int32_t> negative{5, 0, 7, -1};
  const std::vector<std::int8_t> bytes{1, -2, 3};
  const std::vector<std::uint64_t> large{0, 1ULL << 63U, ~0ULL - 1};
  {
    const Hdf5 file(path);
    file.put("train", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 3}, kSix.data());
    file.put("test", H5T_IEEE_F64BE, H5T_NATIVE_FLOAT, {3, 2}, kSix.data(), true);
    file.put("neighbors", H5T_STD_I32LE, H5T_NATIVE_INT32, {2, 2}, neighbours.data());
    file.put("negative", H5T_STD_I64LE, H5T_NATIVE_INT32, {4}, negative.data());
    file.put("large", H5T_STD_U64LE, H5T_NATIVE_UINT64, {3}, large.data());
    file.put("bytes", H5T_STD_I8LE, H5T_NATIVE_INT8, {1, 3}, bytes.data());
    file.put("line", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {6}, kSix.data());
    file.put("huge", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 70000}, nullptr);
    file.put("words", H5T_C_S1, H5T_C_S1, {2, 2}, nullptr);
  }
  const VectorFile train(path);
  CHECK(train.rows() == 2);
  CHECK(train.dim() == 3);
  CHECK(all_of(train) == kSix);
  std::vector<float> last(3);
  train.read(1, last);
  CHECK(last == std::vector<float>{4e30F, 0, -1e-30F});
  const VectorFile test(path, "test");
  CHECK(test.dim() == 2);
  CHECK(all_of(test) == kSix);
  CHECK(all_of(VectorFile(path, "bytes")) == std::vector<float>{1, -2, 3});
  const VectorFile ids(path, "neighbors");
  CHECK(ids.holds_ids());
  CHECK(all_ids_of(ids) == std::vector<Id>{5, 0, 7, 1});
  CHECK(all_ids_of(VectorFile(path, "large")) == std::vector<Id>(large.begin(), large.end()));
  const VectorFile negatives(path, "negative");
  CHECK_THAT(error_message(ErrorCode::kInvalidArgument, [&] { all_ids_of(negatives); }),
             Contains("row 3 holds -1"));
  const auto message = [&](const std::string& dataset) {
    return error_message(ErrorCode::kInvalidArgument,
                         [&] { const VectorFile file(path, dataset); });
  };
  CHECK_THAT(message("none"), Contains("it has no dataset 'none': those of ann-benchmarks are"));
  CHECK_THAT(message("line"), Contains("its dataset 'line' has 1 dimensions"));
  CHECK_THAT(message("huge"), Contains("have 70000 numbers"));
  CHECK_THAT(message("words"), Contains("its dataset 'words' holds no numbers"));
  CHECK_THAT(refusal(folder.write("b.h5", "no such file")), Contains("it is no HDF5 file"));
  error_message(ErrorCode::kFileNotFound, [&] { const VectorFile none(folder / "none.hdf5"); });
}

#else

TEST_CASE("HDF5 files need a build with libhdf5") {
  CHECK_THAT(error_message(ErrorCode::kUnavailable, [&] { const VectorFile file("a.hdf5"); }),
             Contains("a.hdf5': this library was built without libhdf5"));
}

#endif
