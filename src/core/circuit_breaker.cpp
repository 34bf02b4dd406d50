#include "core/circuit_breaker.hpp"

#include <algorithm>

namespace scheduler {

std::optional<CircuitBreaker::Call> CircuitBreaker::begin() const {
  if (state_ != State::closed) return std::nullopt;
  return Call{period_};
}

std::optional<CircuitBreaker::Call> CircuitBreaker::begin_probe(Micros now) {
  if (state_ == State::closed) return std::nullopt;
  since_ = std::min(since_, now);
  if (now - since_ < wait()) return std::nullopt;
  enter(State::half_open);
  since_ = now;
  return Call{period_};
}

Micros CircuitBreaker::until_probe(Micros now) const { return std::clamp(wait() - (now - since_), Micros{0}, wait()); }

void CircuitBreaker::answered(Call call) {
  if (call.period != period_) return;
  failures_ = 0;
  if (state_ == State::half_open) enter(State::closed);
}

void CircuitBreaker::failed(Call call, Micros now) {
  if (call.period != period_) return;
  if (state_ == State::closed && ++failures_ < settings_.failures_max) return;
  found_away(call, now);
}

void CircuitBreaker::found_away(Call call, Micros now) {
  if (call.period != period_) return;
  pause_ = state_ == State::closed ? settings_.pause_min : std::min(pause_ * 2, settings_.pause_max);
  enter(State::open);
  since_ = now;
}

void CircuitBreaker::enter(State state) {
  state_ = state;
  failures_ = 0;
  ++period_;
}

}  // namespace scheduler
