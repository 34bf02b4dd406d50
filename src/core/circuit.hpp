// core/circuit.hpp — the way to one server that we depend on: a circuit breaker with a clock, a probe and a voice.
//
//   co_return co_await circuit->run(inner.publish(to, batch));   // refused at once while the server is away
//
// Always true:
//   - what counts as away: Unavailable and Timeout. Every other answer, a refusal too, shows that the server is there;
//     who guards a call with a circuit reports its own bounds (a queue that is full) as something else;
//   - while the circuit is not closed nobody's call is a probe. The probe is a call of its own, made by itself as soon
//     as the pause is over: so no caller waits for the deadline of a server that hangs, and the return is noticed
//     without any traffic;
//   - opening and closing are told in the log once each, and not more often than every kQuiet;
//   - a refused call was not made at all;
//   - what its caller does with failed calls is right for refused ones too: it keeps them, repeats them, or leaves them
//     to a later tick.
//
// Single-threaded, like the loop that it lives on. Who connected it disconnects it before he goes; it goes itself with
// the last one who holds it.
#pragma once

#include "core/async.hpp"
#include "core/circuit_breaker.hpp"
#include "core/clock.hpp"
#include "core/timer.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scheduler {

// Config: it is there and does not let us in, which is no better.
[[nodiscard]] constexpr bool is_away(ErrorKind kind) {
  return kind == ErrorKind::Unavailable || kind == ErrorKind::Timeout || kind == ErrorKind::Config;
}

class Circuit : public std::enable_shared_from_this<Circuit> {
 public:
  using State = CircuitBreaker::State;
  using Call = CircuitBreaker::Call;
  static constexpr Micros kQuiet = std::chrono::seconds{10};

  struct Ports {
    asio::io_context& io;
    const Clock& clock;
    Timer& timer;
  };
  struct Report {
    State state = State::closed;
    TimePoint since{};       // closed: of the last closing, or of the start; else of the opening. This host's clock
    std::string last_error;  // what opened it the last time, or kept it open; empty: nothing ever did
    bool operator==(const Report&) const = default;
  };

  // `target`: "store", "message queue", as people read it.
  [[nodiscard]] static std::shared_ptr<Circuit> make(Ports ports, std::string target,
                                                     CircuitBreaker::Settings settings = {});

  // Who can ask the server. `on_open`, when given, is told of each opening, inside end().
  void connect(std::function<Async<void>()> probe, std::function<void()> on_open = nullptr);
  // No probe begins any more: who was asked goes away.
  void disconnect();
  // Every change of state, as it happens: before and now.
  void on_change(std::function<void(State, State)> listener) { listener_ = std::move(listener); }

  // Error: Unavailable, and a sentence that says since when, why, and when the server is asked again.
  [[nodiscard]] SchedulerResult<Call> begin() const;
  // `failure`: null when it went well.
  void end(Call call, const SchedulerError* failure);
  // Both around `work`, which does not begin when it is refused.
  template <class T>
  [[nodiscard]] Async<T> run(Async<T> work) {
    const auto self = shared_from_this();
    CO_UNWRAP(const auto call, begin());
    auto result = co_await std::move(work);
    end(call, result ? nullptr : &result.error());
    co_return result;
  }

  // Asks the server now, by the probe, for people who want to know and may be the only ones who call. That it is away
  // opens the circuit at once. Timeout: it has not answered within `most`; what it says later still counts. While the
  // circuit is not closed, the probes ask: then this says what they found.
  [[nodiscard]] Async<void> check(Micros most);

  [[nodiscard]] Report report() const { return {breaker_.state(), since_, last_error_}; }

 private:
  Circuit(Ports ports, std::string target, CircuitBreaker::Settings settings);
  void settle(Call call, const SchedulerError* failure, const std::function<void()>& fail);
  void changed(State before);
  void say_opened();
  void say_closed();
  static asio::awaitable<void> watch(std::shared_ptr<Circuit> self);
  static asio::awaitable<void> ask(std::shared_ptr<Circuit> self, Call call);
  // One question for all who check at the same time: a server that hangs is asked once.
  struct Question {
    std::optional<SchedulerResult<void>> answer;
    Micros asked_at{0};
    std::vector<std::shared_ptr<WakeSignal>> waiting;
  };
  static asio::awaitable<void> put(std::shared_ptr<Circuit> self, std::shared_ptr<Question> question, Call call);

  Ports ports_;
  std::string target_;
  CircuitBreaker breaker_;
  std::function<Async<void>()> probe_;
  std::function<void()> on_open_;
  std::function<void(State, State)> listener_;
  std::unique_ptr<WakeSignal> wake_;
  bool watched_ = false;
  TimePoint since_;
  Micros opened_at_{0};
  std::optional<Micros> said_at_;  // when an opening was told
  bool said_ = false;              // … and its closing was not
  std::string last_error_;
  std::shared_ptr<Question> question_;  // null: none is open
};

}  // namespace scheduler
