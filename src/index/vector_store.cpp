#include "index/vector_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "index/halves.h"

namespace vsearch::index {
namespace {

constexpr float kMostWeight = 127.0F;

// A new encoding is worth its work if the errors of what walks compare shrink to this: of upper
// bytes, which tell more than a walk needs, and of two bits a dimension, which tell less.
constexpr double kWorthwhile = 0.75;
constexpr double kWorthwhileOfCodes = 0.95;

// As many vectors tell where the centre of all of them is.
constexpr std::size_t kSample = 4096;

// What upper bytes say of distances has to be put right by exact ones, for so many candidates more
// than are wanted. Without that, recall stops at .97 to .98; more of them gain nothing at .99.
constexpr std::size_t kMoreThanWanted = 20;

// The same of codes of two bits, for so many more than twice those that are wanted or for half of
// what a walk expanded, so that there is no recall that breadth does not reach. With k = 10 and
// breadth 128, 100,000 x 384 patch tokens: .9868 with 40, .9893 with 50, .9906 with 60, .9913 with
// 80, .9917 with all. A distance costs a tenth of what it costs to find the candidate.
constexpr std::size_t kMoreByCodes = 60;

float* float_at(const Arena& arena, Slot slot) {
  return reinterpret_cast<float*>(arena.at(slot));
}
std::uint8_t* bytes_at(const Arena& arena, Slot slot) {
  return reinterpret_cast<std::uint8_t*>(arena.at(slot));
}
std::uint16_t* short_at(const Arena& arena, Slot slot) {
  return reinterpret_cast<std::uint16_t*>(arena.at(slot));
}

std::size_t plain_bytes(std::size_t dim, Storage storage) {
  return dim * (storage == Storage::kFloat32 ? sizeof(float) : sizeof(std::uint16_t));
}

}  // namespace

VectorStore::VectorStore(std::size_t dim, Metric metric, Storage storage)
    : kernels_(kernels().front()),
      dim_(dim),
      width_((dim + kCodeBlock - 1) / kCodeBlock * kCodeBlock),
      metric_(metric),
      storage_(storage),
      compact_(kernels_, dim, metric),
      plain_(plain_bytes(dim, storage)),
      encoding_(empty_encoding()) {
  if (is_compact()) scratch_.resize(3 * dim);
}

VectorStore::Encoding VectorStore::empty_encoding() const {
  return {{},
          {},
          Arena(is_compact() ? width_ + dim_ : width_),
          Arena(dim_),
          Arena(sizeof(float)),
          Arena(compact_.record_bytes())};
}

std::size_t VectorStore::bytes_per_slot() const {
  if (!is_fixed()) return plain_.record_bytes();
  return width_ + dim_ + (metric_ == Metric::kL2 ? sizeof(float) : 0) +
         (is_compact() ? compact_.record_bytes() : 0);
}

std::size_t VectorStore::walked_bytes_per_slot() const {
  if (is_compact()) return compact_.record_bytes();
  return bytes_per_slot() - (is_fixed() ? dim_ : 0);
}

void VectorStore::reserve(std::size_t slots) {
  if (is_fixed()) {
    reserve(encoding_, slots);
  } else {
    plain_.reserve(slots);
  }
  capacity_ = std::max(capacity_, slots);
}

void VectorStore::reserve(Encoding& encoding, std::size_t slots) const {
  encoding.high.reserve(slots);
  (is_compact() ? encoding.codes : encoding.low).reserve(slots);
  if (metric_ == Metric::kL2) encoding.norms.reserve(slots);
}

bool VectorStore::covers(std::span<const std::span<const float>> rows) const {
  return !is_fixed() ||
         std::ranges::all_of(rows, [&](const auto& row) { return encoding_.numbers.covers(row); });
}

VectorStore::Encoding VectorStore::encoding_for(std::span<const std::span<const float>> rows,
                                                std::size_t slots) const {
  Encoding encoding = empty_encoding();
  ByteExtremes extremes;
  if (slots > 0) {
    extremes = no_extremes();
    for (Slot slot = 0; slot < slots; ++slot) widen(extremes, slot);
  }
  encoding.numbers = covering(encoding_.numbers, extremes, rows, dim_);
  encoding.centre = encoding_.centre;
  if (is_compact() && encoding.centre.empty()) {
    encoding.centre.resize(dim_);
    for (const std::span<const float> row : rows) {
      for (std::size_t i = 0; i < dim_; ++i) {
        encoding.centre[i] += row[i] / static_cast<float>(rows.size());
      }
    }
  }
  encode_all(slots, encoding);
  return encoding;
}

std::optional<VectorStore::Encoding> VectorStore::better_encoding(std::span<const Slot> live,
                                                                  std::size_t slots) const {
  if (!is_fixed() || live.empty()) return std::nullopt;
  ByteExtremes extremes = no_extremes();
  for (const Slot slot : live) widen(extremes, slot);
  Encoding encoding = empty_encoding();
  encoding.numbers = narrowed(encoding_.numbers, extremes);
  bool worthwhile = relative_error(encoding.numbers, encoding_.numbers) <= kWorthwhile;
  if (is_compact()) {
    // The errors of codes are proportional to the distance from the centre.
    std::vector<double> sums(dim_);
    std::vector<float> vector(dim_);
    double squares = 0;
    const std::size_t every = (live.size() + kSample - 1) / kSample;
    std::size_t count = 0;
    for (std::size_t at = 0; at < live.size(); at += every, ++count) {
      read(live[at], vector);
      for (std::size_t i = 0; i < dim_; ++i) {
        const double difference = static_cast<double>(vector[i]) - encoding_.centre[i];
        sums[i] += difference;
        squares += difference * difference;
      }
    }
    const auto n = static_cast<double>(count);
    double moved = 0;  // squared
    encoding.centre.resize(dim_);
    for (std::size_t i = 0; i < dim_; ++i) {
      encoding.centre[i] = static_cast<float>(encoding_.centre[i] + sums[i] / n);
      moved += sums[i] / n * (sums[i] / n);
    }
    const double around = squares / n - moved;
    worthwhile |= around <= kWorthwhileOfCodes * kWorthwhileOfCodes * (squares / n);
  }
  if (!worthwhile) return std::nullopt;
  encode_all(slots, encoding);
  return encoding;
}

void VectorStore::widen(ByteExtremes& extremes, Slot slot) const {
  kernels_.widen(bytes_at(encoding_.high, slot), dim_, extremes.least.data(), extremes.most.data());
}

void VectorStore::encode_all(std::size_t slots, Encoding& encoding) const {
  reserve(encoding, capacity_);
  std::vector<float> vector(dim_);
  std::vector<float> scratch(3 * dim_);
  for (Slot slot = 0; slot < slots; ++slot) {
    read(slot, vector);
    write_fixed(slot, vector, encoding, scratch);
  }
}

void VectorStore::commit(Encoding& encoding) noexcept {
  std::swap(encoding_, encoding);
}

void VectorStore::write(Slot slot, std::span<const float> vector) noexcept {
  switch (storage_) {
    case Storage::kFloat32:
      std::ranges::copy(vector, float_at(plain_, slot));
      return;
    case Storage::kFloat16:
      std::ranges::transform(vector, short_at(plain_, slot), to_half);
      return;
    case Storage::kBFloat16:
      std::ranges::transform(vector, short_at(plain_, slot), to_bfloat);
      return;
    case Storage::kInt8:
    case Storage::kCompact:
      write_fixed(slot, vector, encoding_, scratch_);
      return;
  }
}

void VectorStore::write_fixed(Slot slot, std::span<const float> vector, Encoding& encoding,
                              std::span<float> scratch) const noexcept {
  encoding.numbers.encode(vector, bytes_at(encoding.high, slot), low_bytes(encoding, slot));
  write_derived(slot, encoding, scratch);
}

// What follows from the numbers. `scratch`: [3 dim], of kCompact only.
void VectorStore::write_derived(Slot slot, Encoding& encoding,
                                std::span<float> scratch) const noexcept {
  const FixedPoint& numbers = encoding.numbers;
  const std::uint8_t* const high = bytes_at(encoding.high, slot);
  if (metric_ == Metric::kL2) {
    // Of the vector as walks see it.
    float norm = 0;
    for (std::size_t i = 0; i < dim_; ++i) {
      const float value = numbers.low[i] + numbers.step[i] * (static_cast<float>(high[i]) + 0.5F);
      norm += value * value;
    }
    *float_at(encoding.norms, slot) = norm;
  }
  if (is_compact()) {
    const std::span<float> vector = scratch.first(dim_);
    kernels_.decode(high, low_bytes(encoding, slot), numbers.low.data(), numbers.step.data(),
                    numbers.unit.data(), dim_, vector.data());
    compact_.encode(vector, encoding.centre, encoding.codes.at(slot), scratch.subspan(dim_, dim_),
                    scratch.subspan(2 * dim_));
  }
}

std::uint8_t* VectorStore::low_bytes(const Encoding& encoding, Slot slot) const {
  return is_compact() ? bytes_at(encoding.high, slot) + width_ : bytes_at(encoding.low, slot);
}

void VectorStore::read(Slot slot, std::span<float> vector) const {
  switch (storage_) {
    case Storage::kFloat32:
      std::copy_n(float_at(plain_, slot), dim_, vector.begin());
      return;
    case Storage::kFloat16:
      std::transform(short_at(plain_, slot), short_at(plain_, slot) + dim_, vector.begin(),
                     from_half);
      return;
    case Storage::kBFloat16:
      std::transform(short_at(plain_, slot), short_at(plain_, slot) + dim_, vector.begin(),
                     from_bfloat);
      return;
    case Storage::kInt8:
    case Storage::kCompact:
      kernels_.decode(bytes_at(encoding_.high, slot), low_bytes(encoding_, slot),
                      encoding_.numbers.low.data(), encoding_.numbers.step.data(),
                      encoding_.numbers.unit.data(), dim_, vector.data());
      return;
  }
}

std::vector<Section> VectorStore::sections(std::size_t slots) {
  if (!is_fixed()) {
    return {{storage_ == Storage::kFloat32 ? "floats" : "short floats", &plain_, slots}};
  }
  std::vector<Section> result;
  if (is_compact()) {
    result = {{"codes", &encoding_.codes, slots}, {"all bytes", &encoding_.high, slots}};
  } else {
    result = {{"upper bytes", &encoding_.high, slots}, {"lower bytes", &encoding_.low, slots}};
  }
  if (metric_ == Metric::kL2) result.push_back({"lengths", &encoding_.norms, slots});
  return result;
}

std::vector<float> VectorStore::encoding() const {
  std::vector<float> result;
  if (!is_fixed()) return result;
  const FixedPoint& numbers = encoding_.numbers;
  for (const auto* const part : {&numbers.low, &numbers.step, &numbers.unit, &encoding_.centre}) {
    if (part == &encoding_.centre && !is_compact()) break;
    result.insert(result.end(), part->begin(), part->end());
    if (part->empty()) result.resize(result.size() + dim_);
  }
  return result;
}

std::string VectorStore::restore_encoding(std::span<const float> encoding) {
  if (!is_fixed()) return {};
  const auto part = [&](std::size_t number) {
    const std::span<const float> values = encoding.subspan(number * dim_, dim_);
    return std::vector<float>(values.begin(), values.end());
  };
  FixedPoint numbers{part(0), part(1), part(2)};
  if (const auto dimension = numbers.defect()) {
    return fmt::format("the range of dimension {} is none", *dimension);
  }
  if (is_compact()) {
    encoding_.centre = part(3);
    for (std::size_t i = 0; i < dim_; ++i) {
      // Among vectors, each of which is in its range.
      if (!(encoding_.centre[i] >= 2 * numbers.least(i) - numbers.most(i)) ||
          !(encoding_.centre[i] <= 2 * numbers.most(i) - numbers.least(i))) {
        return fmt::format("the centre of dimension {} is none", i);
      }
    }
  }
  encoding_.numbers = std::move(numbers);
  return {};
}

std::string VectorStore::defect_of_derived(Slot slot) const {
  const bool l2 = is_fixed() && metric_ == Metric::kL2;
  if (l2 && !std::isfinite(*float_at(encoding_.norms, slot))) return "has no length";
  if (is_compact() && !compact_.is_sound(encoding_.codes.at(slot))) return "has no codes";
  return {};
}

std::size_t VectorStore::bytes_in_old_snapshot() const {
  return is_fixed() ? 2 * dim_ : plain_.record_bytes();
}

void VectorStore::restore(Slot slot, std::span<const std::byte> bytes) noexcept {
  if (!is_fixed()) {
    std::memcpy(plain_.at(slot), bytes.data(), bytes.size());
    return;
  }
  std::memcpy(bytes_at(encoding_.high, slot), bytes.data(), dim_);
  std::memcpy(low_bytes(encoding_, slot), bytes.data() + dim_, dim_);
  write_derived(slot, encoding_, scratch_);
}

void VectorStore::prepare(std::span<const float> vector, Query& query) const {
  query.vector_.assign(vector.begin(), vector.end());
  query.by_codes_ = is_compact();
  if (query.by_codes_) compact_.prepare(vector, encoding_.centre, query.compact_);
  finish_query(query);
}

void VectorStore::prepare(Slot slot, Query& query) const {
  query.vector_.resize(dim_);
  read(slot, query.vector_);
  query.by_codes_ = false;
  finish_query(query);
}

// <q, x> is the sum of q (low + step h + unit l) over the dimensions, of which only h and l belong
// to the stored vector: what they are multiplied with is the query's. A walk takes half a step for
// unit l, and weights rounded to signed bytes.
void VectorStore::finish_query(Query& query) const {
  if (!is_fixed()) return;
  const FixedPoint& numbers = encoding_.numbers;
  query.high_weights_.resize(dim_);
  query.low_weights_.resize(dim_);
  query.weights_.resize(width_);
  const QuerySums sums = kernels_.weigh(query.vector_.data(), numbers.low.data(),
                                        numbers.step.data(), dim_, query.high_weights_.data());
  const float scale = sums.most / kMostWeight;
  // Where weights are so small that their reciprocal is infinite, all products are nothing.
  kernels_.quantise(query.high_weights_.data(), scale >= FLT_MIN ? 1.0F / scale : 0.0F, dim_,
                    query.weights_.data());
  const float near_base = sums.base + 0.5F * sums.middle;
  if (metric_ == Metric::kL2) {
    query.offset_ = sums.squares - 2.0F * near_base;
    query.factor_ = -2.0F * scale;
    for (std::size_t i = 0; i < dim_; ++i) {
      query.high_weights_[i] = query.vector_[i] - numbers.low[i];
    }
  } else {
    query.exact_offset_ = 1.0F - sums.base;
    query.offset_ = 1.0F - near_base;
    query.factor_ = -scale;
    for (std::size_t i = 0; i < dim_; ++i) {
      query.low_weights_[i] = query.vector_[i] * numbers.unit[i];
    }
  }
}

void VectorStore::near(Query& query, std::span<const Slot> slots, float* distances) const {
  if (!is_fixed()) {
    for (std::size_t i = 0; i < slots.size(); ++i) distances[i] = exact(query, slots[i]);
    return;
  }
  if (query.by_codes_) {
    compact_.near(query.compact_, encoding_.codes, slots, distances);
    return;
  }
  if (query.products_.size() < slots.size()) query.products_.resize(slots.size());
  kernels_.code_products(bytes_at(encoding_.high, 0), encoding_.high.record_bytes(), width_, slots,
                         query.weights_.data(), query.products_.data());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    distances[i] = query.offset_ + query.factor_ * static_cast<float>(query.products_[i]);
  }
  if (metric_ != Metric::kL2) return;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    distances[i] += *float_at(encoding_.norms, slots[i]);
  }
}

