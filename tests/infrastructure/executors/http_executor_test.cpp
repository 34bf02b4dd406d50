#include "infrastructure/executors/http_executor.hpp"

#include "executors/fixture.hpp"
#include "infrastructure/executors/executor_registry.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <arpa/inet.h>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

using namespace scheduler;
using namespace scheduler::executor_test;
using namespace scheduler::infrastructure;
using domain::AttemptState;
using domain::Outcome;
using domain::Reason;
using testing::HasSubstr;
using testing::Not;

namespace {

// Answers one request after the other, each on a connection of its own. An answer of kHold keeps the connection silent
// until the client hangs up.
class TestServer {
 public:
  static constexpr std::string_view kHold = "hold";
  using Answer = std::function<std::string(const std::string& request)>;

  explicit TestServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port = ::ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~TestServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  std::string url(std::string_view path = "/") const { return fmt::format("http://127.0.0.1:{}{}", port, path); }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  int port = 0;

 private:
  void serve() {
    for (int peer; (peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(peer)) {
      const auto request = read_request(peer);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const auto answer = answer_(request);
      char rest[256];
      if (answer == kHold)
        while (::read(peer, rest, sizeof rest) > 0) continue;
      else
        send_all(peer, answer);
    }
  }

  static std::string read_request(int peer) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const auto head = text.find("\r\n\r\n");
      const auto length = text.find("Content-Length: ");
      const auto body = length == std::string::npos ? 0U : std::size_t(std::atoi(text.c_str() + length + 16));
      if (head != std::string::npos && text.size() >= head + 4 + body) return text;
      const auto n = ::read(peer, buffer, sizeof buffer);
      if (n <= 0 || buffer[0] == 0x16) return text;  // 0x16: TLS, which we do not speak
      text.append(buffer, std::size_t(n));
    }
  }

  static void send_all(int peer, std::string_view text) {
    while (!text.empty()) {
      const auto n = ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      text.remove_prefix(std::size_t(n));
    }
  }

  Answer answer_;
  int listener_ = -1;
  std::mutex mutex_;
  std::vector<std::string> requests_;
  std::jthread thread_;
};

std::string reply(std::string_view status, std::string_view body = "", std::string_view headers = "") {
  return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}", status, body.size(), headers,
                     body);
}
TestServer::Answer always(std::string answer) {
  return [answer = std::move(answer)](const std::string&) { return answer; };
}

class HttpExecutorTest : public ExecutorTest {
 public:
  Outcome get(const std::string& url, std::string_view more = "") {
    return run(executor, fmt::format(R"({{"url":"{}"{}}})", url, more));
  }
  HttpExecutor executor{io, timer, "1.2.3"};
};

}  // namespace

TEST_F(HttpExecutorTest, Execute_Success_StreamsTheBody) {
  TestServer server(always(reply("200 OK", "hello\nwörld\n")));
  EXPECT_EQ(get(server.url("/a?b=c")), (Outcome{.http_status = 200}));
  EXPECT_EQ(sink.out, "hello\nwörld\n");
}

TEST_F(HttpExecutorTest, Execute_Request_BearsItsIdentity) {
  TestServer server(always(reply("204 No Content")));
  EXPECT_EQ(get(server.url("/a?b=c")), (Outcome{.http_status = 204}));
  const auto request = server.requests().at(0);
  EXPECT_TRUE(request.starts_with("GET /a?b=c HTTP/1.1\r\n")) << request;
  EXPECT_THAT(request, HasSubstr("User-Agent: scheduler/1.2.3\r\n"));
  EXPECT_THAT(request, HasSubstr("Idempotency-Key: scheduler-run-41\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Scheduler-Run-Id: 41\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Scheduler-Attempt: 2\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Scheduler-Token: 9\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Scheduler-Shard-Index: 0\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Scheduler-Shard-Total: 1\r\n"));
}

TEST_F(HttpExecutorTest, Execute_HeadersOfTheTask_AreSent) {
  TestServer server(always(reply("200 OK")));
  get(server.url(),
      R"(,"headers":{"X-One":"1","X-Empty":"","idempotency-key":"mine","x-scheduler-token":"forged","User-Agent":"me"})");
  const auto request = server.requests().at(0);
  EXPECT_THAT(request, HasSubstr("X-One: 1\r\n"));
  EXPECT_THAT(request, HasSubstr("X-Empty:\r\n"));
  EXPECT_THAT(request, HasSubstr("idempotency-key: mine\r\n"));
  EXPECT_THAT(request, HasSubstr("User-Agent: me\r\n"));
  EXPECT_THAT(request, Not(HasSubstr("Idempotency-Key")));
  EXPECT_THAT(request, Not(HasSubstr("forged")));
}

