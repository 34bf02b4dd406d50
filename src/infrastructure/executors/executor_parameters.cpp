#include "infrastructure/executors/executor_parameters.hpp"

#include "core/json_reader.hpp"
#include "core/suggest.hpp"
#include "domain/upstream_reference.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

namespace scheduler::infrastructure {

BOOST_DESCRIBE_STRUCT(ShellParameters, (), (command, args, working_directory, environment, shell))
constexpr auto required_fields(const ShellParameters*) { return std::to_array<std::string_view>({"command"}); }

BOOST_DESCRIBE_STRUCT(HttpParameters, (),
                      (url, method, headers, body, timeout_ms, follow_redirects, expected_status, capture_output))
constexpr auto required_fields(const HttpParameters*) { return std::to_array<std::string_view>({"url"}); }

BOOST_DESCRIBE_STRUCT(PythonParameters, (),
                      (script, script_path, arguments, python_executable, working_directory, environment, virtual_env))
BOOST_DESCRIBE_STRUCT(NoopParameters, (), ())

void read_json_value(const json::value& from, HttpBody& into, const JsonPlace& at, JsonFaults& faults) {
  if (const auto* text = from.if_string())
    into = {std::string(text->data(), text->size()), false};
  else if (from.is_structured())
    into = {json::serialize(from), true};
  else
    faults.add_wrong_type(at, "a string, an object or an array", from);
}

namespace {

constexpr std::string_view kParameters = "/parameters";
constexpr std::size_t kArgumentBytesMax = 128 * 1024 - 1;  // Linux, MAX_ARG_STRLEN: 32 pages with the NUL
constexpr std::size_t kUrlBytesMax = 8192;
constexpr std::size_t kHeaderBytesMax = 16 * 1024;
constexpr std::int64_t kTimeoutMsMax = 86'400'000;

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check_text(std::string_view text, const JsonPlace& at, JsonFaults& faults) {
  if (auto fault = process_text_fault(text); !fault.empty()) faults.add(at, std::move(fault));
}

// The upstream tasks that may be named; nothing: whoever asks does not know them.
using Upstreams = std::optional<std::span<const std::string>>;

void check_references(std::string_view text, const JsonPlace& at, Upstreams upstreams, JsonFaults& faults) {
  if (!domain::has_reference(text)) return;
  const auto parts = domain::parse_references(text);
  if (!parts) return faults.add(at, parts.error().message);
  for (const auto& part : *parts) {
    const auto* reference = std::get_if<domain::UpstreamReference>(&part);
    if (reference == nullptr || !upstreams || std::ranges::find(*upstreams, reference->task) != upstreams->end())
      continue;
    const std::vector<std::string_view> known(upstreams->begin(), upstreams->end());
    return faults.add(at, fmt::format("names the output of {}, which is not among the task's dependencies{}",
                                      quote_word(reference->task), suggestion(reference->task, known)));
  }
}

// A value in it would be executed, whatever it holds.
void refuse_references_in_program(std::string_view text, const JsonPlace& at, JsonFaults& faults) {
  if (domain::has_reference(text))
    faults.add(at,
               "must not name an upstream's output, which would be executed as part of it: give it to a variable "
               "of environment, and use that");
}

void refuse_references(std::string_view text, std::string_view allowed, const JsonPlace& at, JsonFaults& faults) {
  if (domain::has_reference(text))
    faults.add(at, fmt::format("must not name an upstream's output; only {} may", allowed));
}

void check_not_empty(std::string_view text, const JsonPlace& at, JsonFaults& faults) {
  if (text.empty()) return faults.add(at, "must not be empty");
  check_text(text, at, faults);
}

void check_arguments(const std::vector<std::string>& arguments, const JsonPlace& at, Upstreams upstreams,
                     JsonFaults& faults) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    check_text(arguments[i], at.item(i), faults);
    check_references(arguments[i], at.item(i), upstreams, faults);
  }
}

// Programs that execute a text among their arguments, and the letter of the option that says so.
struct Interpreter {
  std::string_view name;
  char letter = 'c';
  bool takes_more = false;  // after the text, further options
};
constexpr auto kInterpreters = std::to_array<Interpreter>({{"sh"},
                                                           {"ash"},
                                                           {"bash"},
                                                           {"csh"},
                                                           {"dash"},
                                                           {"fish"},
                                                           {"ksh"},
                                                           {"mksh"},
                                                           {"tcsh"},
                                                           {"zsh"},
                                                           {"python"},
                                                           {"node", 'e', true},
                                                           {"perl", 'e', true},
                                                           {"ruby", 'e', true}});

