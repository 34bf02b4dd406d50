// The output of runs: a page of lines, the whole text, or a live stream.
#include "api/handler.hpp"
#include "api/query.hpp"
#include "api/run_json.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::api {
namespace {

using application::LogChunk;
using application::LogPage;
using application::RunService;

struct Line {
  std::int64_t number;
  const LogChunk* chunk;
  std::string_view text;
};

// The lines after `after_line`; a chunk may begin before it.
std::vector<Line> lines_of(const std::vector<LogChunk>& chunks, std::int64_t after_line) {
  std::vector<Line> lines;
  for (const auto& chunk : chunks) {
    std::string_view rest = chunk.text;
    for (auto number = chunk.first_line; number < chunk.first_line + chunk.lines; ++number) {
      const auto line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (number > after_line) lines.push_back({number, &chunk, line});
    }
  }
  return lines;
}

std::int64_t last_line(const std::vector<LogChunk>& chunks, std::int64_t after_line) {
  return chunks.empty() ? after_line : std::max(after_line, chunks.back().first_line + chunks.back().lines - 1);
}

enum class LogFormat { json, text };
constexpr auto enum_names(LogFormat) { return std::to_array<std::string_view>({"json", "text"}); }

// Lines of one JSON page: a page of text may hold a million empty lines, each of which takes eighty bytes of JSON.
constexpr std::size_t kLinesMax = 5'000;

std::string logs_json(RunId run, const LogPage& page, std::int64_t after_line) {
  JsonWriter json;
  json.begin_object().member("run_id", run).member("attempt", page.attempt).key("lines").begin_array();
  auto lines = lines_of(page.chunks, after_line);
  const bool cut = lines.size() > kLinesMax;
  if (cut) lines.resize(kLinesMax);
  for (const auto& line : lines)
    json.begin_object()
        .member("line", line.number)
        .member("stream", name_of(line.chunk->stream))
        .member("at", line.chunk->at)
        .member("text", line.text)
        .end_object();
  return json.end_array()
      .member("next_after_line", cut ? lines.back().number : last_line(page.chunks, after_line))
      .member("complete", page.complete && !cut)
      .end_object()
      .take();
}

std::string logs_text(const LogPage& page, std::int64_t after_line) {
  std::string text;
  for (const auto& line : lines_of(page.chunks, after_line)) text.append(line.text).append("\n");
  return text;
}

// All that there is now, a page in memory at a time. `first` was read already: its error could still become a reply.
asio::awaitable<void> send_text(RunService& runs, RunId run, LogPage first, std::int64_t after_line, ReplyStream& out) {
  auto page = std::move(first);
  while (!page.chunks.empty()) {
    const bool listening = co_await out.write(logs_text(page, after_line));
    if (!listening) co_return;
    after_line = last_line(page.chunks, after_line);
    auto next = co_await runs.logs(run, page.attempt, after_line);
    if (!next) co_return;
    page = *std::move(next);
  }
}

// Output travels beside the report that ends a run: who asks right after the end waits a moment for its lines.
Async<LogPage> settled_logs(RunService& runs, RunId run, std::optional<int> attempt, std::int64_t after_line) {
  constexpr Micros kLateLinesMax = std::chrono::seconds{1};
  CO_TRY(auto page, runs.logs(run, attempt, after_line));
  if (page.complete || !page.chunks.empty()) co_return page;
  CO_TRY(const auto seen, runs.get(run));
  if (!domain::is_terminal(seen.state)) co_return page;
  co_return co_await runs.follow_logs(run, attempt, after_line, kLateLinesMax);
}

Async<Reply> get_logs(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  QueryReader query(request.query);
  const auto attempt = query.integer("attempt", 1, 1'000'000);
  const auto after_line = query.integer("after_line", 0, kIdMax).value_or(0);
  const auto format = query.word<LogFormat>("format").value_or(LogFormat::json);
  CO_ENSURE(query.finish());
  CO_TRY(auto page, settled_logs(context.services.runs, id, attempt, after_line));
  if (format == LogFormat::json) co_return success(context, logs_json(id, page, after_line));

  Reply reply{.content_type = "text/plain; charset=utf-8"};
  auto& runs = context.services.runs;
  reply.stream = [&runs, id, first = std::move(page), after_line](ReplyStream& out) {
    return send_text(runs, id, first, after_line, out);
  };
  co_return reply;
}

// Where a listener is: after this line of this attempt. `attempt` absent: nothing was seen yet.
struct Position {
  std::optional<int> attempt;
  std::int64_t line = 0;
};

std::string log_event(const LogPage& page, std::int64_t after_line) {
  std::string out;
  for (const auto& chunk : page.chunks) {
    JsonWriter json;
    json.begin_object().member("attempt", page.attempt).member("stream", name_of(chunk.stream)).member("at", chunk.at);
    json.key("lines").begin_array();
    for (const auto& line : lines_of({chunk}, after_line))
      json.begin_object().member("line", line.number).member("text", line.text).end_object();
    json.end_array().end_object();
    fmt::format_to(std::back_inserter(out), "id: {}:{}\nevent: log\ndata: {}\n\n", page.attempt,
                   chunk.first_line + chunk.lines - 1, json.take());
  }
  return out;
}

struct Follow {
  RunId run;
  bool fixed = false;  // only the attempt of `seen`; otherwise through all that follow it, until the run has ended
  Position seen;
  Millis heartbeat{0};
  Millis quiet{0};       // since something was sent
  int silent_looks = 0;  // in a row that found nothing new
};

// The next page of what `it` has not seen. An attempt that is over is told to its end before the next one begins.
Async<LogPage> next_page(RunService& runs, const Follow& it, Micros wait_max) {
  const auto asked = it.fixed ? it.seen.attempt : std::nullopt;
  CO_TRY(auto page, runs.follow_logs(it.run, asked, it.seen.line, wait_max));
  const auto before = it.seen.attempt.value_or(0);
  if (before == 0 || page.attempt == before) co_return page;
  CO_TRY(auto rest, runs.logs(it.run, before, it.seen.line));
  rest.complete = false;
  if (!rest.chunks.empty()) co_return rest;
  co_return LogPage{.attempt = before + 1};
}

// The run once it has ended and nothing more of its output will come; nothing: go on.
Async<std::optional<domain::TaskRun>> ended_run(RunService& runs, const Follow& it, bool attempt_is_complete,
                                                int silent_looks, Micros wait_max) {
  // Output travels beside the report that ends a run, and the last lines of a lost worker never come.
  constexpr int kLateLooks = 5;
  CO_TRY(auto run, runs.wait(it.run, attempt_is_complete ? wait_max : Micros{0}));
  const bool is_last_attempt = it.fixed || run.attempt == it.seen.attempt.value_or(0);
  const bool has_all = is_last_attempt && (attempt_is_complete || silent_looks >= kLateLooks);
  if (!domain::is_terminal(run.state) || !has_all) co_return std::nullopt;
  co_return run;
}

// One look at the output: what is new, or a heartbeat when there was nothing for long. True: go on.
Async<bool> send_news(RunService& runs, Follow& it, Millis step, ReplyStream& out) {
  CO_TRY(const auto page, next_page(runs, it, step));
  if (page.attempt != it.seen.attempt) it.silent_looks = 0;
  if (it.seen.attempt.value_or(0) != 0 && page.attempt != *it.seen.attempt) it.seen.line = 0;
  it.seen.attempt = page.attempt;
  if (!page.chunks.empty()) {
    it.silent_looks = 0;
    it.quiet = Millis{0};
    const bool listening = co_await out.write(log_event(page, it.seen.line));
    it.seen.line = last_line(page.chunks, it.seen.line);
    if (!listening || !page.complete) co_return listening;
  }
  ++it.silent_looks;
  if (it.quiet += step; it.quiet >= it.heartbeat) {
    it.quiet = Millis{0};
    co_await out.write(": still here\n\n");
  }
  CO_TRY(const auto ended, ended_run(runs, it, page.complete, it.silent_looks, step));
  if (ended) co_await out.write(fmt::format("event: end\ndata: {}\n\n", run_json(*ended)));
  co_return !ended && out.is_open();
}

asio::awaitable<void> send_events(RunService& runs, Follow it, ReplyStream& out) {
  // Short enough to see soon that an attempt ended and another began, or that nobody listens any more.
  const auto step = std::min(it.heartbeat, Millis{1000});
  for (;;) {
    const auto go_on = co_await send_news(runs, it, step, out);
    if (go_on && *go_on) continue;
    if (!go_on)
      co_await out.write(fmt::format("event: error\ndata: {}\n\n", JsonWriter().value(go_on.error().message).take()));
    co_return;
  }
}

// "2:57" is line 57 of attempt 2, the id of a `log` event; "57" alone is a line of whatever attempt is the last one.
SchedulerResult<Position> position_of(const Request& request, std::optional<std::int64_t> attempt,
                                      std::int64_t after_line) {
  Position position{.attempt = {}, .line = after_line};
  if (attempt) position.attempt = static_cast<int>(*attempt);
  if (!request.last_event_id || request.last_event_id->empty()) return position;
  const auto text = *request.last_event_id;
  const auto colon = text.find(':');
  const auto line = parse_integer(colon == std::string_view::npos ? text : text.substr(colon + 1), 0, kIdMax);
  const auto of = colon == std::string_view::npos ? attempt : parse_integer(text.substr(0, colon), 0, 1'000'000);
  if (!line || (colon != std::string_view::npos && !of))
    return fail(ErrorKind::Validation, "the header Last-Event-ID must be the id of an event of this stream",
                {{"Last-Event-ID", "must look like 2:57, attempt and line"}});
  if (attempt && *attempt != *of) return position;  // of another attempt than the one asked for
  position.line = *line;
  if (of) position.attempt = static_cast<int>(*of);
  return position;
}

Async<Reply> stream_logs(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  QueryReader query(request.query);
  const auto attempt = query.integer("attempt", 1, 1'000'000);
  const auto after_line = query.integer("after_line", 0, kIdMax).value_or(0);
  CO_ENSURE(query.finish());
  CO_UNWRAP(const auto position, position_of(request, attempt, after_line));
  // Asked before the stream begins, so that a wrong id or attempt is an ordinary reply.
  CO_TRY([[maybe_unused]] const auto page, context.services.runs.logs(id, attempt, position.line));

  Reply reply{.content_type = "text/event-stream"};
  auto& runs = context.services.runs;
  const Follow it{.run = id, .fixed = attempt.has_value(), .seen = position, .heartbeat = context.limits.heartbeat};
  reply.stream = [&runs, it](ReplyStream& out) { return send_events(runs, it, out); };
  co_return reply;
}

constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/api/runs/{id}/logs", get_logs, Permission::task_read},
    {"GET", "/api/runs/{id}/logs/stream", stream_logs, Permission::task_read},
});

}  // namespace

std::span<const Route> log_routes() { return kRoutes; }

}  // namespace scheduler::api
