#include "infrastructure/executors/process_table.hpp"

#include <fmt/format.h>

#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unordered_map>

namespace scheduler::infrastructure {
namespace {

constexpr std::string_view kCookie = "SCHEDULER_PROCESS=";

using Ticks = std::int64_t;  // since boot, as in /proc/pid/stat

struct Leader {
  std::string cookie;  // the value of SCHEDULER_PROCESS
  Ticks started = 0;
};

struct Leaders {
  std::mutex mutex;
  std::map<pid_t, Leader> by_pid;
  std::int64_t count = 0;  // ever started
};

Leaders& leaders() {
  static Leaders table;
  return table;
}

// --- reading /proc ---------------------------------------------------------------------------------------------------

std::string read_all(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[16 * 1024];
  for (ssize_t n; fd && (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, std::size_t(n));
  return text;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(at), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<std::string> directory_names(const char* path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })> directory(::opendir(path));
  while (directory) {
    const auto* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name);
  }
  return names;
}

struct Process {
  pid_t pid = 0, parent = 0, session = 0;
  char state = '?';
  Ticks started = 0;  // with the pid, names one process for good
  [[nodiscard]] bool is_alive() const { return state != 'Z' && state != 'X'; }
};

// proc(5), /proc/pid/stat: "pid (name) state ppid pgrp session …"; the name may hold anything, so count from the last
// parenthesis. Field 22 is the start time.
std::optional<Process> read_process(pid_t pid) {
  const auto stat = read_all(fmt::format("/proc/{}/stat", pid));
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const auto fields = split(std::string_view(stat).substr(name_end + 1), ' ');
  if (fields.size() < 20) return std::nullopt;
  return Process{pid, number<pid_t>(fields[1]).value_or(0), number<pid_t>(fields[3]).value_or(0), fields[0][0],
                 number<Ticks>(fields[19]).value_or(0)};
}

using Snapshot = std::unordered_map<pid_t, Process>;

Snapshot read_processes() {
  Snapshot all;
  for (const auto& name : directory_names("/proc"))
    if (const auto pid = number<pid_t>(name))
      if (auto process = read_process(*pid)) all.emplace(*pid, std::move(*process));
  return all;
}

// The environment the process was started with: "NAME=value" texts with a NUL after each. Empty when it may not be read
// or the process has ended.
std::string read_environment(pid_t pid) { return read_all(fmt::format("/proc/{}/environ", pid)); }

// "name=" → what follows it; empty when absent.
std::string_view variable(std::string_view environment, std::string_view name_and_equals) {
  for (const auto entry : split(environment, '\0'))
    if (entry.starts_with(name_and_equals)) return entry.substr(name_and_equals.size());
  return {};
}

// Children of all threads of this process, ended ones too; nothing when the kernel does not offer the list.
std::optional<std::vector<pid_t>> own_children() {
  if (::access("/proc/thread-self/children", R_OK) != 0) return std::nullopt;
  std::vector<pid_t> children;
  for (const auto& task : directory_names("/proc/self/task")) {
    if (!number<pid_t>(task)) continue;
    const auto text = read_all(fmt::format("/proc/self/task/{}/children", task));
    for (const auto word : split(text, ' ')) children.push_back(number<pid_t>(word).value_or(0));
  }
  return children;
}

// --- who belongs to whom ---------------------------------------------------------------------------------------------

// The ancestor of `process` that is a child of `self`, or null.
const Process* root_below(pid_t self, const Process& process, const Snapshot& all) {
  const auto* at = &process;
  for (std::size_t steps = 0; steps <= all.size(); ++steps) {  // a snapshot is not taken at once: it may hold a circle
    if (at->parent == self) return at;
    const auto up = all.find(at->parent);
    if (up == all.end()) return nullptr;
    at = &up->second;
  }
  return nullptr;
}

// Trees below this process by the pid of their root.
std::map<pid_t, std::vector<const Process*>> trees_below(pid_t self, const Snapshot& all) {
  std::map<pid_t, std::vector<const Process*>> trees;
  for (const auto& [pid, process] : all)
    if (const auto* root = root_below(self, process, all)) trees[root->pid].push_back(&process);
  return trees;
}

// Whether a tree below this process belongs to `leader`.
bool belongs_to(pid_t leader, const Process& root, const std::vector<const Process*>& tree, const Leaders& table) {
  if (table.by_pid.contains(root.pid)) return root.pid == leader;
  if (root.session == ::getsid(0)) return false;  // started by another part of this program
  if (table.by_pid.contains(root.session)) return root.session == leader;
  for (const auto* process : tree) {
    const auto environment = read_environment(process->pid);
    const auto cookie = variable(environment, kCookie);
    for (const auto& [pid, known] : table.by_pid)
      if (known.cookie == cookie) return pid == leader;
  }
  // A stray. Only a leader that is older than it can have begotten it; with none that old, its own is gone already.
  std::set<pid_t> possible;
  for (const auto& [pid, known] : table.by_pid)
    if (known.started <= root.started) possible.insert(pid);
  return possible.empty() || (possible.size() == 1 && possible.contains(leader));
}

// Children that we did not start: they came to us when their parent ended.
std::vector<Process> orphans(const Leaders& table) {
  std::vector<Process> found;
  const auto self = ::getpid();
  const auto own_session = ::getsid(0);
  const auto keep = [&](const Process& process) {
    if (process.parent == self && !table.by_pid.contains(process.pid) && process.session != own_session)
      found.push_back(process);
  };
  if (const auto children = own_children()) {
    for (const auto pid : *children)
      if (!table.by_pid.contains(pid))
        if (const auto process = read_process(pid)) keep(*process);
  } else {
    for (const auto& [pid, process] : read_processes()) keep(process);
  }
  return found;
}

}  // namespace

