#include "eval/dataset_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "catalog/source_list.h"
#include "catalog/source_walk.h"
#include "vsearch/error.h"

namespace vsearch::eval {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kNamed = 3;  // so many of what is wrong are named, the rest is counted
constexpr std::string_view kHowIncomplete =
    " (--incomplete; in Python incomplete=True, in C++ DatasetOptions::check_counts = false)";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

std::int32_t Names::number_of(std::string_view name) {
  if (name.empty()) return -1;
  const auto found = numbers_.find(name);
  if (found != numbers_.end()) return found->second;
  const auto number = static_cast<std::int32_t>(names_.size());
  names_.emplace_back(name);
  numbers_.emplace(name, number);
  return number;
}

DatasetBuilder::DatasetBuilder(std::string name, fs::path root, const DatasetOptions& options)
    : options_(options) {
  dataset_.name = std::move(name);
  dataset_.root = std::move(root);
}

std::uint32_t DatasetBuilder::add(std::string path, std::string_view class_name,
                                  std::string_view split, std::string_view domain) {
  DatasetPicture picture;
  picture.path = std::move(path);
  picture.label = classes_.number_of(class_name);
  picture.domain = domains_.number_of(domain);
  picture.split = split;
  dataset_.pictures.push_back(std::move(picture));
  return static_cast<std::uint32_t>(dataset_.pictures.size() - 1);
}

void DatasetBuilder::set_crop(std::uint32_t picture, const CropBox& crop) {
  dataset_.pictures[picture].crop = crop;
}

void DatasetBuilder::set_mask(std::uint32_t picture, std::string path) {
  dataset_.pictures[picture].mask = std::move(path);
}

std::size_t DatasetBuilder::add_field(std::string_view name) {
  dataset_.fields.push_back({std::string(name), {}, {}});
  values_.emplace_back();
  return values_.size() - 1;
}

void DatasetBuilder::set_field(std::size_t field, std::uint32_t picture, std::string_view value) {
  std::vector<std::int32_t>& of_picture = dataset_.fields[field].of_picture;
  of_picture.resize(dataset_.pictures.size(), -1);
  of_picture[picture] = values_[field].number_of(value);
}

std::vector<std::uint32_t> DatasetBuilder::in_splits(
    std::initializer_list<std::string_view> splits) const {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < dataset_.pictures.size(); ++i) {
    if (splits.size() == 0 || std::ranges::find(splits, dataset_.pictures[i].split) != splits.end())
      numbers.push_back(i);
  }
  return numbers;
}

void DatasetBuilder::add_protocol(Protocol protocol, Answers answers) {
  if (answers == Answers::kPromised) promised_.push_back(dataset_.protocols.size());
  dataset_.protocols.push_back(std::move(protocol));
}

void DatasetBuilder::add_leave_one_out(std::string_view name, std::vector<std::uint32_t> pictures,
                                       Answers answers, std::int32_t field) {
  Protocol protocol;
  protocol.name = name;
  protocol.field = field;
  protocol.gallery = std::move(pictures);
  const std::vector<std::int32_t> labels = labels_for(protocol);
  std::ranges::copy_if(protocol.gallery, std::back_inserter(protocol.queries),
                       [&](std::uint32_t picture) { return labels[picture] >= 0; });
  add_protocol(std::move(protocol), answers);
}

std::vector<std::int32_t> DatasetBuilder::labels_for(const Protocol& protocol) const {
  std::vector<std::int32_t> labels;
  if (protocol.field >= 0) {
    labels = dataset_.fields[static_cast<std::size_t>(protocol.field)].of_picture;
    labels.resize(dataset_.pictures.size(), -1);
    return labels;
  }
  labels.reserve(dataset_.pictures.size());
  for (const DatasetPicture& picture : dataset_.pictures) labels.push_back(picture.label);
  return labels;
}

void DatasetBuilder::expect_count(std::uint64_t published, std::uint64_t found,
                                  std::string_view noun, std::string_view hint) const {
  if (!options_.check_counts || found == published) return;
  throw Error(
      ErrorCode::kCorrupt,
      fmt::format("{} has {} {}, this folder has {}{}{} ('{}'); complete it, or measure what is "
                  "there as incomplete{}",
                  name(), with_commas(published), noun, with_commas(found),
                  hint.empty() ? "" : ": ", hint, root().string(), kHowIncomplete));
}

Dataset DatasetBuilder::finish() {
  dataset_.classes = classes_.take();
  dataset_.domains = domains_.take();
  for (std::size_t i = 0; i < values_.size(); ++i) {
    dataset_.fields[i].values = values_[i].take();
    dataset_.fields[i].of_picture.resize(dataset_.pictures.size(), -1);
  }
  if (dataset_.protocols.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: no query of '{}' has a right answer; check that the lists are whole",
                    name(), root().string()));
  }
  if (options_.check_files) {
    check_files(&DatasetPicture::path, "pictures");
    check_files(&DatasetPicture::mask, "masks");
  }
  for (const Protocol& protocol : dataset_.protocols) {
    if (!protocol.queries.empty() && !protocol.gallery.empty()) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: the protocol '{}' has no {} in '{}'; check that the lists are whole",
                    name(), protocol.name, protocol.queries.empty() ? "queries" : "gallery",
                    root().string()));
  }
  if (options_.check_counts) {
    for (const std::size_t number : promised_) check_answers(dataset_.protocols[number]);
  }
  return std::move(dataset_);
}

