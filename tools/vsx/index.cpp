// vsx index: indexes of vectors in files, without pictures.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "console.h"
#include "facts.h"
#include "measured.h"
#include "progress.h"
#include "vsearch/error.h"
#include "vsearch/index.h"
#include "vsearch/vector_file.h"

namespace vsx {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kQueriesAtATime = 256;  // between two looks for Ctrl-C

struct IndexArguments {
  std::string file;
  std::string vectors;
  std::string ids;
  std::string truth;
  std::string metric = "cosine";
  std::string storage = "int8";
  vsearch::IndexOptions made_with;
  vsearch::SearchOptions search;
  bool json = false;
  bool quiet = false;
};

template <typename Value>
Value named(const std::string& option, const std::string& name,
            const std::vector<std::pair<std::string, Value>>& known) {
  std::string names;
  for (const auto& [one, value] : known) {
    if (one == name) return value;
    names += (names.empty() ? "" : ", ") + one;
  }
  throw UsageError(fmt::format("{} is one of {}, not '{}'", option, names, name));
}

std::vector<vsearch::Id> read_ids(const vsearch::VectorFile& file) {
  std::vector<vsearch::Id> ids(file.rows() * file.dim());
  file.read_ids(0, ids);
  return ids;
}

int build(const IndexArguments& options) {
  vsearch::IndexOptions wanted = options.made_with;
  wanted.metric = named<vsearch::Metric>("--metric", options.metric,
                                         {{"cosine", vsearch::Metric::kCosine},
                                          {"inner_product", vsearch::Metric::kInnerProduct},
                                          {"l2", vsearch::Metric::kL2}});
  wanted.storage = named<vsearch::Storage>("--storage", options.storage,
                                           {{"int8", vsearch::Storage::kInt8},
                                            {"float32", vsearch::Storage::kFloat32},
                                            {"float16", vsearch::Storage::kFloat16},
                                            {"bfloat16", vsearch::Storage::kBFloat16},
                                            {"compact", vsearch::Storage::kCompact}});
  const vsearch::VectorFile vectors(options.vectors);
  wanted.dim = vectors.dim();
  std::vector<vsearch::Id> ids;
  if (!options.ids.empty()) ids = read_ids(vsearch::VectorFile(options.ids));
  check_output(options.file, "-o");
  vsearch::Index index(wanted);
  ProgressDisplay display("building", "vectors", options.quiet);
  vsearch::add_file(index, vectors, ids, display.callback());
  const double seconds = display.seconds();
  index.save(options.file);
  if (!options.quiet) {
    say(fmt::format("wrote '{}': {} in {}", options.file, counted(index.size(), "vector"),
                    seconds_text(seconds)));
  }
  return kDone;
}

// What was found for all queries, and what that took.
struct Answers {
  std::vector<std::vector<vsearch::Neighbor>> each;
  double seconds = 0;
  std::uint64_t distances = 0;
};

Answers answer(const vsearch::Index& index, const vsearch::VectorFile& queries,
               const IndexArguments& options) {
  Answers answers;
  ProgressDisplay display("searching", "queries", options.quiet);
  vsearch::SearchOptions search = options.search;
  vsearch::SearchReport report;
  search.report = &report;
  for (std::uint64_t begin = 0; begin < queries.rows(); begin += kQueriesAtATime) {
    vsearch::Matrix block(std::min<std::uint64_t>(kQueriesAtATime, queries.rows() - begin),
                          queries.dim());
    queries.read(begin, block.data);
    const auto start = std::chrono::steady_clock::now();
    for (auto& found : index.search_batch(block.view(), search)) {
      answers.each.push_back(std::move(found));
    }
    answers.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    answers.distances += report.distances;
    if (!display.update(answers.each.size(), queries.rows())) {
      throw vsearch::Error(vsearch::ErrorCode::kCancelled, "stopped");
    }
  }
  return answers;
}

// The share of the true k nearest that was found.
double recall(const Answers& answers, const vsearch::VectorFile& truth, std::size_t k) {
  if (truth.rows() != answers.each.size() || truth.dim() < k) {
    throw vsearch::Error(
        vsearch::ErrorCode::kInvalidArgument,
        fmt::format("'{}' has {} neighbours of {} queries, and there are {} queries for {}: give "
                    "the file that belongs to the queries (--truth)",
                    truth.path().string(), truth.dim(), truth.rows(), answers.each.size(), k));
  }
  const std::vector<vsearch::Id> ids = read_ids(truth);
  std::size_t found = 0;
  for (std::size_t row = 0; row < answers.each.size(); ++row) {
    const auto wanted = ids.begin() + static_cast<std::ptrdiff_t>(row * truth.dim());
    for (const vsearch::Neighbor& hit : answers.each[row]) {
      found += std::count(wanted, wanted + static_cast<std::ptrdiff_t>(k), hit.id) > 0 ? 1 : 0;
    }
  }
  return static_cast<double>(found) / static_cast<double>(k * answers.each.size());
}

std::string as_lines(const Answers& answers) {
  std::string lines;
  for (std::size_t row = 0; row < answers.each.size(); ++row) {
    lines += std::to_string(row);
    for (const vsearch::Neighbor& hit : answers.each[row]) {
      lines += fmt::format(" {}:{:.6g}", hit.id, hit.distance);
    }
    lines += '\n';
  }
  return lines;
}

std::string as_json(const Answers& answers, std::optional<double> recall) {
  Json ids = Json::array();
  Json distances = Json::array();
  for (const auto& found : answers.each) {
    Json of_ids = Json::array();
    Json of_distances = Json::array();
    for (const vsearch::Neighbor& hit : found) {
      of_ids.push_back(hit.id);
      of_distances.push_back(shortest(hit.distance));
    }
    ids.push_back(std::move(of_ids));
    distances.push_back(std::move(of_distances));
  }
  return Json{{"seconds", answers.seconds},
              {"distances_computed", answers.distances},
              {"recall", recall ? Json(*recall) : Json()},
              {"ids", std::move(ids)},
              {"distances", std::move(distances)}}
             .dump() +
         "\n";
}

int search(const IndexArguments& options) {
  if (options.search.k == 0) throw UsageError("-k is the number of neighbours: at least 1, not 0");
  const vsearch::VectorFile queries(options.vectors, "test");
  const vsearch::Index index = vsearch::Index::load(options.file);
  const Answers answers = answer(index, queries, options);
  std::optional<double> share;
  if (!options.truth.empty() && queries.rows() > 0) {
    share = recall(answers, vsearch::VectorFile(options.truth, "neighbors"), options.search.k);
  }
  print(options.json ? as_json(answers, share) : as_lines(answers));
  if (!options.quiet && queries.rows() > 0) {
    const auto count = static_cast<double>(queries.rows());
    say(fmt::format("{}, {}, {:.0f} distances each{}", counted(queries.rows(), "answer"),
                    rate_text(count / answers.seconds),
                    static_cast<double>(answers.distances) / count,
                    share ? fmt::format(", recall {:.4f}", *share) : ""));
  }
  return kDone;
}

int stats(const IndexArguments& options) {
  const vsearch::Index index = vsearch::Index::load(options.file);
  const vsearch::IndexStats stats = index.stats();
  const vsearch::IndexOptions& made_with = index.options();
  const std::string_view storage = vsearch::storage_name(made_with.storage);
  if (options.json) {
    print(Json{{"path", options.file},
               {"dim", made_with.dim},
               {"metric", metric_name(made_with.metric)},
               {"storage", storage},
               {"links", made_with.links},
               {"build_breadth", made_with.build_breadth},
               {"size", stats.size},
               {"removed", stats.removed},
               {"memory_bytes", stats.memory_bytes},
               {"vector_bytes", stats.vector_bytes},
               {"link_bytes", stats.link_bytes},
               {"table_bytes", stats.table_bytes},
               {"free_bytes", stats.free_bytes},
               {"walked_bytes", stats.walked_bytes}}
              .dump(2, ' ', false, Json::error_handler_t::replace) +
          "\n");
    return kDone;
  }
  print(as_text("index " + options.file,
                {{"vectors", with_commas(stats.size)},
                 {"removed", with_commas(stats.removed)},
                 {"numbers", fmt::format("{} x {}, {}", made_with.dim, storage,
                                         metric_name(made_with.metric))},
                 {"made with", fmt::format("{} links, build breadth {}", made_with.links,
                                           made_with.build_breadth)},
                 {"memory", bytes_text(stats.memory_bytes)},
                 {"of vectors", bytes_text(stats.vector_bytes)},
                 {"of links", bytes_text(stats.link_bytes)},
                 {"of tables", bytes_text(stats.table_bytes)},
                 {"free", bytes_text(stats.free_bytes)},
                 {"read by walks", bytes_text(stats.walked_bytes)}}));
  return kDone;
}

Command build_command(CLI::App& index, const std::shared_ptr<IndexArguments>& options) {
  CLI::App* app = index.add_subcommand("build", "Make an index of the vectors in a file");
  add_positional(app, "VECTORS", options->vectors,
                 "A .npy, .fvecs, .bvecs or .hdf5 file (of that, the dataset train)");
  app->add_option("-o,--output", options->file, "The index to write")
      ->required()
      ->type_name("FILE");
  app->add_option("--ids", options->ids,
                  "A .npy or .ivecs file with the ids; without it they are the numbers of the "
                  "rows, from 0 on")
      ->type_name("FILE");
  app->add_option("--metric", options->metric, "cosine, inner_product or l2")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--storage", options->storage,
                  "What is kept of a vector: int8, float32, float16, bfloat16 or compact")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--links", options->made_with.links, "Links per vector (M)")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--build-breadth", options->made_with.build_breadth,
                  "Candidates looked at per vector (efConstruction)")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--threads", options->made_with.threads, "Threads; 0: as many as there are")
      ->type_name("N")
      ->capture_default_str();
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx index build base.fvecs -o base.index --metric l2\n"
      "  vsx index build embeddings.npy --ids ids.npy -o shop.index\n\n"
      "Stopped by Ctrl-C it writes nothing.");
  return {app, [options] { return build(*options); }};
}