ProcessTable::ProcessTable() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

SchedulerResult<Child> ProcessTable::start(ChildPlan plan, ChildStreams streams) {
  auto& table = leaders();
  const std::lock_guard lock(table.mutex);  // held until it is listed: nobody may take it for an orphan
  const auto self = ::getpid();
  const auto started = [](pid_t pid) { return read_process(pid).value_or(Process{}).started; };
  auto cookie = fmt::format("{}-{}-{}", self, started(self), ++table.count);
  plan.environment.push_back(std::string(kCookie) + cookie);
  TRY(auto child, start_child(plan, std::move(streams)));
  table.by_pid.emplace(child.pid, Leader{std::move(cookie), started(child.pid)});
  return child;
}

void ProcessTable::forget(pid_t leader) {
  auto& table = leaders();
  const std::lock_guard lock(table.mutex);
  table.by_pid.erase(leader);
}

std::vector<ProcessTable::Member> ProcessTable::members(pid_t leader) const {
  auto& table = leaders();
  const std::lock_guard lock(table.mutex);
  const auto all = read_processes();
  std::vector<Member> found;
  for (const auto& [root, tree] : trees_below(::getpid(), all))
    if (belongs_to(leader, all.at(root), tree, table))
      for (const auto* process : tree)
        if (process->is_alive()) found.push_back({process->pid, process->pid == root && root != leader});
  return found;
}

bool ProcessTable::reap_orphans() {
  auto& table = leaders();
  const std::lock_guard lock(table.mutex);
  bool is_one_alive = false;
  for (const auto& process : orphans(table)) {
    siginfo_t ended{};
    if (process.is_alive())
      is_one_alive = true;
    else
      ::waitid(P_PID, id_t(process.pid), &ended, WEXITED | WNOHANG);
  }
  return is_one_alive;
}

int kill_left_behind(const WorkerId& worker, IncarnationId own) {
  const auto all = read_processes();
  // A cookie reads "pid-start-n": the scheduler process that it came from may still be alive, as another installation
  // under the same worker id, and then its processes are none of our business.
  const auto source_is_alive = [&](std::string_view cookie) {
    const auto parts = split(cookie, '-');
    if (parts.size() != 3) return true;
    const auto source = all.find(number<pid_t>(parts[0]).value_or(0));
    return source != all.end() && source->second.is_alive() && source->second.started == number<Ticks>(parts[1]);
  };
  std::set<pid_t> ours;  // we and what we descend from
  for (auto at = all.find(::getpid()); at != all.end() && ours.insert(at->first).second;)
    at = all.find(at->second.parent);

  std::set<pid_t> left;
  for (const auto& [pid, process] : all) {
    if (ours.contains(pid) || !process.is_alive()) continue;
    const auto environment = read_environment(pid);
    const auto incarnation = variable(environment, "SCHEDULER_INCARNATION=");
    const auto cookie = variable(environment, kCookie);
    if (variable(environment, "SCHEDULER_WORKER_ID=") == worker.value && !incarnation.empty() && !cookie.empty() &&
        incarnation != std::to_string(own.value) && !source_is_alive(cookie))
      left.insert(pid);
  }
  for (bool grew = true; grew;) {  // and what descends from them, whatever its environment says
    grew = false;
    for (const auto& [pid, process] : all)
      if (process.is_alive() && left.contains(process.parent) && !ours.contains(pid)) grew |= left.insert(pid).second;
  }
  int killed = 0;
  for (const auto pid : left) killed += ::kill(pid, SIGKILL) == 0 ? 1 : 0;
  return killed;
}

}  // namespace scheduler::infrastructure
