#include "infrastructure/executors/executor_parameters.hpp"

#include "core/json_reader.hpp"
#include "core/suggest.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

namespace scheduler::infrastructure {

BOOST_DESCRIBE_STRUCT(ShellParameters, (), (command, args, working_directory, environment, shell))
constexpr auto required_fields(const ShellParameters*) { return std::to_array<std::string_view>({"command"}); }

BOOST_DESCRIBE_STRUCT(HttpParameters, (), (url, method, headers, body, timeout_ms, follow_redirects, expected_status))
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

// What is wrong with a text that becomes an argument, a path or a variable of a process; "" when nothing is.
std::string text_fault(std::string_view text) {
  if (text.find('\0') != text.npos) return "must not contain a NUL character";
  if (text.size() > kArgumentBytesMax)
    return fmt::format("is {} bytes long; the system takes at most {} in one piece: put it into a file", text.size(),
                       kArgumentBytesMax);
  return {};
}

void check_text(std::string_view text, const JsonPlace& at, JsonFaults& faults) {
  if (auto fault = text_fault(text); !fault.empty()) faults.add(at, std::move(fault));
}

void check_not_empty(std::string_view text, const JsonPlace& at, JsonFaults& faults) {
  if (text.empty()) return faults.add(at, "must not be empty");
  check_text(text, at, faults);
}

void check_arguments(const std::vector<std::string>& arguments, const JsonPlace& at, JsonFaults& faults) {
  for (std::size_t i = 0; i < arguments.size(); ++i) check_text(arguments[i], at.item(i), faults);
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && !is_digit(name.front()) &&
         std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

void check_environment(const EnvironmentOverrides& environment, const JsonPlace& at, JsonFaults& faults) {
  for (const auto& [name, value] : environment) {
    if (!is_variable_name(name))
      faults.add(at.member(name), "is no name of a variable: use letters, digits and '_', no digit first");
    else if (name.starts_with("SCHEDULER_"))
      faults.add(at.member(name), "names that begin with SCHEDULER_ are set by the scheduler");
    else
      check_text(fmt::format("{}={}", name, value), at.member(name), faults);
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
  }
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

void check(const ShellParameters& it, const JsonPlace& at, JsonFaults& faults) {
  check_not_empty(it.command, at.member("command"), faults);
  if (it.args) check_arguments(*it.args, at.member("args"), faults);
  check_text(it.working_directory, at.member("working_directory"), faults);
  check_environment(it.environment, at.member("environment"), faults);
  check_not_empty(it.shell, at.member("shell"), faults);
}

void check(const HttpParameters& it, const JsonPlace& at, JsonFaults& faults) {
  check_url(it.url, at.member("url"), faults);
  check_headers(it.headers, at.member("headers"), faults);
  if (it.timeout_ms && (*it.timeout_ms < 1 || *it.timeout_ms > kTimeoutMsMax))
    faults.add(at.member("timeout_ms"), fmt::format("must be between 1 and {}", kTimeoutMsMax));
  const auto statuses = at.member("expected_status");
  for (std::size_t i = 0; i < it.expected_status.size(); ++i)
    if (it.expected_status[i] < 200 || it.expected_status[i] > 599)
      faults.add(statuses.item(i), "must be between 200 and 599");
}

void check(const PythonParameters& it, const JsonPlace& at, JsonFaults& faults) {
  if (it.script && it.script_path)
    faults.add(at.member("script_path"), "cannot stand beside script: give one of the two");
  else if (!it.script && !it.script_path)
    faults.add(at.member("script"), "is required, or else script_path");
  if (it.script && it.script->find('\0') != std::string::npos)
    faults.add(at.member("script"), "must not contain a NUL character");
  if (it.script_path) check_not_empty(*it.script_path, at.member("script_path"), faults);
  check_arguments(it.arguments, at.member("arguments"), faults);
  check_not_empty(it.python_executable, at.member("python_executable"), faults);
  check_text(it.working_directory, at.member("working_directory"), faults);
  check_environment(it.environment, at.member("environment"), faults);
  check_text(it.virtual_env, at.member("virtual_env"), faults);
}

void check(const NoopParameters&, const JsonPlace&, JsonFaults&) {}

// What the reader found, and beyond it what only the meaning shows: a member has at most one fault, the reader's first.
template <class T>
SchedulerResult<T> parse(std::string_view text) {
  TRY(const auto value, [&]() -> SchedulerResult<json::value> {
    auto parsed = parse_json(text);
    if (parsed) return parsed;
    return fail(ErrorKind::Validation, parsed.error().message, {{std::string(kParameters), parsed.error().message}});
  }());
  T parameters{};
  JsonFaults shape, meaning;
  const JsonPlace root(kParameters);
  read_json(value, parameters, root, shape);
  if (value.is_object()) check(parameters, root, meaning);
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

SchedulerResult<ShellParameters> parse_shell_parameters(std::string_view text) { return parse<ShellParameters>(text); }
SchedulerResult<HttpParameters> parse_http_parameters(std::string_view text) { return parse<HttpParameters>(text); }
SchedulerResult<PythonParameters> parse_python_parameters(std::string_view text) {
  return parse<PythonParameters>(text);
}
SchedulerResult<NoopParameters> parse_noop_parameters(std::string_view text) { return parse<NoopParameters>(text); }

std::vector<FieldError> ExecutorParameterCheck::check(std::string_view task_type, std::string_view parameters) const {
  if (task_type == "shell") return faults_of(parse_shell_parameters(parameters));
  if (task_type == "http") return faults_of(parse_http_parameters(parameters));
  if (task_type == "python") return faults_of(parse_python_parameters(parameters));
  if (task_type == "noop") return faults_of(parse_noop_parameters(parameters));
  return {{"/task_type", fmt::format("unknown task type {}: must be http, noop, python or shell{}",
                                     quote_word(task_type), suggestion(task_type, kBuiltInTaskTypes))}};
}

}  // namespace scheduler::infrastructure