TEST_F(HttpExecutorTest, Execute_EveryMethod_ReachesTheServer) {
  TestServer server([](const std::string& request) {
    return request.starts_with("HEAD") ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
                                       : reply("200 OK");
  });
  for (const std::string method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(get(server.url("/" + method), fmt::format(R"(,"method":"{}")", method)), (Outcome{.http_status = 200}));
    EXPECT_TRUE(server.requests().back().starts_with(fmt::format("{0} /{0} HTTP/1.1\r\n", method)));
  }
}

TEST_F(HttpExecutorTest, Execute_Body_IsSentWithItsType) {
  TestServer server(always(reply("201 Created")));
  const struct {
    std::string more, expected_header, expected_end;
  } rows[] = {
      {R"(,"method":"POST","body":{"a":[1,"ü"]})", "Content-Type: application/json\r\n", "\r\n\r\n{\"a\":[1,\"ü\"]}"},
      {R"(,"method":"PUT","body":"text")", "Content-Type: text/plain; charset=utf-8\r\n", "\r\n\r\ntext"},
      {R"(,"method":"POST","body":"<a/>","headers":{"content-type":"text/xml"})", "content-type: text/xml\r\n", "<a/>"},
      {R"(,"method":"GET","body":"q")", "Content-Length: 1\r\n", "\r\n\r\nq"},
      {R"(,"method":"POST")", "Content-Length: 0\r\n", "\r\n\r\n"},
      {R"(,"method":"POST","body":"a\u0000b")", "Content-Length: 3\r\n", std::string("a\0b", 3)},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(get(server.url(), row.more).http_status, 201);
    const auto request = server.requests().back();
    EXPECT_THAT(request, HasSubstr(row.expected_header)) << row.more;
    EXPECT_TRUE(request.ends_with(row.expected_end)) << request;
  }
}

TEST_F(HttpExecutorTest, Execute_LargeBody_IsSentWhole) {
  TestServer server(always(reply("200 OK")));
  const std::string body(900'000, 'x');
  EXPECT_EQ(get(server.url(), fmt::format(R"(,"method":"POST","body":"{}")", body)).http_status, 200);
  EXPECT_TRUE(server.requests().back().ends_with("\r\n\r\n" + body));
}

TEST_F(HttpExecutorTest, Execute_Status_DecidesTheOutcome) {
  const struct {
    std::string status, more;
    bool good;
  } rows[] = {
      {"200 OK", "", true},
      {"304 Not Modified", "", true},
      {"400 Bad Request", "", false},
      {"404 Not Found", "", false},
      {"500 Internal Server Error", "", false},
      {"404 Not Found", R"(,"expected_status":[200,404])", true},
      {"201 Created", R"(,"expected_status":[200,204])", false},
      {"302 Found", R"(,"follow_redirects":false)", true},
  };
  for (const auto& row : rows) {
    TestServer server(always(reply(row.status, row.status.starts_with("304") ? "" : "body")));
    const auto outcome = get(server.url(), row.more);
    const int status = std::atoi(row.status.c_str());
    EXPECT_EQ(outcome.http_status, status);
    EXPECT_EQ(outcome.state, row.good ? AttemptState::succeeded : AttemptState::failed) << row.status << row.more;
    EXPECT_EQ(outcome.reason, row.good ? Reason::none : Reason::http_status);
    EXPECT_EQ(outcome.message, row.good ? "" : fmt::format("the answer's status was {}", status));
  }
}

TEST_F(HttpExecutorTest, Execute_CaptureOutput_TakesAJsonObjectAlone) {
  const struct {
    std::string type, body;
    std::string_view message;  // "": it is the output
  } rows[] = {
      {"application/json", R"({"rows": 12})", ""},
      {"Application/JSON; charset=utf-8", R"({"rows": 12})", ""},
      {"application/problem+json", "{}", ""},
      {"text/plain", "{}",
       "the answer is to be the output, and its Content-Type is 'text/plain', not application/json"},
      {"application/jsonx", "{}", "the answer is to be the output, and its Content-Type is 'application/jsonx', not"},
      {"", "{}", "the answer is to be the output, and its Content-Type is missing, not application/json"},
      {"application/json", "", "the answer is to be the output, and its body is empty"},
      {"application/json", "[1]", "the output is JSON, but no object"},
      {"application/json", "{", "the output is no JSON object: "},
      {"application/json", R"({"a":")" + std::string(70'000, 'x') + R"("})",
       "the output is more than 65536 bytes long"},
  };
  for (const auto& row : rows) {
    const auto header = row.type.empty() ? std::string() : fmt::format("Content-Type: {}\r\n", row.type);
    TestServer server(always(reply("200 OK", row.body, header)));
    sink.out.clear();
    const auto outcome = get(server.url(), R"(,"capture_output":true)");
    EXPECT_EQ(sink.out, row.body) << "it is shown as well";
    if (row.message.empty()) {
      EXPECT_EQ(outcome, (Outcome{.http_status = 200, .output = row.body})) << row.type;
      continue;
    }
    EXPECT_EQ(outcome.state, AttemptState::failed) << row.type;
    EXPECT_EQ(outcome.reason, Reason::output_invalid);
    EXPECT_THAT(outcome.message, HasSubstr(row.message));
    EXPECT_EQ(outcome.http_status, 200);
    EXPECT_FALSE(outcome.output);
  }
}

TEST_F(HttpExecutorTest, Execute_AnswerNobodyAskedToKeep_IsNoOutput) {
  TestServer server(always(reply("200 OK", "{}", "Content-Type: application/json\r\n")));
  EXPECT_FALSE(get(server.url()).output);
  TestServer refusing(always(reply("500 Internal Server Error", "{}", "Content-Type: application/json\r\n")));
  const auto refused = get(refusing.url(), R"(,"capture_output":true)");
  EXPECT_EQ(refused.reason, Reason::http_status);
  EXPECT_FALSE(refused.output);
}

TEST_F(HttpExecutorTest, Execute_UpstreamInTheBody_StaysOneText) {
  execution.upstream = R"({"a":{"run_id":1,"state":"succeeded","output":{"x":"\"},\"admin\":true,\r\n{"}}})";
  TestServer server(always(reply("204 No Content")));
  get(server.url(), R"(,"method":"POST","body":{"k":"${upstream.a.x}"})");
  EXPECT_THAT(server.requests().at(0), testing::EndsWith("\r\n\r\n{\"k\":\"\\\"},\\\"admin\\\":true,\\r\\n{\"}"));
  get(server.url(), R"(,"method":"POST","body":"x=${upstream.a.x}")");
  EXPECT_THAT(server.requests().at(1), testing::EndsWith("\r\n\r\nx=\"},\"admin\":true,\r\n{"));
  const auto missing = get(server.url(), R"(,"method":"POST","body":["${upstream.a.y}"])");
  EXPECT_EQ(missing.reason, Reason::output_missing);
  EXPECT_TRUE(missing.permanent);
  EXPECT_EQ(server.requests().size(), 2U) << "nothing is sent without it";
}

