// A corpus of access tokens that must not count.
#include "infrastructure/auth/ed25519_signer.hpp"

#include "infrastructure/auth/sodium_secrets.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sodium.h>

namespace scheduler::infrastructure {
namespace {

constexpr TimePoint kNow{Micros{1'774'742'400'000'000}};

class Ed25519SignerTest : public testing::Test {
 protected:
  const Ed25519Signer signer{std::string(32, 'a')}, stranger{std::string(32, 'b')};
  const std::vector<application::TrustedKey> trusted{signer.own_key()};
  const std::string token = signer.sign(domain::claims_for({7}, {12}, "0123", kNow));

  [[nodiscard]] bool opens(std::string_view text) const { return signer.open(text, trusted).has_value(); }
  // With our own key: only what it says is wrong.
  [[nodiscard]] std::string signed_as(std::string_view header, std::string_view claims) const {
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    const std::string seed(32, 'a');
    crypto_sign_seed_keypair(public_key, secret_key, reinterpret_cast<const unsigned char*>(seed.data()));
    auto text = to_base64url(header) + "." + to_base64url(claims);
    std::string signature(crypto_sign_BYTES, '\0');
    crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr,
                         reinterpret_cast<const unsigned char*>(text.data()), text.size(), secret_key);
    return text + "." + to_base64url(signature);
  }
  [[nodiscard]] std::string header(std::string_view alg = "EdDSA") const {
    return fmt::format(R"({{"alg":"{}","kid":"{}","typ":"JWT"}})", alg, signer.own_key().kid);
  }
  static constexpr std::string_view kClaims =
      R"({"aud":"scheduler-api","exp":1774743000,"iat":1774742400,"iss":"scheduler","jti":"0123","sid":"12","sub":"7"})";
};

TEST_F(Ed25519SignerTest, Open_OwnToken_SaysWhatWasSigned) {
  const auto claims = signer.open(token, trusted);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->user, UserId{7});
  EXPECT_EQ(claims->session, SessionId{12});
  EXPECT_EQ(claims->token_id, "0123");
  EXPECT_EQ(claims->issuer, "scheduler");
  EXPECT_EQ(claims->audience, "scheduler-api");
  EXPECT_EQ(claims->expires_at - claims->issued_at, 600);
  EXPECT_EQ(signed_as(header(), kClaims), token);  // the corpus below differs from it in one thing each
}

TEST_F(Ed25519SignerTest, Open_OtherAlgorithm_IsRefused) {
  for (const auto* alg : {"none", "None", "", "HS256", "RS256", "ES256", "eddsa", "Ed25519"})
    EXPECT_FALSE(opens(signed_as(header(alg), kClaims))) << alg;
  const auto unsigned_text = to_base64url(header("none")) + "." + to_base64url(kClaims) + ".";
  EXPECT_FALSE(opens(unsigned_text));
  // HS256 with the public key as its secret, which everybody knows.
  const auto key = *from_hex(signer.own_key().public_key, 32);
  const auto text = to_base64url(header("HS256")) + "." + to_base64url(kClaims);
  std::string mac(crypto_auth_hmacsha256_BYTES, '\0');
  crypto_auth_hmacsha256(reinterpret_cast<unsigned char*>(mac.data()),
                         reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                         reinterpret_cast<const unsigned char*>(key.data()));
  EXPECT_FALSE(opens(text + "." + to_base64url(mac)));
}

TEST_F(Ed25519SignerTest, Open_SwappedKid_IsRefused) {
  const auto foreign = stranger.sign(domain::claims_for({7}, {12}, "0123", kNow));
  EXPECT_FALSE(opens(foreign));  // nobody trusts its key
  // Signed by the stranger, and naming our key.
  const auto own_header = token.substr(0, token.find('.'));
  EXPECT_FALSE(opens(own_header + foreign.substr(foreign.find('.'))));
  const std::vector<application::TrustedKey> both{signer.own_key(), stranger.own_key()};
  EXPECT_TRUE(signer.open(foreign, both));
  EXPECT_FALSE(signer.open(own_header + foreign.substr(foreign.find('.')), both));
  for (const auto* kid : {"", "../../etc/passwd", "' OR 1=1 --", "0000000000000000"})
    EXPECT_FALSE(opens(signed_as(fmt::format(R"({{"alg":"EdDSA","kid":"{}","typ":"JWT"}})", kid), kClaims))) << kid;
}

TEST_F(Ed25519SignerTest, Open_MembersThatWeDoNotWrite_AreRefused) {
  const auto kid = signer.own_key().kid;
  for (const auto& bad : {fmt::format(R"({{"alg":"EdDSA","kid":"{0}","kid":"{0}","typ":"JWT"}})", kid),
                          fmt::format(R"({{"alg":"none","alg":"EdDSA","kid":"{}","typ":"JWT"}})", kid),
                          fmt::format(R"({{"alg":"EdDSA","kid":"{}","typ":"JWT","jwk":{{}}}})", kid),
                          fmt::format(R"({{"alg":"EdDSA","kid":"{}","typ":"JWT","crit":["exp"]}})", kid),
                          fmt::format(R"({{"alg":["EdDSA"],"kid":"{}","typ":"JWT"}})", kid),
                          fmt::format(R"({{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}})", kid),
                          fmt::format(R"({{"alg":"EdDSA","kid":"{}"}})", kid), std::string("[]"), std::string("")})
    EXPECT_FALSE(opens(signed_as(bad, kClaims))) << bad;
}

TEST_F(Ed25519SignerTest, Open_ClaimsThatAreNotExactlyOurs_AreRefused) {
  const auto with = [](std::string_view from, std::string_view to) {
    std::string claims(kClaims);
    return claims.replace(claims.find(from), from.size(), to);
  };
  for (const auto& bad :
       {with(R"("sub":"7")", R"("sub":"7","sub":"1")"), with(R"("sub":"7")", R"("sub":"1","sub":"7")"),
        with(R"("sub":"7")", R"("sub":7)"), with(R"("sub":"7")", R"("sub":"07")"),
        with(R"("sub":"7")", R"("sub":"-7")"), with(R"("sub":"7")", R"("sub":"7 ")"),
        with(R"("sub":"7")", R"("sub":"99999999999999999999")"), with(R"("exp":1774743000)", R"("exp":"1774743000")"),
        with(R"("exp":1774743000,)", ""), with(R"("exp":1774743000)", R"("exp":1e300)"),
        with(R"("sub":"7")", R"("sub":"7","role":"admin")"), std::string(kClaims) + "x", std::string("null")})
    EXPECT_FALSE(opens(signed_as(header(), bad))) << bad;
}

TEST_F(Ed25519SignerTest, Open_EveryChangedByte_IsRefused) {
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(opens(changed)) << i;
    EXPECT_FALSE(opens(std::string_view(token).substr(0, i))) << i;
  }
}

TEST_F(Ed25519SignerTest, Open_TextOfAnyOtherForm_IsRefused) {
  for (const auto& bad :
       {std::string(), std::string("."), std::string(".."), std::string("..."), "." + token, token + ".",
        token + "." + token, token + "=", token + "\n", " " + token, std::string(1 << 20, 'A'),
        std::string(1 << 20, '.'), token.substr(0, token.find('.')) + "." + std::string(1 << 20, 'A') + ".A"})
    EXPECT_FALSE(opens(bad)) << bad.substr(0, 80);
}

TEST_F(Ed25519SignerTest, Open_Refused_SaysNothingAboutWhy) {
  const auto reason = signer.open("x", trusted).error();
  EXPECT_EQ(reason.kind, ErrorKind::InvalidToken);
  EXPECT_EQ(signer.open(signed_as(header(), "{}"), trusted).error(), reason);
  EXPECT_EQ(signer.open(stranger.sign(domain::claims_for({7}, {12}, "0123", kNow)), trusted).error(), reason);
}

}  // namespace
}  // namespace scheduler::infrastructure
