#include "index/vector_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace vsearch::index {
namespace {

constexpr float kMostWeight = 127.0F;

// What add() takes is smaller (see vector_defect()), with the room that an encoding leaves.
constexpr float kMostNumber = 1e20F;

float* float_at(const Arena& arena, Slot slot) {
  return reinterpret_cast<float*>(arena.at(slot));
}
std::uint8_t* bytes_at(const Arena& arena, Slot slot) {
  return reinterpret_cast<std::uint8_t*>(arena.at(slot));
}

}  // namespace

VectorStore::VectorStore(std::size_t dim, Metric metric, Storage storage)
    : kernels_(kernels().front()),
      dim_(dim),
      width_((dim + kCodeBlock - 1) / kCodeBlock * kCodeBlock),
      near_bytes_(storage == Storage::kFloat32 ? dim * sizeof(float) : width_),
      metric_(metric),
      storage_(storage),
      floats_(dim * sizeof(float)),
      high_(width_),
      low_(dim),
      norms_(sizeof(float)) {}

std::size_t VectorStore::bytes_per_slot() const {
  if (storage_ == Storage::kFloat32) return dim_ * sizeof(float);
  return width_ + dim_ + (metric_ == Metric::kL2 ? sizeof(float) : 0);
}

void VectorStore::reserve(std::size_t slots) {
  if (storage_ == Storage::kFloat32) {
    floats_.reserve(slots);
  } else {
    high_.reserve(slots);
    low_.reserve(slots);
    if (metric_ == Metric::kL2) norms_.reserve(slots);
  }
  capacity_ = std::max(capacity_, slots);
}

bool VectorStore::covers(std::span<const std::span<const float>> rows) const {
  return storage_ == Storage::kFloat32 ||
         std::ranges::all_of(rows, [&](const auto& row) { return numbers_.covers(row); });
}

VectorStore::Encoding VectorStore::encoding_for(std::span<const std::span<const float>> rows,
                                                std::size_t slots) const {
  Encoding encoding{covering(numbers_, rows, dim_), Arena(width_), Arena(dim_),
                    Arena(sizeof(float))};
  encoding.high.reserve(capacity_);
  encoding.low.reserve(capacity_);
  if (metric_ == Metric::kL2) encoding.norms.reserve(capacity_);
  std::vector<float> vector(dim_);
  for (Slot slot = 0; slot < slots; ++slot) {
    read(slot, vector);
    write_numbers(slot, vector, encoding.numbers, encoding.high, encoding.low, encoding.norms);
  }
  return encoding;
}

void VectorStore::commit(Encoding& encoding) noexcept {
  std::swap(numbers_, encoding.numbers);
  std::swap(high_, encoding.high);
  std::swap(low_, encoding.low);
  std::swap(norms_, encoding.norms);
}

void VectorStore::write(Slot slot, std::span<const float> vector) noexcept {
  if (storage_ == Storage::kFloat32) {
    std::ranges::copy(vector, float_at(floats_, slot));
  } else {
    write_numbers(slot, vector, numbers_, high_, low_, norms_);
  }
}

void VectorStore::write_numbers(Slot slot, std::span<const float> vector, const FixedPoint& numbers,
                                Arena& high, Arena& low, Arena& norms) const noexcept {
  numbers.encode(vector, bytes_at(high, slot), bytes_at(low, slot));
  write_norm(slot, numbers, high, norms);
}

// Of the vector as walks see it; only L2 needs it.
void VectorStore::write_norm(Slot slot, const FixedPoint& numbers, const Arena& high,
                             const Arena& norms) const noexcept {
  if (metric_ != Metric::kL2) return;
  float norm = 0;
  for (std::size_t i = 0; i < dim_; ++i) {
    const float value = numbers.low[i] + numbers.unit[i] * (256.0F * bytes_at(high, slot)[i] + 128);
    norm += value * value;
  }
  *float_at(norms, slot) = norm;
}

void VectorStore::read(Slot slot, std::span<float> vector) const {
  if (storage_ == Storage::kFloat32) {
    std::copy_n(float_at(floats_, slot), dim_, vector.begin());
  } else {
    kernels_.decode(bytes_at(high_, slot), bytes_at(low_, slot), numbers_.low.data(),
                    numbers_.unit.data(), dim_, vector.data());
  }
}

std::vector<Section> VectorStore::sections(std::size_t slots) {
  if (storage_ == Storage::kFloat32) return {{"floats", &floats_, slots}};
  std::vector<Section> result = {{"upper bytes", &high_, slots}, {"lower bytes", &low_, slots}};
  if (metric_ == Metric::kL2) result.push_back({"lengths", &norms_, slots});
  return result;
}