TEST_F(HttpExecutorTest, Execute_TooManyRequests_AsksForItsWait) {
  TestServer server(always(reply("429 Too Many Requests", "", "Retry-After: 3\r\n")));
  const auto outcome = get(server.url());
  EXPECT_EQ(outcome.reason, Reason::http_status);
  EXPECT_EQ(outcome.retry_after, Millis{3000});
}

TEST_F(HttpExecutorTest, Execute_RetryAfter_IsKept) {
  const auto wait = [&](std::string_view header) {
    TestServer server(always(reply("503 Service Unavailable", "", fmt::format("Retry-After: {}\r\n", header))));
    return get(server.url()).retry_after;
  };
  EXPECT_EQ(wait("7"), Millis{7000});
  EXPECT_EQ(wait("99999999"), Millis{std::chrono::hours{24}});
  EXPECT_EQ(wait("soon"), std::nullopt);
  EXPECT_EQ(wait("-5"), std::nullopt);
  const auto until = std::time(nullptr) + 1000;
  char date[64];
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&until));
  const auto from_date = wait(date);
  ASSERT_TRUE(from_date);
  EXPECT_LE(*from_date, 1000s);
  EXPECT_GE(*from_date, 900s);
}

TEST_F(HttpExecutorTest, Execute_Redirects_AreFollowed) {
  TestServer server([](const std::string& request) {
    return request.starts_with("GET /end") ? reply("200 OK", "end") : reply("302 Found", "", "Location: /end\r\n");
  });
  EXPECT_EQ(get(server.url("/start")), (Outcome{.http_status = 200}));
  EXPECT_EQ(sink.out, "end");
}

TEST_F(HttpExecutorTest, Execute_RedirectLoop_Fails) {
  TestServer server(always(reply("302 Found", "", "Location: /again\r\n")));
  const auto outcome = get(server.url());
  EXPECT_EQ(outcome.state, AttemptState::failed);
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_EQ(outcome.message, "the request failed: Maximum (10) redirects followed");
  EXPECT_EQ(server.requests().size(), 11U);
}

TEST_F(HttpExecutorTest, Execute_RedirectToAFile_IsRefused) {
  TestServer server(always(reply("302 Found", "", "Location: file:///etc/passwd\r\n")));
  const auto outcome = get(server.url());
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_EQ(sink.out, "");
}

TEST_F(HttpExecutorTest, Execute_HugeBody_IsCut) {
  TestServer server(always(reply("200 OK", std::string(5'000'000, 'x'))));
  EXPECT_EQ(get(server.url()), (Outcome{.http_status = 200}));
  EXPECT_EQ(sink.total, std::size_t(HttpClient::kBodyBytesMax) +
                            fmt::format("\n… {} bytes of the answer left out …\n", 5'000'000 - (1 << 20)).size());
}

