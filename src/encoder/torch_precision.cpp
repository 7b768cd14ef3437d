#include "encoder/torch_precision.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <time.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
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

// Processor time that torch's threads take together for one pass each over `pixels`: as encode()
// works, and hardly changed by whatever else the machine is doing.
double seconds_per_pass(const Network& network, const at::Tensor& pixels) {
  const auto thread_seconds = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  std::atomic<double> sum = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t begin, std::int64_t end) {
    const double start = thread_seconds();
    for (std::int64_t i = begin; i < end; ++i) {
      network.run(pixels, static_cast<std::size_t>(pixels.size(0)), 2, "a trial");
    }
    sum += thread_seconds() - start;
  });
  return sum;
}

// Which of `networks`, all of one device, is the fastest.
std::size_t find_fastest(const std::vector<std::shared_ptr<const Network>>& networks,
                         const at::Tensor& pixels) {
  constexpr int kRounds = 5;  // the first warms up
  std::vector<double> least(networks.size(), std::numeric_limits<double>::max());
  for (int round = 0; round < kRounds; ++round) {
    // By turns, so that a busy moment slows all of them alike.
    for (std::size_t i = 0; i < networks.size(); ++i) {
      least[i] = std::min(least[i], seconds_per_pass(*networks[i], pixels));
    }
  }
  return static_cast<std::size_t>(std::ranges::min_element(least) - least.begin());
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
  const bool any_precision = std::ranges::any_of(
      forms, [&](const Form& form) { return form.precision != forms.front().precision; });
  const auto try_open = [&](const Form& form) -> std::shared_ptr<const Network> {
    try {
      return open(form);
    } catch (const Error& error) {
      // Who asks for one precision should hear that it is broken; who leaves the choice, not.
      const bool lacking = error.code() == ErrorCode::kUnavailable ||
                           (error.code() == ErrorCode::kBadModel && any_precision);
      if (!lacking || &form == &forms.back()) throw;
      return nullptr;
    }
  };
  if (forms.size() == 1) return open(forms.front());
  if (!pixels.is_cpu()) {  // half precision is what a GPU is good at: nothing to measure
    for (const Form& form : forms) {
      if (auto network = try_open(form)) return network;
    }
  }

  std::string machine_key =
      fmt::format("{} {} {} {}", key, cpu_name(), at::get_num_threads(), TORCH_VERSION);
  // The fastest of all is no answer to who asks for one precision, nor the other way round.
  for (const Form& form : forms) machine_key += ", " + choice_name(form);
  if (const std::optional<std::string> known = find_choice(machine_key)) {
    for (const Form& form : forms) {
      if (choice_name(form) != *known) continue;
      if (auto network = try_open(form)) return network;
    }
  }
  std::vector<std::shared_ptr<const Network>> networks;
  std::vector<std::string> names;
  for (const Form& form : forms) {
    if (auto network = try_open(form)) {
      networks.push_back(std::move(network));
      names.push_back(choice_name(form));
    }
  }
  const std::size_t fastest = find_fastest(networks, pixels);
  remember_choice(machine_key, names[fastest]);
  return networks[fastest];
}

}  // namespace vsearch::encoder
