// Tuning an encoder for retrieval: from a model package and labelled pictures to a model package
// that finds better. Needs a library built with torch; without it train() throws kUnavailable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vsearch/dataset.h"
#include "vsearch/encoder.h"
#include "vsearch/evaluator.h"
#include "vsearch/types.h"

namespace vsearch {

// How much of an encoder changes.
enum class TrainDepth {
  kHead,     // a map behind it, learned from embeddings that are computed once: seconds
  kPartial,  // the last blocks and the norms of the network: minutes
  kFull,     // every parameter of the network
};

// "head", "partial", "full".
std::string_view depth_name(TrainDepth depth);
std::optional<TrainDepth> find_depth(std::string_view name);

// What kHead puts behind a network. Embeddings are brought to length 1 before.
enum class HeadKind {
  kLearned,  // a map that the loss has shaped, from kLda on
  // Computed at once; epochs, loss and what belongs to them do not count:
  kLda,  // whitening within classes, then the directions in which classes lie furthest apart
  kPca,  // principal directions: shorter embeddings at the least loss; labels do not count
  kPcaWhitening,  // these, each brought to the same width (Jegou and Chum, ECCV 2012)
};

// "learned", "lda", "pca", "pca-whitening".
std::string_view head_name(HeadKind head);
std::optional<HeadKind> find_head(std::string_view name);

// How a network's steps follow from gradients.
enum class Optimiser {
  kAdamW,  // arXiv 1711.05101
  kSgd,    // with Nesterov's momentum of 0.9; wants rates some hundred times as high
};

// "adamw", "sgd".
std::string_view optimiser_name(Optimiser optimiser);
std::optional<Optimiser> find_optimiser(std::string_view name);

// What training makes small. B pictures with labels, embeddings of length 1; formulas as in the
// papers, in src/train/losses.h.
enum class Loss {
  kArcFace,           // additive angular margin (arXiv 1801.07698)
  kSubCentreArcFace,  // with several centres a class, against wrong labels (Deng et al., ECCV 2020)
  kCosFace,           // additive cosine margin (arXiv 1801.09414)
  kNormSoftmax,       // no margin (arXiv 1811.12649)
  kProxyAnchor,       // arXiv 2003.13911
  kSupCon,            // supervised contrastive (arXiv 2004.11362)
  kTriplet,           // hardest positive and negative of the batch (arXiv 1703.07737)
  kMultiSimilarity,   // arXiv 1904.06627
};

// "arcface", "subcentre", "cosface", "normsoftmax", "proxyanchor", "supcon", "triplet",
// "multisimilarity".
std::string_view loss_name(Loss loss);
std::optional<Loss> find_loss(std::string_view name);

// How pictures are changed before each step, so that what does not matter is not learned. Each
// picture differently, each time.
struct Augmentation {
  bool random_crop = true;      // a part of 20 to 100 % of the area, sides 3:4 to 4:3
  bool flip = true;             // left and right
  double colour_jitter = 0.4;   // largest change of brightness, contrast, saturation; 0: none
  double greyscale = 0.1;       // how often
  double new_background = 0.0;  // how often the background becomes another picture's
  double erase = 0.1;           // how often a rectangle becomes grey
};

struct TrainOptions {
  TrainDepth depth = TrainDepth::kHead;
  Loss loss = Loss::kArcFace;
  // If not given: margin 0.5 for a head, else 0.3, of kArcFace and kSubCentreArcFace; scale 12 for
  // a head, else 24, of these, kCosFace and kNormSoftmax; of other losses what docs/training.md
  // lists.
  std::optional<double> margin{};
  std::optional<double> scale{};
  std::uint32_t sub_centres = 3;  // of kSubCentreArcFace

  // Labels: the classes of the data set, or the values of these of its fields, combined.
  std::vector<std::string> label_fields{};
  // Pictures of this split are learned from; empty: "train" where pictures have that, else those of
  // no split that is measured with (val, test, query, gallery).
  std::string split{};
  // Where pictures have no split "val" with two classes or more to measure with, this share of the
  // classes is held out, 0 to 0.5, but two at least if there are four: what a shop adds next month
  // are classes that training has never seen.
  double held_out_classes = 0.2;
  // Data sets to be kept free of: near-duplicates of their pictures are not learned from, nor are
  // those of what is held out and of measured_part().
  std::vector<Dataset> keep_apart{};

