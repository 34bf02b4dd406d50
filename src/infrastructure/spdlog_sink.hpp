// infrastructure/spdlog_sink.hpp — log lines to a stream, for people (pretty) or for machines (json).
#pragma once

#include "core/clock.hpp"
#include "core/log.hpp"

#include <cstdio>
#include <memory>

namespace scheduler::infrastructure {

enum class LogFormat { pretty, json };

class SpdlogSink final : public log::Sink {
 public:
  // `clock` stamps the lines and outlives the sink, as does `out`. Each line is written whole and flushed. Colours:
  // pretty only, when `out` is a terminal and NO_COLOR is not set.
  SpdlogSink(LogFormat format, const Clock& clock, std::FILE* out = stderr);
  ~SpdlogSink() override;
  void write(log::Level level, std::string_view message, std::span<const log::Field> fields) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scheduler::infrastructure
