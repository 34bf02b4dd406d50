#include "api/json_writer.hpp"

#include <gtest/gtest.h>

#include <limits>

using namespace scheduler;
using namespace scheduler::api;

TEST(JsonWriter, EveryKindOfValue_IsWritten) {
  JsonWriter json;
  json.begin_object().member("a", 1).member("b", true).member("c", "x").member("d", 0.5);
  json.member("e", std::optional<int>()).member("f", TaskId{7}).member("g", TimePoint{});
  json.key("h").begin_array().value(1).value(2).begin_object().end_object().end_array();
  json.key("i").raw(R"({"deep":[]})").member("j", std::map<std::string, std::string>{{"k", "v"}}).end_object();
  EXPECT_EQ(json.take(), R"({"a":1,"b":true,"c":"x","d":0.5,"e":null,"f":7,"g":"1970-01-01T00:00:00Z","h":[1,2,{}],)"
                         R"("i":{"deep":[]},"j":{"k":"v"}})");
}

TEST(JsonWriter, SpecialCharacters_AreEscaped) {
  EXPECT_EQ(JsonWriter().value("\"\\\n\t\x01\x7f é").take(), R"("\"\\\n\t\u0001\u007f é")");
}

TEST(JsonWriter, BytesThatAreNoUtf8_BecomeReplacementCharacters) {
  EXPECT_EQ(JsonWriter().value("a\xFF\xC3").take(), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(JsonWriter, NumbersThatJsonCannotSay_AreNull) {
  EXPECT_EQ(JsonWriter().value(std::numeric_limits<double>::infinity()).take(), "null");
  EXPECT_EQ(JsonWriter().value(std::numeric_limits<double>::quiet_NaN()).take(), "null");
}
