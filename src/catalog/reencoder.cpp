#include "catalog/reencoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "catalog/edition_comparison.h"
#include "catalog/item_check.h"
#include "catalog/picture_file.h"
#include "catalog/snapshot.h"
#include "util/sha256.h"
#include "util/utf8.h"

namespace vsearch::detail {
namespace {

constexpr std::size_t kPage = 512;              // pictures asked of the store at a time
constexpr std::size_t kReencodeAhead = 128;     // read and decoded ahead
constexpr std::size_t kReencodedPictures = 64;  // encoded and committed at a time
constexpr std::size_t kTrialPictures = 8;       // that must agree before embeddings are taken over
constexpr double kTrialCosine = 0.99;           // between forms of one model
constexpr std::uint64_t kReencodeBytes = std::uint64_t{64} << 20;

// Commits go to the edition while this lives.
class Building {
 public:
  Building(CatalogCore& core, const std::shared_ptr<LiveEdition>& edition) : core_(core) {
    core_.set_building(edition);
  }
  ~Building() {
    if (core_.live().building) core_.set_building(nullptr);  // it does not serve
  }
  Building(const Building&) = delete;
  Building& operator=(const Building&) = delete;

 private:
  CatalogCore& core_;
};

void check_options(const ReencodeOptions& options) {
  const auto fail = [](const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); };
  if (options.k == 0) fail("k of a comparison is 0; compare at least 1 neighbour");
  if (!(options.max_missing_share >= 0 && options.max_missing_share <= 1)) {
    fail(fmt::format("max_missing_share is {}; it is a share, from 0 to 1",
                     options.max_missing_share));
  }
  if (!(options.min_overlap >= 0 && options.min_overlap <= 1)) {
    fail(fmt::format("min_overlap is {}; it is a share, from 0 to 1", options.min_overlap));
  }
  if (!util::is_utf8(options.encoder_ref) || options.encoder_ref.find('\0') != std::string::npos) {
    fail(fmt::format("the encoder's name is not UTF-8: {}", util::shorten(options.encoder_ref)));
  }
}

double cosine_of(std::span<const float> a, std::span<const float> b) {
  double product = 0;
  double squares_a = 0;
  double squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += static_cast<double>(a[i]) * b[i];
    squares_a += static_cast<double>(a[i]) * a[i];
    squares_b += static_cast<double>(b[i]) * b[i];
  }
  return product / std::sqrt(squares_a * squares_b);
}

std::optional<db::EditionHeader> edition_that_served(CatalogCore& core) {
  return core.in_store([](db::Store& store) -> std::optional<db::EditionHeader> {
    const std::string id = store.meta(kPreviousEdition).value_or("");
    for (db::EditionHeader& edition : store.editions()) {
      if (fmt::to_string(edition.id) == id && edition.state == EditionState::kKept) {
        return std::move(edition);
      }
    }
    return std::nullopt;
  });
}

}  // namespace

Reencoder::Reencoder(CatalogCore& core, std::shared_ptr<Encoder> encoder,
                     const ReencodeOptions& options, const Progress& progress)
    : core_(core),
      turn_(core.take_turn()),
      encoder_(std::move(encoder)),
      options_(options),
      progress_(progress) {
  if (!encoder_) {
    throw Error(ErrorCode::kInvalidArgument, "re-encoding needs an encoder; none was given");
  }
  check_options(options_);
  check_labelled_queries(core_, options_.queries);
  const EncoderInfo& info = encoder_->info();
  const db::EditionHeader serving = core_.serving()->header();
  if (info.fingerprint == serving.encoder_fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the catalogue {} is served by the encoder {} already (fingerprint "
                            "{}); give another one",
                            core_.path().string(), info.name, info.fingerprint));
  }
  header_ = {0,           EditionState::kBuilding, options_.encoder_ref,
             info.name,   info.fingerprint,        info.dim,
             info.metric, serving.links,           serving.build_breadth};
}

Reencoder::Reencoder(CatalogCore& core, const Progress& progress)
    : core_(core), turn_(core.take_turn()), progress_(progress), gated_(false) {
  std::optional<db::EditionHeader> kept = edition_that_served(core_);
  if (!kept) {
    throw Error(ErrorCode::kKeyNotFound,
                fmt::format("the catalogue {} keeps no edition that served before; re-encode it "
                            "with the encoder that should serve",
                            core_.path().string()));
  }
  header_ = *std::move(kept);
  options_.sample = 0;
  options_.max_missing_share = 1;
}

