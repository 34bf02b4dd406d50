// api/slot_json.hpp — the ledger of a task's fire times as JSON.
#pragma once

#include "api/json_writer.hpp"
#include "application/slot_report.hpp"

namespace scheduler::api {

// `limit`: as it was asked for.
void write_slot_report(JsonWriter& json, const application::SlotReport& report, int limit);

}  // namespace scheduler::api
