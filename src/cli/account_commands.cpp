// Logging in and out, API keys, and the accounts of everybody.
#include "cli/commands.hpp"
#include "cli/text.hpp"
#include "cli/token_file.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace scheduler::cli {
namespace {

const std::vector<Column> kKeyColumns = {
    {"ID", "id"},        {"NAME", "name"},    {"PERMISSIONS", "permissions"}, {"EXPIRES", "expires_at"},
    {"USED", "used_at"}, {"KEY ID", "key_id"}};
const std::vector<Column> kUserColumns = {
    {"ID", "id"}, {"USERNAME", "username"}, {"ROLE", "role"}, {"DISABLED", "disabled"}, {"CREATED", "created_at"}};
const std::vector<Column> kSessionColumns = {{"ID", "id"},       {"CURRENT", "current"}, {"ADDRESS", "address"},
                                             {"AGENT", "agent"}, {"USED", "used_at"},    {"EXPIRES", "expires_at"}};

// From the file, or asked for on a terminal.
Outcome<std::string> password_from(const Session& session, const std::optional<std::string>& file,
                                   const std::string& prompt) {
  if (file) {
    TRY(auto text, session.read_file(*file));
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
  }
  if (session.ports.ask_secret)
    if (auto typed = session.ports.ask_secret(prompt)) return *std::move(typed);
  return failed(Exit::usage,
                "there is no terminal to ask for the password; give it with --password-file (- for stdin)");
}

Outcome<void> keep(const Session& session, const std::string& url, std::string username, const json::value& tokens) {
  const auto path = TokenFile::path_from(session.ports.environment);
  if (!path) return failed(Exit::error, "there is no place for the login: neither XDG_STATE_HOME nor HOME is set");
  TRY(auto file, TokenFile::open(*path));
  return file.put(url, login_of(session, std::move(username), tokens));
}

Option password_option(std::optional<std::string>* into) {
  return {.names = "--password-file",
          .value = "FILE",
          .doc = "holds the password, - for standard input; without it the terminal is asked",
          .into = into};
}

Verb login_verb(Session& session) {
  struct Input {
    std::string username;
    std::optional<std::string> file;
  };
  auto in = std::make_shared<Input>();
  return {"login",
          "Log in; later commands use it.",
          {{.names = "USERNAME", .value = "NAME", .doc = "of the account", .into = &in->username, .required = true},
           password_option(&in->file)},
          [&session, in]() -> Outcome<Exit> {
            TRY(const auto url, session.url());
            TRY(auto password, password_from(session, in->file, fmt::format("Password of {}: ", in->username)));
            const ApiClient api(url, "");
            TRY(const auto tokens,
                api.send("POST", "/auth/login", {{"username", in->username}, {"password", std::move(password)}}));
            if (auto kept = keep(session, url, in->username, tokens); !kept) return std::unexpected(kept.error());
            session.talk(fmt::format("logged in to {} as {}", url, in->username));
            return Exit::ok;
          }};
}

Verb setup_verb(Session& session) {
  struct Input {
    std::string link, username;
    std::optional<std::string> file;
  };
  auto in = std::make_shared<Input>();
  return {"setup",
          "Make the first account with the link that the first start prints, and log in.",
          {{.names = "LINK", .value = "LINK", .doc = "as it was printed", .into = &in->link, .required = true},
           {.names = "USERNAME", .value = "NAME", .doc = "of the account", .into = &in->username, .required = true},
           password_option(&in->file)},
          [&session, in]() -> Outcome<Exit> {
            const auto mark = in->link.find("/auth/setup#");
            if (mark == std::string::npos)
              return failed(Exit::usage, "this is no setup link; it looks like http://127.0.0.1:8080/auth/setup#TOKEN");
            session.api_url = in->link.substr(0, mark);
            TRY(const auto url, session.url());
            TRY(auto password, password_from(session, in->file, fmt::format("New password of {}: ", in->username)));
            const ApiClient api(url, "");
            TRY(const auto tokens, api.send("POST", "/auth/setup",
                                            {{"token", in->link.substr(mark + std::string_view("/auth/setup#").size())},
                                             {"username", in->username},
                                             {"password", std::move(password)}}));
            if (auto kept = keep(session, url, in->username, tokens); !kept) return std::unexpected(kept.error());
            session.talk(fmt::format("made the account {}, an admin, and logged in", in->username));
            return Exit::ok;
          }};
}

Outcome<Exit> log_out(const Session& session) {
  TRY(const auto url, session.url());
  const auto path = TokenFile::path_from(session.ports.environment);
  auto ended = Outcome<json::value>(json::value());
  if (const auto api = session.api()) ended = api->send("POST", "/auth/logout", nullptr);
  if (path) {
    TRY(auto file, TokenFile::open(*path));
    if (auto erased = file.erase(url); !erased) return std::unexpected(erased.error());
  }
  // A session that had ended already is what was wanted.
  if (!ended && ended.error().exit != Exit::auth) return std::unexpected(ended.error());
  session.talk("logged out");
  return Exit::ok;
}

Verb password_verb(Session& session) {
  struct Input {
    std::optional<std::string> file, new_file;
  };
  auto in = std::make_shared<Input>();
  return {"password",
          "Change your password; all your other sessions end.",
          {password_option(&in->file),
           {.names = "--new-password-file", .value = "FILE", .doc = "the same for the new one", .into = &in->new_file}},
          [&session, in]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(auto present, password_from(session, in->file, "Present password: "));
            TRY(auto next, password_from(session, in->new_file, "New password: "));
            TRY(const auto done,
                api.send("POST", "/auth/password",
                         {{"current_password", std::move(present)}, {"new_password", std::move(next)}}));
            session.talk("changed");
            return Exit::ok;
          }};
}

