// Memory for the tensors of a forward pass, or of a step of training, kept from one to the next.
#pragma once

#include <cstddef>
#include <memory>

namespace vsearch::encoder {

// The activations of a network are blocks so large that malloc takes each from the system and gives
// it back, so that every page is faulted in again in every layer: a fifth of the time of a small
// network. A pool keeps its blocks instead.
// Threads: a pool may be used by many threads at once; its blocks may be freed by any.
class TensorPool {
 public:
  // Where the blocks are kept; outlives the pool for as long as a tensor is alive.
  class Blocks;

  // Beyond so many bytes, blocks go back to the system: a large batch once should not cost memory
  // for ever.
  explicit TensorPool(std::size_t max_kept_bytes = std::size_t{256} << 20);

  // What no tensor uses goes back to the system: blocks of other sizes than before are needed next.
  void release() const;

  // While one of these is alive, the tensors that its thread makes on the CPU come from `pool`. All
  // other threads, and this one before and after, have torch's memory as ever.
  class Use {
   public:
    explicit Use(const TensorPool& pool);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    std::shared_ptr<Blocks> const* before_;
  };

 private:
  std::shared_ptr<Blocks> blocks_;
};

}  // namespace vsearch::encoder
