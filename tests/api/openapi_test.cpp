// docs/openapi.yaml and the server say the same: paths, methods, permissions, examples, replies.
#include "api/openapi.hpp"

#include "api/live_server.hpp"
#include "api/router.hpp"
#include "api/schema_check.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

namespace {

namespace json = boost::json;

const json::value& document() {
  static const auto parsed = json::parse(openapi_as_json());
  return parsed;
}

const json::object& resolved(const json::value& value) {
  if (const auto* reference = value.as_object().if_contains("$ref"))
    return document().at_pointer(std::string_view(reference->as_string()).substr(1)).as_object();
  return value.as_object();
}

struct Operation {
  std::string method, path;
  const json::object* item;
  const json::object* operation;
};

std::vector<Operation> operations() {
  std::vector<Operation> all;
  for (const auto& [path, item] : document().at("paths").as_object())
    for (const auto& [word, operation] : item.as_object()) {
      if (word == "parameters") continue;
      std::string method(word);
      std::ranges::transform(method, method.begin(), [](char c) { return char(c - 32); });
      all.push_back({method, std::string(path), &item.as_object(), &operation.as_object()});
    }
  return all;
}

std::vector<const json::object*> parameters_of(const Operation& it) {
  std::vector<const json::object*> all;
  for (const auto* holder : {it.item, it.operation})
    if (const auto* list = holder->if_contains("parameters"))
      for (const auto& parameter : list->as_array()) all.push_back(&resolved(parameter));
  return all;
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::string encoded(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) out += std::isalnum(c) ? std::string(1, char(c)) : fmt::format("%{:02X}", c);
  return out;
}

// The path with the examples of its parameters.
std::string example_path(const Operation& it) {
  auto path = it.path;
  for (const auto* parameter : parameters_of(it)) {
    if (parameter->at("in") != "path") continue;
    const auto name = fmt::format("{{{}}}", text_of(parameter->at("name")));
    path.replace(path.find(name), name.size(), encoded(text_of(parameter->at("example"))));
  }
  return path;
}

void expect_documented(const Operation& it, const Response& reply, const std::string& what) {
  const auto* response = it.operation->at("responses").as_object().if_contains(std::to_string(reply.status));
  ASSERT_NE(response, nullptr) << what << ": status " << reply.status << " is not documented: " << reply.body;
  const auto* content = resolved(*response).if_contains("content");
  if (content == nullptr) {
    EXPECT_EQ(reply.body, "") << what;
    return;
  }
  const auto type = reply.headers.at("content-type").substr(0, reply.headers.at("content-type").find(';'));
  const auto* media = content->as_object().if_contains(type);
  ASSERT_NE(media, nullptr) << what << ": content type " << type << " is not documented";
  const bool is_json = type.ends_with("json");
  const auto faults = schema_faults(document(), media->at("schema"), is_json ? reply.json() : json::value(reply.body));
  for (const auto& fault : faults) ADD_FAILURE() << what << ": " << fault;
}

void expect_good(const Operation& it, const Response& reply, const std::string& what) {
  EXPECT_LT(reply.status, 300) << what << ": " << reply.body;
  expect_documented(it, reply, what);
}

constexpr auto kSetupToken = "an-example-of-a-setup-token-0123456789abcde";

// Small steps, so that `wait` and streams of examples end by themselves: run 1 has ended.
Response send(const Operation& it, const std::string& target, std::string_view body = {}, const Headers& headers = {}) {
  const LiveServer server({}, [&](FakeWorld& world) {
    if (it.path == "/auth/setup") world.begin_anew(kSetupToken);
  });
  return server.request(it.method, target, body, headers);
}

}  // namespace

TEST(OpenApiDocument, PathsAndMethods_AreThoseOfTheServer) {
  std::map<std::pair<std::string, std::string>, std::string> documented, served;
  for (const auto& it : operations()) documented[{it.path, it.method}] = text_of(it.operation->at("x-permission"));
  for (const auto& route : api_router().routes())
    served[{std::string(route.path), std::string(route.method)}] = name_of(route.access.permission);
  EXPECT_EQ(documented, served);
}

TEST(OpenApiDocument, OperationsWithoutAPermission_AreThoseWithoutSecurity) {
  EXPECT_FALSE(document().at("security").as_array().empty());
  for (const auto& it : operations()) {
    const auto* security = it.operation->if_contains("security");
    EXPECT_EQ(security != nullptr && security->as_array().empty(), it.operation->at("x-permission") == "none")
        << it.method << ' ' << it.path;
  }
}