Verb show_verb(Session& session, std::string name, std::string doc, std::string target) {
  return {std::move(name), std::move(doc), {}, [&session, target = std::move(target)]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(target));
            session.output().one(data);
            return Exit::ok;
          }};
}

Verb list_verb(Session& session, std::string name, std::string doc, std::string target,
               const std::vector<Column>& columns) {
  return {std::move(name), std::move(doc), {}, [&session, target = std::move(target), &columns]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(target));
            session.output().list(data, array_in(data, "items"), columns);
            return Exit::ok;
          }};
}

// Something is done to the thing with this id, and there is nothing to show.
Verb end_verb(Session& session, std::string name, std::string doc, std::string path, std::string done) {
  auto id = std::make_shared<std::string>();
  return {std::move(name),
          std::move(doc),
          {{.names = "ID", .value = "ID", .doc = "as in the list", .into = id.get(), .required = true}},
          [&session, id, path = std::move(path), done = std::move(done)]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto nothing, api.send("DELETE", path + url_encoded(*id), nullptr));
            session.talk(done);
            return Exit::ok;
          }};
}

// The text alone goes to standard output, so that it can be piped into where it is needed.
void show_key(const Session& session, const json::value& data) {
  session.output().text(data, member_text(data, "api_key") + "\n");
  session.talk(fmt::format("key {} counts until {}; its text is shown this once", member_text(data, "id"),
                           member_text(data, "expires_at")));
}

Option days_option(std::optional<int>* into) {
  return {.names = "--days", .value = "DAYS", .doc = "until it expires, 1 to 365; default 90", .into = into};
}

Verb create_key_verb(Session& session) {
  struct Input {
    std::string name;
    std::vector<std::string> permissions;
    std::optional<int> days;
  };
  auto in = std::make_shared<Input>();
  return {"create",
          "Make an API key.",
          {{.names = "NAME", .value = "NAME", .doc = "what it is for", .into = &in->name, .required = true},
           {.names = "--permission",
            .value = "PERMISSION",
            .doc = "what it may do; again for more",
            .into = &in->permissions,
            .words = {"task_read", "task_write", "task_delete", "worker_read", "worker_write", "system_read"},
            .required = true},
           days_option(&in->days)},
          [&session, in]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            json::object body{{"name", in->name},
                              {"permissions", json::array(in->permissions.begin(), in->permissions.end())}};
            if (in->days) body["expires_in_days"] = *in->days;
            TRY(const auto data, api.send("POST", "/auth/api-keys", body));
            show_key(session, data);
            return Exit::ok;
          }};
}

