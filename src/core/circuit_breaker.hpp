// core/circuit_breaker.hpp — when to leave a server alone that is away. A plain state machine; Circuit
// (core/circuit.hpp) gives it a clock and a voice.
//
//   closed ──failures_max failures in a row──► open ──after a pause──► half-open ──the probe went well──► closed
//                                                ▲                         │
//                                                └────the probe failed─────┘  the pause doubles, up to pause_max
//
// Always true:
//
//   - calls begin only while the circuit is closed: no caller waits for a server that is known to be away;
//   - one probe at a time asks whether it is back. One that has not come back after probe_max is given up for another,
//     and what it says later counts no more;
//   - a call counts in the period in which it began. What began before an opening and ends after it neither lengthens
//     the pause nor closes the circuit: it may have been answered before the server went away, and says nothing of
//     now;
//   - one success undoes all failures of its period.
// Instants are monotonic, of one clock (Clock::elapsed). One that goes back all the same lengthens no wait.
#pragma once

#include "core/enum_names.hpp"
#include "core/time.hpp"

#include <cstdint>
#include <optional>

namespace scheduler {

class CircuitBreaker {
 public:
  enum class State { closed, half_open, open };  // in the metrics: 0, 1, 2
  friend constexpr auto enum_names(State) { return std::to_array<std::string_view>({"closed", "half_open", "open"}); }

  struct Settings {
    int failures_max = 3;                                                                    // >= 1, in a row
    Micros pause_min = std::chrono::milliseconds{100}, pause_max = std::chrono::seconds{1};  // 0 < min <= max
    Micros probe_max = std::chrono::seconds{30};  // longer than a probe takes that ends by itself
  };
  struct Call {
    std::uint64_t period = 0;
  };

  explicit CircuitBreaker(Settings settings) : settings_(settings) {}
  CircuitBreaker() : CircuitBreaker(Settings{}) {}

  [[nodiscard]] State state() const { return state_; }
  // Nothing: leave the server alone.
  [[nodiscard]] std::optional<Call> begin() const;
  // Nothing: the circuit is closed, the pause is not over, or a probe is under way.
  [[nodiscard]] std::optional<Call> begin_probe(Micros now);
  // How long until begin_probe() may be granted; zero: now. Only while the circuit is not closed.
  [[nodiscard]] Micros until_probe(Micros now) const;

  // How a call or a probe ended. The server answered, whatever it said; or it is away.
  void answered(Call call);
  void failed(Call call, Micros now);
  // The same of a call that was made only to know: it opens a closed circuit alone.
  void found_away(Call call, Micros now);

 private:
  void enter(State state);
  [[nodiscard]] Micros wait() const { return state_ == State::open ? pause_ : settings_.probe_max; }

  Settings settings_;
  State state_ = State::closed;
  std::uint64_t period_ = 0;  // grows with every change of state and every probe
  int failures_ = 0;          // in a row, of this period
  Micros pause_{0};
  Micros since_{0};  // when the pause or the probe began
};

}  // namespace scheduler
