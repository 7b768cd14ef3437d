// Long input in batches, several at a time.
#pragma once

#include <cstddef>
#include <functional>

#include "vsearch/types.h"

namespace vsearch::encoder {

// Calls `work(first, count)` for batches of at most `batch_size` that together cover 0..total.
// Where there is enough of it, each of torch's threads works on batches of its own: a thread that
// computes alone never waits for another, as it would after every layer of a batch that all share,
// and its activations stay in its own cache. With less, the batches come one after the other and
// torch spreads each of them over its threads. `progress` is called on the calling thread. What
// `work` throws for the first of the batches comes through, once all threads are done. Throws
// kCancelled.
void for_each_batch(std::size_t total, std::size_t batch_size,
                    const std::function<void(std::size_t first, std::size_t count)>& work,
                    const Progress& progress);

}  // namespace vsearch::encoder
