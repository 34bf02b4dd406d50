// simulation/coverage.hpp — which fault has met which passage of a run: what a green simulation is worth.
//
// A fault meets a passage when it hits the store call that makes it, or would have made it, or the message that makes
// it known. A cell that can happen and never did means that nothing was proved about it.
#pragma once

#include "domain/transitions.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::simulation {

enum class Fault {
  store_refused,      // the store says no, and did nothing
  store_answer_lost,  // it did it, and the answer got lost
  store_away,         // it answers nobody for a while; half of the time it did the last thing it was asked for
  killed,             // a process ends at an await, for ever
  paused,             // a process stands still at an await, and goes on later
  clock_forward,      // the store's wall clock is set, while the call is under way
  clock_backward,
  message_lost,
  message_doubled,
  message_late,
  message_overtaken,  // what came later is handled earlier
  publish_refused,    // the queue says no; half of the time it took the message all the same
  ack_lost,           // the queue never hears that a message was handled: it comes again
  broker_away,        // nothing is taken and nothing comes, for anybody
  cut_off,            // the same for one process: its network is gone, it is not
};
constexpr auto enum_names(Fault) {
  return std::to_array<std::string_view>({"store_refused", "store_answer_lost", "store_away", "killed", "paused",
                                          "clock_forward", "clock_backward", "message_lost", "message_doubled",
                                          "message_late", "message_overtaken", "publish_refused", "ack_lost",
                                          "broker_away", "cut_off"});
}
inline constexpr std::size_t kFaults = enum_names(Fault{}).size();
[[nodiscard]] constexpr bool is_of_messages(Fault it) { return it >= Fault::message_lost; }

// A row of domain::kTransitions, or, behind them, the making of a run by one trigger.
using Passage = std::size_t;
using Passages = std::vector<Passage>;
inline constexpr std::size_t kPassages = domain::kTransitions.size() + enum_names(domain::Trigger{}).size();

[[nodiscard]] constexpr Passage passage(domain::RunState from, domain::Event event) {
  for (std::size_t i = 0; i < domain::kTransitions.size(); ++i)
    if (domain::kTransitions[i].from == from && domain::kTransitions[i].event == event) return i;
  return kPassages;  // the table does not allow it
}
[[nodiscard]] constexpr Passage made_by(domain::Trigger trigger) {
  return domain::kTransitions.size() + static_cast<std::size_t>(trigger);
}
[[nodiscard]] std::string name_of_passage(Passage it);  // "running fail", "made by schedule"

class Coverage {
 public:
  void met(Fault fault, const Passages& by) {
    ++faults_[static_cast<std::size_t>(fault)];
    for (const auto it : by) ++cells_[it][static_cast<std::size_t>(fault)];
  }
  void made(Passage it) { ++made_[it]; }
  Coverage& operator+=(const Coverage& other);

  // One sentence for every cell that can happen and did not.
  [[nodiscard]] std::vector<std::string> gaps() const;
  [[nodiscard]] std::string table() const;

 private:
  std::array<std::int64_t, kPassages> made_{};
  std::array<std::int64_t, kFaults> faults_{};
  std::array<std::array<std::int64_t, kFaults>, kPassages> cells_{};
};

}  // namespace scheduler::simulation
