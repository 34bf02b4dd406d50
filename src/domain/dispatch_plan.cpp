#include "domain/dispatch_plan.hpp"

#include <algorithm>
#include <map>

namespace scheduler::domain {
namespace {

bool takes_work(const WorkerLoad& it) {
  return it.worker.state == WorkerState::alive && it.in_flight < it.worker.capacity;
}

double share_in_use(const WorkerInfo& worker, int in_flight) {
  return double(in_flight) / double(std::max(1, worker.slots));
}

// Smaller is better. The second member breaks ties between equally loaded workers.
std::pair<double, double> rank(const WorkerInfo& worker, int in_flight, Strategy strategy) {
  const double share = share_in_use(worker, in_flight);
  const double generality = static_cast<double>(worker.task_types.size());
  switch (strategy) {
    case Strategy::task_type_affinity:
      return {generality, share};
    case Strategy::composite:
      return {share + 0.5 * worker.load / double(std::max(1, worker.slots)), generality};
    default:
      return {share, 0};
  }
}

// The candidates of one route, kept between runs of the same route.
class Pool {
 public:
  Pool(std::span<const WorkerLoad> workers, std::string_view route) {
    for (std::size_t i = 0; i < workers.size(); ++i)
      if (takes_work(workers[i]) && serves(workers[i].worker, route)) members_.push_back(i);
  }

  // The index of the chosen worker, or nothing when all are full.
  std::optional<std::size_t> choose(std::span<const WorkerLoad> workers, std::span<const int> in_flight,
                                    Strategy strategy, std::uint64_t turn) {
    std::erase_if(members_, [&](std::size_t i) { return in_flight[i] >= workers[i].worker.capacity; });
    if (members_.empty()) return std::nullopt;
    if (strategy == Strategy::round_robin || strategy == Strategy::random) return members_[turn % members_.size()];
    return *std::ranges::min_element(members_, {},
                                     [&](std::size_t i) { return rank(workers[i].worker, in_flight[i], strategy); });
  }

 private:
  std::vector<std::size_t> members_;
};

// Numerical Recipes' 64-bit linear congruential generator: enough to spread, and the same everywhere.
std::uint64_t next_dice(std::uint64_t dice) { return dice * 6364136223846793005u + 1442695040888963407u; }

}  // namespace

Demand demand(std::span<const std::string> routes, std::span<const WorkerLoad> workers, int batch_max) {
  Demand wanted;
  for (const auto& route : routes)
    if (std::ranges::any_of(workers, [&](const auto& it) { return takes_work(it) && serves(it.worker, route); }))
      wanted.routes.push_back(route);
  for (const auto& it : workers)
    if (takes_work(it)) wanted.runs_max += std::min(batch_max - wanted.runs_max, it.worker.capacity - it.in_flight);
  if (wanted.routes.empty()) wanted.runs_max = 0;
  return wanted;
}

std::vector<Assignment> plan_dispatch(std::span<const Candidate> due, std::span<const WorkerLoad> workers,
                                      Strategy strategy, std::uint64_t dice) {
  std::vector<Assignment> plan;
  plan.reserve(due.size());
  std::vector<int> in_flight;
  for (const auto& it : workers) in_flight.push_back(it.in_flight);
  std::map<std::string_view, Pool> pools;
  for (const auto& run : due) {
    auto& pool = pools.try_emplace(run.route, workers, run.route).first->second;
    // Thrown before the first use: the dice of two plans differ by little, and so would their first choices.
    dice = strategy == Strategy::random ? next_dice(dice) : dice + 1;
    const auto turn = strategy == Strategy::random ? dice >> 33 : dice - 1;
    const auto chosen = pool.choose(workers, in_flight, strategy, turn);
    if (!chosen) continue;
    ++in_flight[*chosen];
    plan.push_back({run.run, run.token, *chosen});
  }
  return plan;
}

}  // namespace scheduler::domain
