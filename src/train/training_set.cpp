#include "train/training_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "eval/near_duplicates.h"
#include "eval/picture_changes.h"
#include "train/batches.h"
#include "train/losses_common.h"
#include "train/tensors.h"
#include "vsearch/error.h"
#include "vsearch/index.h"

namespace vsearch::training {
namespace {

constexpr std::uint64_t kRarePictures = 4;
constexpr std::size_t kAtOnce = 4096;  // pictures whose neighbours are sought

[[noreturn]] void refuse_training(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

const DatasetField& field_of(const Dataset& dataset, const std::string& name) {
  const auto found = std::ranges::find(dataset.fields, name, &DatasetField::name);
  if (found != dataset.fields.end()) return *found;
  std::vector<std::string> names;
  for (const DatasetField& field : dataset.fields) names.push_back(field.name);
  refuse_training(names.empty()
                      ? fmt::format("{} has no field '{}': it has none; leave it out, or give the "
                                    "fields as columns of a CSV",
                                    dataset.name, name)
                      : fmt::format("{} has no field '{}'; it has: {}", dataset.name, name,
                                    fmt::join(names, ", ")));
}

std::vector<std::int32_t> values_of(const TrainingSet& set, const Dataset& dataset,
                                    const std::string& name) {
  std::vector<std::int32_t> values;
  if (name.empty()) return values;
  const bool is_domain = name == "domain" && !dataset.domains.empty();
  const DatasetField* const field = is_domain ? nullptr : &field_of(dataset, name);
  for (const std::uint32_t picture : set.pictures) {
    values.push_back(is_domain ? dataset.pictures[picture].domain : field->of_picture[picture]);
  }
  return values;
}

bool is_measured_with(const std::string& split) {
  return split == "val" || split == "test" || split == "query" || split == "gallery";
}

// A split; or empty: the pictures of no split that is measured with.
std::string split_to_learn(const Dataset& dataset, const std::string& wanted) {
  std::set<std::string> splits;
  bool is_any_free = false;
  for (const DatasetPicture& picture : dataset.pictures) {
    if (!picture.split.empty()) splits.insert(picture.split);
    is_any_free |= !is_measured_with(picture.split);
  }
  if (wanted.empty()) {
    if (splits.contains("train")) return "train";
    if (is_any_free || splits.empty()) return "";
    refuse_training(
        fmt::format("{}: all pictures are of splits that are measured with ({}); name the "
                    "split to learn from",
                    dataset.name, fmt::join(splits, ", ")));
  }
  if (splits.contains(wanted)) return wanted;
  refuse_training(splits.empty()
                      ? fmt::format("{} has no split '{}': its pictures have none; leave "
                                    "the split empty to learn from all",
                                    dataset.name, wanted)
                      : fmt::format("{} has no split '{}'; it has: {}", dataset.name, wanted,
                                    fmt::join(splits, ", ")));
}

using Classes = std::map<std::string, std::vector<std::uint32_t>>;  // pictures by label

void hold_out(TrainingSet& set, const Classes& classes) {
  for (const auto& [name, pictures] : classes) {
    if (pictures.size() < 2) continue;
    const auto label =
        static_cast<std::int32_t>(set.held_out_labels.empty() ? 0 : set.held_out_labels.back() + 1);
    set.held_out.insert(set.held_out.end(), pictures.begin(), pictures.end());
    set.held_out_labels.resize(set.held_out.size(), label);
  }
}

// Takes this share of the classes of two or more pictures out of `classes`.
Classes take_share(Classes& classes, double share) {
  const auto is_able = [](const auto& entry) { return entry.second.size() > 1; };
  const auto able = static_cast<double>(std::ranges::count_if(classes, is_able));
  Classes taken;
  if (share <= 0 || able < 4) return taken;
  const double exact = std::max(share, 2 / able);
  double turn = 0;
  for (auto at = classes.begin(); at != classes.end();) {
    bool is_taken = false;
    if (is_able(*at)) {
      is_taken = std::floor((turn + 1) * exact + 1e-9) > std::floor(turn * exact + 1e-9);
      ++turn;
    }
    if (is_taken) taken.insert(*at);
    at = is_taken ? classes.erase(at) : std::next(at);
  }
  return taken;
}

// Both lists in the order of the data set.
void sort_pictures(std::vector<std::uint32_t>& pictures, std::vector<std::int32_t>& labels) {
  std::vector<std::size_t> order(pictures.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return pictures[i]; });
  std::vector<std::uint32_t> sorted_pictures;
  std::vector<std::int32_t> sorted_labels;
  for (const std::size_t i : order) {
    sorted_pictures.push_back(pictures[i]);
    sorted_labels.push_back(labels[i]);
  }
  pictures = std::move(sorted_pictures);
  labels = std::move(sorted_labels);
}

template <class Keep>
void keep_where(std::vector<std::uint32_t>& pictures, std::vector<std::int32_t>& labels,
                const Keep& keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    if (!keep(pictures[i])) continue;
    pictures[kept] = pictures[i];
    labels[kept++] = labels[i];
  }
  pictures.resize(kept);
  labels.resize(kept);
}

// `left_out`: what was taken out before, in words; empty: nothing.
void require_two_classes(const TrainingSet& set, const Dataset& dataset,
                         const std::string& left_out) {
  const std::string note = left_out.empty() ? "" : " (left out: " + left_out + ")";
  std::vector<std::size_t> counts(set.classes.size(), 0);
  for (const std::int32_t label : set.labels) ++counts[static_cast<std::size_t>(label)];
  const auto present = std::ranges::count_if(counts, [](std::size_t n) { return n > 0; });
  if (present == 0 && !left_out.empty()) {
    refuse_training(fmt::format("{}: no picture is left to learn from{}", dataset.name, note));
  }
  if (present == 0) {
    refuse_training(
        fmt::format("{}: no picture to learn from has a label; see docs/datasets.md for "
                    "how labels are told",
                    dataset.name));
  }
  if (present == 1) {
    refuse_training(
        fmt::format("{}: all pictures to learn from have the label '{}'{}; training needs "
                    "two or more classes, and what is held out takes some",
                    dataset.name, set.classes[static_cast<std::size_t>(set.labels[0])], note));
  }
  if (std::ranges::none_of(counts, [](std::size_t n) { return n > 1; })) {
    refuse_training(
        fmt::format("{}: no class has two pictures to learn from{}, so nothing says what "
                    "belongs together; take a label that pictures share",
                    dataset.name, note));
  }
}

// A picture, by its row in the set, that is nearer to another class.
struct SuspectLabel {
  double margin;
  std::size_t row;
  std::int64_t other;
};

// The mean direction of each class, of length 1.
Matrix class_means(const TrainingSet& set, const Matrix& embeddings) {
  Matrix means(set.classes.size(), embeddings.cols);
  for (std::size_t i = 0; i < set.pictures.size(); ++i) {
    const auto row = embeddings.row(set.pictures[i]);
    const double length = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
    auto mean = means.row(static_cast<std::size_t>(set.labels[i]));
    for (std::size_t d = 0; d < row.size(); ++d) mean[d] += static_cast<float>(row[d] / length);
  }
  for (std::size_t c = 0; c < means.rows; ++c) {
    auto mean = means.row(c);
    const double length =
        std::sqrt(std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0));
    if (length > 0) {
      for (float& value : mean) value = static_cast<float>(value / length);
    }
  }
  return means;
}

