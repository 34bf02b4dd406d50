#include "simulation/runner.hpp"

#include "core/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace scheduler::simulation {
namespace {

constexpr std::size_t kTraceLines = 150;

class Silence final : public log::Sink {
 public:
  void write(log::Level, std::string_view, std::span<const log::Field>) override {}
};

Mode mode_of(const Case& it) { return it.mode.value_or(it.seed % 2 == 0 ? Mode::safety : Mode::liveness); }

}  // namespace

Life live(const Case& it, std::size_t trace_lines) {
  World world({.seed = it.seed, .mode = mode_of(it), .mutant = it.mutant, .trace_lines = trace_lines});
  Life life;
  life.broken = world.run();
  life.hash = world.trace().hash();
  life.coverage = world.coverage();
  life.ends = world.ends();
  life.trace.assign(world.trace().lines().begin(), world.trace().lines().end());
  return life;
}

std::string command_for(const Case& it) {
  auto command = fmt::format("./dev simulate --seed {} --mode {}", it.seed, name_of(mode_of(it)));
  if (it.mutant != nullptr) command += fmt::format(" --mutant {}", it.mutant->name);
  return command;
}

std::string report(const Case& it) {
  const auto life = live(it, kTraceLines);
  auto text = fmt::format("seed {} broke {}:\n", it.seed, life.broken.size() == 1 ? "a promise" : "promises");
  for (const auto& sentence : life.broken) text += fmt::format("  {}\n", sentence);
  text += fmt::format("the last {} lines of its trace:\n", life.trace.size());
  for (const auto& line : life.trace) text += fmt::format("  {}\n", line);
  return text + fmt::format("alone: {}\n", command_for(it));
}

Summary live_all(const Batch& batch) {
  Summary summary;
  std::mutex mutex;
  std::atomic<std::uint64_t> next = batch.first;
  const auto work = [&] {
    for (;;) {
      const auto seed = next.fetch_add(1);
      if (seed >= batch.first + batch.seeds) return;
      const Case it{.seed = seed, .mode = batch.mode, .mutant = batch.mutant};
      const auto life = live(it);
      const bool again = seed % 100 == 0;
      const bool equal = !again || live(it).hash == life.hash;
      const std::lock_guard lock(mutex);
      ++summary.lived;
      summary.twice += again;
      summary.coverage += life.coverage;
      for (const auto& [state, n] : life.ends) summary.ends[state] += n;
      if (!equal) summary.not_repeated.push_back(seed);
      if (!life.broken.empty()) summary.failed.push_back(it);
      if (summary.failed.size() >= batch.failures_max) return;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < batch.jobs; ++i) threads.emplace_back(work);
  }
  std::ranges::sort(summary.failed, {}, &Case::seed);
  return summary;
}

std::optional<Caught> catch_mutant(const Mutant& mutant, std::uint64_t seeds_max) {
  for (std::uint64_t seed = 1; seed <= seeds_max; ++seed) {
    const Case it{.seed = seed, .mutant = &mutant};
    if (const auto life = live(it); !life.broken.empty()) return Caught{it, life.broken.front()};
  }
  return std::nullopt;
}

void keep_logs_quiet() { log::set_sink(std::make_shared<Silence>(), log::Level::error); }

}  // namespace scheduler::simulation
