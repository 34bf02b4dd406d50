#include "core/circuit.hpp"

#include "core/log.hpp"

#include <fmt/format.h>

#include <utility>

namespace scheduler {

std::shared_ptr<Circuit> Circuit::make(Ports ports, std::string target, CircuitBreaker::Settings settings) {
  return std::shared_ptr<Circuit>(new Circuit(ports, std::move(target), settings));
}

Circuit::Circuit(Ports ports, std::string target, CircuitBreaker::Settings settings)
    : ports_(ports),
      target_(std::move(target)),
      breaker_(settings),
      wake_(ports.timer.wake_signal()),
      since_(ports.clock.now()) {}

void Circuit::connect(std::function<Async<void>()> probe, std::function<void()> on_open) {
  probe_ = std::move(probe);
  on_open_ = std::move(on_open);
}

void Circuit::disconnect() {
  probe_ = nullptr;
  on_open_ = nullptr;
  wake_->notify();
}

SchedulerResult<Circuit::Call> Circuit::begin() const {
  if (const auto call = breaker_.begin()) return *call;
  const auto left = std::chrono::ceil<Millis>(breaker_.until_probe(ports_.clock.elapsed()));
  const auto next = breaker_.state() == State::half_open ? std::string("it is being asked now")
                                                         : fmt::format("it is asked again in {} ms", left.count());
  return fail(ErrorKind::Unavailable,
              fmt::format("the {} is away since {} ({}); {}", target_, format_rfc3339(since_), last_error_, next));
}

void Circuit::end(Call call, const SchedulerError* failure) {
  settle(call, failure, [this, call] { breaker_.failed(call, ports_.clock.elapsed()); });
}

void Circuit::settle(Call call, const SchedulerError* failure, const std::function<void()>& fail) {
  const auto before = breaker_.state();
  const auto opened = [&] { return before == State::closed && breaker_.state() == State::open; };
  if (failure && is_away(failure->kind)) {
    fail();
    if (breaker_.state() != State::closed) last_error_ = failure->message;
  } else {
    breaker_.answered(call);
  }
  if (breaker_.state() == before) return;
  changed(before);
  if (!opened()) return;
  if (!std::exchange(watched_, true)) spawn(ports_.io, "circuit", watch(shared_from_this()));
  if (on_open_) on_open_();
}

Async<void> Circuit::check(Micros most) {
  const auto self = shared_from_this();
  CO_UNWRAP(const auto call, begin());
  auto question = question_;
  if (!question && probe_) {
    question = question_ = std::make_shared<Question>(Question{.asked_at = ports_.clock.elapsed()});
    spawn(ports_.io, "circuit check", put(self, question, call));  // may answer before it returns
  }
  if (!question) co_return fail(ErrorKind::Unavailable, fmt::format("nobody can ask the {} any more", target_));
  const std::shared_ptr<WakeSignal> wake = ports_.timer.wake_signal();
  question->waiting.push_back(wake);
  const auto deadline = ports_.clock.elapsed() + most;
  for (auto left = most; !question->answer && left > Micros{0}; left = deadline - ports_.clock.elapsed())
    co_await wake->wait(left);
  if (question->answer) co_return *question->answer;
  std::erase(question->waiting, wake);
  const auto silent = std::chrono::floor<Millis>(ports_.clock.elapsed() - question->asked_at);
  co_return fail(ErrorKind::Timeout, fmt::format("the {} has not answered for {} ms", target_, silent.count()));
}

asio::awaitable<void> Circuit::put(std::shared_ptr<Circuit> self, std::shared_ptr<Question> question, Call call) {
  const auto probe = self->probe_;
  question->answer = probe ? co_await probe() : fail(ErrorKind::Unavailable, "this program is stopping");
  self->question_.reset();
  self->settle(call, *question->answer ? nullptr : &question->answer->error(),
               [&] { self->breaker_.found_away(call, self->ports_.clock.elapsed()); });
  for (const auto& it : question->waiting) it->notify();
}

void Circuit::changed(State before) {
  const auto now = breaker_.state();
  if (before == State::closed || now == State::closed) since_ = ports_.clock.now();
  if (before == State::closed) say_opened();
  if (now == State::closed) say_closed();
  if (listener_) listener_(before, now);
}

void Circuit::say_opened() {
  opened_at_ = ports_.clock.elapsed();
  said_ = !said_at_ || opened_at_ - *said_at_ >= kQuiet;
  if (!said_) return;
  said_at_ = opened_at_;
  log::warning("circuit breaker open: calls fail at once until it answers",
               {{"target", target_}, {"why", last_error_}});
}

void Circuit::say_closed() {
  if (!said_) return;
  log::info(
      "circuit breaker closed: it answers again",
      {{"target", target_}, {"after_ms", std::chrono::floor<Millis>(ports_.clock.elapsed() - opened_at_).count()}});
}

// While the circuit is not closed: a probe whenever one is due.
asio::awaitable<void> Circuit::watch(std::shared_ptr<Circuit> self) {
  while (self->probe_ && self->breaker_.state() != State::closed) {
    co_await self->wake_->wait(self->breaker_.until_probe(self->ports_.clock.elapsed()));
    const auto before = self->breaker_.state();
    const auto call = self->probe_ ? self->breaker_.begin_probe(self->ports_.clock.elapsed()) : std::nullopt;
    if (!call) continue;
    if (before != State::half_open) self->changed(before);
    spawn(self->ports_.io, "circuit probe", ask(self, *call));
  }
  self->watched_ = false;
}

asio::awaitable<void> Circuit::ask(std::shared_ptr<Circuit> self, Call call) {
  const auto probe = self->probe_;
  if (!probe) co_return;
  const auto answer = co_await probe();
  self->end(call, answer ? nullptr : &answer.error());
  self->wake_->notify();
}

}  // namespace scheduler
