#include "domain/upstream_reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace scheduler::domain {
namespace {

constexpr std::string_view kOpening = "${upstream.";
constexpr std::string_view kNeedsQuotes = ".{}$\"";

bool is_bare(char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && !kNeedsQuotes.contains(c); }

std::string quoted_where_needed(std::string_view part) {
  if (!part.empty() && std::ranges::all_of(part, is_bare)) return std::string(part);
  std::string quoted = "\"";
  for (const char c : part) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  SchedulerResult<std::vector<TextPart>> read() {
    while (const auto at = next_opening()) {
      const bool is_escaped = *at > at_ && text_[*at - 1] == '$';
      add_text(text_.substr(at_, *at - at_ - (is_escaped ? 1 : 0)));
      at_ = *at + kOpening.size();
      if (is_escaped) {
        add_text(kOpening);
        continue;
      }
      begin_ = *at;
      TRY(auto reference, read_reference());
      parts_.emplace_back(std::move(reference));
    }
    add_text(text_.substr(at_));
    return std::move(parts_);
  }

 private:
  [[nodiscard]] std::optional<std::size_t> next_opening() const {
    const auto found = text_.find(kOpening, at_);
    return found == std::string_view::npos ? std::nullopt : std::optional(found);
  }

  void add_text(std::string_view text) {
    if (text.empty()) return;
    if (parts_.empty() || !std::holds_alternative<std::string>(parts_.back())) parts_.emplace_back(std::string());
    std::get<std::string>(parts_.back()).append(text);
  }

  // After the opening, up to and including the closing brace.
  SchedulerResult<UpstreamReference> read_reference() {
    UpstreamReference reference;
    TRY(reference.task, read_part("the name of a task"));
    while (peek() == '.') {
      ++at_;
      TRY(reference.path.emplace_back(), read_part("a key"));
    }
    if (peek() != '}')
      return refuse(at_ == text_.size() ? "is not closed" : "goes on with something else than '.' or '}'");
    ++at_;
    if (reference.path.empty()) return refuse("names a task and no key of its output");
    return reference;
  }

  SchedulerResult<std::string> read_part(std::string_view what) {
    if (peek() == '"') return read_quoted(what);
    const auto begin = at_;
    while (at_ < text_.size() && is_bare(text_[at_])) ++at_;
    if (at_ == begin) return refuse(fmt::format("lacks {}", what));
    return std::string(text_.substr(begin, at_ - begin));
  }

  SchedulerResult<std::string> read_quoted(std::string_view what) {
    std::string part;
    for (++at_; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        if (part.empty()) return refuse(fmt::format("lacks {}", what));
        return part;
      }
      if (c == '\\') {
        c = ++at_ < text_.size() ? text_[at_] : '\0';
        if (c != '"' && c != '\\') return refuse("has a \\ in quotes that stands before neither \" nor \\");
      }
      part += c;
    }
    return refuse("has a quote that is not closed");
  }

  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  [[nodiscard]] std::unexpected<SchedulerError> refuse(std::string_view what) const {
    return fail(ErrorKind::Validation,
                fmt::format("the reference at character {} {}; write it like ${{upstream.NAME.key}}, or $${{upstream. "
                            "where no reference is meant",
                            begin_ + 1, what));
  }

  std::string_view text_;
  std::size_t at_ = 0;     // what comes next
  std::size_t begin_ = 0;  // of the reference that is being read
  std::vector<TextPart> parts_;
};

}  // namespace

std::string to_text(const UpstreamReference& reference) {
  auto text = std::string(kOpening) + quoted_where_needed(reference.task);
  for (const auto& key : reference.path) text += "." + quoted_where_needed(key);
  return text + "}";
}

SchedulerResult<std::vector<TextPart>> parse_references(std::string_view text) { return Reader(text).read(); }

bool has_reference(std::string_view text) {
  for (std::size_t at = 0; (at = text.find(kOpening, at)) != std::string_view::npos; at += kOpening.size())
    if (at == 0 || text[at - 1] != '$') return true;
  return false;
}

}  // namespace scheduler::domain
