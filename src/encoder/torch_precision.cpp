#include "encoder/torch_precision.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

#include "encoder/choice_cache.h"
#include "vsearch/error.h"

namespace vsearch::encoder {
namespace {

// What half precision may move an embedding by: between the worst measured of many models (bf16,
// cosine 0.9995) and what a wrong preprocessing gives (below 0.99).
constexpr GoldenTolerance kHalfTolerance{0.998, 0.05};
constexpr double kFastLengthDifference = 0.05;

std::string choice_name(const Form& form) {
  return fmt::format("{} {}", form.fast ? "fast" : "plain", precision_name(form.precision));
}

double seconds_per_pass(const Network& network, const at::Tensor& pixels) {
  using Clock = std::chrono::steady_clock;
  constexpr int kPasses = 4;  // the first warms up
  constexpr auto kEnough = std::chrono::seconds(2);
  double best = std::numeric_limits<double>::max();
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < kPasses && Clock::now() - begin < kEnough; ++i) {
    const Clock::time_point start = Clock::now();
    network.run(pixels, static_cast<std::size_t>(pixels.size(0)), 2, "a trial");
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

std::vector<Form> find_forms(Precision wanted, at::Device device, const std::vector<FastForm>& fast,
                             const std::string& path) {
  std::vector<Form> forms;
  const auto fits = [wanted](Precision p) { return wanted == Precision::kAuto || wanted == p; };
  if (device.is_cpu()) {
    for (const FastForm& form : fast) {
      if (!fits(form.precision)) continue;
      forms.push_back({form.precision, true, at::kFloat, {form.min_cosine, kFastLengthDifference}});
    }
    std::ranges::reverse(forms);  // the shorter the numbers, the faster
    if (wanted == Precision::kBFloat16 && forms.empty()) {
      forms.push_back({Precision::kBFloat16, false, at::kBFloat16, kHalfTolerance});
    }
  } else {
    if (fits(Precision::kFloat16)) {
      forms.push_back({Precision::kFloat16, false, at::kHalf, kHalfTolerance});
    }
    if (wanted == Precision::kBFloat16) {
      forms.push_back({Precision::kBFloat16, false, at::kBFloat16, kHalfTolerance});
    }
  }
  if (fits(Precision::kFloat32)) forms.push_back({});
  if (!forms.empty()) return forms;
  std::string remedy = "load it with another precision";
  if (wanted == Precision::kInt8 && device.is_cpu()) {
    remedy = "export it again with --precision int8, see docs/models.md, or " + remedy;
  }
  throw Error(ErrorCode::kUnavailable,
              fmt::format("{}: cannot run in {} on {}; {}", path, precision_name(wanted),
                          device.is_cpu() ? "a CPU" : "CUDA", remedy));
}

std::shared_ptr<const Network> open_fastest(
    const std::vector<Form>& forms, const std::string& key, const at::Tensor& pixels,
    const std::function<std::shared_ptr<const Network>(const Form&)>& open) {
  const auto try_open = [&](const Form& form) -> std::shared_ptr<const Network> {
    try {
      return open(form);
    } catch (const Error& error) {
      const bool lacking =
          error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kBadModel;
      if (!lacking || &form == &forms.back()) throw;
      return nullptr;
    }
  };
  if (forms.size() == 1) return open(forms.front());

  const std::string machine_key =
      fmt::format("{} {} {} {}", key, cpu_name(), at::get_num_threads(), TORCH_VERSION);
  if (const std::optional<std::string> known = find_choice(machine_key)) {
    for (const Form& form : forms) {
      if (choice_name(form) != *known) continue;
      if (auto network = try_open(form)) return network;
    }
  }
  std::shared_ptr<const Network> fastest;
  std::string choice;
  double least = std::numeric_limits<double>::max();
  for (const Form& form : forms) {
    std::shared_ptr<const Network> network = try_open(form);
    if (!network) continue;
    const double seconds = seconds_per_pass(*network, pixels);
    if (seconds >= least) continue;
    least = seconds;
    fastest = std::move(network);
    choice = choice_name(form);
  }
  remember_choice(machine_key, choice);
  return fastest;
}

}  // namespace vsearch::encoder
