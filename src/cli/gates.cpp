#include "cli/gates.hpp"

#include "cli/json_text.hpp"
#include "cli/output.hpp"
#include "cli/session.hpp"

#include <boost/json.hpp>

namespace scheduler::cli {

void show_gates(const Session& session, const json::value& data) {
  static const std::vector<Column> kColumns = {
      {"WHAT", "code"}, {"WHY", "sentence"}, {"SINCE", "since"}, {"OPENS AT", "opens_at"}, {"WHAT TO DO", "remedy"}};
  session.output().list(data, array_in(data, "gates"), kColumns);
}

}  // namespace scheduler::cli
