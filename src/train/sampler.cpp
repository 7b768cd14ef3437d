#include "train/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "vsearch/error.h"

namespace vsearch::training {
namespace {

using eval::Seeded;
using ClassRows = std::vector<std::vector<std::uint32_t>>;
using ClassNumber = std::uint32_t;  // of ClassRows

void check_sampler(std::span<const std::int32_t> labels, const SamplerSettings& settings) {
  const auto negative = std::ranges::find_if(labels, [](std::int32_t label) { return label < 0; });
  if (negative != labels.end()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("picture {} of the training pictures has no label ({}); leave out "
                            "pictures without one",
                            negative - labels.begin(), *negative));
  }
  if (settings.batch_size < 2) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a batch of {} cannot be learned from; take a batch size of at least 2",
                            settings.batch_size));
  }
  if (!settings.balanced.empty() && settings.balanced.size() != labels.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} numbers are to come equally often, of {} pictures",
                            settings.balanced.size(), labels.size()));
  }
  if (!settings.balanced.empty() && (settings.per_class > 0 || settings.balance_classes)) {
    throw Error(ErrorCode::kInvalidArgument,
                "the values of a field cannot come equally often in batches of so many pictures "
                "per class, or beside classes that do; leave out balance_field, or per_class and "
                "balance_classes and the losses that compare pictures");
  }
  if (settings.per_class > settings.batch_size) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} pictures per class do not fit into a batch of {}; take larger "
                            "batches or fewer per class",
                            settings.per_class, settings.batch_size));
  }
  if (settings.per_class > 0 && settings.batch_size % settings.per_class != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a batch of {} does not divide into classes of {} pictures; take {} or "
                            "{} as the batch size",
                            settings.batch_size, settings.per_class,
                            settings.batch_size / settings.per_class * settings.per_class,
                            (settings.batch_size / settings.per_class + 1) * settings.per_class));
  }
}

// The rows with each number, by number.
ClassRows by_number(std::span<const std::int32_t> numbers) {
  std::map<std::int32_t, std::vector<std::uint32_t>> rows;
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    rows[numbers[row]].push_back(static_cast<std::uint32_t>(row));
  }
  ClassRows result;
  for (auto& [number, of_number] : rows) result.push_back(std::move(of_number));
  return result;
}

// Deals the pictures of each class, in random order and again from the start.
class ClassDecks {
 public:
  ClassDecks(const ClassRows& rows, Seeded& random)
      : rows_(rows), random_(random), next_(rows.size()) {
    for (std::vector<std::uint32_t>& deck : rows_) random_.shuffle(std::span(deck));
  }

  // `count` pictures, all different if the class has as many.
  void deal(ClassNumber number, std::size_t count, std::vector<std::uint32_t>& to) {
    std::vector<std::uint32_t>& deck = rows_[number];
    std::size_t& next = next_[number];
    if (next + count > deck.size()) {
      random_.shuffle(std::span(deck));
      next = 0;
    }
    for (std::size_t i = 0; i < count; ++i) to.push_back(deck[next++ % deck.size()]);
  }

 private:
  ClassRows rows_;
  Seeded& random_;
  std::vector<std::size_t> next_;  // of each class's deck
};

// `count` classes in random order, equally often or once more.
std::vector<ClassNumber> equally_often(std::size_t classes, std::size_t count, Seeded& random) {
  std::vector<ClassNumber> order(classes);
  std::iota(order.begin(), order.end(), ClassNumber{0});
  random.shuffle(std::span(order));
  std::vector<ClassNumber> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = order[i % classes];
  random.shuffle(std::span(result));
  return result;
}

// Each class once for every `per_class` of its pictures; a rest decides by chance, so that in many
// epochs each has its share.
std::vector<ClassNumber> by_size(const ClassRows& rows, std::size_t per_class, Seeded& random) {
  std::vector<ClassNumber> result;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool one_more = random.below(per_class) < rows[i].size() % per_class;
    result.insert(result.end(), rows[i].size() / per_class + (one_more ? 1 : 0),
                  static_cast<ClassNumber>(i));
  }
  random.shuffle(std::span(result));
  return result;
}