  // Numbers that suit the depth if they are not given (docs/training.md).
  std::optional<std::uint32_t> epochs{};
  std::optional<std::uint32_t> batch_size{};
  std::optional<double> rate{};       // of the network's parameters, at its highest
  std::optional<double> head_rate{};  // of the map of kHead and the loss's class vectors
  double weight_decay = 0.05;
  double layer_decay = 1.0;     // each block towards the input learns at this rate of the next
  double warm_up = 0.1;         // share of the steps in which rates rise; then they fall (cosine)
  double clip_gradients = 1.0;  // of a network, to this length; 0: not
  Optimiser optimiser = Optimiser::kAdamW;  // of a network; a head takes kAdamW
  // Batches of a network's step: gradients are the mean of so many, so that large ones fit into
  // memory. Losses that compare pictures compare those of each batch.
  std::uint32_t accumulate = 1;
  // Of a network the running mean of its weights (with lora_rank: of what is learned of them) is
  // measured and written, in which each step before counts this much less, such as 0.999; 0: the
  // weights themselves.
  double mean_decay = 0.0;
  std::uint32_t blocks = 4;  // that kPartial tunes
  // Matrices of a network change by the product of two thin ones alone, of this rank (LoRA, arXiv
  // 2106.09685), which are part of them in the end; 0: freely. Those for which that would be no
  // fewer numbers, and what is no matrix, change freely, at the rate that is usual without.
  std::uint32_t lora_rank = 0;
  // How often the pictures of a network's batch get a part of each other, and its label (CutMix,
  // arXiv 1905.04899). Of losses with class vectors.
  double cut_mix = 0.0;
  // Pictures of a class in a batch; 0: drawn one by one. Losses that compare pictures need at
  // least 2, and get 4 if this is 0.
  std::uint32_t per_class = 0;
  bool balance_classes = false;  // rare classes as often as others
  // Pictures of every value of this field of the data set ("domain": of every domain) come equally
  // often; empty: as there are. With neither per_class nor balance_classes.
  std::string balance_field{};
  // A batch has pictures of one value of this field alone ("domain": of one domain), which are hard
  // to tell apart, such as those of one category; empty: of any.
  std::string batch_field{};
  bool in_turn = false;          // with batch_field: each value has as many batches as any other
  bool own_classifiers = false;  // with batch_field: pictures are told from classes of their value
                                 // alone, by the losses that have class vectors
  HeadKind head = HeadKind::kLearned;  // of kHead
  // Of a learned head: so many hidden units (ReLU) beside its linear map; 0: that alone.
  std::uint32_t hidden = 0;
  std::uint32_t dim = 0;  // of the embeddings that kHead makes, at most as before; 0: as before
  Augmentation augmentation{};
  // How strongly a network's embeddings are held near those of the start model (1 - cosine). 0:
  // not.
  double keep_start = 0.0;
  // Afterwards a network's weights are mixed with the start's (WiSE-FT, arXiv 2109.01903), in the
  // mixture that finds best among the held-out pictures.
  bool mix_with_start = true;
  // Training ends when this many epochs in a row found no better than the best; 0: never.
  std::uint32_t patience = 0;
  // Of a network's step: kFloat32 or kBFloat16; kAuto: the faster. A head is computed in kFloat32.
  Precision precision = Precision::kAuto;
  Device device = Device::kCpu;
  std::uint32_t device_index = 0;
  std::uint64_t seed = 1;

