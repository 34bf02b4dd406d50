// cli/gates.hpp — what holds a run or a task, as `run why` and `task explain` show it.
#pragma once

#include "cli/json_text.hpp"

namespace scheduler::cli {

class Session;

// `data`: the reply of the API, with its gates.
void show_gates(const Session& session, const json::value& data);

}  // namespace scheduler::cli