float VectorStore::exact(const Query& query, Slot slot) const {
  const bool l2 = metric_ == Metric::kL2;
  const float* const vector = query.vector_.data();
  switch (storage_) {
    case Storage::kFloat32: {
      const float* const stored = float_at(plain_, slot);
      return l2 ? kernels_.squared_l2(vector, stored, dim_)
                : 1.0F - kernels_.inner_product(vector, stored, dim_);
    }
    case Storage::kFloat16: {
      const std::uint16_t* const stored = short_at(plain_, slot);
      return l2 ? kernels_.half_squared_l2(vector, stored, dim_)
                : 1.0F - kernels_.half_inner_product(vector, stored, dim_);
    }
    case Storage::kBFloat16: {
      const std::uint16_t* const stored = short_at(plain_, slot);
      return l2 ? kernels_.bfloat_squared_l2(vector, stored, dim_)
                : 1.0F - kernels_.bfloat_inner_product(vector, stored, dim_);
    }
    case Storage::kInt8:
    case Storage::kCompact:
      break;
  }
  const std::uint8_t* const high = bytes_at(encoding_.high, slot);
  const std::uint8_t* const low = low_bytes(encoding_, slot);
  const float* const weights = query.high_weights_.data();
  return l2 ? kernels_.fixed_squared_l2(high, low, weights, encoding_.numbers.step.data(),
                                        encoding_.numbers.unit.data(), dim_)
            : query.exact_offset_ -
                  kernels_.fixed_inner_product(high, low, weights, query.low_weights_.data(), dim_);
}

std::size_t VectorStore::to_compare(std::size_t k, std::size_t expanded) const {
  if (!is_fixed()) return k;
  return is_compact() ? std::max(2 * k + kMoreByCodes, expanded / 2) : k + kMoreThanWanted;
}

}  // namespace vsearch::index
