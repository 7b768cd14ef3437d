// Puts a data set together and checks it: what all loaders have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "util/with_commas.h"
#include "vsearch/dataset.h"

namespace vsearch::eval {

// Names, numbered in the order in which they came.
class Names {
 public:
  std::int32_t number_of(std::string_view name);  // -1 for an empty name
  std::vector<std::string> take() { return std::move(names_); }
  std::size_t size() const { return names_.size(); }

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::int32_t, std::less<>> numbers_;
};

class DatasetBuilder {
 public:
  // `name` begins the messages. `options` is borrowed.
  DatasetBuilder(std::string name, std::filesystem::path root, const DatasetOptions& options);

  const std::string& name() const { return dataset_.name; }
  const std::filesystem::path& root() const { return dataset_.root; }
  const std::vector<DatasetPicture>& pictures() const { return dataset_.pictures; }
  std::size_t class_count() const { return classes_.size(); }
  bool checks_counts() const { return options_.check_counts; }

  // Returns its number. An empty name is of no class, of no domain.
  std::uint32_t add(std::string path, std::string_view class_name, std::string_view split = {},
                    std::string_view domain = {});
  void set_crop(std::uint32_t picture, const CropBox& crop);
  void set_mask(std::uint32_t picture, std::string path);
  // Declares a field; returns its number.
  std::size_t add_field(std::string_view name);
  // An empty value is none.
  void set_field(std::size_t field, std::uint32_t picture, std::string_view value);

  // The pictures of these splits; those of none of them all.
  std::vector<std::uint32_t> in_splits(std::initializer_list<std::string_view> splits) const;
  // Whether a query must find something is checked by finish(); only published parts may promise.
  enum class Answers { kPromised, kAsTheyCome };
  void add_protocol(Protocol protocol, Answers answers = Answers::kPromised);
  // Every one of `pictures` that has a class queries all of them, and is not its own answer.
  void add_leave_one_out(std::string_view name, std::vector<std::uint32_t> pictures,
                         Answers answers = Answers::kPromised, std::int32_t field = -1);

  // Throws kCorrupt if counts are checked and `found` is another number than `published`:
  // "GPR1200 has 12,000 pictures, this folder has 11,997: `hint`".
  void expect_count(std::uint64_t published, std::uint64_t found, std::string_view noun,
                    std::string_view hint = {}) const;

  // Checks that there are pictures, that their files and masks are there (kFileNotFound), and that
  // queries have answers where that was promised (kInvalidArgument).
  Dataset finish();

 private:
  // `path`: that of the picture or of its mask, which are the `noun`.
  void check_files(std::string DatasetPicture::*path, std::string_view noun) const;
  void check_answers(const Protocol& protocol) const;
  // What the protocol takes for the labels of all pictures.
  std::vector<std::int32_t> labels_for(const Protocol& protocol) const;

  const DatasetOptions& options_;
  Dataset dataset_;
  Names classes_;
  Names domains_;
  std::vector<Names> values_;          // of each field
  std::vector<std::size_t> promised_;  // numbers of protocols
};

using util::with_commas;

// "'a', 'b' and 'c'", or "'a', 'b', 'c' and 4 more".
std::string some_of(const std::vector<std::string>& names);

// The first of `folders` (relative to `root`, "" is `root` itself) that holds `name`, a file or a
// folder; `root` if none does.
std::filesystem::path folder_with(const std::filesystem::path& root, std::string_view name,
                                  std::initializer_list<std::string_view> folders);

bool holds(const std::filesystem::path& root, std::string_view name,
           std::initializer_list<std::string_view> folders = {""});

// The pictures below a folder, relative to it, ascending, but for hidden ones. Throws
// kInvalidArgument (there are none), kIo (a folder that cannot be read).
std::vector<std::string> pictures_below(const std::filesystem::path& folder);

// The parts of a path between slashes.
std::vector<std::string_view> path_parts(std::string_view path);

// "cup/1" of "cup/1.jpg".
std::string_view without_extension(std::string_view path);

}  // namespace vsearch::eval
