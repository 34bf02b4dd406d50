// cli/output.hpp — the data of a command, as a table for people or as JSON or YAML for programs.
#pragma once

#include "cli/json_text.hpp"

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::cli {

enum class Format { table, json, yaml };

// One column of a list: its head and the member of each item that it shows.
struct Column {
  std::string_view head, member;
};

class Output {
 public:
  Output(std::ostream& out, Format format, bool colour) : out_(out), format_(format), colour_(colour) {}

  [[nodiscard]] bool is_table() const { return format_ == Format::table; }
  // One thing; as a table: a line for each member.
  void one(const json::value& value) const;
  // Many things; as a table: a line for each. `whole` is what JSON and YAML show; nothing is printed for an empty
  // table.
  void list(const json::value& whole, const json::array& items, const std::vector<Column>& columns) const;
  // For JSON and YAML `value`; as a table `text`, as it is.
  void text(const json::value& value, std::string_view text) const;
  // One value a line, for streams: JSON without line breaks, or a YAML document.
  void event(const json::value& value) const;

 private:
  void data(const json::value& value) const;
  [[nodiscard]] std::string cell(std::string_view member, const json::value& value) const;

  std::ostream& out_;
  Format format_;
  bool colour_;
};

}  // namespace scheduler::cli