// bash -o errexit, python -W error
constexpr auto kOptionsWithValue =
    std::to_array<std::string_view>({"-o", "+o", "-O", "+O", "--rcfile", "--init-file", "-W", "-X", "-I", "-r"});

const Interpreter* interpreter_of(std::string_view program) {
  auto name = program.substr(program.rfind('/') + 1);
  while (!name.empty() && (is_digit(name.back()) || name.back() == '.')) name.remove_suffix(1);  // python3.11
  const auto found = std::ranges::find(kInterpreters, name, &Interpreter::name);
  return found == kInterpreters.end() ? nullptr : &*found;
}

// Of `arguments` from `first` on, which an interpreter gets: its options, and the text of `bash -e -c -x TEXT`.
void check_interpreter_arguments(const Interpreter& it, const std::vector<std::string>& arguments, std::size_t first,
                                 const JsonPlace& at, JsonFaults& faults) {
  bool text_follows = false;
  for (std::size_t i = first; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    const bool is_option = word.size() > 1 && (word[0] == '-' || word[0] == '+') && word != "--";
    if (is_option || text_follows) refuse_references_in_program(word, at.item(i), faults);
    if (is_option) {
      const bool is_long = word.starts_with("--");
      text_follows = text_follows || (is_long ? word == "--command" || word == "--eval" : word.contains(it.letter));
      if (std::ranges::find(kOptionsWithValue, word) != kOptionsWithValue.end()) ++i;
    } else if (word != "--") {
      if (!text_follows || !it.takes_more) return;  // what comes now are the program's own arguments
      text_follows = false;
    }
  }
}

// Also behind env, nice, sudo and the like: a word that names an interpreter is taken for one.
void check_program_arguments(std::string_view command, const std::vector<std::string>& arguments, const JsonPlace& at,
                             JsonFaults& faults) {
  for (std::size_t i = 0; i <= arguments.size(); ++i)
    if (const auto* it = interpreter_of(i == 0 ? command : std::string_view(arguments[i - 1])))
      check_interpreter_arguments(*it, arguments, i, at, faults);
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && !is_digit(name.front()) &&
         std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

void check_environment(const EnvironmentOverrides& environment, const JsonPlace& at, Upstreams upstreams,
                       JsonFaults& faults) {
  for (const auto& [name, value] : environment) {
    if (!is_variable_name(name))
      faults.add(at.member(name), "is no name of a variable: use letters, digits and '_', no digit first");
    else if (name.starts_with("SCHEDULER_"))
      faults.add(at.member(name), "names that begin with SCHEDULER_ are set by the scheduler");
    else
      check_text(fmt::format("{}={}", name, value), at.member(name), faults);
    check_references(value, at.member(name), upstreams, faults);
  }
}

// RFC 9110, 5.6.2: token.
bool is_header_name(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return is_letter(c) || is_digit(c) || kOthers.find(c) != kOthers.npos;
  });
}

void check_headers(const std::map<std::string, std::string>& headers, const JsonPlace& at, JsonFaults& faults) {
  for (const auto& [name, value] : headers) {
    const auto place = at.member(name);
    if (!is_header_name(name))
      faults.add(place, "is no name of a header");
    else if (value.find_first_of(std::string_view("\r\n\0", 3)) != value.npos)
      faults.add(place, "a header's value must not contain CR, LF or NUL");
    else if (name.size() + value.size() > kHeaderBytesMax)
      faults.add(place, fmt::format("is longer than {} bytes", kHeaderBytesMax));
    refuse_references(value, "the body", place, faults);
  }
}

void check_json_references(const json::value& value, const JsonPlace& at, Upstreams upstreams, JsonFaults& faults) {
  if (const auto* text = value.if_string())
    check_references({text->data(), text->size()}, at, upstreams, faults);
  else if (const auto* list = value.if_array())
    for (std::size_t i = 0; i < list->size(); ++i) check_json_references((*list)[i], at.item(i), upstreams, faults);
  else if (const auto* object = value.if_object())
    for (const auto& [key, item] : *object) {
      refuse_references(key, "a value", at.member(key), faults);
      check_json_references(item, at.member(key), upstreams, faults);
    }
}

