// What runs after what, as a tree: a task, what it runs after above it, and what runs after it below.
#include "cli/commands.hpp"
#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

namespace scheduler::cli {
namespace {

using Neighbours = std::map<std::string, std::vector<std::string>>;  // by id

// "load (7)  succeeded, run 12". Of the server's texts nothing reaches the terminal that it would obey.
std::string line_of(const json::value& task) {
  auto line = fmt::format("{} ({})", member_text(task, "task_name"), member_text(task, "task_id"));
  if (member_text(task, "last_run_id") == "-")
    line += "  no run yet";
  else
    line += fmt::format("  {}, run {}", member_text(task, "last_run_state"), member_text(task, "last_run_id"));
  if (member_text(task, "status") == "paused") line += ", paused";
  return line;
}

// Depth first, without recursion: the shape of the graph is the server's. A task is shown in full the first time.
void add_tree(const std::map<std::string, std::string>& lines, const Neighbours& next, const std::string& root,
              std::string& out) {
  struct Step {
    std::string task;
    std::size_t depth;
  };
  std::set<std::string> shown;
  std::vector<Step> open;
  const auto add_next = [&](const std::string& task, std::size_t depth) {
    const auto found = next.find(task);
    if (found == next.end()) return false;
    for (auto it = found->second.rbegin(); it != found->second.rend(); ++it) open.push_back({*it, depth});
    return !found->second.empty();
  };
  if (!add_next(root, 1)) out += "  nothing\n";
  while (!open.empty()) {
    const auto step = open.back();
    open.pop_back();
    const auto line = lines.find(step.task);
    const bool again = !shown.insert(step.task).second;
    out += fmt::format("{:{}}{}{}\n", "", 2 * step.depth, line == lines.end() ? step.task : line->second,
                       again && next.contains(step.task) ? "  (see above)" : "");
    if (!again) add_next(step.task, step.depth + 1);
  }
}

std::string tree_of(const json::value& graph, const std::string& root) {
  std::map<std::string, std::string> lines;
  for (const auto& task : array_in(graph, "tasks")) lines.emplace(member_text(task, "task_id"), line_of(task));
  Neighbours above, below;
  for (const auto& edge : array_in(graph, "edges")) {
    const auto task = member_text(edge, "task_id"), upstream = member_text(edge, "upstream_id");
    above[task].push_back(upstream);
    below[upstream].push_back(task);
  }
  const auto line = lines.find(root);
  std::string out = (line == lines.end() ? root : line->second) + "\nruns after\n";
  add_tree(lines, above, root, out);
  out += "before\n";
  add_tree(lines, below, root, out);
  return out;
}

}  // namespace

Verb dependencies_verb(Session& session) {
  struct Options {
    std::string task;
    std::optional<int> depth;
  };
  auto it = std::make_shared<Options>();
  return {"deps",
          "Show what a task runs after and what runs after it, with their newest runs.",
          {{.names = "TASK", .value = "TASK", .doc = "id or name", .into = &it->task, .required = true},
           {.names = "--depth", .value = "N", .doc = "steps up and down; default: all", .into = &it->depth}},
          [&session, it]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto id, api.task_id(it->task));
            const auto query = Query().add("depth", it->depth).text();
            TRY(const auto data, api.get(fmt::format("/api/tasks/{}/graph{}", id, query)));
            session.output().text(data, tree_of(data, id));
            if (member_text(data, "truncated") == "yes")
              session.talk("there are more tasks than the server shows; the nearest are here");
            return Exit::ok;
          }};
}

}  // namespace scheduler::cli
