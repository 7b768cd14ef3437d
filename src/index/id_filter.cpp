#include <roaring/roaring64map.hh>

#include "vsearch/index.h"

namespace vsearch {

struct IdFilter::Impl {
  Roaring64Map ids;
};

IdFilter::IdFilter() : impl_(std::make_unique<Impl>()) {}

IdFilter::IdFilter(std::span<const Id> ids) : IdFilter() {
  for (const Id id : ids) insert(id);
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
