#pragma once
// Reads TensorBoard's event files for tests, from the definitions of TFRecord and protocol buffers alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gridspot::test {

template <class Value>
Value fixed_at(std::string_view bytes, std::size_t offset) {
  Value value{};
  if (offset + sizeof value > bytes.size())
    ADD_FAILURE() << "a value of " << sizeof value << " bytes at " << offset << " of " << bytes.size();
  else
    std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// The checksum as TFRecord stores it: CRC-32C by its definition, turned and shifted.
inline std::uint32_t stored_checksum(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc % 2 == 1 ? crc / 2 ^ 0x82f63b78u : crc / 2;
  }
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/// The data of every record; a failure of the test where the file is not whole records with right checksums.
inline std::vector<std::string> records_of(std::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    constexpr std::size_t head = 12, tail = 4;
    const auto length = fixed_at<std::uint64_t>(file, 0);
    EXPECT_EQ(fixed_at<std::uint32_t>(file, 8), stored_checksum(file.substr(0, 8)))
        << "length of record " << records.size();
    if (testing::Test::HasFailure() || length > file.size() - head) {
      ADD_FAILURE() << "record " << records.size() << " is damaged";
      break;
    }
    records.emplace_back(file.substr(head, length));
    EXPECT_EQ(fixed_at<std::uint32_t>(file, head + length), stored_checksum(records.back()))
        << "record " << records.size() - 1;
    file.remove_prefix(std::min(file.size(), head + length + tail));
  }
  return records;
}

/// The fields of a protocol buffer by number: integers as they are, reals by their bits, strings and messages as bytes.
struct Fields {
  std::map<int, std::uint64_t> numbers;
  std::map<int, std::string> texts;
};

inline Fields fields_of(std::string_view bytes) {
  Fields fields;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = fixed_at<unsigned char>(bytes, at++);
      value |= std::uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80 || shift > 56) return value;
    }
  };
  while (at < bytes.size()) {
    const std::uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    EXPECT_EQ(fields.numbers.count(field) + fields.texts.count(field), 0u) << "field " << field << " twice";
    switch (key & 7) {
      case 0:
        fields.numbers[field] = varint();
        break;
      case 1:
        fields.numbers[field] = fixed_at<std::uint64_t>(bytes, at);
        at += 8;
        break;
      case 5:
        fields.numbers[field] = fixed_at<std::uint32_t>(bytes, at);
        at += 4;
        break;
      case 2: {
        const auto size = varint();
        fields.texts[field] = bytes.substr(std::min(at, bytes.size()), size);
        EXPECT_EQ(fields.texts[field].size(), size) << "field " << field << " ends early";
        at += size;
        break;
      }
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return fields;
    }
  }
  EXPECT_EQ(at, bytes.size());
  return fields;
}

struct Point {
  std::string tag;
  float value = 0;
};

/// Of event.proto: 1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log.
struct Event {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string file_version;
  std::optional<int> session_status;  ///< 1 is START
  std::optional<Point> point;         ///< of summary.proto: a Summary's 1 is a Value, whose 1 is tag and 2 simple_value
};

inline Event event_of(std::string_view record) {
  auto fields = fields_of(record);
  Event event;
  event.wall_time = std::bit_cast<double>(fields.numbers[1]);
  event.step = static_cast<std::int64_t>(fields.numbers[2]);
  event.file_version = fields.texts[3];
  if (fields.texts.count(7) != 0) event.session_status = static_cast<int>(fields_of(fields.texts[7]).numbers[1]);
  if (fields.texts.count(5) != 0) {
    auto value = fields_of(fields_of(fields.texts[5]).texts[1]);
    event.point = Point{value.texts[1], std::bit_cast<float>(static_cast<std::uint32_t>(value.numbers[2]))};
  }
  return event;
}

inline std::vector<Event> events_of(std::string_view file) {
  std::vector<Event> events;
  for (const auto& record : records_of(file)) events.push_back(event_of(record));
  return events;
}

}  // namespace gridspot::test
