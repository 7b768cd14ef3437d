// Measures what it costs to score a retrieval task and to tell how sure the scores are.
//
//   eval_bench [ROWS [DIM [CLASSES]]]   60000 768, of classes ROWS / 10 and then 100; prints a row
//                                       of JSON a line
//
// Every row is a query and stands in the gallery too. It lies around the centre of its class so
// loosely that right answers are spread over much of the ranking, as they are for a weak encoder:
// that is the most work.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "index/products.h"
#include "util/parallel.h"
#include "vsearch/metrics.h"

namespace {

using vsearch::Matrix;
namespace index = vsearch::index;

void tell(const nlohmann::ordered_json& row) {
  std::puts(row.dump().c_str());
  std::fflush(stdout);
}

template <class Body>
double seconds(Body&& body) {
  const auto begin = std::chrono::steady_clock::now();
  std::forward<Body>(body)();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

struct Labelled {
  Matrix rows;
  std::vector<std::int32_t> labels;
};

Labelled draw(std::size_t rows, std::size_t dim, std::size_t classes) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  constexpr float kTogether = 0.35F;
  Matrix centres(classes, dim);
  for (float& value : centres.data) value = normal(random);
  // Drawing all of it would take longer than what is measured.
  std::vector<float> noise(1U << 20);
  for (float& value : noise) value = normal(random);
  Labelled drawn{Matrix(rows, dim), std::vector<std::int32_t>(rows)};
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t label = row % classes;
    drawn.labels[row] = static_cast<std::int32_t>(label);
    for (float& value : drawn.rows.row(row)) {
      const auto i = static_cast<std::size_t>(&value - drawn.rows.row(row).data());
      value = kTogether * centres.row(label)[i] + noise[random() % noise.size()];
    }
  }
  return drawn;
}

// What the products alone reach: of a tile and a block of queries that stay in the caches.
double products_gflops(std::size_t dim, std::size_t threads) {
  const index::Products& products = index::products().front();
  constexpr std::size_t kTogether = 5;  // times as many vectors as are multiplied at a time
  constexpr std::size_t kTimes = 4000;
  const double spent = seconds([&] {
    vsearch::util::share(threads, threads, [&](const auto& next) {
      if (!next()) return;
      const std::vector<float> vectors(kTogether * products.rows * dim, 0.5F);
      const std::vector<float> packed(products.lanes * dim, 0.5F);
      std::vector<float> sums(kTogether * products.rows * products.lanes);
      for (std::size_t time = 0; time < kTimes; ++time) {
        for (std::size_t row = 0; row < kTogether * products.rows; row += products.rows) {
          products.multiply(vectors.data() + row * dim, dim, packed.data(), dim, false,
                            sums.data() + row * products.lanes);
        }
      }
    });
  });
  return 2e-9 * static_cast<double>(threads * kTimes * kTogether * products.rows * products.lanes) *
         static_cast<double>(dim) / spent;
}

void measure_scores(std::size_t rows, std::size_t dim, std::size_t classes) {
  const std::size_t threads = std::thread::hardware_concurrency();
  const Labelled drawn = draw(rows, dim, classes);
  std::vector<std::int64_t> self(rows);
  std::iota(self.begin(), self.end(), 0);
  const vsearch::RetrievalTask task{.queries = drawn.rows.view(),
                                    .gallery = drawn.rows.view(),
                                    .query_labels = drawn.labels,
                                    .gallery_labels = drawn.labels,
                                    .self = self};
  tell({{"what", "products"},
        {"kernel", index::products().front().name},
        {"threads", threads},
        {"gflops", products_gflops(dim, threads)}});
  const double before = peak_mib();
  vsearch::RetrievalScores scores;
  const double spent = seconds([&] { scores = vsearch::score_retrieval(task); });
  const auto n = static_cast<double>(rows);
  const vsearch::Estimate precision = vsearch::estimate_mean([&] {
    std::vector<float> values;
    for (std::size_t row = 0; row < rows; ++row) {
      values.push_back(scores.values.row(row)[scores.column("mAP")]);
    }
    return values;
  }());
  tell({{"what", "score_retrieval"},
        {"rows", rows},
        {"dim", dim},
        {"right_answers", scores.right_answers[0]},
        {"threads", threads},
        {"s", spent},
        {"gflops", 2e-9 * n * n * static_cast<double>(dim) / spent},
        {"mAP", precision.mean},
        {"peak_mib", peak_mib()},
        {"before_mib", before}});
}

void measure_resampling(std::size_t rows) {
  constexpr std::uint32_t kResamples = 10'000;
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform;
  std::vector<float> a(rows);
  std::vector<float> b(rows);
  for (float& value : a) value = uniform(random);
  for (float& value : b) value = uniform(random);
  double kept = 0;
  const double bootstrap = seconds([&] { kept += vsearch::estimate_mean(a, kResamples).low; });
  const double paired = seconds([&] { kept += vsearch::compare_paired(a, b, kResamples).p_value; });
  tell({{"what", "resampling"},
        {"values", rows},
        {"resamples", kResamples},
        {"estimate_mean_s", bootstrap},
        {"compare_paired_s", paired},
        {"check", kept}});
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::size_t otherwise) {
    return argc > i ? std::stoul(argv[i]) : otherwise;
  };
  const std::size_t rows = argument(1, 60'000);
  measure_scores(rows, argument(2, 768), argument(3, std::max<std::size_t>(1, rows / 10)));
  if (argc <= 3) measure_scores(rows, argument(2, 768), 100);
  measure_resampling(rows);
  return 0;
}