ReencodeReport Reencoder::run() {
  begin();
  const StoreAccess in_store = [&](const auto& use) {
    core_.in_store([&](db::Store& store) { use(store); });
  };
  OpenedIndex opened = open_index(in_store, header_, core_.path(), {}, {});
  report_.reused = opened.index.size();
  edition_ = std::make_shared<LiveEdition>(header_, std::move(opened.index), core_.path(), encoder_,
                                           core_.encoder_loader());
  const Building building(core_, edition_);
  if (gives_what_serves()) same_as_ = core_.serving()->header();
  encode_lacking(false);
  report_.refusal = refusal_for_missing();
  if (report_.refusal.empty() && gated_) {
    report_.comparison = compare_editions(core_, *core_.serving(), *edition_, options_);
    report_.refusal = refusal_of_gate();
  }
  if (report_.refusal.empty()) {
    core_.save_building(*edition_);
    const auto adders = core_.hold_adders();
    report_.switched = core_.switch_to(edition_, options_.keep_old, [&] {
      encode_lacking(true);  // what was added since by those who could not bring one along
      report_.refusal = refusal_for_missing();
      return report_.refusal.empty();
    });
  }
  header_.state = report_.switched ? EditionState::kServing : header_.state;
  report_.edition = {header_.id,
                     header_.state,
                     header_.encoder_ref,
                     header_.encoder_name,
                     header_.encoder_fingerprint,
                     header_.dim,
                     header_.metric,
                     edition_->index().size()};
  return std::move(report_);
}

// Finds the edition, or makes it.
void Reencoder::begin() {
  core_.in_transaction([&](db::Store& store) {
    for (db::EditionHeader& edition : store.editions()) {
      if (edition.encoder_fingerprint != header_.encoder_fingerprint) continue;
      if (!header_.encoder_ref.empty()) edition.encoder_ref = header_.encoder_ref;
      header_ = std::move(edition);
    }
    if (header_.id == 0) header_.id = store.insert_edition(header_);
    const std::uint64_t pictures = store.picture_count();
    const std::uint64_t embedded = store.embedding_count(header_.id);
    total_ = pictures - std::min(pictures, embedded);
  });
}

void Reencoder::tell(std::uint64_t done) {
  done_ += done;
  total_ = std::max(total_, done_);  // others add meanwhile
  if (!progress_ || progress_(done_, total_)) return;
  throw Error(ErrorCode::kCancelled,
              fmt::format("re-encoding was cancelled: {} of {} pictures are done and stay; "
                          "re-encode with this encoder again to go on",
                          done_, total_));
}

bool Reencoder::gives_what_serves() {
  const db::EditionHeader serving = core_.serving()->header();
  if (!encoder_ || encoder_->info().image_of != serving.encoder_fingerprint ||
      header_.dim != serving.dim || header_.metric != serving.metric) {
    return false;
  }
  const std::vector<Id> ids =
      core_.in_store([&](db::Store& store) { return store.unembedded_ids(header_.id, 0, kPage); });
  std::size_t tried = 0;
  for (const Id id : ids) {
    if (tried == kTrialPictures) break;
    const Source source = read({id});
    if (source.gone || source.problem || !source.known.empty()) continue;
    const std::vector<float> known =
        core_.in_store([&](db::Store& store) { return store.find_embedding(serving, id); });
    if (known.empty()) continue;
    const ImageView view = cropped(source.image, source.crop);
    const Matrix given = encoder_->encode({&view, 1}, {});
    const double cosine = cosine_of(known, given.row(0));
    if (!(cosine >= kTrialCosine)) {
      core_.log(LogLevel::kWarning,
                fmt::format("the encoder {} says that its embeddings are those of {}, but that of "
                            "{} has a cosine of {:.3f} to it; all pictures are encoded anew",
                            header_.encoder_name, serving.encoder_name, source.path, cosine));
      return false;
    }
    ++tried;
  }
  return true;
}

Reencoder::Source Reencoder::read(const Job& job) const {
  Source source;
  source.picture = job.picture;
  db::StoredPicture stored;
  std::vector<std::byte> file;
  core_.in_store([&](db::Store& store) {
    const auto found = store.picture_and_key(job.picture);
    source.gone = !found;
    if (!found) return;
    stored = found->first;
    source.key = found->second;
    source.path = stored.path;
    source.crop = parse_crop(stored.crop, store.database().path());
    if (same_as_) source.known = store.find_embedding(*same_as_, job.picture);
    if (!source.known.empty()) return;
    if (stored.content_hash.empty()) return;
    source.known = store.embedding_of_content(header_, stored.content_hash, stored.crop);
    if (source.known.empty()) file = store.kept_bytes(job.picture);
  });
  if (source.gone || !source.known.empty()) return source;
  if (stored.content_hash.empty()) {
    source.problem = "it was added as an embedding, without a picture; add it with one";
    return source;
  }
  const std::string name = source.path.empty() ? "a picture of item " + source.key : source.path;
  try {
    if (file.empty() && stored.path.empty()) {
      source.problem =
          "it was added as bytes that the catalogue does not keep; add it with keep_bytes or a "
          "path";
      return source;
    }
    if (file.empty()) file = read_picture_file(stored.path, core_.fetch());
    if (util::sha256_hex(file) != stored.content_hash) {
      source.problem = "the file has changed since it was added; synchronise, or add it again";
      return source;
    }
    const DecodeOptions options =
        for_crop(vsearch::decode_options(edition_->encoder().info().preprocessing), source.crop);
    source.image = decode_image(file, name.c_str(), options);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kFileNotFound && e.code() != ErrorCode::kIo &&
        e.code() != ErrorCode::kBadImage && e.code() != ErrorCode::kUnavailable) {
      throw;
    }
    source.problem = e.what();
  }
  return source;
}

