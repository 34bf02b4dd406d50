#include "worker/life.hpp"

#include "core/log.hpp"
#include "domain/prefetch.hpp"
#include "worker/output_buffer.hpp"

#include <fmt/format.h>

#include <utility>

namespace scheduler::worker {
namespace {

using namespace application;
using namespace std::chrono_literals;

constexpr Micros kReceiveWait = 1s;
constexpr Micros kSecondBeat = 200ms;
constexpr Micros kRateWindow = 50ms;
constexpr Micros kRateForgotten = 2min;  // without work for so long, the next work may be of another kind
constexpr Micros kLogPause = 50ms;       // chunks of this long travel together
constexpr Micros kPartialLineMax = 500ms;
constexpr std::size_t kLogBytesMax = 1 << 20;  // per message
constexpr Micros kRetryPauseMin = 100ms;
constexpr Micros kRetryPauseMax = 1s;  // behind a circuit breaker asking costs nothing, and the return shows soon
constexpr Micros kAnswerWait = 400ms;  // what a heartbeat and the answer to it take
constexpr Micros kSaidAgain = 1min;
constexpr Micros kLastWords = 5s;  // what nobody needs to hear is not said for longer

domain::Outcome cancelled(domain::Reason why, const domain::Outcome& seen) {
  return {.state = domain::AttemptState::cancelled,
          .reason = why,
          .message = domain::cancel_message(why, "while it was running"),
          .exit_code = seen.exit_code,
          .http_status = seen.http_status};
}

StopReason stop_reason(const TaskControl& cancel) {
  switch (cancel.reason) {
    case domain::Reason::timeout:
      return StopReason::superseded;  // the dispatcher has ended the attempt already
    case domain::Reason::overlap:
      return StopReason::replaced;
    default:
      return StopReason::cancelled;
  }
}

// What the worker makes of an attempt that it told to stop. A stop that was asked for decides, whatever the process
// said on its way out.
std::optional<domain::Outcome> after_stop(StopReason why, const TaskExecution& work, domain::Outcome seen) {
  switch (why) {
    case StopReason::cancelled:
      return cancelled(domain::Reason::cancelled_by_user, seen);
    case StopReason::replaced:
      return cancelled(domain::Reason::overlap, seen);
    case StopReason::timeout:
      return domain::Outcome{.state = domain::AttemptState::timed_out,
                             .reason = domain::Reason::timeout,
                             .message = fmt::format("ran longer than its timeout of {} s", work.timeout.count()),
                             .exit_code = seen.exit_code,
                             .http_status = seen.http_status};
    case StopReason::shutdown:
      return domain::Outcome{.state = domain::AttemptState::lost,
                             .reason = domain::Reason::shutdown,
                             .message = "its worker was stopped before it could end"};
    case StopReason::superseded:
      return std::nullopt;  // nobody waits for this token any more
  }
  return std::nullopt;
}

}  // namespace

// The sink of one attempt: its buffer, and a note that there is something to send.
struct Life::Output final : OutputSink {
  Output(const TaskExecution& work, const Clock& clock, WakeSignal& wake)
      : buffer(work.run, work.attempt, clock), clock_(clock), wake_(wake) {}
  void write(Stream stream, std::string_view bytes) override {
    buffer.write(stream, bytes);
    written_at = clock_.elapsed();
    dirty = true;
    wake_.notify();
  }
  OutputBuffer buffer;
  bool dirty = false;
  Micros written_at{0};  // the last time

