// Damaged checkpoints and models: each is refused, and a run goes on from the checkpoint before.
#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/io/temporary_folder.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"
#include "train/model.h"

namespace gridspot {
namespace {

namespace fs = std::filesystem;
using test::content;
using test::refusal;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// Damages a file and heals it again.
class Damage {
 public:
  explicit Damage(fs::path path) : path_(std::move(path)), whole_(content(path_)) {}
  ~Damage() { std::ofstream(path_, std::ios::binary) << whole_; }
  Damage(const Damage&) = delete;
  Damage& operator=(const Damage&) = delete;

  [[nodiscard]] std::size_t size() const { return whole_.size(); }
  [[nodiscard]] std::size_t header_size() const {
    std::uint64_t length;
    std::memcpy(&length, whole_.data(), sizeof length);
    return sizeof length + length;
  }
  void flip(std::size_t bit) const { put(bit / 8, static_cast<char>(whole_[bit / 8] ^ (1 << bit % 8))); }
  void heal(std::size_t bit) const { put(bit / 8, whole_[bit / 8]); }
  void cut(std::size_t bytes) const { fs::resize_file(path_, bytes); }

 private:
  void put(std::size_t place, char byte) const {
    std::fstream(path_, std::ios::in | std::ios::out | std::ios::binary).seekp(std::streamoff(place)).put(byte);
  }
  fs::path path_;
  std::string whole_;
};

/// Every bit of the header, one bit in 64 bytes of the data, and every length.
template <class Load>
void expect_damage_refused(const fs::path& path, const Load& load) {
  ASSERT_EQ(refusal([&] { load(path); }), "(it was accepted)");
  const Damage damage(path);
  const auto expect_refused = [&](const std::string& what) {
    const std::string message = refusal([&] { load(path); });
    const std::string file = path.string();
    EXPECT_TRUE(message.starts_with(file) && message.size() > file.size() + 2) << what << ": " << message;
  };
  for (std::size_t byte = 0; byte < damage.size() && !testing::Test::HasFailure();
       byte += byte < damage.header_size() ? 1 : 64)
    for (std::size_t bit = byte * 8; bit < byte * 8 + (byte < damage.header_size() ? 8 : 1); ++bit) {
      damage.flip(bit);
      expect_refused("bit " + std::to_string(bit % 8) + " of byte " + std::to_string(byte));
      damage.heal(bit);
    }
  EXPECT_EQ(refusal([&] { load(path); }), "(it was accepted)") << "healed";
  for (std::size_t length = damage.size(); length-- > 0 && !testing::Test::HasFailure();) {
    damage.cut(length);
    expect_refused(std::to_string(length) + " bytes");
  }
}

class AnyDamage : public testing::Test {
 protected:
  const test::TemporaryFolder temporary_;
  const fs::path path_ = temporary_ / "file.safetensors";
  test::QuickFileSystem file_system_;
  const RunConfig config_ = test::shortest_config();
  const std::vector<float> weights_ = Network(config_.network).initial_weights(1);
};

TEST_F(AnyDamage, OfACheckpointIsRefused) {
  const TrainerState state{.step = 5, .weights = weights_, .moment1 = weights_, .moment2 = {}, .average = {}};
  save_checkpoint(path_, config_, state, file_system_);
  expect_damage_refused(path_, [&](const fs::path& path) { load_checkpoint(path, config_); });
}

TEST_F(AnyDamage, OfAModelIsRefused) {
  const Model model{.network = config_.network,
                    .weights = weights_,
                    .classes = test::tiny_glyphs().class_names,
                    .protocol = "quick-64",
                    .step = 5,
                    .config = "{}"};
  save_model(path_, model, file_system_);
  expect_damage_refused(path_, [](const fs::path& path) { load_model(path); });
}

class DamagedCheckpoints : public testing::Test {
 protected:
  void SetUp() override {
    test::quick_run(config_, glyphs_, {.folder = temporary_ / "whole"});
    expected_ = test::outcome_of(temporary_ / "whole");
    test::quick_run(config_, glyphs_, {.folder = run_, .until = 8});
    checkpoints_ = test::checkpoints_in(run_);
    ASSERT_EQ(checkpoints_.size(), 2u) << "of the steps 6 and 8";
  }

  static void truncate(const fs::path& path) { fs::resize_file(path, fs::file_size(path) / 2); }

  const test::TemporaryFolder temporary_;
  const fs::path run_ = temporary_ / "run";
  const GlyphSet glyphs_ = test::tiny_glyphs();
  const RunConfig config_ = test::tiny_config();
  test::Outcome expected_;
  std::vector<fs::path> checkpoints_;
};

TEST_F(DamagedCheckpoints, TheOneBeforeIsTaken) {
  truncate(checkpoints_[1]);
  std::ostringstream log;
  const RunSummary summary =
      test::quick_run(read_run_config(run_), glyphs_, {.folder = run_, .resume = true, .log = &log});
  EXPECT_EQ(summary.first_step, 6u);
  EXPECT_THAT(log.str(), AllOf(HasSubstr("passed over"), HasSubstr(checkpoints_[1].string())));
  EXPECT_EQ(test::difference(test::outcome_of(run_), expected_), "");
}

TEST_F(DamagedCheckpoints, NoneLeftIsAnErrorThatNamesThemAll) {
  truncate(checkpoints_[0]);
  std::ofstream(checkpoints_[1], std::ios::app) << '\0';
  const auto before = test::outcome_of(run_);
  EXPECT_THAT(refusal([&] { test::resume(run_, glyphs_); }),
              AllOf(StartsWith((run_ / "checkpoints").string() + ": no checkpoint can be read:"),
                    HasSubstr(checkpoints_[0].string() + ": "), HasSubstr(checkpoints_[1].string() + ": ")));
  EXPECT_EQ(test::difference(test::outcome_of(run_), before), "") << "the rest must stay as it was";
}

}  // namespace
}  // namespace gridspot
