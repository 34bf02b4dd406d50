// ./dev simulate: lives seeded histories and says which promise was broken.
#include "simulation/runner.hpp"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace scheduler::simulation {
namespace {

constexpr const char* kUsage =
    "usage: simulate [--seeds N] [--from K] [--mode safety|liveness] [--mutant NAME] [--jobs N] [--coverage]\n"
    "       simulate --seed K [--mode …] [--mutant NAME]   one history, with its trace\n"
    "       simulate --mutants                             every mutant, and the seed that catches it\n"
    "  --coverage   fails when a passage of runs that can meet a kind of fault never did\n"
    "  SIMULATION_SEEDS=N takes the place of --seeds, and drops --coverage\n";

struct Options {
  Batch batch{.seeds = 200, .jobs = std::max(1u, std::thread::hardware_concurrency())};
  std::optional<std::uint64_t> only;
  bool coverage = false, all_mutants = false;
};

[[noreturn]] void refuse(const std::string& why) {
  fmt::print(stderr, "simulate: {}\n{}", why, kUsage);
  std::exit(2);
}

std::uint64_t number(std::string_view option, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0)
    refuse(fmt::format("{} needs a number from 1 on, not '{}'", option, text));
  return value;
}

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    const auto value = [&]() -> std::string_view {
      if (++i == count) refuse(fmt::format("{} needs a value", word));
      return words[i];
    };
    if (word == "--seeds") {
      options.batch.seeds = number(word, value());
    } else if (word == "--from") {
      options.batch.first = number(word, value());
    } else if (word == "--seed") {
      options.only = number(word, value());
    } else if (word == "--jobs") {
      options.batch.jobs = static_cast<unsigned>(number(word, value()));
    } else if (word == "--mode") {
      options.batch.mode = parse_enum<Mode>(value());
      if (!options.batch.mode) refuse("--mode is safety or liveness");
    } else if (word == "--mutant") {
      const auto name = value();
      options.batch.mutant = find_mutant(name);
      if (options.batch.mutant == nullptr) refuse(fmt::format("there is no mutant '{}'; see --mutants", name));
    } else if (word == "--coverage") {
      options.coverage = true;
    } else if (word == "--mutants") {
      options.all_mutants = true;
    } else {
      refuse(fmt::format("there is no option '{}'", word));
    }
  }
  if (const char* seeds = std::getenv("SIMULATION_SEEDS")) {
    options.batch.seeds = number("SIMULATION_SEEDS", seeds);
    options.coverage = false;
  }
  return options;
}

int show_one(const Case& it) {
  const auto life = live(it, 100'000);
  for (const auto& line : life.trace) fmt::print("{}\n", line);
  for (const auto& sentence : life.broken) fmt::print("broken: {}\n", sentence);
  fmt::print("seed {}: {}, history {:016x}\n", it.seed, life.broken.empty() ? "every promise was kept" : "BROKEN",
             life.hash);
  return life.broken.empty() ? 0 : 1;
}

int show_mutants() {
  int missed = 0;
  for (const auto& mutant : mutants()) {
    const auto caught = catch_mutant(mutant, 200);
    missed += !caught;
    fmt::print("{:28} {}\n", mutant.name,
               caught ? fmt::format("seed {:>3}  {}", caught->by.seed, caught->what) : "NOT CAUGHT");
  }
  return missed == 0 ? 0 : 1;
}

int live_many(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  const auto summary = live_all(options.batch);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  for (const auto& it : summary.failed) fmt::print("{}\n", report(it));
  for (const auto seed : summary.not_repeated)
    fmt::print("seed {} lived twice has two histories: something is not decided by the seed\n", seed);
  if (options.coverage || summary.failed.empty()) fmt::print("{}", summary.coverage.table());
  for (const auto& [what, n] : summary.ends) fmt::print("  {}: {}\n", what, n);
  const auto gaps = options.coverage ? summary.coverage.gaps() : std::vector<std::string>{};
  for (const auto& gap : gaps) fmt::print("not covered: {}\n", gap);
  fmt::print("{} seeds in {:.1f} s, {} of them twice: {}\n", summary.lived, took.count(), summary.twice,
             summary.failed.empty() ? "every promise was kept" : "BROKEN");
  return summary.failed.empty() && summary.not_repeated.empty() && gaps.empty() ? 0 : 1;
}

int run(int count, char** words) {
  const auto options = parse(count, words);
  if (!options.only || !std::getenv("SIMULATION_LOGS")) keep_logs_quiet();
  if (options.all_mutants) return show_mutants();
  if (options.only)
    return show_one({.seed = *options.only, .mode = options.batch.mode, .mutant = options.batch.mutant});
  return live_many(options);
}

}  // namespace
}  // namespace scheduler::simulation

int main(int count, char** words) { return scheduler::simulation::run(count, words); }
