// simulation/trace.hpp — what happened in one world: all of it as a number to compare, the end of it to read.
#pragma once

#include "core/clock.hpp"
#include "core/time.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>

namespace scheduler::simulation {

class Trace {
 public:
  Trace(const Clock& clock, std::size_t lines_max) : clock_(clock), lines_max_(lines_max) {}

  void note(std::string line) {
    line = format_rfc3339(clock_.now()) + " " + std::move(line);
    hash_ = (hash_ ^ std::hash<std::string>{}(line)) * 0x100000001b3u;
    lines_.push_back(std::move(line));
    if (lines_.size() > lines_max_) lines_.pop_front();
  }

  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }  // the last ones

 private:
  const Clock& clock_;
  std::size_t lines_max_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
  std::deque<std::string> lines_;
};

}  // namespace scheduler::simulation
