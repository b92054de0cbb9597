#pragma once
// Tables of calls that a launcher must refuse.
#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "gridspot/error.h"

namespace gridspot::test {

/// One wrong thing in otherwise good arguments, and the whole message that it must give.
template <class Arguments>
struct Refusal {
  std::function<void(Arguments&)> spoil;
  std::string message;
};

/// `call(arguments)` must accept the good arguments and throw InvalidInput for each row.
template <class Arguments, class Call>
void expect_refusals(const Arguments& good, const Call& call,
                     const std::type_identity_t<std::vector<Refusal<Arguments>>>& rows) {
  EXPECT_NO_THROW(call(good));
  for (const auto& [spoil, message] : rows) {
    Arguments arguments = good;
    spoil(arguments);
    EXPECT_THAT([&] { call(arguments); }, testing::ThrowsMessage<InvalidInput>(testing::StrEq(message)));
  }
}

}  // namespace gridspot::test