// Of pictures that are near to another, each looked at once.
class TrainingLooks {
 public:
  const eval::Look& of(const Dataset& dataset, std::uint32_t picture) {
    const auto [look, is_new] = looks_.try_emplace({&dataset, picture});
    if (is_new) {
      const Image image = read_training_picture(dataset, picture, eval::kLookPx);
      look->second = eval::look_at(eval::shrink(image.view(), eval::kLookPx));
    }
    return look->second;
  }

 private:
  std::map<std::pair<const Dataset*, std::uint32_t>, eval::Look> looks_;
};

}  // namespace

std::vector<std::string> labels_in_words(const Dataset& dataset,
                                         const std::vector<std::string>& names) {
  std::vector<std::string> labels(dataset.pictures.size());
  if (names.empty()) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::int32_t label = dataset.pictures[i].label;
      if (label >= 0) labels[i] = dataset.classes[static_cast<std::size_t>(label)];
    }
    return labels;
  }
  std::vector<const DatasetField*> fields;
  for (const std::string& name : names) fields.push_back(&field_of(dataset, name));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool known = std::ranges::all_of(
        fields, [i](const DatasetField* field) { return field->of_picture[i] >= 0; });
    if (!known) continue;
    for (const DatasetField* const field : fields) {
      if (!labels[i].empty()) labels[i] += " / ";
      labels[i] += field->values[static_cast<std::size_t>(field->of_picture[i])];
    }
  }
  return labels;
}

Dataset part_of(const Dataset& dataset, const std::vector<std::uint32_t>& pictures) {
  Dataset part;
  part.name = dataset.name;
  part.root = dataset.root;
  for (const std::uint32_t picture : pictures) part.pictures.push_back(dataset.pictures[picture]);
  return part;
}

std::vector<bool> are_of_learned_split(const Dataset& dataset, const TrainOptions& options) {
  const std::string split = split_to_learn(dataset, options.split);
  std::vector<bool> are;
  for (const DatasetPicture& picture : dataset.pictures) {
    are.push_back(split.empty() ? !is_measured_with(picture.split) : picture.split == split);
  }
  return are;
}

