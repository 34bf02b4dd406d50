#include "infrastructure/store/upstream_json.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace scheduler::infrastructure {
namespace {

using application::kUpstreamBytesMax;
using application::UpstreamOutput;
using Rows = std::span<const UpstreamRow>;

UpstreamOutput too_much(std::size_t bytes) {
  return {.json = std::nullopt,
          .fault =
              fmt::format("the upstream runs left {} bytes together, and {} are the most that is handed over: let them "
                          "leave the data elsewhere, and where as their output",
                          bytes, kUpstreamBytesMax)};
}

// The rows at the front that agree with the first one in `member`.
Rows front_with_same(Rows rows, auto member) {
  const auto end = std::ranges::find_if(rows, [&](const UpstreamRow& it) { return it.*member != rows[0].*member; });
  return rows.first(static_cast<std::size_t>(end - rows.begin()));
}

std::string quoted(std::string_view text) { return boost::json::serialize(boost::json::string(text)); }

void append_run(std::string& json, const UpstreamRow& it) {
  json += fmt::format(R"({{"run_id":{},"state":"{}","slot":{},"shard_index":{},"output":)", it.id->value,
                      it.state ? name_of(*it.state) : "", it.slot ? quoted(format_rfc3339(*it.slot)) : "null",
                      it.shard_index.value_or(0));
  json.append(it.output ? std::string_view(*it.output) : "null").append("}");
}

// The runs of one task: one stands alone, several or none in a list.
void append_task(std::string& json, Rows rows) {
  const auto is_run = [](const UpstreamRow& it) { return it.id.has_value(); };
  const auto count = std::ranges::count_if(rows, is_run);
  if (json.size() > 1) json += ",";
  json.append(quoted(rows[0].task_name)).append(count == 1 ? ":" : ":{\"runs\":[");
  bool first = true;
  for (const auto& it : rows) {
    if (!is_run(it)) continue;
    if (!std::exchange(first, false)) json += ",";
    append_run(json, it);
  }
  if (count != 1) json += "]}";
}

UpstreamOutput output_of(Rows rows) {
  std::string json = "{";
  for (; !rows.empty() && json.size() <= kUpstreamBytesMax;) {
    const auto task = front_with_same(rows, &UpstreamRow::task_name);
    append_task(json, task);
    rows = rows.subspan(task.size());
  }
  json += "}";
  if (json.size() > kUpstreamBytesMax) return too_much(json.size());
  return {.json = std::move(json), .fault = std::nullopt};
}

}  // namespace

UpstreamChoice choose_upstreams(std::span<const RunId> runs, std::span<const UpstreamSize> sizes,
                                std::size_t bytes_max) {
  std::unordered_map<RunId, std::size_t> bytes;
  for (const auto& it : sizes) bytes.emplace(it.run, static_cast<std::size_t>(it.bytes));
  UpstreamChoice choice;
  std::size_t sum = 0;
  for (const auto run : runs) {
    const auto size = bytes[run];
    if (size > kUpstreamBytesMax) {
      choice.refused.emplace(run, too_much(size));
      continue;
    }
    sum += size;
    if (!choice.to_read.empty() && sum > bytes_max) break;
    choice.to_read.push_back(run);
  }
  return choice;
}

std::unordered_map<RunId, UpstreamOutput> upstream_outputs_of(UpstreamChoice choice, Rows rows) {
  auto outputs = std::move(choice.refused);
  for (const auto run : choice.to_read) outputs.try_emplace(run);
  while (!rows.empty()) {
    const auto run = front_with_same(rows, &UpstreamRow::run);
    outputs.insert_or_assign(run[0].run, output_of(run));
    rows = rows.subspan(run.size());
  }
  return outputs;
}

}  // namespace scheduler::infrastructure
