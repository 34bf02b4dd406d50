#include "infrastructure/executors/process.hpp"

#include "core/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <fcntl.h>
#include <set>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace scheduler::infrastructure {
namespace {

using Descriptor = asio::posix::stream_descriptor;

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kDrainBytesMax = 1024 * 1024;  // the most that a pipe can hold (fs.pipe-max-size)
constexpr Micros kReapInterval = Seconds{10};
constexpr Micros kKillTimeout = Seconds{10};
constexpr Micros kPollMin = Millis{1}, kPollMax = Millis{50};

// Reads one pipe whenever it holds something. Keeps itself alive while a wait is pending; after close() it touches
// nothing but itself.
class Pump : public std::enable_shared_from_this<Pump> {
 public:
  Pump(asio::io_context& io, UniqueFd pipe, application::Stream stream, application::OutputSink& sink, char* buffer)
      : pipe_(io, pipe.release()), stream_(stream), sink_(&sink), buffer_(buffer) {
    ::fcntl(pipe_.native_handle(), F_SETFL, O_NONBLOCK);
  }

  void start() {
    pipe_.async_wait(Descriptor::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->sink_ != nullptr && self->read() > 0) self->start();
    });
  }

  // What is in the pipe now; a writer that goes on for ever does not keep us.
  void drain() {
    for (std::size_t sum = 0; sum < kDrainBytesMax;) {
      const auto n = read();
      if (n == 0) return;
      sum += n;
    }
  }

  void close() {
    sink_ = nullptr;
    boost::system::error_code ignored;
    pipe_.close(ignored);
  }

 private:
  // 0: the end, or nothing there. A spurious wake-up is impossible: nobody else reads this pipe.
  std::size_t read() {
    ssize_t n = 0;
    while ((n = ::read(pipe_.native_handle(), buffer_, kReadBytes)) < 0 && errno == EINTR) {
    }
    if (n <= 0) return 0;
    sink_->write(stream_, {buffer_, std::size_t(n)});
    return std::size_t(n);
  }

  Descriptor pipe_;
  application::Stream stream_;
  application::OutputSink* sink_;
  char* buffer_;
};

struct Pipe {
  UniqueFd read, write;
};

SchedulerResult<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0)
    return fail(ErrorKind::Unavailable, fmt::format("cannot make a pipe: {}", error_text(errno)));
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A file in memory that holds the text: no reader can block us, and nothing is left behind on a disk.
SchedulerResult<UniqueFd> make_input(const std::string& text) {
  UniqueFd input(text.empty() ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : ::memfd_create("input", MFD_CLOEXEC));
  if (!input) return fail(ErrorKind::Unavailable, fmt::format("cannot make an input: {}", error_text(errno)));
  for (std::string_view rest = text; !rest.empty();) {
    const auto n = ::write(input.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorKind::Unavailable, fmt::format("cannot keep the input: {}", error_text(errno)));
    rest.remove_prefix(std::size_t(n));
  }
  if (!text.empty()) ::lseek(input.get(), 0, SEEK_SET);
  return input;
}

// Takes the last word of a child that has ended, or soon will.
siginfo_t wait_for(pid_t pid) {
  siginfo_t info{};
  while (::waitid(P_PID, id_t(pid), &info, WEXITED) < 0 && errno == EINTR) {
  }
  return info;
}

}  // namespace

