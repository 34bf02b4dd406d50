#include "cli/follow_run.hpp"

#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <ostream>

namespace scheduler::cli {
namespace {

constexpr int kReconnectsMax = 5;  // in a row without anything new

bool has_ended(const json::value& run) {
  const auto state = member_text(run, "state");
  for (const std::string_view active : {"waiting", "pending", "dispatched", "running"})
    if (state == active) return false;
  return true;
}

std::string target_of(const std::string& id) { return "/api/runs/" + id; }

// Time that is left of `max`, by the process's own clock; nothing: no end.
class Deadline {
 public:
  Deadline(const Clock& clock, std::optional<Seconds> max) : clock_(clock) {
    if (max) ends_ = clock.elapsed() + *max;
  }
  [[nodiscard]] bool passed() const { return ends_ && clock_.elapsed() >= *ends_; }
  [[nodiscard]] Seconds at_most(Seconds wanted) const {
    if (!ends_) return wanted;
    return std::clamp(std::chrono::ceil<Seconds>(*ends_ - clock_.elapsed()), Seconds{1}, wanted);
  }

 private:
  const Clock& clock_;
  std::optional<Micros> ends_;
};

std::unexpected<Failure> not_ended(const std::string& id, const json::value& run, std::optional<Seconds> max) {
  return failed(Exit::error, fmt::format("run {} is still {} after {}; scheduler-cli run wait {} waits on", id,
                                         member_text(run, "state"), duration_text(max.value_or(Seconds{0})), id));
}

// One look that the server answers when the run has ended, or after `wait`.
Outcome<json::value> look(const ApiClient& api, const std::string& id, Seconds wait) {
  TRY(auto run, api.get(fmt::format("{}?wait={}", target_of(id), wait.count()), wait + Seconds{30}));
  if (member_of(run, "state")) return run;
  return failed(Exit::error, "the scheduler answered without a run; is the server of another version?");
}

Outcome<json::value> watch(const ApiClient& api, const std::string& id, std::optional<Seconds> max, const Clock& clock,
                           Seconds step, const std::function<void(const json::value&)>& on_change) {
  const Deadline deadline(clock, max);
  std::string seen;
  while (true) {
    TRY(auto run, look(api, id, deadline.at_most(step)));
    auto now = member_text(run, "state") + member_text(run, "attempt");
    if (now != seen) on_change(run);
    seen = std::move(now);
    if (has_ended(run)) return run;
    if (deadline.passed()) return not_ended(id, run, max);
  }
}

void print_lines(const Session& session, const Output& output, const json::value& chunk) {
  if (!output.is_table()) return output.event(chunk);
  for (const auto& line : array_in(chunk, "lines"))
    if (const auto* text = member_of(line, "text"); text && text->is_string())
      session.ports.out << output_line(text->get_string()) << '\n';
  session.ports.out.flush();
}

// What a stream has brought so far, over all its connections.
struct Followed {
  std::string last_id;
  std::optional<json::value> ended;
  std::string error;  // the server's, on this connection
  bool any = false;   // lines, since the last connection
};

void take_event(const Session& session, const Output& output, const SseEvent& event, Followed& followed) {
  if (!event.id.empty()) followed.last_id = event.id;  // a new connection begins without one
  boost::system::error_code fault;
  auto value = json::parse(event.data, fault);
  if (event.name == "error") followed.error = fault ? one_line(event.data) : cell_of(value);
  if (event.name == "end" && !fault) followed.ended = std::move(value);
  if (event.name != "log" || fault) return;
  print_lines(session, output, value);
  followed.any = true;
}

std::unexpected<Failure> broken_off(const std::string& id, const Outcome<void>& streamed, const Followed& followed) {
  if (!streamed) return std::unexpected(streamed.error());
  if (!followed.error.empty()) return failed(Exit::error, followed.error);
  return failed(
      Exit::error,
      fmt::format("the output of run {} ends without a result; scheduler-cli run get {} shows its state", id, id));
}

}  // namespace

Outcome<json::value> wait_for_run(const Session& session, const ApiClient& api, const std::string& id,
                                  std::optional<Seconds> max) {
  return watch(api, id, max, session.ports.clock, Seconds{30}, [&](const json::value& run) {
    if (session.ports.err_is_terminal && !has_ended(run))
      session.talk(fmt::format("run {} is {}", id, member_text(run, "state")));
  });
}

Outcome<json::value> watch_run(const Session& session, const ApiClient& api, const std::string& id,
                               std::optional<Seconds> max, const std::function<void(const json::value&)>& on_change) {
  return watch(api, id, max, session.ports.clock, Seconds{1}, on_change);
}

Outcome<json::value> follow_logs(const Session& session, const ApiClient& api, const std::string& id,
                                 std::optional<int> attempt, std::optional<Seconds> max) {
  const auto target = target_of(id) + "/logs/stream" + Query().add("attempt", attempt).text();
  const auto output = session.output();
  const Deadline deadline(session.ports.clock, max);
  Followed followed;
  for (int in_vain = 0;; ++in_vain) {
    followed.any = false;
    followed.error.clear();
    const auto on_event = [&](const SseEvent& event) {
      take_event(session, output, event, followed);
      return !followed.ended && followed.error.empty();
    };
    const auto streamed = api.events(target, followed.last_id, on_event, [&] { return !deadline.passed(); });
    if (followed.ended) return *std::move(followed.ended);
    if (deadline.passed()) return not_ended(id, json::object{{"state", "running"}}, max);
    if (followed.any) in_vain = 0;
    const bool may_come_back = streamed || streamed.error().exit == Exit::unreachable;
    if (!may_come_back || in_vain >= kReconnectsMax) return broken_off(id, streamed, followed);
    if (in_vain > 0) session.sleep(Millis{500 * in_vain});
  }
}

std::string result_line(const json::value& run) {
  const auto state = member_text(run, "state");
  auto line = fmt::format("run {} of '{}' {}", member_text(run, "id"), member_text(run, "task_name"),
                          state == "timed_out" ? "timed out" : "was " + state);
  if (state == "succeeded" || state == "failed")
    line = fmt::format("run {} of '{}' {}", member_text(run, "id"), member_text(run, "task_name"), state);
  if (const auto* duration = member_of(run, "duration_ms"); duration && duration->is_int64())
    line += " after " + duration_text(Millis{duration->get_int64()});
  if (state == "succeeded") return line;
  const auto reason = member_text(run, "reason"), message = member_text(run, "message");
  if (reason != "-") line += ": " + reason;
  if (message != "-") line += (reason == "-" ? ": " : ", ") + message;
  if (const auto attempt = member_text(run, "attempt"); attempt != "-" && attempt != "0")
    line += fmt::format(" (attempt {})", attempt);
  return line;
}

Exit exit_of_run(const json::value& run) {
  return member_text(run, "state") == "succeeded" ? Exit::ok : Exit::run_failed;
}

Outcome<std::string> run_id(const std::string& text) {
  if (parse_id(text)) return text;
  return failed(
      Exit::usage,
      fmt::format("'{}' is not the id of a run; ids are numbers, scheduler-cli run list shows them", one_line(text)));
}

}  // namespace scheduler::cli