void Reencoder::encode_lacking(bool writers_are_out) {
  std::vector<Id> page;
  std::size_t next = 0;
  bool at_end = false;
  // Loaded here, if it must be, so that an encoder that cannot be had is no picture's fault.
  const auto have_next = [&] {
    if (next < page.size()) return true;
    if (at_end) return false;
    page = core_.in_store(
        [&](db::Store& store) { return store.unembedded_ids(header_.id, cursor_, kPage); });
    next = 0;
    at_end = page.size() < kPage;
    if (!page.empty()) cursor_ = page.back();
    return !page.empty();
  };
  if (!have_next()) return;
  edition_->encoder();
  util::ReadAhead<Job, Source> ahead(0, kReencodeBytes,
                                     [this](const Job& job) { return read(job); });
  std::vector<Source> sources;
  std::uint64_t held = 0;
  while (true) {
    while (ahead.pending() < kReencodeAhead && have_next()) ahead.push({page[next++]});
    if (ahead.pending() == 0) break;
    sources.push_back(ahead.take());
    held += sources.back().bytes();
    if (sources.size() < kReencodedPictures && held < kReencodeBytes) continue;
    encode(sources, writers_are_out);
    held = 0;
  }
  encode(sources, writers_are_out);
}

void Reencoder::encode(std::vector<Source>& sources, bool writers_are_out) {
  if (sources.empty()) return;
  std::vector<ImageView> views;
  std::vector<std::size_t> encoded;  // of `sources`, those that `views` are of
  std::vector<Id> ids;
  Matrix rows;
  rows.cols = header_.dim;
  const auto take = [&](const Source& source, std::span<const float> embedding) {
    rows.data.insert(rows.data.end(), embedding.begin(), embedding.end());
    ids.push_back(source.picture);
  };
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Source& source = sources[i];
    if (source.problem) {
      note_missing(source, *source.problem);
    } else if (!source.known.empty()) {
      take(source, source.known);
      ++report_.reused;
    } else if (!source.gone) {
      views.push_back(cropped(source.image, source.crop));
      encoded.push_back(i);
    }
  }
  const auto sink = [&](std::size_t i, std::span<const float> embedding, const Error* failure) {
    const Source& source = sources[encoded[i]];
    const std::string problem = failure != nullptr
                                    ? failure->what()
                                    : embedding_problem(embedding, header_.dim, header_.metric);
    if (problem.empty()) {
      take(source, embedding);
      ++report_.encoded;
    } else {
      note_missing(source, failure != nullptr
                               ? problem
                               : fmt::format("the embedding that the encoder {} gave {}",
                                             header_.encoder_name, problem));
    }
    return true;
  };
  const Progress go_on = [&](std::uint64_t, std::uint64_t) {
    tell(0);
    return true;
  };
  if (!views.empty()) encode_each(edition_->encoder(), views, sink, go_on);
  rows.rows = ids.size();
  {
    std::unique_lock<std::mutex> writers;
    if (!writers_are_out) writers = core_.keep_writers_out();
    core_.commit_embeddings(*edition_, ids, rows);
  }
  const std::size_t done = sources.size();
  sources.clear();
  tell(done);
}

void Reencoder::note_missing(const Source& source, std::string message) {
  report_.missing.push_back({source.picture, source.key, source.path, std::move(message)});
}

// Counted in the store, not in the list: some may have been removed or replaced since.
std::string Reencoder::refusal_for_missing() {
  std::size_t lacking = 0;
  std::uint64_t pictures = 0;
  core_.in_store([&](db::Store& store) {
    lacking = store.unembedded_ids(header_.id, 0, std::numeric_limits<std::int64_t>::max()).size();
    pictures = store.picture_count();
  });
  const double share =
      pictures == 0 ? 0 : static_cast<double>(lacking) / static_cast<double>(pictures);
  if (share <= options_.max_missing_share) return {};
  return fmt::format(
      "{} of {} pictures could not be encoded, and would not be found any more; at "
      "most a share of {} may be (max_missing_share). The first: {}",
      lacking, pictures, options_.max_missing_share,
      report_.missing.empty()
          ? "they are being added"
          : fmt::format("{}: {}", report_.missing[0].key, report_.missing[0].message));
}

std::string Reencoder::refusal_of_gate() {
  const EditionComparison& found = report_.comparison;
  if (found.overlap < options_.min_overlap) {
    return fmt::format(
        "{:.3f} of the {} nearest are the same as before on average, fewer than the "
        "{} wanted (min_overlap)",
        found.overlap, found.k, options_.min_overlap);
  }
  const double loss = found.recall_before - found.recall_after;
  if (found.labelled > 0 && loss > options_.max_recall_loss) {
    return fmt::format(
        "Recall@{} of the labelled queries would fall from {:.3f} to {:.3f}, by more "
        "than the {} allowed (max_recall_loss)",
        found.k, found.recall_before, found.recall_after, options_.max_recall_loss);
  }
  if (options_.gate && !options_.gate(found)) return "the caller's gate refused";
  return {};
}

}  // namespace vsearch::detail
