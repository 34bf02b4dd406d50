#include "simulation/coverage.hpp"

#include <fmt/format.h>

#include <array>
#include <numeric>

namespace scheduler::simulation {
namespace {

using domain::Event;
using domain::RunState;

constexpr auto kTriggers = enum_names(domain::Trigger{});
constexpr auto kFaultNames = enum_names(Fault{});

// Whether a message carries the passage: work for a dispatch, a report for what an attempt did, control for its cancel.
// The rest is between a process and the store.
bool travels(Passage it) {
  if (it >= domain::kTransitions.size()) return false;
  const auto& row = domain::kTransitions[it];
  return row.event == Event::dispatch || row.from == RunState::dispatched || row.from == RunState::running;
}

// A dispatcher that gives up on a run, or an attempt that was told to end, after its worker fell silent: the message
// about it is the one that does not exist. Reports of workers that were told to hurry make the others.
constexpr double kMeetingsMin = 50;

bool can_happen(Passage it, Fault fault) {
  // Work is handed back when a worker stops in order; that its report finds the store away is rarer than the worlds.
  if (it == passage(RunState::dispatched, Event::hand_back) && fault == Fault::store_away) return false;
  if (!is_of_messages(fault)) return true;
  if (!travels(it)) return false;
  const auto& row = domain::kTransitions[it];
  const bool taken_back = row.event == Event::rescue || row.event == Event::give_up;
  return !taken_back;
}

}  // namespace

std::string name_of_passage(Passage it) {
  if (it >= domain::kTransitions.size()) return fmt::format("made by {}", kTriggers[it - domain::kTransitions.size()]);
  const auto& row = domain::kTransitions[it];
  return fmt::format("{} {}", name_of(row.from), name_of(row.event));
}

Coverage& Coverage::operator+=(const Coverage& other) {
  for (std::size_t i = 0; i < kPassages; ++i) {
    made_[i] += other.made_[i];
    for (std::size_t f = 0; f < kFaults; ++f) cells_[i][f] += other.cells_[i][f];
  }
  for (std::size_t f = 0; f < kFaults; ++f) faults_[f] += other.faults_[f];
  return *this;
}

std::vector<std::string> Coverage::gaps() const {
  std::vector<std::string> all;
  const auto times = static_cast<double>(std::reduce(made_.begin(), made_.end()));
  std::array<double, kFaults> met{};
  for (const auto& row : cells_)
    for (std::size_t f = 0; f < kFaults; ++f) met[f] += static_cast<double>(row[f]);
  for (std::size_t i = 0; i < kPassages; ++i) {
    if (made_[i] == 0) all.push_back(fmt::format("'{}' never happened", name_of_passage(i)));
    for (std::size_t f = 0; f < kFaults; ++f)
      // How often they would have met by chance: where both are rare, a few thousand worlds need not hold one.
      if (cells_[i][f] == 0 && can_happen(i, static_cast<Fault>(f)) &&
          static_cast<double>(made_[i]) * met[f] / times >= kMeetingsMin)
        all.push_back(fmt::format("'{}' never met {}", name_of_passage(i), kFaultNames[f]));
  }
  return all;
}

std::string Coverage::table() const {
  auto text = fmt::format("{:24}{:>9}", "", "times");
  for (std::size_t f = 0; f < kFaults; ++f) text += fmt::format(" {:>8}", kFaultNames[f].substr(0, 8));
  for (std::size_t i = 0; i < kPassages; ++i) {
    text += fmt::format("\n{:24}{:>9}", name_of_passage(i), made_[i]);
    for (std::size_t f = 0; f < kFaults; ++f)
      text += can_happen(i, static_cast<Fault>(f)) || cells_[i][f] > 0 ? fmt::format(" {:>8}", cells_[i][f])
                                                                       : fmt::format(" {:>8}", "-");
  }
  text += fmt::format("\n{:33}", "all");
  for (const auto n : faults_) text += fmt::format(" {:>8}", n);
  return text + "\n";
}

}  // namespace scheduler::simulation