TEST(OpenApiDocument, EveryOperation_HasANameOfItsOwnAndASummary) {
  std::set<std::string> names;
  for (const auto& it : operations()) {
    EXPECT_TRUE(names.insert(text_of(it.operation->at("operationId"))).second) << it.path;
    EXPECT_TRUE(it.operation->contains("summary")) << it.path;
    EXPECT_EQ(it.operation->contains("requestBody"),
              [&] {
                for (const auto& route : api_router().routes())
                  if (route.path == it.path && route.method == it.method) return route.body != BodyKind::none;
                return false;
              }())
        << it.method << ' ' << it.path;
  }
}

TEST(OpenApiDocument, EveryOperationAsItStands_IsAnsweredAsDocumented) {
  for (const auto& it : operations()) {
    const auto* body = it.operation->if_contains("requestBody");
    if (body != nullptr && body->at("required").as_bool()) continue;
    const auto target = example_path(it);
    expect_good(it, send(it, target), it.method + " " + target);
  }
}

TEST(OpenApiDocument, EveryQueryParameter_IsUnderstood) {
  for (const auto& it : operations())
    for (const auto* parameter : parameters_of(it)) {
      if (parameter->at("in") != "query") continue;
      const auto target = fmt::format("{}?{}={}", example_path(it), text_of(parameter->at("name")),
                                      encoded(text_of(parameter->at("example"))));
      expect_good(it, send(it, target), it.method + " " + target);
    }
}

TEST(OpenApiDocument, EveryBodyExample_FitsItsSchemaAndIsAccepted) {
  for (const auto& it : operations()) {
    const auto* body = it.operation->if_contains("requestBody");
    if (body == nullptr) continue;
    for (const auto& [type, media] : body->at("content").as_object())
      for (const auto& [name, example] : media.at("examples").as_object()) {
        const auto what = fmt::format("{} {} example '{}'", it.method, it.path, std::string_view(name));
        for (const auto& fault : schema_faults(document(), media.at("schema"), example.at("value")))
          ADD_FAILURE() << what << ": " << fault;
        const auto text = json::serialize(example.at("value"));
        expect_good(it, send(it, example_path(it), text, {{"Content-Type", std::string(type)}}), what);
      }
  }
}

TEST(OpenApiDocument, EveryBadBody_IsRefusedAsDocumented) {
  for (const auto& it : operations()) {
    if (!it.operation->contains("requestBody")) continue;
    const auto target = example_path(it);
    for (const auto* text : {R"({"surely_unknown":1})", "[", "[]"}) {
      const auto reply = send(it, target, text);
      EXPECT_EQ(reply.status, 400) << it.method << ' ' << target << ' ' << text;
      expect_documented(it, reply, it.method + " " + target);
    }
    expect_documented(it, send(it, target, "x", {{"Content-Type", "text/plain"}}), it.method + " " + target);
  }
}

TEST(OpenApiDocument, EveryMissingThing_IsRefusedAsDocumented) {
  for (const auto& it : operations()) {
    if (!it.path.contains("{id}")) continue;
    auto target = it.path;
    target.replace(target.find("{id}"), 4, "4711");
    const auto* body = it.operation->if_contains("requestBody");
    std::string text;
    if (it.path.starts_with("/api/users"))
      text = it.method == "PATCH" ? "{}" : "";
    else if (body != nullptr && body->at("required").as_bool())
      text = it.method == "PATCH" ? "{}" : R"({"name":"n","task_type":"shell"})";
    const auto reply = send(it, target, text);
    EXPECT_EQ(reply.status, 404) << it.method << ' ' << target;
    expect_documented(it, reply, it.method + " " + target);
  }
}

TEST(OpenApiDocument, ErrorsOfTheServerAsAWhole_FitTheProblemSchema) {
  const LiveServer server;
  const auto& schema = document().at("components").at("schemas").at("Problem");
  for (const auto& reply : {server.get("/nothing"), server.request("POST", "/metrics"),
                            server.get("/api/tasks", {{"Origin", "http://evil"}}), server.get("/api/tasks", kNobody),
                            server.get("/api/tasks?x=1")})
    for (const auto& fault : schema_faults(document(), schema, reply.json())) ADD_FAILURE() << fault << reply.body;
}
