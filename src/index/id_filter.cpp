#include "index/id_filter.h"

#include <algorithm>
#include <bit>

namespace vsearch {

std::shared_ptr<const index::MatchingSlots> IdFilter::Impl::matching(const index::IdTable& table,
                                                                     std::size_t slot_count,
                                                                     index::Version version,
                                                                     bool needed) {
  // Searches that want the same wait for the first of them instead of doing its work again.
  const std::lock_guard lock(mutex);
  if (found && found_in == version) return found;
  if (!needed && asked_in != version) {
    asked_in = version;
    return nullptr;
  }
  auto result = std::make_shared<index::MatchingSlots>();
  result->slots.reserve(std::min<std::uint64_t>(ids.cardinality(), table.size()));
  result->bits.resize((slot_count + 63) / 64);
  const auto take = [&](Id id) {
    if (const std::optional<index::Slot> slot = table.find(id)) {
      result->bits[*slot / 64] |= std::uint64_t{1} << (*slot % 64);
    }
  };
  if (ids.cardinality() <= table.size()) {
    for (const std::uint64_t id : ids) take(id);
  } else {
    for (const Id id : table.ids()) {
      if (ids.contains(static_cast<std::uint64_t>(id))) take(id);
    }
  }
  for (std::size_t word = 0; word < result->bits.size(); ++word) {
    for (std::uint64_t left = result->bits[word]; left != 0; left &= left - 1) {
      result->slots.push_back(
          static_cast<index::Slot>(word * 64 + static_cast<std::size_t>(std::countr_zero(left))));
    }
  }
  result->seeds = seeds(table);
  found = result;
  found_in = version;
  return result;
}

std::vector<index::Slot> IdFilter::Impl::seeds(const index::IdTable& table) const {
  constexpr std::uint64_t kSeeds = 64;
  std::vector<index::Slot> slots;
  const std::uint64_t size = ids.cardinality();
  const std::uint64_t taken = std::min(kSeeds, size);
  for (std::uint64_t i = 0; i < taken; ++i) {
    std::uint64_t id = 0;
    if (!ids.select(i * size / taken, &id)) break;
    if (const std::optional<index::Slot> slot = table.find(id)) slots.push_back(*slot);
  }
  return slots;
}

IdFilter::IdFilter() : impl_(std::make_unique<Impl>()) {}

IdFilter::IdFilter(std::span<const Id> ids) : IdFilter() {
  // Roaring64Map looks its 32-bit map up for every id; where all are small there is only one.
  if (std::ranges::all_of(ids, [](Id id) { return id <= UINT32_MAX; })) {
    std::vector<std::uint32_t> words(ids.size());
    std::ranges::transform(ids, words.begin(),
                           [](Id id) { return static_cast<std::uint32_t>(id); });
    Roaring small;
    small.addMany(words.size(), words.data());
    impl_->ids = Roaring64Map(small);
  } else {
    for (const Id id : ids) insert(id);
  }
}

IdFilter::~IdFilter() = default;

IdFilter::IdFilter(const IdFilter& other) : impl_(std::make_unique<Impl>(*other.impl_)) {}

IdFilter& IdFilter::operator=(const IdFilter& other) {
  if (this != &other) impl_ = std::make_unique<Impl>(*other.impl_);
  return *this;
}

IdFilter::IdFilter(IdFilter&& other) noexcept = default;
IdFilter& IdFilter::operator=(IdFilter&& other) noexcept = default;

void IdFilter::insert(Id id) {
  impl_->ids.add(static_cast<std::uint64_t>(id));
  impl_->found.reset();
}

void IdFilter::erase(Id id) {
  impl_->ids.remove(static_cast<std::uint64_t>(id));
  impl_->found.reset();
}

IdFilter& IdFilter::operator&=(const IdFilter& other) {
  if (this == &other) return *this;
  impl_->ids &= other.impl_->ids;
  impl_->found.reset();
  return *this;
}

IdFilter& IdFilter::operator|=(const IdFilter& other) {
  if (this == &other) return *this;
  impl_->ids |= other.impl_->ids;
  impl_->found.reset();
  return *this;
}

IdFilter& IdFilter::operator-=(const IdFilter& other) {
  if (this == &other) {
    impl_->ids = Roaring64Map();
  } else {
    impl_->ids -= other.impl_->ids;
  }
  impl_->found.reset();
  return *this;
}

bool IdFilter::contains(Id id) const {
  return impl_->ids.contains(static_cast<std::uint64_t>(id));
}

std::uint64_t IdFilter::size() const {
  return impl_->ids.cardinality();
}

std::vector<Id> IdFilter::ids() const {
  std::vector<Id> result(size());
  impl_->ids.toUint64Array(result.data());
  return result;
}

}  // namespace vsearch