bool says_json(const std::map<std::string, std::string>& headers) {
  const auto lower = [](std::string text) {
    for (auto& c : text) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    return text;
  };
  return std::ranges::any_of(headers, [&](const auto& header) {
    return lower(header.first) == "content-type" && lower(header.second).contains("json");
  });
}

void check_body(const HttpParameters& it, const JsonPlace& at, Upstreams upstreams, JsonFaults& faults) {
  if (!it.body || !it.body->text.contains("${upstream.")) return;
  if (!it.body->is_json) {
    if (domain::has_reference(it.body->text) && says_json(it.headers))
      return faults.add(at,
                        "is a text that is sent as JSON, and an upstream's output could change its structure: give "
                        "the body as an object or an array");
    return check_references(it.body->text, at, upstreams, faults);
  }
  if (const auto value = parse_json(it.body->text)) check_json_references(*value, at, upstreams, faults);
}

// The URL as curl will read it: what passes here is what will be asked for.
void check_url(const std::string& text, const JsonPlace& at, JsonFaults& faults) {
  if (text.find('\0') != text.npos) return faults.add(at, "must not contain a NUL character");
  if (text.size() > kUrlBytesMax) return faults.add(at, fmt::format("is longer than {} bytes", kUrlBytesMax));
  using Url = std::unique_ptr<CURLU, decltype([](CURLU* u) { curl_url_cleanup(u); })>;
  using Part = std::unique_ptr<char, decltype([](char* p) { curl_free(p); })>;
  const Url url(curl_url());
  char* scheme = nullptr;
  auto result = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  if (result == CURLUE_OK) result = curl_url_get(url.get(), CURLUPART_SCHEME, &scheme, 0);
  const Part owned(scheme);
  constexpr std::string_view kExample = "write it like https://example.com/path";
  if (result != CURLUE_OK)
    return faults.add(
        at, fmt::format("{} is no usable URL ({}); {}", quote_word(text), curl_url_strerror(result), kExample));
  if (const std::string_view is = scheme; is != "http" && is != "https")
    faults.add(at, fmt::format("must begin with http:// or https://, not {}://", is));
}

void check(const ShellParameters& it, const JsonPlace& at, Upstreams upstreams, JsonFaults& faults) {
  constexpr std::string_view kAllowed = "args and values of environment";
  check_not_empty(it.command, at.member("command"), faults);
  if (it.args) {
    refuse_references(it.command, kAllowed, at.member("command"), faults);
    check_arguments(*it.args, at.member("args"), upstreams, faults);
    check_program_arguments(it.command, *it.args, at.member("args"), faults);
  } else {
    refuse_references_in_program(it.command, at.member("command"), faults);
  }
  check_text(it.working_directory, at.member("working_directory"), faults);
  refuse_references(it.working_directory, kAllowed, at.member("working_directory"), faults);
  check_environment(it.environment, at.member("environment"), upstreams, faults);
  check_not_empty(it.shell, at.member("shell"), faults);
  refuse_references(it.shell, kAllowed, at.member("shell"), faults);
}

void check(const HttpParameters& it, const JsonPlace& at, Upstreams upstreams, JsonFaults& faults) {
  if (domain::has_reference(it.url))
    refuse_references(it.url, "the body", at.member("url"), faults);
  else
    check_url(it.url, at.member("url"), faults);
  check_body(it, at.member("body"), upstreams, faults);
  if (it.capture_output && it.method == HttpMethod::head)
    faults.add(at.member("capture_output"), "the answer to HEAD has no body that could be the output");
  check_headers(it.headers, at.member("headers"), faults);
  if (it.timeout_ms && (*it.timeout_ms < 1 || *it.timeout_ms > kTimeoutMsMax))
    faults.add(at.member("timeout_ms"), fmt::format("must be between 1 and {}", kTimeoutMsMax));
  const auto statuses = at.member("expected_status");
  for (std::size_t i = 0; i < it.expected_status.size(); ++i)
    if (it.expected_status[i] < 200 || it.expected_status[i] > 599)
      faults.add(statuses.item(i), "must be between 200 and 599");
}