TrainingSet choose_pictures(const Dataset& dataset, const TrainOptions& options) {
  if (!(options.held_out_classes >= 0 && options.held_out_classes <= 0.5)) {
    refuse_training(
        fmt::format("held_out_classes is {}; it must be 0 to 0.5, a share of the classes",
                    options.held_out_classes));
  }
  const std::vector<std::string> labels = labels_in_words(dataset, options.label_fields);
  const std::vector<bool> is_learned = are_of_learned_split(dataset, options);
  Classes learned;
  Classes validation;
  for (std::uint32_t i = 0; i < dataset.pictures.size(); ++i) {
    if (labels[i].empty()) continue;
    if (is_learned[i]) {
      learned[labels[i]].push_back(i);
    } else if (dataset.pictures[i].split == "val") {
      validation[labels[i]].push_back(i);
    }
  }

  TrainingSet set;
  const auto count_where = [&](bool known) {
    std::size_t count = 0;
    for (const auto& [name, pictures] : validation) {
      if (learned.contains(name) == known) count += pictures.size();
    }
    return count;
  };
  const bool is_mostly_known = count_where(true) > count_where(false);
  const auto usable = std::ranges::count_if(validation, [&](const auto& entry) {
    return learned.contains(entry.first) == is_mostly_known &&
           (is_mostly_known || entry.second.size() > 1);
  });
  // One class alone could not be mistaken for another: nothing would be measured.
  if (usable < 2) validation.clear();
  const bool val_is_known = is_mostly_known && !validation.empty();
  if (!validation.empty() && !val_is_known) {
    std::erase_if(validation, [&](const auto& entry) { return learned.contains(entry.first); });
    hold_out(set, validation);
  }
  if (!val_is_known && set.held_out.empty()) {
    hold_out(set, take_share(learned, options.held_out_classes));
  }
  set.held_out_classes_are_new = !val_is_known && !set.held_out.empty();
  for (const auto& [name, pictures] : learned) {
    set.classes.push_back(name);
    set.pictures.insert(set.pictures.end(), pictures.begin(), pictures.end());
    set.labels.resize(set.pictures.size(), static_cast<std::int32_t>(set.classes.size() - 1));
    const auto known = validation.find(name);
    if (!val_is_known || known == validation.end()) continue;
    set.held_out.insert(set.held_out.end(), known->second.begin(), known->second.end());
    set.held_out_labels.resize(set.held_out.size(), set.labels.back());
  }
  sort_pictures(set.pictures, set.labels);
  sort_pictures(set.held_out, set.held_out_labels);
  require_two_classes(set, dataset, {});
  return set;
}

void group_pictures(TrainingSet& set, const Dataset& dataset, const TrainOptions& options) {
  set.groups = values_of(set, dataset, options.batch_field);
  set.balanced = values_of(set, dataset, options.balance_field);
}

void drop_unreadable(TrainingSet& set, const Dataset& dataset,
                     const DatasetEmbeddings& embeddings) {
  const auto is_read = [&](std::uint32_t picture) {
    return std::isfinite(embeddings.rows.row(picture)[0]);
  };
  const std::size_t before = set.pictures.size();
  keep_where(set.pictures, set.labels, is_read);
  if (set.pictures.size() < before) {
    require_two_classes(
        set, dataset, fmt::format("{} pictures that cannot be read", before - set.pictures.size()));
  }
  keep_where(set.held_out, set.held_out_labels, is_read);
}