Verb rotate_key_verb(Session& session) {
  struct Input {
    std::string id;
    std::optional<int> days;
  };
  auto in = std::make_shared<Input>();
  return {"rotate",
          "Give an API key another secret; the old one counts no more.",
          {{.names = "ID", .value = "ID", .doc = "as in the list", .into = &in->id, .required = true},
           days_option(&in->days)},
          [&session, in]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            json::object body;
            if (in->days) body["expires_in_days"] = *in->days;
            TRY(const auto data, api.send("POST", fmt::format("/auth/api-keys/{}/rotate", url_encoded(in->id)), body));
            show_key(session, data);
            return Exit::ok;
          }};
}

const std::vector<std::string> kRoles = {"admin", "operator", "user", "viewer", "worker"};

Verb create_user_verb(Session& session) {
  struct Input {
    std::string username, role;
    std::optional<std::string> file;
  };
  auto in = std::make_shared<Input>();
  return {"create",
          "Make an account.",
          {{.names = "USERNAME", .value = "NAME", .doc = "of the account", .into = &in->username, .required = true},
           {.names = "--role",
            .value = "ROLE",
            .doc = "what it may do",
            .into = &in->role,
            .words = kRoles,
            .required = true},
           password_option(&in->file)},
          [&session, in]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(auto password, password_from(session, in->file, fmt::format("Password of {}: ", in->username)));
            TRY(const auto data,
                api.send("POST", "/api/users",
                         {{"username", in->username}, {"role", in->role}, {"password", std::move(password)}}));
            session.output().one(data);
            return Exit::ok;
          }};
}

Verb update_user_verb(Session& session) {
  struct Input {
    std::string id;
    std::optional<std::string> role, file;
    bool enable = false, disable = false;
  };
  auto in = std::make_shared<Input>();
  return {"update",
          "Change role, password or state of an account.",
          {{.names = "ID", .value = "ID", .doc = "as in the list", .into = &in->id, .required = true},
           {.names = "--role", .value = "ROLE", .doc = "what it may do", .into = &in->role, .words = kRoles},
           {.names = "--disable", .value = {}, .doc = "no login and no key of it counts", .into = &in->disable},
           {.names = "--enable", .value = {}, .doc = "they count again", .into = &in->enable},
           {.names = "--password-file",
            .value = "FILE",
            .doc = "holds a new password, - for standard input",
            .into = &in->file}},
          [&session, in]() -> Outcome<Exit> {
            if (in->enable && in->disable) return failed(Exit::usage, "--enable and --disable exclude each other");
            json::object body;
            if (in->role) body["role"] = *in->role;
            if (in->enable || in->disable) body["disabled"] = in->disable;
            if (in->file) {
              TRY(body["password"], password_from(session, in->file, ""));
            }
            if (body.empty())
              return failed(Exit::usage, "nothing to change: give --role, --disable, --enable or --password-file");
            TRY(const auto api, session.api());
            TRY(const auto data, api.send("PATCH", "/api/users/" + url_encoded(in->id), body));
            session.output().one(data);
            return Exit::ok;
          }};
}

}  // namespace

Noun auth_commands(Session& session) {
  return {"auth",
          "Log in and out.",
          {login_verb(session), setup_verb(session),
           Verb{"logout", "End the session, here and at the server.", {}, [&session] { return log_out(session); }},
           show_verb(session, "status", "Show who you are and what you may do.", "/auth/me"), password_verb(session),
           list_verb(session, "sessions", "Show where you are logged in.", "/auth/sessions", kSessionColumns),
           end_verb(session, "end", "End one of your sessions.", "/auth/sessions/", "ended")}};
}

Noun apikey_commands(Session& session) {
  return {"apikey",
          "Your API keys: for programs that act for you.",
          {list_verb(session, "list", "Show them.", "/auth/api-keys", kKeyColumns), create_key_verb(session),
           rotate_key_verb(session), end_verb(session, "revoke", "Make a key useless.", "/auth/api-keys/", "revoked")}};
}

Noun user_commands(Session& session) {
  return {"user",
          "The accounts of everybody.",
          {list_verb(session, "list", "Show them.", "/api/users", kUserColumns), create_user_verb(session),
           update_user_verb(session),
           end_verb(session, "delete", "Remove an account; its tasks stay.", "/api/users/", "removed")}};
}

}  // namespace scheduler::cli