  // A folder for a network's checkpoints and the log (log.jsonl); a run that was interrupted goes
  // on from there, and on a CPU ends with the same weights. Empty: none.
  std::filesystem::path work{};
  std::filesystem::path cache{};  // of embeddings, as in EvaluationOptions
};

// One pass over the training pictures.
struct TrainEpoch {
  std::uint32_t epoch = 0;  // from 1; 0: the start model
  double loss = 0;          // mean over the steps
  double rate = 0;          // of the network, or of the head for kHead, at the end
  double seconds = 0;
  double pictures_per_second = 0;
  double held_out_map = 0;  // NaN where nothing is held out
  double held_out_recall_at_1 = 0;
};

// What is worth knowing before training.
struct TrainingData {
  std::uint64_t pictures = 0;  // that are learned from
  std::uint64_t classes = 0;
  std::uint64_t held_out = 0;
  bool held_out_classes_are_new = false;
  struct Rare {
    std::string name;
    std::uint64_t pictures = 0;
  };
  std::uint64_t rare_count = 0;  // classes of fewer than 4 pictures
  std::vector<Rare> rare;        // at most 50 of them, the rarest first
  // Pictures that are nearer to another class than to their own; at most 50 of them, the furthest
  // first.
  struct Suspect {
    std::uint32_t picture = 0;
    std::string label;
    std::string looks_like;
    double margin = 0;  // by which the other class's mean is nearer (cosine)
    std::string path{};
  };
  std::uint64_t suspect_count = 0;
  std::vector<Suspect> suspects;
  // Near-duplicates of pictures that are measured with: left out of training. At most 50 of them.
  struct Leak {
    std::uint32_t picture = 0;
    std::string of;  // path of the other
    std::string path{};
  };
  std::uint64_t leak_count = 0;
  std::vector<Leak> leaks;
};

// How well words find, of a model that understands them and was tuned deeper than by a head: names
// of classes look for their pictures among those held out, or, where none is, among learned ones.
struct TrainWords {
  std::uint64_t names = 0;  // 0: not measured
  std::uint64_t pictures = 0;
  double map_before = 0;     // mAP, by the start
  double map_unaligned = 0;  // by the tuned network, with words as they were
  double map_after = 0;      // by the package: words went along with the pictures
  // Why they did not, as when asked to stop meanwhile; then nothing was measured.
  std::string unmoved{};
};

struct TrainReport {
  TrainDepth depth = TrainDepth::kHead;
  HeadKind head = HeadKind::kLearned;
  Loss loss = Loss::kArcFace;
  TrainingData data;
  std::vector<TrainEpoch> epochs;
  std::uint32_t best_epoch = 0;
  double mixture = 1.0;  // of the tuned weights, the rest the start's
  // mAP of what was written, of a network in the precision of its steps; NaN where nothing is held
  // out. That of no epoch where a head was not learned (best_epoch 0), or weights were mixed.
  double held_out_map = 0;
  std::string stopped;  // why training ended before its last epoch; empty: it did not
  // Why pictures that a network learns from could not be read any more, of this run and 50 at most;
  // others of their batches were learned from instead.
  std::vector<std::string> lost{};
  double seconds = 0;
  std::string start_fingerprint;
  std::string fingerprint;  // of the package that was written
  std::filesystem::path package;
  std::vector<std::string> dropped_forms;  // fast forms that did not survive, and why
  TrainWords words{};
};

// Called while pictures are encoded, as epoch 0 (by the start model, and by a tuned one that
// understands words, so that they go along), and after each step, with what is done. Returning
// false ends training: the best so far is written, as if it had run to its end. May be empty.
struct TrainState {
  std::uint32_t epoch = 0;
  std::uint32_t epochs = 0;
  std::uint64_t step = 0;   // of this epoch; of epoch 0 pictures
  std::uint64_t steps = 0;  // of an epoch; of epoch 0 pictures
  double loss = 0;          // of the last step
  double seconds_left = 0;
  const TrainingData* data = nullptr;  // what is learned from; null in epoch 0
};
using TrainProgress = std::function<bool(const TrainState&)>;

// Tunes the package `model` on the labelled pictures of `dataset` and writes the package `output`,
// whose embeddings no catalogue may mix with those of `model` (its fingerprint is another).
// Throws kInvalidArgument (no labels, one class alone, no class with two pictures, a field that is
// not there, numbers that make no sense), kBadModel (no package; one whose weights are constants of
// its graph: export it again), kBadImage, kFileNotFound (most pictures of a batch of the first
// epoch cannot be read), kIo, kBusy (another run has its checkpoints in options.work), kCancelled
// (asked to stop before anything was learned), kOutOfMemory (with advice), kUnavailable.
TrainReport train(const std::filesystem::path& model, const Dataset& dataset,
                  const std::filesystem::path& output, const TrainOptions& options = {},
                  const TrainProgress& progress = {});

// The pictures that train() holds out, as a data set with one protocol, "held out": each looks for
// those of its label, among the others held out if their classes are new, else among the pictures
// that are learned from, which the data set has then too. It has no pictures where nothing is held
// out.
// Throws what train() throws about labels, splits and held_out_classes, and kUnavailable.
Dataset held_out_part(const Dataset& dataset, const TrainOptions& options = {});

// The data set's own protocols that ask with no picture of the split that train() learns from, nor
// of the split "val", such as "test-train", and the pictures that these need. It has no pictures
// where there is no such protocol. Throws what train() throws about splits, and kUnavailable.
Dataset measured_part(const Dataset& dataset, const TrainOptions& options = {});

std::string to_json(const TrainReport& report);
std::string to_json(const TrainEpoch& epoch);  // in one line

}  // namespace vsearch