void DatasetBuilder::check_files(std::string DatasetPicture::*path, std::string_view noun) const {
  std::size_t count = 0;
  std::vector<std::string> missing;
  for (const DatasetPicture& picture : dataset_.pictures) {
    if ((picture.*path).empty()) continue;
    ++count;
    if (!is_there(root() / (picture.*path))) missing.push_back(picture.*path);
  }
  if (missing.empty()) return;
  throw Error(ErrorCode::kFileNotFound,
              fmt::format("{}: {} of {} {} {} not in '{}': {}; unpack the archive again, or "
                          "name the folder that holds them",
                          name(), with_commas(missing.size()), with_commas(count), noun,
                          missing.size() == 1 ? "is" : "are", root().string(), some_of(missing)));
}

void DatasetBuilder::check_answers(const Protocol& protocol) const {
  const std::string remedy = fmt::format(
      "; or take the data set as incomplete{}: such queries are left out", kHowIncomplete);
  if (!protocol.positives.empty()) {
    std::vector<std::string> without;
    for (std::size_t i = 0; i < protocol.queries.size(); ++i) {
      if (protocol.positives[i].empty())
        without.push_back(dataset_.pictures[protocol.queries[i]].path);
    }
    if (without.empty()) return;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: no right answer to the query {} in protocol '{}'; check the lists{}",
                    name(), some_of(without), protocol.name, remedy));
  }

  const std::vector<std::int32_t> labels = labels_for(protocol);
  std::map<std::int32_t, std::size_t> answers;  // of each label, in the gallery
  for (const std::uint32_t picture : protocol.gallery) ++answers[labels[picture]];
  std::vector<bool> in_gallery(dataset_.pictures.size());
  for (const std::uint32_t picture : protocol.gallery) in_gallery[picture] = true;

  const std::vector<std::string>& values =
      protocol.field >= 0 ? dataset_.fields[static_cast<std::size_t>(protocol.field)].values
                          : dataset_.classes;
  std::set<std::int32_t> seen;
  std::vector<std::string> alone;
  std::vector<std::string> strange;
  for (const std::uint32_t query : protocol.queries) {
    const std::int32_t label = labels[query];
    const auto found = answers.find(label);
    const std::size_t right = label < 0 || found == answers.end() ? 0 : found->second;
    const bool is_own = in_gallery[query] && protocol.self == SelfMatch::kRemoved;
    if (right > (is_own ? 1U : 0U) || !seen.insert(label).second) continue;
    const std::string value = label < 0 ? "" : values[static_cast<std::size_t>(label)];
    (is_own ? alone : strange).push_back(value);
  }
  if (!alone.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: {} with one picture, which finds no other: {}; add pictures or take "
                    "the class out{}",
                    name(), alone.size() == 1 ? "a class" : "classes", some_of(alone), remedy));
  }
  if (!strange.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: labels do not match: queries are of {} but no picture of the "
                            "gallery is (protocol '{}'); check how both are labelled{}",
                            name(), some_of(strange), protocol.name, remedy));
  }
}

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  const std::size_t shown = std::min(names.size(), kNamed);
  const std::size_t left = names.size() - shown;
  for (std::size_t i = 0; i < shown; ++i) {
    const bool is_last = i + 1 == shown && left == 0;
    if (i > 0) text += is_last ? " and " : ", ";
    text += fmt::format("'{}'", names[i]);
  }
  if (left > 0) text += fmt::format(" and {} more", with_commas(left));
  return text;
}

fs::path folder_with(const fs::path& root, std::string_view name,
                     std::initializer_list<std::string_view> folders) {
  for (const std::string_view folder : folders) {
    const fs::path place = folder.empty() ? root : root / folder;
    if (is_there(place / name)) return place;
  }
  return root;
}

bool holds(const fs::path& root, std::string_view name,
           std::initializer_list<std::string_view> folders) {
  return is_there(folder_with(root, name, folders) / name);
}

std::vector<std::string> pictures_below(const fs::path& folder) {
  const Progress progress;
  detail::ReadCounter counter(progress);
  detail::Found found = detail::find_pictures(folder, counter);
  if (!found.problems.empty()) throw Error(ErrorCode::kIo, found.problems.front());
  std::vector<std::string> paths;
  paths.reserve(found.pictures.size());
  for (detail::FoundPicture& picture : found.pictures) {
    paths.push_back(std::move(picture.relative));
  }
  return paths;
}

std::vector<std::string_view> path_parts(std::string_view path) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

std::string_view without_extension(std::string_view path) {
  const std::size_t name = path.rfind('/') + 1;  // 0 where there is no slash
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos || dot <= name ? path : path.substr(0, dot);
}

}  // namespace vsearch::eval