// One started process: its pipes, the wait for its end, and its place in the table.
class ProcessRunner::Attempt {
 public:
  Attempt(ProcessRunner& owner, Child child, std::shared_ptr<Pump> out, std::shared_ptr<Pump> err)
      : pid(child.pid),
        wake(owner.timer_.wake_signal()),
        table_(owner.table_),
        end_(std::make_shared<End>(Descriptor(owner.io_, child.pidfd.release()), wake.get())),
        out_(std::move(out)),
        err_(std::move(err)) {
    out_->start();
    err_->start();
    end_->pidfd.async_wait(Descriptor::wait_read, [end = end_](const boost::system::error_code& error) {
      if (error || end->wake == nullptr) return;
      end->ended = true;
      end->wake->notify();
    });
  }
  ~Attempt() {
    out_->close();
    err_->close();
    end_->wake = nullptr;
    boost::system::error_code ignored;
    end_->pidfd.close(ignored);
    table_.forget(pid);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  [[nodiscard]] bool ended() const { return end_->ended; }

  void drain() {
    out_->drain();
    err_->drain();
  }

  // Wakes the waiting run when `stop` is requested; does nothing once the attempt is gone.
  void watch(StopSignal& stop) {
    stop.on_request([weak = std::weak_ptr(end_)] {
      if (const auto end = weak.lock(); end && end->wake != nullptr) end->wake->notify();
    });
  }

  // After ended(): takes the process's last word; its pid is free from here on.
  [[nodiscard]] ProcessEnd reap() const {
    const auto info = wait_for(pid);
    if (info.si_code == CLD_EXITED) return {.exit_code = info.si_status, .signal = std::nullopt};
    return {.exit_code = std::nullopt, .signal = info.si_status};
  }

  const pid_t pid;
  const std::unique_ptr<WakeSignal> wake;

 private:
  struct End {
    Descriptor pidfd;
    WakeSignal* wake;
    bool ended = false;
  };

  ProcessTable& table_;
  std::shared_ptr<End> end_;
  std::shared_ptr<Pump> out_, err_;
};

ProcessRunner::ProcessRunner(asio::io_context& io, const Clock& clock, Timer& timer, Settings settings)
    : io_(io), clock_(clock), timer_(timer), settings_(settings), buffer_(std::make_unique<char[]>(kReadBytes)) {}

ProcessRunner::~ProcessRunner() = default;

SchedulerResult<std::unique_ptr<ProcessRunner::Attempt>> ProcessRunner::start(ProcessSpec spec,
                                                                              application::OutputSink& sink) {
  using application::Stream;
  TRY(auto input, make_input(spec.input));
  TRY(auto out, make_pipe());
  TRY(auto err, make_pipe());
  TRY(auto child, table_.start(std::move(spec.plan), {std::move(input), std::move(out.write), std::move(err.write)}));
  const auto pid = child.pid;
  try {  // Asio throws when the kernel has no room for one more watched descriptor
    return std::make_unique<Attempt>(
        *this, std::move(child), std::make_shared<Pump>(io_, std::move(out.read), Stream::out, sink, buffer_.get()),
        std::make_shared<Pump>(io_, std::move(err.read), Stream::err, sink, buffer_.get()));
  } catch (const std::exception& e) {
    ::kill(-pid, SIGKILL);
    wait_for(pid);
    table_.forget(pid);
    return fail(ErrorKind::Unavailable, fmt::format("cannot watch the process: {}", e.what()));
  }
}

Async<ProcessEnd> ProcessRunner::run(ProcessSpec spec, application::OutputSink& sink, StopSignal& stop) {
  auto started = start(std::move(spec), sink);
  if (!started) co_return std::unexpected(std::move(started).error());
  auto& attempt = **started;

  co_await wait_for_end(attempt, stop);
  if (!attempt.ended()) co_await terminate(attempt);
  if (attempt.ended()) attempt.drain();
  if (!co_await kill_tree(attempt))
    log::error("a process could not be killed; it is left behind", {{"pid", attempt.pid}});
  if (!attempt.ended())
    co_return fail(ErrorKind::Timeout, fmt::format("process {} could not be killed: the kernel does not let go of it "
                                                   "(a disk or a network file system that does not answer?)",
                                                   attempt.pid));
  attempt.drain();
  co_return attempt.reap();
}

// Until the main process has ended or a stop was requested. A daemon that a task started may end any time, and is ours
// to reap: a look now and then is enough.
asio::awaitable<void> ProcessRunner::wait_for_end(Attempt& attempt, StopSignal& stop) {
  if (!stop.requested()) attempt.watch(stop);
  while (!attempt.ended() && !stop.requested()) {
    co_await attempt.wake->wait(kReapInterval);
    if (!attempt.ended()) table_.reap_orphans();
  }
}

// SIGTERM to the whole tree, then time for it to end. A shell dies of it at once, what it started may still be tidying
// up: so the wait is for the tree, not for the main process. Who was started after the first look is told only when its
// parent has died of the signal; a child whose parent lives is part of the tidying up.
asio::awaitable<void> ProcessRunner::terminate(Attempt& attempt) {
  const auto deadline = clock_.elapsed() + settings_.kill_grace;
  std::set<pid_t> told;
  auto poll = kPollMin;
  for (auto now = clock_.elapsed(); now < deadline; now = clock_.elapsed()) {
    const auto members = table_.members(attempt.pid);
    if (attempt.ended() && members.empty()) co_return;
    const bool is_first_look = told.empty();
    for (const auto& member : members) {
      if (!is_first_look && !member.is_orphan) continue;
      if (!told.insert(member.pid).second) continue;
      ::kill(member.pid, SIGTERM);
      ::kill(member.pid, SIGCONT);  // one that is stopped would never see the first
    }
    if (attempt.ended())
      co_await timer_.sleep(std::min(poll, deadline - now));
    else
      co_await attempt.wake->wait(deadline - now);
    poll = std::min(poll * 2, kPollMax);
  }
}

// Kills what is left of the tree, again and again until nothing is: a process may start another one while we look.
// The main process is not reaped before, so its pid and session cannot come to mean something else. False: gave up.
asio::awaitable<bool> ProcessRunner::kill_tree(Attempt& attempt) {
  const auto deadline = clock_.elapsed() + kKillTimeout;
  for (auto poll = kPollMin;; poll = std::min(poll * 2, kPollMax)) {
    if (attempt.ended() && !table_.reap_orphans()) co_return true;
    const auto members = table_.members(attempt.pid);
    if (attempt.ended() && members.empty()) {
      table_.reap_orphans();  // those that ended since the look above
      co_return true;
    }
    if (clock_.elapsed() > deadline) co_return false;
    ::kill(-attempt.pid, SIGKILL);
    for (const auto& member : members) ::kill(member.pid, SIGKILL);
    if (!attempt.ended())
      co_await attempt.wake->wait(poll);
    else
      co_await timer_.sleep(poll);
  }
}

asio::awaitable<int> ProcessRunner::kill_orphans(WorkerId worker, IncarnationId own) {
  int killed = 0;
  const auto deadline = clock_.elapsed() + kKillTimeout;
  while (const int n = kill_left_behind(worker, own)) {
    killed += n;
    if (clock_.elapsed() > deadline) break;
    co_await timer_.sleep(kPollMax);
  }
  co_return killed;
}

}  // namespace scheduler::infrastructure