void check(const PythonParameters& it, const JsonPlace& at, Upstreams upstreams, JsonFaults& faults) {
  constexpr std::string_view kAllowed = "arguments and values of environment";
  if (it.script && it.script_path)
    faults.add(at.member("script_path"), "cannot stand beside script: give one of the two");
  else if (!it.script && !it.script_path)
    faults.add(at.member("script"), "is required, or else script_path");
  if (it.script && it.script->find('\0') != std::string::npos)
    faults.add(at.member("script"), "must not contain a NUL character");
  if (it.script) refuse_references_in_program(*it.script, at.member("script"), faults);
  if (it.script_path) check_not_empty(*it.script_path, at.member("script_path"), faults);
  if (it.script_path) refuse_references(*it.script_path, kAllowed, at.member("script_path"), faults);
  check_arguments(it.arguments, at.member("arguments"), upstreams, faults);
  check_not_empty(it.python_executable, at.member("python_executable"), faults);
  check_text(it.working_directory, at.member("working_directory"), faults);
  check_environment(it.environment, at.member("environment"), upstreams, faults);
  check_text(it.virtual_env, at.member("virtual_env"), faults);
  refuse_references(it.python_executable, kAllowed, at.member("python_executable"), faults);
  refuse_references(it.working_directory, kAllowed, at.member("working_directory"), faults);
  refuse_references(it.virtual_env, kAllowed, at.member("virtual_env"), faults);
}

void check(const NoopParameters&, const JsonPlace&, Upstreams, JsonFaults&) {}

// What the reader found, and beyond it what only the meaning shows: a member has at most one fault, the reader's first.
template <class T>
SchedulerResult<T> parse(std::string_view text, Upstreams upstreams = std::nullopt) {
  TRY(const auto value, [&]() -> SchedulerResult<json::value> {
    auto parsed = parse_json(text);
    if (parsed) return parsed;
    return fail(ErrorKind::Validation, parsed.error().message, {{std::string(kParameters), parsed.error().message}});
  }());
  T parameters{};
  JsonFaults shape, meaning;
  const JsonPlace root(kParameters);
  read_json(value, parameters, root, shape);
  if (value.is_object()) check(parameters, root, upstreams, meaning);
  auto faults = shape.take();
  for (auto& fault : meaning.take())
    if (std::ranges::find(faults, fault.pointer, &FieldError::pointer) == faults.end())
      faults.push_back(std::move(fault));
  if (!faults.empty()) return fail_with_faults(std::move(faults));
  return parameters;
}

template <class T>
std::vector<FieldError> faults_of(const SchedulerResult<T>& result) {
  return result ? std::vector<FieldError>{} : result.error().fields;
}

}  // namespace

std::string process_text_fault(std::string_view text) {
  if (text.find('\0') != text.npos) return "must not contain a NUL character";
  if (text.size() > kArgumentBytesMax)
    return fmt::format("is {} bytes long; the system takes at most {} in one piece: put it into a file", text.size(),
                       kArgumentBytesMax);
  return {};
}

SchedulerResult<ShellParameters> parse_shell_parameters(std::string_view text) { return parse<ShellParameters>(text); }
SchedulerResult<HttpParameters> parse_http_parameters(std::string_view text) { return parse<HttpParameters>(text); }
SchedulerResult<PythonParameters> parse_python_parameters(std::string_view text) {
  return parse<PythonParameters>(text);
}
SchedulerResult<NoopParameters> parse_noop_parameters(std::string_view text) { return parse<NoopParameters>(text); }

std::vector<FieldError> ExecutorParameterCheck::check(std::string_view task_type, std::string_view parameters,
                                                      std::span<const std::string> upstreams) const {
  if (task_type == "shell") return faults_of(parse<ShellParameters>(parameters, upstreams));
  if (task_type == "http") return faults_of(parse<HttpParameters>(parameters, upstreams));
  if (task_type == "python") return faults_of(parse<PythonParameters>(parameters, upstreams));
  if (task_type == "noop") return faults_of(parse<NoopParameters>(parameters, upstreams));
  return {{"/task_type", fmt::format("unknown task type {}: must be http, noop, python or shell{}",
                                     quote_word(task_type), suggestion(task_type, kBuiltInTaskTypes))}};
}

}  // namespace scheduler::infrastructure