Command search_command_of_index(CLI::App& index, const std::shared_ptr<IndexArguments>& options) {
  CLI::App* app = index.add_subcommand("search", "Find the nearest vectors of those in a file");
  add_positional(app, "FILE", options->file, "An index");
  app->add_option("--queries", options->vectors,
                  "A .npy, .fvecs, .bvecs or .hdf5 file (of that, the dataset test)")
      ->required()
      ->type_name("VECTORS");
  app->add_option("--truth", options->truth,
                  "The true neighbours, to measure the recall: an .ivecs, .npy or .hdf5 file (of "
                  "that, the dataset neighbors)")
      ->type_name("FILE");
  app->add_option("-k", options->search.k, "Neighbours wanted, at most")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--breadth", options->search.breadth,
                  "How far the index looks around: more finds more and takes longer")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--threads", options->search.threads, "Threads; 0: as many as there are")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--exact", options->search.exact, "Compare with every vector");
  app->add_flag("--json", options->json, "Print JSON instead of lines");
  add_quiet_flag(app, options->quiet);
  app->footer(
      "Examples:\n"
      "  vsx index search base.index --queries query.fvecs --truth groundtruth.ivecs\n"
      "  vsx index search base.index --queries query.npy -k 100 --breadth 200 --json\n\n"
      "A line a query: its row, and ID:DISTANCE of each neighbour, nearest first.");
  return {app, [options] { return search(*options); }};
}

