// application/messages.hpp — what travels on the queue. Every item can be lost, doubled or late without harm: work and
// reports carry tokens, heartbeats are repeated, nudges only shorten a wait.
#pragma once

#include "core/ids.hpp"
#include "core/time.hpp"
#include "domain/reconcile.hpp"
#include "domain/retry.hpp"
#include "domain/worker_info.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace scheduler::application {

inline constexpr std::size_t kUpstreamBytesMax = 1 << 20;

// One attempt to make, with everything a worker needs for it: workers never see the store.
struct TaskExecution {
  RunId run;
  TaskId task;
  std::string task_name;
  std::string task_type;
  std::string parameters;  // JSON object as text
  int attempt = 1;
  Token token = 0;
  Seconds timeout{300};
  std::optional<TimePoint> slot;
  int shard_index = 0;
  int shard_total = 1;
  // What the runs left that this one waited for; nothing: it waited for none. By the names of the tasks:
  //   {"extract":{"run_id":12,"state":"succeeded","slot":null,"shard_index":0,"output":{"rows":1200}},
  //    "hourly":{"runs":[{"run_id":13, … }, … ]}}     where it is not exactly one run; `output` may be null
  std::optional<std::string> upstream;        // a JSON object as text, at most kUpstreamBytesMax
  std::optional<std::string> upstream_fault;  // it cannot be handed over: the attempt fails, with this sentence
};

// News of an attempt: it began, or it ended (then `outcome` is set). A short attempt sends only the second.
struct StatusUpdate {
  RunId run;
  int attempt = 1;
  Token token = 0;
  IncarnationId incarnation;
  std::optional<Micros> age;  // since the attempt began, when this was sent; nothing: it never began
  Micros duration{0};         // how long it took, once it has ended
  std::optional<domain::Outcome> outcome;
  bool unstarted = false;      // with an outcome: the worker hands the run back without having begun
  std::int64_t log_lines = 0;  // how many lines of output were sent, once it has ended
};

// The worker is alive, this is what it is and holds. The first one of an incarnation registers it.
struct WorkerHeartbeat {
  domain::WorkerInfo worker;
  std::vector<domain::Held> held;  // sorted by run: everything received and not yet reported as ended
  bool leaving = false;            // the last one of an orderly stop
};

// To a worker: about one run, or about the worker itself.
struct TaskControl {
  enum class Kind {
    cancel,    // stop the attempt of `run` whose token is at most `token`
    retire,    // this incarnation was declared dead: stop everything, start a new one
    replaced,  // another process registered under this worker's id: stop for good
  } kind = Kind::cancel;
  RunId run;
  Token token = 0;
  domain::Reason reason = domain::Reason::none;  // cancelled_by_user, overlap, timeout or worker_lost
};
constexpr auto enum_names(TaskControl::Kind) {
  return std::to_array<std::string_view>({"cancel", "retire", "replaced"});
}

enum class Stream { out, err };
constexpr auto enum_names(Stream) { return std::to_array<std::string_view>({"stdout", "stderr"}); }

// Whole lines of one stream, in the order in which they came. Bytes that are no UTF-8 were replaced by U+FFFD.
struct LogChunk {
  RunId run;
  int attempt = 1;
  std::int64_t first_line = 1;  // number of the first line in this attempt's output; both streams share one count
  int lines = 1;
  Stream stream = Stream::out;
  TimePoint at{};    // the worker's clock, for people only
  std::string text;  // `lines` lines, separated by '\n', no '\n' at the end
};

// Something is due now: look at the store rather than wait for the next poll.
struct Nudge {};

using Payload = std::variant<std::vector<TaskExecution>, std::vector<StatusUpdate>, WorkerHeartbeat,
                             std::vector<TaskControl>, std::vector<LogChunk>, Nudge>;

struct Message {
  Payload payload;
};

}  // namespace scheduler::application
