// Labelled pictures to measure with, and the protocols they are measured by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/crop.h"

namespace vsearch {

struct DatasetPicture {
  std::string path;          // of its file, relative to Dataset::root
  std::int32_t label = -1;   // of Dataset::classes; -1: of none, an answer to no query
  std::int32_t domain = -1;  // of Dataset::domains; -1: not known
  std::string split;         // "train", "val", "test", "query", "gallery", ...; empty: not known
  CropBox crop{};            // what of it is meant
  // The file that says what is its subject, relative to Dataset::root; empty: there is none. A
  // picture as large as it, upright: grey of 128 and more is the subject, all else background.
  std::string mask{};
};

// A second label of every picture: its colour, its season.
struct DatasetField {
  std::string name;
  std::vector<std::string> values;
  std::vector<std::int32_t> of_picture;  // [pictures], of `values`; -1: none
};

// Whether a query that stands in the gallery too counts as an answer to itself.
enum class SelfMatch {
  kRemoved,  // it is left out of its own answers
  kKept,     // it is the first of them, as in GPR1200
};

// How the precision at each right answer makes the average precision of a query.
enum class AveragePrecision {
  kStandard,   // the mean over all right answers
  kTrapezoid,  // the area under the precision-recall curve by trapezia, as in ROxford and RParis
};

// Who asks, who answers, and what is right. Numbers are those of Dataset::pictures.
struct Protocol {
  std::string name;
  std::vector<std::uint32_t> queries;
  std::vector<std::uint32_t> gallery;
  SelfMatch self = SelfMatch::kRemoved;
  // The right answers to each query, pictures of the gallery; if this is empty those of its label.
  std::vector<std::vector<std::uint32_t>> positives{};
  // Of each query those that count as neither right nor wrong; may be empty.
  std::vector<std::vector<std::uint32_t>> ignored{};
  AveragePrecision average_precision = AveragePrecision::kStandard;
  std::uint32_t cutoff = 0;  // only the first so many answers count for mAP; 0: all
  // The field that labels are taken from instead of `classes`: a number of Dataset::fields; -1:
  // `classes`.
  std::int32_t field = -1;
};

struct Dataset {
  std::string name;
  std::filesystem::path root;
  std::vector<DatasetPicture> pictures;
  std::vector<std::string> classes;
  std::vector<std::string> domains;
  std::vector<DatasetField> fields;
  std::vector<Protocol> protocols;  // at least one; the first is what is meant without a name

  // Throws kInvalidArgument, with the names there are.
  const Protocol& protocol(std::string_view protocol_name) const;
};

// A layout that load_dataset() reads.
struct DatasetKind {
  std::string_view name;      // "gpr1200"
  std::string_view title;     // "GPR1200"
  std::string_view contents;  // "1,200 classes of 10 pictures in six domains"
  std::string_view source;    // where it is published: a URL or an arXiv number
  std::string_view layout;    // the files it is known by, in one line
};
std::span<const DatasetKind> dataset_kinds();

struct DatasetOptions {
  // Whether every picture file and mask must be there. What is missing is named before anything is
  // encoded.
  bool check_files = true;
  // Whether the published counts must be met, and queries must have answers where the protocol
  // promises them. Without it a part of a data set can be measured.
  bool check_counts = true;
};

// Reads the data set of that kind in the folder `root`, or for "csv" the file `root`; an empty
// `kind`: the one whose layout it has. Pictures are not opened. Throws kInvalidArgument (no such
// kind, with those there are; a layout that tells none, or several; a class with one
// picture where each must find another; a query without a right answer, in a protocol that
// promises one; labels that do not match), kFileNotFound (no such folder; a list or a picture that
// is missing, with its name, and how many more), kIo, kCorrupt (a list that cannot be read, with
// the line; other counts than published, with both).
Dataset load_dataset(std::string_view kind, const std::filesystem::path& root,
                     const DatasetOptions& options = {});

// The kind whose layout `root` has; nothing if it has none, or several.
std::optional<std::string> guess_dataset_kind(const std::filesystem::path& root);

}  // namespace vsearch
