// Catalog::reencode: another edition is made beside the one that serves, and takes its place.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/core.h"
#include "util/read_ahead.h"
#include "vsearch/edition.h"

namespace vsearch::detail {

// One call of reencode() or rollback(). While it runs, commits of new pictures bring embeddings of
// the new edition along where they can (Adder); what they cannot is found here, because it lacks
// one. So nothing is missed, whoever comes first.
class Reencoder {
 public:
  // Of an edition by `encoder`. Throws kInvalidArgument (it serves; options that make no sense),
  // and what check_labelled_queries() throws.
  Reencoder(CatalogCore& core, std::shared_ptr<Encoder> encoder, const ReencodeOptions& options,
            const Progress& progress);
  // Of the edition that served before, whose encoder is loaded if it is needed.
  // Throws kKeyNotFound (there is none).
  Reencoder(CatalogCore& core, const Progress& progress);

  ReencodeReport run();

 private:
  struct Job {
    Id picture;
  };
  struct Source {  // what there is to encode of a picture
    Id picture = 0;
    std::string key;
    std::string path;
    CropBox crop;
    Image image;
    std::vector<float> known;            // or its embedding, known from the same content
    std::optional<std::string> problem;  // or why there is nothing
    bool gone = false;                   // removed meanwhile
    std::uint64_t bytes() const { return image.pixels.size(); }
  };

  void begin();
  // Whether the new encoder gives pictures the embeddings that serve: its package says so, and a
  // few of the pictures agree.
  bool gives_what_serves();
  Source read(const Job& job) const;
  // Gives all pictures after cursor_ that lack an embedding one, or notes why it cannot.
  void encode_lacking(bool writers_are_out);
  void encode(std::vector<Source>& sources, bool writers_are_out);
  void note_missing(const Source& source, std::string message);
  std::string refusal_for_missing();
  std::string refusal_of_gate();
  void tell(std::uint64_t done);

  CatalogCore& core_;
  const std::unique_lock<std::mutex> turn_;
  const std::shared_ptr<Encoder> encoder_;  // null: loaded by the edition
  ReencodeOptions options_;
  const Progress& progress_;
  bool gated_ = true;
  db::EditionHeader header_;
  std::shared_ptr<LiveEdition> edition_;
  std::optional<db::EditionHeader> same_as_;  // whose embeddings are taken over
  ReencodeReport report_;
  Id cursor_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace vsearch::detail