 private:
  const Clock& clock_;
  WakeSignal& wake_;
};

Life::Life(asio::io_context& io, Ports& ports, const Settings& settings, IncarnationId id)
    : ports_(ports),
      settings_(settings),
      id_(id),
      loops_(io, ports.timer),
      attempts_(io, ports.timer),
      work_(ports.queue.consume(worker_queue(id), 256)),
      start_(ports.timer.wake_signal()),
      report_(ports.timer.wake_signal()),
      log_(ports.timer.wake_signal()),
      beat_(ports.timer.wake_signal()),
      deadline_(ports.timer.wake_signal()),
      over_(ports.timer.wake_signal()),
      last_beat_(ports.clock.elapsed()),
      window_began_(last_beat_),
      idle_since_(window_began_) {}

Life::~Life() = default;

asio::awaitable<Life::End> Life::run() {
  loops_.spawn("worker heartbeats", heartbeats());
  loops_.spawn("worker receive", receive());
  loops_.spawn("worker start", start_attempts());
  loops_.spawn("worker deadlines", watch_deadlines());
  loops_.spawn("worker reports", send_reports());
  loops_.spawn("worker logs", send_logs());
  while (!end_) co_await over_->wait(1h);
  co_await finish_attempts();
  co_await hand_back_last_work();
  closing_ = true;
  work_->interrupt();
  for (auto* signal : {start_.get(), report_.get(), log_.get(), beat_.get(), deadline_.get()}) signal->notify();
  co_await loops_.join();
  work_.reset();
  // Declared dead: nobody listens to it, and nothing in its queue may be done by it.
  limit_last_words();
  if (*end_ == End::left) co_await publish_until_taken(kHeartbeatQueue, Message{beat(true)});
  (void)co_await ports_.queue.remove(worker_queue(id_));
  co_return *end_;
}

void Life::drain() {
  draining_ = true;
  last_work_ = ports_.clock.elapsed();
  for (const auto& work : held_.take_ready()) hand_back(work);
  beat_->notify();
  end_of_life(End::left);
}

void Life::hurry() {
  held_.stop_all(StopReason::shutdown);
  limit_last_words();
}

void Life::limit_last_words() {
  if (!give_up_at_) give_up_at_ = ports_.clock.elapsed() + kLastWords;
}

void Life::end_of_life(End how) {
  if (!end_ || how != End::left) end_ = how;
  if (how != End::left) {
    (void)held_.take_ready();
    held_.stop_all(StopReason::superseded);
  }
  over_->notify();
}

// An orderly leave gives attempts drain_timeout; an incarnation that was declared dead has none.
asio::awaitable<void> Life::finish_attempts() {
  const auto deadline = ports_.clock.elapsed() + settings_.drain_timeout;
  while (attempts_.size() > 0 && *end_ == End::left && ports_.clock.elapsed() < deadline)
    co_await over_->wait(std::min<Micros>(deadline - ports_.clock.elapsed(), 1s));
  held_.stop_all(*end_ == End::left ? StopReason::shutdown : StopReason::superseded);
  co_await attempts_.join();
}

asio::awaitable<void> Life::hand_back_last_work() {
  const auto left = [this] { return last_work_ + settings_.last_work_wait - ports_.clock.elapsed(); };
  while (*end_ == End::left && !give_up_at_ && left() > 0us) co_await over_->wait(left());
}

// --- taking work ---

asio::awaitable<void> Life::receive() {
  while (!closing_) {
    const auto deliveries = co_await work_->receive(64, kReceiveWait);
    if (!deliveries) {
      co_await ports_.timer.sleep(kRetryPauseMin);
      continue;
    }
    std::vector<DeliveryTag> done;
    for (const auto& it : *deliveries) {
      done.push_back(it.tag);
      if (const auto* work = std::get_if<std::vector<TaskExecution>>(&it.message->payload)) take(*work);
      if (const auto* controls = std::get_if<std::vector<TaskControl>>(&it.message->payload))
        for (const auto& control : *controls) obey(control);
    }
    // Held in memory is enough: if this process dies, its incarnation does, and the store still knows the runs.
    if (!done.empty()) (void)co_await work_->acknowledge(std::move(done));
  }
}

void Life::take(const std::vector<TaskExecution>& work) {
  go_on();
  last_work_ = ports_.clock.elapsed();
  // Also while leaving: a doubled message of a run that is being executed must not hand it back.
  for (const auto& it : work)
    if (held_.accept(it) == HeldRuns::Accepted::stale)
      log::info("work refused: a later token was seen", {{"run", it.run.value}, {"token", it.token}});
  if (end_) {
    const auto unwanted = held_.take_ready();
    if (*end_ == End::left)
      for (const auto& it : unwanted) hand_back(it);
  }
  start_->notify();
  go_idle();  // nothing of it was wanted
}

void Life::obey(const TaskControl& control) {
  switch (control.kind) {
    case TaskControl::Kind::cancel: {
      const auto why = stop_reason(control);
      const auto unstarted = held_.stop(control.run, control.token, why);
      if (!unstarted) break;
      auto outcome = after_stop(why, unstarted->execution, {});
      if (!outcome) break;
      outcome->message = domain::cancel_message(outcome->reason, "before it began");
      report_end(*unstarted, *std::move(outcome), 0);
      break;
    }
    case TaskControl::Kind::retire:
      end_of_life(End::retired);
      break;
    case TaskControl::Kind::replaced:
      end_of_life(End::replaced);
      break;
  }
}

void Life::hand_back(const TaskExecution& work) {
  report({.run = work.run,
          .attempt = work.attempt,
          .token = work.token,
          .incarnation = id_,
          .outcome = domain::Outcome{.state = domain::AttemptState::lost, .reason = domain::Reason::shutdown},
          .unstarted = true},
         std::nullopt);
}

// --- executing ---

// Whoever was not heard for so long may have been declared dead, and its runs given to others: stopped and woken up
// again, or cut off. It says that it lives, and waits for what there is to answer before anything more begins.
void Life::note_silence(Micros now) {
  if (now - last_beat_ <= 2 * settings_.heartbeat_interval || begin_from_ == Micros::max()) return;
  begin_from_ = Micros::max();
  beat_->notify();
}

asio::awaitable<void> Life::start_attempts() {
  while (!closing_) {
    note_silence(ports_.clock.elapsed());
    if (held_.ready() > 0 && ports_.clock.elapsed() < begin_from_) {
      co_await start_->wait(kAnswerWait / 4);
      continue;
    }
    while (held_.running() < static_cast<std::size_t>(settings_.slots)) {
      auto run = held_.begin_next(ports_.clock.elapsed());
      if (!run) {
        ran_dry_ = true;
        break;
      }
      attempts_.spawn("attempt", attempt(std::move(run)));
    }
    co_await start_->wait(1h);
  }
}

asio::awaitable<void> Life::attempt(std::shared_ptr<HeldRun> run) {
  const auto& work = run->execution;
  report({.run = work.run, .attempt = work.attempt, .token = work.token, .incarnation = id_}, run->began);
  const auto output = std::make_shared<Output>(work, ports_.clock, *log_);
  outputs_.emplace(std::pair{work.run, work.token}, output);
  const std::pair deadline{run->began + work.timeout, next_deadline_++};
  if (deadlines_.emplace(deadline, run).first == deadlines_.begin()) deadline_->notify();

  domain::Outcome outcome;
  if (work.upstream_fault) {
    outcome = {.state = domain::AttemptState::failed,
               .reason = domain::Reason::output_missing,
               .message = *work.upstream_fault,
               .permanent = true};
  } else if (auto* executor = ports_.executors.find(work.task_type)) {
    outcome = co_await executor->execute(work, *output, run->stop);
  } else {
    outcome = {.state = domain::AttemptState::failed,
               .reason = domain::Reason::executor_error,
               .message = fmt::format("this worker cannot execute tasks of type '{}'", work.task_type)};
  }

  deadlines_.erase(deadline);
  auto chunks = output->buffer.close();
  late_chunks_.insert(late_chunks_.end(), std::make_move_iterator(chunks.begin()),
                      std::make_move_iterator(chunks.end()));
  if (!late_chunks_.empty()) log_->notify();
  outputs_.erase({work.run, work.token});
  held_.ended(*run);
  ++window_ended_;
  std::optional<domain::Outcome> final = std::move(outcome);
  if (const auto why = run->stop.reason()) final = after_stop(*why, work, *std::move(final));
  if (final)
    report_end(*run, *std::move(final), output->buffer.lines());
  else
    held_.forget(work.run, work.token);
  start_->notify();
  over_->notify();
}

asio::awaitable<void> Life::watch_deadlines() {
  while (!closing_) {
    const auto now = ports_.clock.elapsed();
    while (!deadlines_.empty() && deadlines_.begin()->first.first <= now) {
      const auto run = deadlines_.begin()->second.lock();
      deadlines_.erase(deadlines_.begin());
      if (run) run->stop.request(StopReason::timeout);
    }
    co_await deadline_->wait(deadlines_.empty() ? Micros{1h} : deadlines_.begin()->first.first - now);
  }
}

// --- reporting ---

void Life::report(StatusUpdate update, std::optional<Micros> began) {
  reports_.push_back({std::move(update), began});
  report_->notify();
}

void Life::report_end(const HeldRun& run, domain::Outcome outcome, std::int64_t log_lines) {
  report({.run = run.execution.run,
          .attempt = run.execution.attempt,
          .token = run.execution.token,
          .incarnation = id_,
          .duration = run.place == HeldRun::Place::ready ? Micros{0} : ports_.clock.elapsed() - run.began,
          .outcome = std::move(outcome),
          .log_lines = log_lines},
         run.place == HeldRun::Place::ready ? std::nullopt : std::optional(run.began));
}

std::vector<Life::Pending> Life::take_reports() {
  auto pending = std::exchange(reports_, {});
  std::set<std::pair<RunId, Token>> ended;
  for (const auto& it : pending)
    if (it.update.outcome) ended.insert({it.update.run, it.update.token});
  std::erase_if(pending, [&](const Pending& it) {  // its end says it all
    return !it.update.outcome && ended.contains({it.update.run, it.update.token});
  });
  return pending;
}

asio::awaitable<void> Life::send_reports() {
  while (!closing_ || !reports_.empty()) {
    if (reports_.empty()) co_await report_->wait(1h);
    const auto batch = take_reports();
    if (batch.empty()) continue;
    // The receiver knows nothing of our clock: the instant of a start becomes an age when the report leaves, however
    // often it has to be sent.
    co_await publish_until_taken(kStatusQueue, [this, &batch] {
      std::vector<StatusUpdate> updates;
      for (const auto& it : batch) {
        updates.push_back(it.update);
        if (it.began) updates.back().age = ports_.clock.elapsed() - *it.began;
      }
      return Message{std::move(updates)};
    });
    for (const auto& [update, began] : batch)
      if (update.outcome) held_.forget(update.run, update.token);
    measure_rate();
    go_idle();
  }
}

asio::awaitable<void> Life::publish_until_taken(QueueName to, Message message) {
  co_await publish_until_taken(std::move(to), [&message] { return message; });
}

// Reports of work that was done are not given up, unless this worker was told to hurry: its silence says the rest.
asio::awaitable<void> Life::publish_until_taken(QueueName to, std::function<Message()> make) {
  bool said = false;
  for (Micros pause = kRetryPauseMin;; pause = std::min(pause * 2, kRetryPauseMax)) {
    const auto sent = co_await ports_.queue.publish_message(to, make());
    if (sent && said) log::info("queue takes messages again", {{"queue", to.value}});
    if (sent) co_return;
    const bool last = give_up_at_ && ports_.clock.elapsed() >= *give_up_at_;
    if (last || !std::exchange(said, true))
      log::warning(
          last ? "queue does not take messages; stopping without" : "queue does not take messages; trying again",
          {{"queue", to.value}, {"why", sent.error().message}});
    if (last) co_return;
    co_await ports_.timer.sleep(pause);
  }
}

// What is ready to go; of a line that has begun, only when it has been waiting for its end long enough.
std::vector<LogChunk> Life::take_chunks() {
  auto chunks = std::exchange(late_chunks_, {});
  partial_lines_ = false;
  for (auto& [key, output] : outputs_) {
    if (!output->dirty) continue;
    const bool waited = ports_.clock.elapsed() - output->written_at >= kPartialLineMax;
    auto more = output->buffer.take(waited);
    chunks.insert(chunks.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    output->dirty = output->buffer.has_partial_line();
    partial_lines_ = partial_lines_ || output->dirty;
  }
  return chunks;
}

asio::awaitable<void> Life::send_logs() {
  while (!closing_ || !late_chunks_.empty()) {
    if (late_chunks_.empty()) co_await log_->wait(partial_lines_ ? kPartialLineMax : Micros{1h});
    auto chunks = take_chunks();
    while (!chunks.empty()) {
      std::size_t n = 0;
      for (std::size_t bytes = 0; n < chunks.size() && (n == 0 || bytes < kLogBytesMax); ++n)
        bytes += chunks[n].text.size();
      const auto end = chunks.begin() + static_cast<std::ptrdiff_t>(n);
      std::vector<LogChunk> part(std::make_move_iterator(chunks.begin()), std::make_move_iterator(end));
      chunks.erase(chunks.begin(), end);
      co_await publish_until_taken(kLogQueue, Message{std::move(part)});
    }
    if (!closing_) co_await ports_.timer.sleep(kLogPause);
  }
}

void Life::go_idle() {
  if (!idle_since_ && held_.size() == 0) idle_since_ = ports_.clock.elapsed();
}

void Life::go_on() {
  if (!idle_since_) return;
  // A short pause is the round trip that the prefetch is there to cover.
  window_began_ += std::max(Micros{0}, ports_.clock.elapsed() - *idle_since_ - kRateWindow);
  idle_since_.reset();
}

void Life::measure_rate() {
  if (idle_since_) {
    if (ports_.clock.elapsed() - *idle_since_ > kRateForgotten) prefetch_ = 0;
    return;
  }
  const auto elapsed = ports_.clock.elapsed() - window_began_;
  if (elapsed < kRateWindow) return;
  const double per_second = static_cast<double>(window_ended_) * 1e6 / static_cast<double>(elapsed.count());
  prefetch_ = domain::next_prefetch(prefetch_, {per_second, std::exchange(ran_dry_, false)});
  window_ended_ = 0;
  window_began_ += elapsed;
  // News worth a message of its own: a quarter more or less than what the dispatchers know.
  if (std::abs(prefetch_ - announced_prefetch_) > std::max(8, announced_prefetch_ / 4)) beat_->notify();
}

// --- heartbeats ---

WorkerHeartbeat Life::beat(bool leaving) const {
  const auto host = ports_.host_load();
  return {.worker = {.id = settings_.id,
                     .incarnation = id_,
                     .host = settings_.host,
                     .pid = settings_.pid,
                     .version = settings_.version,
                     .task_types = ports_.executors.task_types(),
                     .labels = settings_.labels,
                     .slots = settings_.slots,
                     .capacity = settings_.slots + prefetch_,
                     .busy = static_cast<int>(held_.running()),
                     .load = host.load,
                     .memory_bytes = host.memory_bytes,
                     .state = draining_ ? domain::WorkerState::draining : domain::WorkerState::alive},
          .held = held_.inventory(),
          .leaving = leaving};
}

// When it begins, while it lasts now and then, and when it is over: an outage is no reason to fill a log.
void Life::say_whether_heard(const SchedulerResult<void>& sent, Micros now) {
  if (sent) {
    if (std::exchange(said_unheard_, std::nullopt)) log::info("heartbeats are sent again");
  } else if (!said_unheard_ || now - *said_unheard_ >= kSaidAgain) {
    said_unheard_ = now;
    log::warning("heartbeat not sent; trying again and again", {{"why", sent.error().message}});
  }
}

// The second heartbeat comes early: it proves that the first was no late message of a dead process
// (worker_repository.hpp).
asio::awaitable<void> Life::heartbeats() {
  for (Micros pause = kSecondBeat; !closing_; pause = settings_.heartbeat_interval) {
    measure_rate();
    announced_prefetch_ = prefetch_;
    const auto now = ports_.clock.elapsed();
    note_silence(now);
    const auto sent = co_await ports_.queue.publish_message(kHeartbeatQueue, Message{beat(false)});
    say_whether_heard(sent, now);
    if (sent) {
      last_beat_ = now;
      if (begin_from_ == Micros::max()) begin_from_ = now + kAnswerWait;
    } else {
      pause = kRetryPauseMax;
    }
    if (!closing_) co_await beat_->wait(std::min(pause, settings_.heartbeat_interval));
  }
}

}  // namespace scheduler::worker