TrainingData describe(const TrainingSet& set, const Matrix& embeddings) {
  TrainingData data;
  data.pictures = set.pictures.size();
  data.held_out = set.held_out.size();
  data.held_out_classes_are_new = set.held_out_classes_are_new;
  std::vector<std::uint64_t> counts(set.classes.size(), 0);
  for (const std::int32_t label : set.labels) ++counts[static_cast<std::size_t>(label)];
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] > 0) ++data.classes;
    if (counts[c] > 0 && counts[c] < kRarePictures)
      data.rare.push_back({set.classes[c], counts[c]});
  }
  data.rare_count = data.rare.size();
  std::ranges::stable_sort(data.rare, {}, &TrainingData::Rare::pictures);
  if (data.rare.size() > kListed) data.rare.resize(kListed);

  const Matrix means = class_means(set, embeddings);
  const at::Tensor centres = borrowed(means.view());
  at::Tensor is_rare = at::empty({static_cast<std::int64_t>(counts.size())}, at::kBool);
  for (std::size_t c = 0; c < counts.size(); ++c) {
    is_rare[static_cast<std::int64_t>(c)] =
        counts[c] < kRarePictures;  // the mean of few says little
  }
  std::vector<SuspectLabel> suspects;
  for (std::size_t begin = 0; begin < set.pictures.size(); begin += kAtOnce) {
    const std::size_t end = std::min(set.pictures.size(), begin + kAtOnce);
    const at::Tensor rows =
        rows_of(embeddings, {set.pictures.begin() + static_cast<std::ptrdiff_t>(begin),
                             set.pictures.begin() + static_cast<std::ptrdiff_t>(end)});
    const at::Tensor cosines = to_unit(rows).matmul(centres.t());
    const at::Tensor labels = tensor_of({set.labels.begin() + static_cast<std::ptrdiff_t>(begin),
                                         set.labels.begin() + static_cast<std::ptrdiff_t>(end)});
    const at::Tensor own = cosines.gather(1, labels.unsqueeze(1)).squeeze(1).contiguous();
    const auto [best, nearest] = cosines.masked_fill(is_rare.unsqueeze(0), -2).max(1);
    for (std::size_t i = begin; i < end; ++i) {
      const double margin = best.data_ptr<float>()[i - begin] - own.data_ptr<float>()[i - begin];
      const auto other = nearest.data_ptr<std::int64_t>()[i - begin];
      if (margin > 0 && other != set.labels[i]) suspects.push_back({margin, i, other});
    }
  }
  data.suspect_count = suspects.size();
  const std::size_t told = std::min(kListed, suspects.size());
  std::ranges::partial_sort(
      suspects, suspects.begin() + static_cast<std::ptrdiff_t>(told), {},
      [](const SuspectLabel& one) { return std::pair(-one.margin, one.row); });
  for (std::size_t i = 0; i < told; ++i) {
    const SuspectLabel& one = suspects[i];
    data.suspects.push_back({set.pictures[one.row],
                             set.classes[static_cast<std::size_t>(set.labels[one.row])],
                             set.classes[static_cast<std::size_t>(one.other)], one.margin});
  }
  return data;
}

std::vector<TrainingData::Leak> drop_leaks(TrainingSet& set, const Dataset& dataset,
                                           const Matrix& embeddings,
                                           const std::vector<Measured>& others) {
  // Ids count through all that is measured with.
  std::vector<std::pair<const Dataset*, std::uint32_t>> measured;
  IndexOptions options;
  options.dim = static_cast<std::uint32_t>(embeddings.cols);
  options.storage = Storage::kFloat32;
  Index index(options);
  Matrix rows(0, embeddings.cols);
  const auto take = [&](const Dataset& from, const Matrix& of, std::uint32_t picture) {
    const auto row = of.row(picture);
    if (!std::isfinite(row[0])) return;
    rows.data.insert(rows.data.end(), row.begin(), row.end());
    ++rows.rows;
    measured.emplace_back(&from, picture);
  };
  for (const std::uint32_t picture : set.held_out) take(dataset, embeddings, picture);
  for (const Measured& other : others) {
    for (std::uint32_t i = 0; i < other.dataset->pictures.size(); ++i) {
      take(*other.dataset, *other.embeddings, i);
    }
  }
  if (measured.empty()) return {};
  std::vector<Id> ids(measured.size());
  std::iota(ids.begin(), ids.end(), Id{0});
  index.add(rows.view(), ids);

  TrainingLooks looks;
  std::vector<TrainingData::Leak> leaks;
  SearchOptions search;
  search.k = 10;
  search.threads = 0;
  for (std::size_t begin = 0; begin < set.pictures.size(); begin += kAtOnce) {
    const std::size_t count = std::min(set.pictures.size() - begin, kAtOnce);
    Matrix queries(count, embeddings.cols);
    for (std::size_t i = 0; i < count; ++i) {
      std::ranges::copy(embeddings.row(set.pictures[begin + i]), queries.row(i).begin());
    }
    const auto found = index.search_batch(queries.view(), search);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t picture = set.pictures[begin + i];
      for (const Neighbor& near : found[i]) {
        if (1 - near.distance < eval::kNearCosine) break;
        const auto& [other, number] = measured[near.id];
        if (!eval::are_alike(looks.of(dataset, picture), looks.of(*other, number))) continue;
        leaks.push_back({picture, (other->root / other->pictures[number].path).string()});
        break;
      }
    }
  }
  std::set<std::uint32_t> out;
  for (const TrainingData::Leak& leak : leaks) out.insert(leak.picture);
  keep_where(set.pictures, set.labels,
             [&](std::uint32_t picture) { return !out.contains(picture); });
  if (!leaks.empty()) {
    require_two_classes(set, dataset,
                        fmt::format("{} near-duplicates of pictures that are measured with, as {}",
                                    leaks.size(), leaks.front().of));
  }
  return leaks;
}

}  // namespace vsearch::training
