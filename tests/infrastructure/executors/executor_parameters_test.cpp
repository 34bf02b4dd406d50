#include "infrastructure/executors/executor_parameters.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::infrastructure;

namespace {

// "pointer: message" of every fault, one a line.
std::string faults(std::string_view type, std::string_view parameters, const std::vector<std::string>& upstreams = {}) {
  std::string all;
  for (const auto& fault : ExecutorParameterCheck().check(type, parameters, upstreams))
    all += (all.empty() ? "" : "\n") + fault.pointer + ": " + fault.message;
  return all;
}

}  // namespace

TEST(ExecutorParameterCheck, GoodParameters_HaveNoFault) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"noop", "{}"},
      {"shell", R"j({"command":"echo hi"})j"},
      {"shell", R"j({"command":"ls","args":[],"working_directory":"/","environment":{"_A1":"x\ny"},"shell":"bash"})j"},
      {"http", R"j({"url":"https://example.com/a?b=c"})j"},
      {"http", R"j({"url":"http://[::1]:8080/","method":"DELETE","headers":{"X-A":""},"body":[1],"timeout_ms":1,
                   "follow_redirects":false,"expected_status":[200,204]})j"},
      {"http", R"j({"url":"http://u:p@h/","body":"text"})j"},
      {"python", R"j({"script":"print(1)"})j"},
      {"python", R"j({"script_path":"a.py","arguments":["x"],"python_executable":"python3.11","virtual_env":"/v"})j"},
  };
  for (const auto& [type, parameters] : rows) EXPECT_EQ(faults(type, parameters), "") << parameters;
}