Command stats_command(CLI::App& index, const std::shared_ptr<IndexArguments>& options) {
  CLI::App* app = index.add_subcommand("stats", "Show what an index is and what it takes");
  add_positional(app, "FILE", options->file, "An index");
  app->add_flag("--json", options->json, "Print JSON");
  app->footer(
      "Examples:\n  vsx index stats base.index\n\n"
      "vsx check looks whether it finds what is in it.");
  return {app, [options] { return stats(*options); }};
}

}  // namespace

Command index_command(CLI::App& vsx) {
  const auto options = std::make_shared<IndexArguments>();
  CLI::App* app = vsx.add_subcommand("index", "Make and search indexes of vectors in files");
  app->require_subcommand(1);
  const std::vector<Command> commands = {build_command(*app, options),
                                         search_command_of_index(*app, options),
                                         stats_command(*app, options)};
  app->footer(
      "Examples:\n"
      "  vsx index build base.fvecs -o base.index --metric l2\n"
      "  vsx index search base.index --queries query.fvecs --truth groundtruth.ivecs\n"
      "  vsx index stats base.index");
  return {app, [commands] {
            for (const Command& command : commands) {
              if (command.app->parsed()) return command.run();
            }
            return static_cast<int>(kWrongUsage);
          }};
}

}  // namespace vsx