// Takes classes from a queue so that none comes twice in a round, and a round is a batch unless
// there are fewer classes.
class ClassRounds {
 public:
  ClassRounds(std::size_t classes, std::vector<ClassNumber> queue, Seeded& random)
      : queue_(std::move(queue)), random_(random), last_round_(classes, 0), waiting_(classes, 0) {}

  std::vector<ClassNumber> take(std::size_t count) {
    begin_round();
    std::vector<ClassNumber> result;
    while (result.size() < count) {
      if (taken_ == last_round_.size()) begin_round();
      const ClassNumber number = next();
      last_round_[number] = round_;
      ++taken_;
      result.push_back(number);
    }
    return result;
  }

 private:
  bool is_taken(ClassNumber number) const { return last_round_[number] == round_; }

  void begin_round() {
    ++round_;
    taken_ = 0;
    next_waiting_ = 0;
    std::erase_if(waiting_classes_, [this](ClassNumber number) { return waiting_[number] == 0; });
  }

  ClassNumber next() {
    while (next_waiting_ < waiting_classes_.size()) {
      const ClassNumber number = waiting_classes_[next_waiting_++];
      if (is_taken(number)) continue;
      --waiting_[number];
      return number;
    }
    while (next_ < queue_.size()) {
      const ClassNumber number = queue_[next_++];
      if (!is_taken(number)) return number;
      if (waiting_[number]++ == 0) postpone(number);
    }
    // What is left is of classes that are in this round already.
    while (true) {
      const auto number = static_cast<ClassNumber>(random_.below(last_round_.size()));
      if (!is_taken(number)) return number;
    }
  }

  void postpone(ClassNumber number) {
    if (std::ranges::find(waiting_classes_, number) != waiting_classes_.end()) return;
    waiting_classes_.push_back(number);
  }

  std::vector<ClassNumber> queue_;
  Seeded& random_;
  std::size_t next_ = 0;                      // of queue_
  std::vector<std::uint64_t> last_round_;     // in which each class was taken
  std::vector<std::size_t> waiting_;          // of each class, how often it was postponed
  std::vector<ClassNumber> waiting_classes_;  // those with any, each once; tidied every round
  std::size_t next_waiting_ = 0;
  std::uint64_t round_ = 0;
  std::size_t taken_ = 0;  // classes in this round
};

}  // namespace

BatchSampler::BatchSampler(std::vector<std::int32_t> labels, const SamplerSettings& settings)
    : settings_(settings), picture_count_(labels.size()) {
  check_sampler(labels, settings);
  rows_ = by_number(labels);
  if (rows_.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the {} training pictures have {}; what tells classes apart can be "
                            "learned from two at least",
                            labels.size(), rows_.empty() ? "no class" : "a single class"));
  }
  if (settings.balance_classes) balanced_ = rows_;
  if (!settings.balanced.empty()) balanced_ = by_number(settings.balanced);
  batch_count_ = std::max<std::size_t>(1, picture_count_ / settings.batch_size);
}

std::vector<std::vector<std::uint32_t>> BatchSampler::epoch(std::uint32_t number) const {
  Seeded random(derived_seed(settings_.seed, number));
  std::vector<std::vector<std::uint32_t>> batches(batch_count_);
  if (settings_.per_class > 0) {
    const std::size_t per_batch = settings_.batch_size / settings_.per_class;
    ClassRounds classes(rows_.size(),
                        settings_.balance_classes
                            ? equally_often(rows_.size(), batch_count_ * per_batch, random)
                            : by_size(rows_, settings_.per_class, random),
                        random);
    ClassDecks decks(rows_, random);
    for (std::vector<std::uint32_t>& batch : batches) {
      for (const ClassNumber one : classes.take(per_batch)) {
        decks.deal(one, settings_.per_class, batch);
      }
    }
    return batches;
  }

  std::vector<std::uint32_t> order;
  if (!balanced_.empty()) {
    ClassDecks decks(balanced_, random);
    for (const ClassNumber one : equally_often(balanced_.size(), picture_count_, random)) {
      decks.deal(one, 1, order);
    }
  } else {
    order.resize(picture_count_);
    std::iota(order.begin(), order.end(), std::uint32_t{0});
    random.shuffle(std::span(order));
  }
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const std::size_t first = b * settings_.batch_size;
    const std::size_t count = std::min<std::size_t>(settings_.batch_size, order.size() - first);
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(first);
    batches[b].assign(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  return batches;
}

}  // namespace vsearch::training
