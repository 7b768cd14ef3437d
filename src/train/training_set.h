// Which pictures are learned from, with which labels, and which are kept to measure with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/evaluator.h"
#include "vsearch/trainer.h"

namespace vsearch::training {

// Of rare classes, suspects, leaks and pictures that are lost so many are listed.
inline constexpr std::size_t kListed = 50;

struct TrainingSet {
  std::vector<std::uint32_t> pictures;        // learned from: numbers in the data set, ascending
  std::vector<std::int32_t> labels;           // [pictures], of `classes`
  std::vector<std::string> classes;           // in the order of their names
  std::vector<std::uint32_t> held_out;        // to measure with, ascending
  std::vector<std::int32_t> held_out_labels;  // [held_out]
  // Then they look for each other, and their labels have numbers of their own; else they look for
  // pictures that are learned from, and their labels are of `classes`.
  bool held_out_classes_are_new = false;
  // [pictures], by group_pictures(); empty where the options name no field.
  std::vector<std::int32_t> groups{};    // of which a batch has one alone
  std::vector<std::int32_t> balanced{};  // values that come equally often
};

// These pictures of `dataset`, to be encoded: without classes, fields and protocols.
Dataset part_of(const Dataset& dataset, const std::vector<std::uint32_t>& pictures);

// Of each picture whether it is of the split that is learned from, labelled or not. Throws
// kInvalidArgument: no such split, with those there are.
std::vector<bool> are_of_learned_split(const Dataset& dataset, const TrainOptions& options);

// Learned from are the pictures of options.split (empty: "train", or where no picture has that,
// those of no split that is measured with: val, test, query, gallery) that have a label: their
// class, or the values of options.label_fields together. Held out are those of the split "val"
// where there are any of two classes, of new classes if most of them are of classes that are not
// learned; else the share options.held_out_classes of the classes of two or more pictures, evenly
// in the order of their names, but two at least: one alone could not be mistaken for another. Of
// fewer than four such classes none is held out. Throws kInvalidArgument: no such split or field,
// with those there are; nothing with a label; one class alone; no class with two pictures; numbers
// out of range.
TrainingSet choose_pictures(const Dataset& dataset, const TrainOptions& options);

// The label of every picture in words: its class, or the values of the fields `names` together, as
// "cup / red"; empty: none. Throws kInvalidArgument (no such field).
std::vector<std::string> labels_in_words(const Dataset& dataset,
                                         const std::vector<std::string>& names);

// Takes out pictures that cannot be read (NaN rows of the embeddings [pictures of the data set]).
// Throws kInvalidArgument if too few are left.
void drop_unreadable(TrainingSet& set, const Dataset& dataset, const DatasetEmbeddings& embeddings);

// Fills set.groups and set.balanced for the pictures that are there: numbers of the values of
// options.batch_field and balance_field, a field of the data set or "domain"; pictures without a
// value have one of their own together. Throws kInvalidArgument (no such field).
void group_pictures(TrainingSet& set, const Dataset& dataset, const TrainOptions& options);

// Coverage and label noise, from the start model's embeddings; without the pictures' paths.
TrainingData describe(const TrainingSet& set, const Matrix& embeddings);

// Takes out near-duplicates of the pictures that are held out and of `others` (data sets with
// their embeddings by the same model), and says which. Throws kInvalidArgument if too few are left.
struct Measured {
  const Dataset* dataset = nullptr;
  const Matrix* embeddings = nullptr;
};
std::vector<TrainingData::Leak> drop_leaks(TrainingSet& set, const Dataset& dataset,
                                           const Matrix& embeddings,
                                           const std::vector<Measured>& others);

}  // namespace vsearch::training