TEST(ExecutorParameterCheck, EveryFault_SaysWhereAndWhat) {
  const struct {
    std::string_view type, parameters, expected;
  } rows[] = {
      {"shel", "{}",
       "/task_type: unknown task type 'shel': must be http, noop, python or shell; did you mean 'shell'?"},
      {"shell", "{}", "/parameters/command: is required"},
      {"shell", "[]", "/parameters: expected an object, got an array"},
      {"shell", "{", "/parameters: the JSON ends too early, after byte 1"},
      {"shell", R"j({"command":""})j", "/parameters/command: must not be empty"},
      {"shell", R"j({"command":"a\u0000b"})j", "/parameters/command: must not contain a NUL character"},
      {"shell", R"j({"command":"a","args":["x","\u0000"]})j", "/parameters/args/1: must not contain a NUL character"},
      {"shell", R"j({"command":"a","args":"x"})j", "/parameters/args: expected an array, got a string"},
      {"shell", R"j({"command":"a","shell":""})j", "/parameters/shell: must not be empty"},
      {"shell", R"j({"command":"a","environment":{"1A":"x"}})j",
       "/parameters/environment/1A: is no name of a variable: use letters, digits and '_', no digit first"},
      {"shell", R"j({"command":"a","environment":{"A=B":"x"}})j",
       "/parameters/environment/A=B: is no name of a variable: use letters, digits and '_', no digit first"},
      {"shell", R"j({"command":"a","environment":{"SCHEDULER_TOKEN":"1"}})j",
       "/parameters/environment/SCHEDULER_TOKEN: names that begin with SCHEDULER_ are set by the scheduler"},
      {"shell", R"j({"command":"a","environment":{"A":1}})j",
       "/parameters/environment/A: expected a string, got a number"},
      {"shell", R"j({"command":"a","timeout":1})j", "/parameters/timeout: unknown field"},
      {"shell", R"j({"arg":[],"environment":{"A":"\u0000"}})j",
       "/parameters/arg: unknown field; did you mean 'args'?\n/parameters/command: is required\n"
       "/parameters/environment/A: must not contain a NUL character"},
      {"http", "{}", "/parameters/url: is required"},
      {"http", R"j({"url":"example.com"})j",
       "/parameters/url: 'example.com' is no usable URL (Bad scheme); write it like https://example.com/path"},
      {"http", R"j({"url":"http://"})j",
       "/parameters/url: 'http://' is no usable URL (No host part in the URL); write it like https://example.com/path"},
      {"http", R"j({"url":"file:///etc/passwd"})j",
       "/parameters/url: must begin with http:// or https://, not file://"},
      {"http", R"j({"url":"http://a/","method":"get"})j",
       "/parameters/method: unknown value 'get': must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS; did you mean "
       "'GET'?"},
      {"http", R"j({"url":"http://a/","headers":{"A B":"x"}})j", "/parameters/headers/A B: is no name of a header"},
      {"http", R"j({"url":"http://a/","headers":{"A":"x\r\nB: y"}})j",
       "/parameters/headers/A: a header's value must not contain CR, LF or NUL"},
      {"http", R"j({"url":"http://a/","body":7})j",
       "/parameters/body: expected a string, an object or an array, got a number"},
      {"http", R"j({"url":"http://a/","timeout_ms":0})j", "/parameters/timeout_ms: must be between 1 and 86400000"},
      {"http", R"j({"url":"http://a/","expected_status":[200,99]})j",
       "/parameters/expected_status/1: must be between 200 and 599"},
      {"python", "{}", "/parameters/script: is required, or else script_path"},
      {"python", R"j({"script":"1","script_path":"a"})j",
       "/parameters/script_path: cannot stand beside script: give one of the two"},
      {"python", R"j({"script":"\u0000"})j", "/parameters/script: must not contain a NUL character"},
      {"python", R"j({"script":"1","python_executable":""})j", "/parameters/python_executable: must not be empty"},
      {"noop", R"j({"a":1})j", "/parameters/a: unknown field"},
  };
  for (const auto& row : rows) EXPECT_EQ(faults(row.type, row.parameters), row.expected) << row.parameters;
}

TEST(ExecutorParameterCheck, References_StandWhereNothingIsExecutedAlone) {
  constexpr std::string_view kProgram =
      "must not name an upstream's output, which would be executed as part of it: give it to a variable of "
      "environment, "
      "and use that";
  constexpr std::string_view kShell = "must not name an upstream's output; only args and values of environment may";
  constexpr std::string_view kPython =
      "must not name an upstream's output; only arguments and values of environment may";
  constexpr std::string_view kHttp = "must not name an upstream's output; only the body may";
  const std::vector<std::string> upstreams{"extract", "my.task"};
  const struct {
    std::string_view type, parameters;
    std::string expected;
  } rows[] = {
      {"shell", R"j({"command":"cp","args":["${upstream.extract.file}","$${upstream.x}","${HOME}"]})j", ""},
      {"shell", R"j({"command":"echo $A","environment":{"A":"a${upstream.\"my.task\".b.0}"}})j", ""},
      {"shell", R"j({"command":"echo ${upstream.extract.file}"})j", fmt::format("/parameters/command: {}", kProgram)},
      {"shell", R"j({"command":"echo $${upstream.extract.file}"})j", ""},
      {"shell", R"j({"command":"${upstream.extract.file}","args":[]})j",
       fmt::format("/parameters/command: {}", kShell)},
      {"shell", R"j({"command":"/bin/bash","args":["-ec","echo ${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/1: {}", kProgram)},
      {"shell", R"j({"command":"sh","args":["-x","-c","echo $1","sh","${upstream.extract.file}"]})j", ""},
      {"shell", R"j({"command":"sh","args":["a.sh","-c","${upstream.extract.file}"]})j", ""},
      {"shell", R"j({"command":"bash","args":["-c","-x","echo ${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/2: {}", kProgram)},
      {"shell", R"j({"command":"bash","args":["-o","errexit","-c","--","echo ${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/4: {}", kProgram)},
      {"shell", R"j({"command":"env","args":["A=1","/bin/sh","-c","echo ${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/3: {}", kProgram)},
      {"shell", R"j({"command":"busybox","args":["sh","-c","echo ${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/2: {}", kProgram)},
      {"shell", R"j({"command":"python3.11","args":["-cprint(${upstream.extract.file})"]})j",
       fmt::format("/parameters/args/0: {}", kProgram)},
      {"shell", R"j({"command":"bash","args":["--rcfile","/a","-c","${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/3: {}", kProgram)},
      {"shell", R"j({"command":"python3","args":["a.py","-c","${upstream.extract.file}"]})j", ""},
      {"shell", R"j({"command":"perl","args":["-e","1","-e","print ${upstream.extract.file}"]})j",
       fmt::format("/parameters/args/3: {}", kProgram)},
      {"shell", R"j({"command":"a","shell":"${upstream.extract.s}"})j", fmt::format("/parameters/shell: {}", kShell)},
      {"shell", R"j({"command":"a","working_directory":"/${upstream.extract.d}"})j",
       fmt::format("/parameters/working_directory: {}", kShell)},
      {"shell", R"j({"command":"a","args":["${upstream.extrct.file}"]})j",
       "/parameters/args/0: names the output of 'extrct', which is not among the task's dependencies; did you mean "
       "'extract'?"},
      {"shell", R"j({"command":"a","environment":{"A":"${upstream.extract}"}})j",
       "/parameters/environment/A: the reference at character 1 names a task and no key of its output; write it like "
       "${upstream.NAME.key}, or $${upstream. where no reference is meant"},
      {"python", R"j({"script":"print('${upstream.extract.a}')"})j", fmt::format("/parameters/script: {}", kProgram)},
      {"python",
       R"j({"script":"1","arguments":["${upstream.extract.a}"],"environment":{"A":"${upstream.extract.a}"}})j", ""},
      {"python", R"j({"script_path":"/${upstream.extract.a}"})j", fmt::format("/parameters/script_path: {}", kPython)},
      {"python",
       R"j({"script":"1","virtual_env":"/${upstream.extract.a}","python_executable":"${upstream.extract.a}"})j",
       fmt::format("/parameters/python_executable: {0}\n/parameters/virtual_env: {0}", kPython)},
      {"http", R"j({"url":"http://a/","body":"x=${upstream.extract.a}"})j", ""},
      {"http", R"j({"url":"http://a/","body":{"a":["${upstream.extract.a}"],"${b}":1}})j", ""},
      {"http", R"j({"url":"http://a/${upstream.extract.a}"})j", fmt::format("/parameters/url: {}", kHttp)},
      {"http", R"j({"url":"http://a/","headers":{"X-A":"${upstream.extract.a}"}})j",
       fmt::format("/parameters/headers/X-A: {}", kHttp)},
      {"http", R"j({"url":"http://a/","body":{"${upstream.extract.a}":[{"b":"${upstream.other.a}"}]}})j",
       "/parameters/body/${upstream.extract.a}: must not name an upstream's output; only a value may\n"
       "/parameters/body/${upstream.extract.a}/0/b: names the output of 'other', which is not among the task's "
       "dependencies"},
      {"http",
       R"j({"url":"http://a/","headers":{"content-TYPE":"application/JSON"},"body":"{\"a\":\"${upstream.extract.a}\"}"})j",
       "/parameters/body: is a text that is sent as JSON, and an upstream's output could change its structure: give "
       "the "
       "body as an object or an array"},
      {"http", R"j({"url":"http://a/","method":"HEAD","capture_output":true})j",
       "/parameters/capture_output: the answer to HEAD has no body that could be the output"},
  };
  for (const auto& row : rows) EXPECT_EQ(faults(row.type, row.parameters, upstreams), row.expected) << row.parameters;
}

TEST(ExecutorParameterCheck, TextTooLongForOneArgument_SaysWhatToDo) {
  EXPECT_EQ(
      faults("shell", fmt::format(R"j({{"command":"{}"}})j", std::string(200'000, 'x'))),
      "/parameters/command: is 200000 bytes long; the system takes at most 131071 in one piece: put it into a file");
  EXPECT_EQ(faults("python", fmt::format(R"j({{"script":"{}"}})j", std::string(1'000'000, 'x'))), "");
}

TEST(ParseHttpParameters, StructuredBody_IsJson) {
  const auto parameters = parse_http_parameters(R"j({"url":"http://a/","method":"POST","body":{"a":[1,2]}})j");
  ASSERT_TRUE(parameters);
  EXPECT_TRUE(parameters->body->is_json);
  EXPECT_EQ(parameters->body->text, R"j({"a":[1,2]})j");
  EXPECT_EQ(parameters->method, HttpMethod::post);
}