std::vector<float> VectorStore::encoding() const {
  if (storage_ == Storage::kFloat32) return {};
  std::vector<float> result(2 * dim_);
  std::ranges::copy(numbers_.low, result.begin());
  std::ranges::copy(numbers_.unit, result.begin() + static_cast<std::ptrdiff_t>(dim_));
  return result;
}

std::string VectorStore::restore_encoding(std::span<const float> encoding) {
  if (storage_ == Storage::kFloat32) return {};
  const std::span<const float> low = encoding.first(dim_);
  const std::span<const float> unit = encoding.subspan(dim_);
  for (std::size_t i = 0; i < dim_; ++i) {
    if (!(std::abs(low[i]) <= kMostNumber) || !(unit[i] >= 0.0F && unit[i] <= kMostNumber)) {
      return fmt::format("the range of dimension {} is none", i);
    }
  }
  numbers_ = {{low.begin(), low.end()}, {unit.begin(), unit.end()}};
  return {};
}

std::size_t VectorStore::bytes_in_old_snapshot() const {
  return storage_ == Storage::kFloat32 ? dim_ * sizeof(float) : 2 * dim_;
}

void VectorStore::restore(Slot slot, std::span<const std::byte> bytes) noexcept {
  if (storage_ == Storage::kFloat32) {
    std::memcpy(floats_.at(slot), bytes.data(), bytes.size());
    return;
  }
  std::memcpy(high_.at(slot), bytes.data(), dim_);
  std::memcpy(low_.at(slot), bytes.data() + dim_, dim_);
  write_norm(slot, numbers_, high_, norms_);
}

void VectorStore::prepare(std::span<const float> vector, Query& query) const {
  query.vector_.assign(vector.begin(), vector.end());
  finish_query(query);
}

void VectorStore::prepare(Slot slot, Query& query) const {
  query.vector_.resize(dim_);
  read(slot, query.vector_);
  finish_query(query);
}

// <q, x> is the sum of q (low + unit (256 h + l)) over the dimensions, of which only h and l belong
// to the stored vector: what they are multiplied with is the query's. A walk takes 128 for l, and
// weights rounded to signed bytes.
void VectorStore::finish_query(Query& query) const {
  if (storage_ == Storage::kFloat32) return;
  query.exact_weights_.resize(dim_);
  query.weights_.resize(width_);
  const QuerySums sums = kernels_.weigh(query.vector_.data(), numbers_.low.data(),
                                        numbers_.unit.data(), dim_, query.exact_weights_.data());
  const float scale = sums.most / kMostWeight;
  // Where weights are so small that their reciprocal is infinite, all products are nothing.
  kernels_.quantise(query.exact_weights_.data(), scale >= FLT_MIN ? 1.0F / scale : 0.0F, dim_,
                    query.weights_.data());
  const float near_base = sums.base + 128.0F * sums.middle;
  if (metric_ == Metric::kL2) {
    query.offset_ = sums.squares - 2.0F * near_base;
    query.factor_ = -2.0F * 256.0F * scale;
    for (std::size_t i = 0; i < dim_; ++i) {
      query.exact_weights_[i] = query.vector_[i] - numbers_.low[i];
    }
  } else {
    query.exact_offset_ = 1.0F - sums.base;
    query.offset_ = 1.0F - near_base;
    query.factor_ = -256.0F * scale;
  }
}

void VectorStore::near(Query& query, std::span<const Slot> slots, float* distances) const {
  if (storage_ == Storage::kFloat32) {
    for (std::size_t i = 0; i < slots.size(); ++i) distances[i] = exact(query, slots[i]);
    return;
  }
  if (query.products_.size() < slots.size()) query.products_.resize(slots.size());
  kernels_.code_products(bytes_at(high_, 0), width_, slots, query.weights_.data(),
                         query.products_.data());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    distances[i] = query.offset_ + query.factor_ * static_cast<float>(query.products_[i]);
  }
  if (metric_ != Metric::kL2) return;
  for (std::size_t i = 0; i < slots.size(); ++i) distances[i] += *float_at(norms_, slots[i]);
}

float VectorStore::exact(const Query& query, Slot slot) const {
  const bool l2 = metric_ == Metric::kL2;
  if (storage_ == Storage::kFloat32) {
    const float* const stored = float_at(floats_, slot);
    return l2 ? kernels_.squared_l2(query.vector_.data(), stored, dim_)
              : 1.0F - kernels_.inner_product(query.vector_.data(), stored, dim_);
  }
  const std::uint8_t* const high = bytes_at(high_, slot);
  const std::uint8_t* const low = bytes_at(low_, slot);
  const float* const weights = query.exact_weights_.data();
  return l2 ? kernels_.fixed_squared_l2(high, low, weights, numbers_.unit.data(), dim_)
            : query.exact_offset_ - kernels_.fixed_inner_product(high, low, weights, dim_);
}

}  // namespace vsearch::index
