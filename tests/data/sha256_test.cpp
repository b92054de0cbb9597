#include "io/sha256.h"

#include <gtest/gtest.h>

#include "data/files.h"

namespace gridspot {
namespace {

// The examples of FIPS 180-4 (and its predecessors).
TEST(Sha256Test, HashesTheExamplesOfTheStandard) {
  EXPECT_EQ(sha256({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256(as_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(as_bytes("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
                            "lmnopqrsmnopqrstnopqrstu")),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(sha256(as_bytes(std::string(1000000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, DoesNotDependOnHowTheBytesAreCut) {
  const std::string text(200, 'x');
  for (std::size_t length = 0; length <= text.size(); ++length)
    for (const std::size_t cut : {length / 3, length / 2, std::min<std::size_t>(length, 64)}) {
      Sha256 hash;
      hash.update(as_bytes(text).first(cut));
      hash.update(as_bytes(text).subspan(cut, length - cut));
      ASSERT_EQ(hash.finish(), sha256(as_bytes(text).first(length))) << length << " bytes, cut at " << cut;
    }
}

}  // namespace
}  // namespace gridspot
