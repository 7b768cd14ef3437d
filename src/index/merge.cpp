// How the vectors of one index come into another.
#include <functional>
#include <mutex>

#include "index/index_impl.h"

namespace vsearch {
namespace {

void check_same(const IndexOptions& ours, const IndexOptions& theirs) {
  if (ours.dim != theirs.dim) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the other index has {} dimensions and this one has {}: merge indexes "
                            "of the same encoder",
                            theirs.dim, ours.dim));
  }
  if (ours.metric != theirs.metric) {
    throw Error(ErrorCode::kInvalidArgument,
                "the other index has another metric than this one: merge indexes of the same "
                "encoder");
  }
}

// Whether a graph made under `theirs` is one that insertion under `ours` could have made.
bool makes_same_graph(const IndexOptions& ours, const IndexOptions& theirs) {
  return ours.links == theirs.links && ours.build_breadth == theirs.build_breadth &&
         ours.storage == theirs.storage;
}

}  // namespace

void Index::Impl::copy(const Impl& other) {
  std::unique_ptr<index::Graph> copied = other.graph->copy();
  index::IdTable copied_slots = other.slots;
  put_in_place(std::move(copied), std::move(copied_slots));
}

void Index::merge(const Index& other, const Progress& progress) {
  if (impl_ == other.impl_) {
    throw Error(ErrorCode::kInvalidArgument,
                "an index cannot be merged into itself: name another one");
  }
  check_same(impl_->options, other.impl_->options);
  impl_->check.wait();
  other.impl_->check.wait();  // so that no damage is copied
  // In one order, whoever is merged into whom.
  const bool ours_first = std::less<>()(impl_.get(), other.impl_.get());
  const std::lock_guard first(ours_first ? impl_->writer : other.impl_->writer);
  const std::lock_guard second(ours_first ? other.impl_->writer : impl_->writer);
  const index::Graph& from = *other.impl_->graph;
  if (from.live() == 0) return;
  index::with_memory_for("merge another index", [&] {
    if (impl_->graph->live() == 0 && makes_same_graph(impl_->options, other.impl_->options)) {
      if (progress && !progress(0, from.live())) {
        throw Error(ErrorCode::kCancelled, "merging was cancelled: no vectors were added");
      }
      impl_->copy(*other.impl_);
      if (progress) progress(from.live(), from.live());
      return;
    }
    std::vector<index::Slot> slots;
    std::vector<Id> ids;
    slots.reserve(from.live());
    ids.reserve(from.live());
    for (index::Slot slot = 0; slot < from.slots(); ++slot) {
      if (from.state(slot) != index::SlotState::kLive) continue;
      slots.push_back(slot);
      ids.push_back(from.id(slot));
    }
    std::vector<float> stored(impl_->options.dim);
    for (std::size_t row = 0; row < slots.size(); ++row) {
      from.vectors().read(slots[row], stored);
      const std::string defect = index::vector_defect(stored, impl_->options);
      if (defect.empty()) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the vector of id {} in the other index {}; nothing was merged",
                              ids[row], defect));
    }
    const auto read = [&](std::size_t row, std::vector<float>& vector) {
      from.vectors().read(slots[row], stored);
      vector = index::prepared(stored, impl_->options.metric);  // storing has rounded it
    };
    impl_->add(ids, read, progress);
  });
}

}  // namespace vsearch
