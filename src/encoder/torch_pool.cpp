#include "encoder/torch_pool.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace vsearch::encoder {
namespace {

constexpr std::size_t kAlignment = 64;                    // a cache line, and the widest vector
constexpr std::size_t kSmallest = std::size_t{16} << 10;  // malloc is good at less

// Sizes are rounded up to four steps for each power of two, so that few kinds of blocks exist and
// little of them is waste.
std::size_t rounded(std::size_t bytes) {
  const std::size_t step = std::bit_floor(bytes) / 4;
  return (bytes + step - 1) / step * step;
}

}  // namespace

class TensorPool::Blocks {
 public:
  explicit Blocks(std::size_t max_kept_bytes) : max_kept_bytes_(max_kept_bytes) {}
  ~Blocks() { release(); }

  void release() {
    const std::lock_guard lock(mutex_);
    for (const auto& [size, blocks] : kept_) {
      for (void* const block : blocks) std::free(block);
    }
    kept_.clear();
    kept_bytes_ = 0;
  }

  // Null if there is no memory.
  void* take(std::size_t size) {
    {
      const std::lock_guard lock(mutex_);
      std::vector<void*>& blocks = kept_[size];
      if (!blocks.empty()) {
        void* const block = blocks.back();
        blocks.pop_back();
        kept_bytes_ -= size;
        return block;
      }
    }
    return std::aligned_alloc(kAlignment, size);
  }

  void give_back(void* block, std::size_t size) noexcept {
    try {
      const std::lock_guard lock(mutex_);
      if (kept_bytes_ + size <= max_kept_bytes_) {
        kept_[size].push_back(block);
        kept_bytes_ += size;
        return;
      }
    } catch (const std::bad_alloc&) {  // no memory to remember it: free it
    }
    std::free(block);
  }

 private:
  const std::size_t max_kept_bytes_;
  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> kept_;  // by size
  std::size_t kept_bytes_ = 0;
};

namespace {

using SharedBlocks = std::shared_ptr<TensorPool::Blocks>;

thread_local const SharedBlocks* blocks_in_use = nullptr;

// What lies before the data of a pooled block, so that it can be freed at any time and on any
// thread.
struct Header {
  SharedBlocks owner;
  std::size_t size;  // of the block, the header's room included
};
constexpr std::size_t kHeaderBytes = kAlignment;
static_assert(sizeof(Header) <= kHeaderBytes);

// Which addresses are pooled blocks in use. Torch frees what came from raw_allocate() by its
// address alone, and that may be a block of ours or one of torch's own.
class LiveBlocks {
 public:
  void insert(void* data) {
    Shard& shard = shard_of(data);
    const std::lock_guard lock(shard.mutex);
    shard.blocks.insert(data);
  }

  bool erase(void* data) {
    Shard& shard = shard_of(data);
    const std::lock_guard lock(shard.mutex);
    return shard.blocks.erase(data) > 0;
  }

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_set<void*> blocks;
  };
  Shard& shard_of(void* data) {
    return shards_[reinterpret_cast<std::uintptr_t>(data) / kSmallest % shards_.size()];
  }
  std::array<Shard, 16> shards_;
};

// Torch's allocator, except on a thread with a TensorPool::Use. It has to be installed for the
// whole process, since torch knows no other way; nothing changes for whoever does not use a pool.
class PoolingAllocator final : public c10::Allocator {
 public:
  // Never destroyed: tensors of others may outlive every static object.
  static PoolingAllocator& instance() {
    static auto* const allocator = new PoolingAllocator(c10::GetCPUAllocator());
    return *allocator;
  }

  c10::DataPtr allocate(std::size_t bytes) override {
    if (blocks_in_use == nullptr || bytes < kSmallest) return usual_->allocate(bytes);
    // What cannot be had fails in torch's own way.
    if (bytes > std::numeric_limits<std::size_t>::max() / 2) return usual_->allocate(bytes);
    const std::size_t size = rounded(bytes + kHeaderBytes);
    auto* const block = static_cast<std::byte*>((*blocks_in_use)->take(size));
    if (block == nullptr) return usual_->allocate(bytes);
    new (block) Header{*blocks_in_use, size};
    void* const data = block + kHeaderBytes;
    live_.insert(data);
    return {data, data, &free, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    usual_->copy_data(to, from, bytes);
  }

 private:
  explicit PoolingAllocator(c10::Allocator* usual) : usual_(usual) {}

  static void free(void* data) {
    PoolingAllocator& self = instance();
    if (!self.live_.erase(data)) {
      self.usual_->raw_deallocate(data);
      return;
    }
    std::byte* const block = static_cast<std::byte*>(data) - kHeaderBytes;
    auto* const header = reinterpret_cast<Header*>(block);
    const SharedBlocks owner = std::move(header->owner);
    const std::size_t size = header->size;
    header->~Header();
    owner->give_back(block, size);
  }

  c10::Allocator* usual_;
  LiveBlocks live_;
};

void install_once() {
  static std::once_flag installed;
  std::call_once(installed, [] { c10::SetCPUAllocator(&PoolingAllocator::instance()); });
}

}  // namespace

TensorPool::TensorPool(std::size_t max_kept_bytes)
    : blocks_(std::make_shared<Blocks>(max_kept_bytes)) {
  install_once();
}

void TensorPool::release() const {
  blocks_->release();
}

TensorPool::Use::Use(const TensorPool& pool) : before_(blocks_in_use) {
  blocks_in_use = &pool.blocks_;
}

TensorPool::Use::~Use() {
  blocks_in_use = before_;
}

}  // namespace vsearch::encoder