TEST_F(HttpExecutorTest, Execute_NetworkFault_IsSaid) {
  int free_port = 0;
  {
    free_port = TestServer(always("")).port;
  }
  auto outcome = get(fmt::format("http://127.0.0.1:{}/", free_port));
  EXPECT_EQ(outcome.state, AttemptState::failed);
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_FALSE(outcome.permanent);
  EXPECT_FALSE(outcome.http_status);
  EXPECT_THAT(outcome.message, HasSubstr("the request failed: Failed to connect to 127.0.0.1 port"));

  outcome = get("http://surely-not-there.invalid/");
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_THAT(outcome.message, HasSubstr("surely-not-there.invalid"));

  TestServer silent(always(""));  // hangs up without a word
  outcome = get(silent.url());
  EXPECT_EQ(outcome.message, "the request failed: Empty reply from server");

  TestServer cut(always("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
  outcome = get(cut.url());
  EXPECT_EQ(outcome.state, AttemptState::failed);
  EXPECT_EQ(outcome.http_status, 200);

  TestServer plain(always(reply("200 OK")));
  outcome = get(fmt::format("https://127.0.0.1:{}/", plain.port));
  EXPECT_EQ(outcome.reason, Reason::executor_error);
  EXPECT_THAT(outcome.message, HasSubstr("SSL"));
}

TEST_F(HttpExecutorTest, Execute_OwnTimeout_IsTimedOut) {
  TestServer server(always(std::string(TestServer::kHold)));
  const auto outcome = get(server.url(), R"(,"timeout_ms":50)");
  EXPECT_EQ(outcome.state, AttemptState::timed_out);
  EXPECT_EQ(outcome.reason, Reason::timeout);
  EXPECT_THAT(outcome.message, HasSubstr("the request took too long: "));
}

TEST_F(HttpExecutorTest, Stop_DuringASlowAnswer_Aborts) {
  // The server answers only when the client hangs up: this test ends because the stop does that.
  TestServer server([this](const std::string&) {
    asio::post(io, [this] { stop.request(StopReason::cancelled); });
    return std::string(TestServer::kHold);
  });
  const auto outcome = get(server.url());
  EXPECT_EQ(outcome.state, AttemptState::failed);
  EXPECT_EQ(outcome.message, "the request failed: a stop was asked for");
}

TEST_F(HttpExecutorTest, Stop_BeforeTheStart_Aborts) {
  TestServer server(always(std::string(TestServer::kHold)));
  stop.request(StopReason::shutdown);
  EXPECT_EQ(get(server.url()).state, AttemptState::failed);
}

TEST_F(HttpExecutorTest, Execute_Descriptors_AreGivenBack) {
  {
    get(TestServer(always(reply("200 OK"))).url());
  }  // the loop opens its own at the first use
  const auto before = open_descriptors();
  {
    HttpExecutor own(io, timer, "1");
    TestServer server(always(reply("200 OK")));
    for (int i = 0; i < 20; ++i) run(own, fmt::format(R"({{"url":"{}"}})", server.url()));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(HttpExecutorTest, Execute_BadParameters_IsPermanent) {
  const auto outcome = get("ftp://example.com/");
  EXPECT_TRUE(outcome.permanent);
  EXPECT_EQ(outcome.message, "/parameters/url: must begin with http:// or https://, not ftp://");
}

TEST_F(ExecutorTest, BuiltInExecutors_OfferWhatWasNamed) {
  ProcessRunner processes(io, clock, timer, {});
  const WorkerIdentity identity{{"w"}, {1}};
  const std::vector<std::string> types{"shell", "noop", "http", "shell", "python"};
  const auto registry = BuiltInExecutors::create(types, {io, timer, processes, identity, "1"});
  ASSERT_TRUE(registry);
  EXPECT_EQ((*registry)->task_types(), (std::vector<std::string>{"http", "noop", "python", "shell"}));
  EXPECT_EQ((*registry)->find("cobol"), nullptr);
  EXPECT_EQ(run(*(*registry)->find("noop"), "{}"), Outcome{});
  EXPECT_TRUE(run(*(*registry)->find("noop"), R"({"x":1})").permanent);
  EXPECT_EQ(run(*(*registry)->find("shell"), R"({"command":"exit 2"})").exit_code, 2);

  const std::vector<std::string> wrong{"shel"};
  const auto refused = BuiltInExecutors::create(wrong, {io, timer, processes, identity, "1"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Config);
  EXPECT_EQ(refused.error().message,
            "unknown task type 'shel': must be http, noop, python or shell; did you mean 'shell'?");
}
