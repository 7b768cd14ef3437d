// An edition in memory: its index, and its encoder once that is needed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "catalog/edition_header.h"
#include "vsearch/catalog.h"
#include "vsearch/error.h"

namespace vsearch::detail {

// Throws kEncoderMismatch: a catalogue's edition is not that of `encoder`.
[[noreturn]] void throw_encoder_mismatch(const std::filesystem::path& directory,
                                         const db::EditionHeader& edition,
                                         const EncoderInfo& encoder);

class LiveEdition : public Edition {
 public:
  // `directory`: of the catalogue. Either `encoder` or `loader` may be empty.
  // Throws kEncoderMismatch (`encoder` is another one).
  LiveEdition(db::EditionHeader header, Index index, std::filesystem::path directory,
              std::shared_ptr<Encoder> encoder, EncoderLoader loader);

  // The same edition with another index.
  LiveEdition(const LiveEdition& edition, Index index);

  std::int64_t id() const override { return header_.id; }
  const Index& index() const override { return index_; }
  Encoder& encoder() const override;

  const db::EditionHeader& header() const { return header_; }

  // The index, to be changed by whoever holds the catalogue's writer mutex.
  Index& writable() { return index_; }

  // Calls the index. If it says that the snapshot it comes from is damaged, deletes that, so that
  // the next open builds the index anew, and throws kCorrupt, which says so.
  template <typename Call>
  auto with_index(Call call) const {
    try {
      return call();
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kCorrupt) throw;
      fail_damaged(e);
    }
  }

  // Room for `more` leftovers, so that drop() cannot fail for memory.
  void reserve_leftovers(std::size_t more) { leftovers_.reserve(leftovers_.size() + more); }
  // Removes vectors that nothing shows any more. If the index cannot, they are left over for now,
  // and the reason is returned. Guarded, as leftovers are, by the catalogue's writer mutex.
  std::string drop(std::span<const Id> ids);
  void drop_leftovers();  // throws what Index::remove() throws
  std::size_t leftovers() const { return leftovers_.size(); }
  bool is_leftover(Id id) const { return std::ranges::find(leftovers_, id) != leftovers_.end(); }

 private:
  std::shared_ptr<Encoder> loaded_encoder() const;
  void check_encoder(const Encoder& encoder) const;
  [[noreturn]] void fail_damaged(const Error& error) const;

  const db::EditionHeader header_;
  Index index_;
  const std::filesystem::path directory_;
  const EncoderLoader loader_;
  mutable std::mutex encoder_mutex_;
  mutable std::shared_ptr<Encoder> encoder_;  // set once
  std::vector<Id> leftovers_;                 // ids that should have left the index; tried again
};

}  // namespace vsearch::detail
