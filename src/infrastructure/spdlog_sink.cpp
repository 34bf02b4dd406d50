#include "infrastructure/spdlog_sink.hpp"

#include "infrastructure/log_line.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>
#include <unistd.h>

namespace scheduler::infrastructure {
namespace {

// The payload is the finished line: patterns cannot escape what they insert.
class WholeLine final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    out.append(message.payload.data(), message.payload.data() + message.payload.size());
    out.push_back('\n');
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<WholeLine>(); }
};

bool wants_colour(std::FILE* out) {
  const char* refused = std::getenv("NO_COLOR");
  return (refused == nullptr || *refused == '\0') && ::isatty(::fileno(out)) == 1;
}

}  // namespace

class SpdlogSink::Impl {
 public:
  Impl(LogFormat format, const Clock& clock, std::FILE* out)
      : logger_("scheduler", std::make_shared<spdlog::sinks::stdout_sink_base<spdlog::details::console_mutex>>(out)),
        clock_(clock),
        format_(format),
        colour_(format == LogFormat::pretty && wants_colour(out)) {
    logger_.set_formatter(std::make_unique<WholeLine>());
    logger_.set_level(spdlog::level::trace);  // the facade has chosen already
    logger_.flush_on(spdlog::level::trace);
    logger_.set_error_handler([](const std::string&) {});  // nowhere left to say that the log cannot be written
  }

  void write(log::Level level, std::string_view message, std::span<const log::Field> fields) {
    const auto line = format_ == LogFormat::json ? json_log_line(clock_.now(), level, message, fields)
                                                 : pretty_log_line(clock_.now(), level, message, fields, colour_);
    logger_.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  spdlog::logger logger_;
  const Clock& clock_;
  LogFormat format_;
  bool colour_;
};

SpdlogSink::SpdlogSink(LogFormat format, const Clock& clock, std::FILE* out)
    : impl_(std::make_unique<Impl>(format, clock, out)) {}

SpdlogSink::~SpdlogSink() = default;

void SpdlogSink::write(log::Level level, std::string_view message, std::span<const log::Field> fields) {
  impl_->write(level, message, fields);
}

}  // namespace scheduler::infrastructure
