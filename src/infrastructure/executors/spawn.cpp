#include "infrastructure/executors/spawn.hpp"

#include <climits>
#include <fmt/format.h>

#include <cerrno>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>

namespace scheduler::infrastructure {
namespace {

// Descriptors that are handed to the child are first moved above those that the child's end up in.
constexpr int kChildReport = 3;
constexpr int kFirstFree = kChildReport + 1;

enum class Step : int { session, descriptors, directory, program };
struct StartFailure {
  Step step;
  int error;
};

// Everything the child touches, laid out before it exists.
struct ChildFrame {
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* directory;  // null: stay
  int in, out, err, report;
  pid_t parent;
};

[[noreturn]] void give_up(Step step) {
  const StartFailure failure{step, errno};
  [[maybe_unused]] const auto written = ::write(kChildReport, &failure, sizeof failure);
  ::_exit(127);
}

// Runs in the child, in the parent's memory (vfork): system calls only, no allocation, nothing of the parent's changed.
[[noreturn]] void become_program(const ChildFrame& frame) {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  if (::dup3(frame.report, kChildReport, O_CLOEXEC) < 0) ::_exit(127);
  if (::setsid() < 0) give_up(Step::session);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != frame.parent) ::_exit(127);  // the parent died before the line above
  if (::dup2(frame.in, 0) < 0 || ::dup2(frame.out, 1) < 0 || ::dup2(frame.err, 2) < 0) give_up(Step::descriptors);
  ::close_range(kFirstFree, UINT_MAX, 0);  // a kernel before 5.9 refuses; ours are all close-on-exec anyway
  if (frame.directory != nullptr && ::chdir(frame.directory) < 0) give_up(Step::directory);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(frame.program, frame.argv, frame.envp);
  give_up(Step::program);
}

// All signals are blocked meanwhile: a handler of ours that ran in the child would run in our memory.
[[gnu::noinline]] pid_t vfork_child(const ChildFrame& frame) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::vfork();
  if (pid == 0) become_program(frame);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

std::vector<char*> pointers(const std::vector<std::string>& texts, const std::string* first = nullptr) {
  std::vector<char*> all;
  all.reserve(texts.size() + 2);
  if (first != nullptr) all.push_back(const_cast<char*>(first->c_str()));
  for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

std::string_view search_path(const std::vector<std::string>& environment) {
  for (const std::string_view variable : environment)
    if (variable.starts_with("PATH=")) return variable.substr(5);
  return "/usr/local/bin:/usr/bin:/bin";
}

bool is_runnable(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// The path of the program. A name with a slash is taken as it is: execve() tells what is wrong with it.
SchedulerResult<std::string> find_program(const ChildPlan& plan) {
  const auto& name = plan.program;
  if (name.find('/') != std::string::npos) return name;
  const auto path = search_path(plan.environment);
  std::string found_but_not_executable;
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find(':', begin), path.size());
    auto candidate = fmt::format("{}/{}", begin == end ? "." : path.substr(begin, end - begin), name);
    if (is_runnable(candidate)) return candidate;
    if (struct stat status{}; ::stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode))
      found_but_not_executable = std::move(candidate);
    begin = end + 1;
  }
  if (!found_but_not_executable.empty())
    return fail(ErrorKind::NotFound, fmt::format("{} is not executable", found_but_not_executable));
  return fail(ErrorKind::NotFound, fmt::format("there is no program '{}' on the PATH ({})", name, path));
}

std::size_t bytes_of(const std::vector<std::string>& texts) {
  std::size_t sum = 0;
  for (const auto& text : texts) sum += text.size() + 1;
  return sum;
}

std::string program_failure(const ChildPlan& plan, const std::string& program, int error) {
  struct stat status{};
  switch (error) {
    case ENOENT:
      if (::access(program.c_str(), F_OK) == 0)
        return fmt::format("cannot run {}: the interpreter in its first line (#!) or its loader does not exist",
                           program);
      return fmt::format("there is no program {}", program);
    case EACCES:
      if (::stat(program.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
        return fmt::format("cannot run {}: it is a directory", program);
      return fmt::format("cannot run {}: it is not executable, or a directory on its way may not be entered", program);
    case ENOEXEC:
      return fmt::format("cannot run {}: it is neither a program for this machine nor a script with a #! line",
                         program);
    case E2BIG:
      return fmt::format(
          "cannot run {}: its arguments ({} bytes) and environment ({} bytes) are more than the system "
          "takes; hand over the data in a file",
          program, bytes_of(plan.arguments), bytes_of(plan.environment));
    default:
      return fmt::format("cannot run {}: {}", program, error_text(error));
  }
}

std::string failure_text(const ChildPlan& plan, const std::string& program, const StartFailure& failure) {
  switch (failure.step) {
    case Step::session:
      return fmt::format("cannot make a session for {}: {}", program, error_text(failure.error));
    case Step::descriptors:
      return fmt::format("cannot connect the output of {}: {}", program, error_text(failure.error));
    case Step::directory:
      return fmt::format("cannot enter the working directory {}: {}", plan.working_directory,
                         error_text(failure.error));
    case Step::program:
      break;
  }
  return program_failure(plan, program, failure.error);
}

UniqueFd moved_up(UniqueFd fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstFree)); }

// By number: the declaration of pidfd_open() in glibc 2.36 lacks its extern "C".
int open_pidfd(pid_t pid) { return int(::syscall(SYS_pidfd_open, pid, 0)); }

void reap(pid_t pid) {
  siginfo_t ended{};
  while (::waitid(P_PID, pid, &ended, WEXITED) < 0 && errno == EINTR) {
  }
}

std::unexpected<SchedulerError> cannot_start(std::string_view what, int error) {
  return fail(ErrorKind::Unavailable, fmt::format("cannot start a process: {}: {}", what, error_text(error)));
}

}  // namespace

std::string error_text(int error) { return std::generic_category().message(error); }

SchedulerResult<Child> start_child(const ChildPlan& plan, ChildStreams streams) {
  TRY(const auto program, find_program(plan));
  int report[2];
  if (::pipe2(report, O_CLOEXEC) < 0) return cannot_start("pipe", errno);
  UniqueFd report_in(report[0]), report_out = moved_up(UniqueFd(report[1]));
  const UniqueFd in = moved_up(std::move(streams.in)), out = moved_up(std::move(streams.out)),
                 err = moved_up(std::move(streams.err));
  if (!report_out || !in || !out || !err) return cannot_start("descriptors", errno);

  const auto argv = pointers(plan.arguments, &plan.program);
  const auto envp = pointers(plan.environment);
  const auto* directory = plan.working_directory.empty() ? nullptr : plan.working_directory.c_str();
  const pid_t pid = vfork_child({program.c_str(), argv.data(), envp.data(), directory, in.get(), out.get(), err.get(),
                                 report_out.get(), ::getpid()});
  if (pid < 0) return cannot_start("fork", errno);

  // The pipe closes with a successful exec; vfork has waited for that or for the child's end, so this does not block.
  report_out = UniqueFd();
  StartFailure failure{};
  ssize_t got = 0;
  while ((got = ::read(report_in.get(), &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  if (got == sizeof failure) {
    reap(pid);
    return fail(ErrorKind::NotFound, failure_text(plan, program, failure));
  }
  Child child{pid, UniqueFd(open_pidfd(pid))};
  if (!child.pidfd) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    reap(pid);
    return cannot_start("pidfd_open", error);
  }
  return child;
}

}  // namespace scheduler::infrastructure
