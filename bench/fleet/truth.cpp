#include "bench/fleet/truth.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <rapidjson/document.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utility>

namespace fleetledger::fleet {

struct TruthAccount::Page {
  std::atomic<std::int64_t> cpu_nanos;
  std::atomic<std::int64_t> resident;
};

namespace {

static_assert(std::atomic<std::int64_t>::is_always_lock_free, "the account is shared between processes");

Bytes own_resident() {
  std::array<char, 128> text{};
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t size = read(fd, text.data(), text.size());
  close(fd);
  if (size <= 0) return {};
  const char* end = text.data() + size;
  const char* second = std::find<const char*>(text.data(), end, ' ');
  if (second == end) return {};
  std::int64_t pages = 0;
  std::from_chars(second + 1, end, pages);
  return Bytes{pages * sysconf(_SC_PAGESIZE)};
}

template <typename Clock>
auto total_at(const std::vector<TruthPoint>& rows, Clock TruthPoint::*label, Clock when) -> std::optional<CpuTotal> {
  const auto later =
      std::lower_bound(rows.begin(), rows.end(), when, [&](const TruthPoint& row, Clock t) { return row.*label < t; });
  if (later == rows.end()) return std::nullopt;
  if ((*later).*label == when) return later->cpu;
  if (later == rows.begin()) return std::nullopt;
  const TruthPoint& before = *std::prev(later);
  const double share = std::chrono::duration<double>(when - before.*label) /
                       std::chrono::duration<double>((*later).*label - before.*label);
  const double used = static_cast<double>((later->cpu - before.cpu).micros().count());
  return CpuTotal{before.cpu.since_start() + Micros{static_cast<Micros::rep>(share * used)}};
}

}  // namespace

Result<TruthAccount> TruthAccount::create(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail("replace " + path + ": " + std::strerror(errno));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail("create " + path + ": " + std::strerror(errno));
  const bool sized = ftruncate(fd, sizeof(Page)) == 0;
  const int error = errno;
  close(fd);
  if (!sized) return fail("size " + path + ": " + std::strerror(error));
  return open(path);
}

Result<TruthAccount> TruthAccount::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return fail("open " + path + ": " + std::strerror(errno));
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != sizeof(Page)) {
    close(fd);
    return fail("open " + path + ": not an account of a load");
  }
  void* page = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int error = errno;
  close(fd);
  if (page == MAP_FAILED) return fail("map " + path + ": " + std::strerror(error));
  return TruthAccount(static_cast<Page*>(page));
}

TruthAccount::TruthAccount(TruthAccount&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

TruthAccount& TruthAccount::operator=(TruthAccount&& other) noexcept {
  std::swap(page_, other.page_);
  return *this;
}

TruthAccount::~TruthAccount() {
  if (page_ != nullptr) munmap(page_, sizeof(Page));
}

CpuTotal TruthAccount::cpu() const {
  return CpuTotal{std::chrono::duration_cast<Micros>(std::chrono::nanoseconds{cpu_nanos()})};
}

std::int64_t TruthAccount::cpu_nanos() const { return page_->cpu_nanos.load(std::memory_order_relaxed); }

Bytes TruthAccount::resident() const { return Bytes{page_->resident.load(std::memory_order_relaxed)}; }

void TruthAccount::add_cpu_nanos(std::int64_t nanos) { page_->cpu_nanos.fetch_add(nanos, std::memory_order_relaxed); }

void TruthAccount::add_resident(std::int64_t bytes) { page_->resident.fetch_add(bytes, std::memory_order_relaxed); }

void Meter::publish_cpu() {
  const std::int64_t now = own_cpu_nanos();
  account_.add_cpu_nanos(now - published_nanos_);
  published_nanos_ = now;
}

void Meter::publish_resident() {
  const std::int64_t now = own_resident().value;
  account_.add_resident(now - published_bytes_);
  published_bytes_ = now;
}

void Meter::withdraw_resident() {
  account_.add_resident(-published_bytes_);
  published_bytes_ = 0;
}

void Meter::finish() {
  withdraw_resident();
  publish_cpu();
}

void write_truth_row(int fd, const TruthAccount& account) {
  using std::chrono::duration_cast;
  // The clocks are read next to the counter: a row is a moment.
  const auto mono = std::chrono::steady_clock::now().time_since_epoch();
  const auto cpu = account.cpu().since_start();
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  std::array<char, 200> line{};
  const int size = std::snprintf(line.data(), line.size(),
                                 "{\"t_mono_us\":%lld,\"t_wall_ms\":%lld,\"cpu_us\":%lld,\"rss_bytes\":%lld}\n",
                                 static_cast<long long>(duration_cast<Micros>(mono).count()),
                                 static_cast<long long>(duration_cast<std::chrono::milliseconds>(wall).count()),
                                 static_cast<long long>(cpu.count()), static_cast<long long>(account.resident().value));
  // A row that a full disk refuses is missing from the truth, and a reader interpolates over it.
  [[maybe_unused]] const ssize_t written = write(fd, line.data(), static_cast<std::size_t>(size));
}

Result<std::vector<TruthPoint>> read_truth(const std::string& path) {
  std::ifstream in(path);
  if (!in) return fail("read " + path + ": cannot be opened");
  std::vector<TruthPoint> rows;
  std::string line;
  while (std::getline(in, line) && !in.eof()) {
    rapidjson::Document row;
    row.Parse(line.data(), line.size());
    const auto number = [&](const char* name) -> std::optional<std::int64_t> {
      if (!row.HasMember(name) || !row[name].IsInt64()) return std::nullopt;
      return row[name].GetInt64();
    };
    if (row.HasParseError() || !row.IsObject()) return fail("read " + path + ": a line is no JSON object");
    const auto mono = number("t_mono_us");
    const auto wall = number("t_wall_ms");
    const auto cpu = number("cpu_us");
    const auto resident = number("rss_bytes");
    if (!mono || !wall || !cpu || !resident) return fail("read " + path + ": a row lacks one of its numbers");
    rows.push_back({MonotonicTime{Micros{*mono}}, WallTime{std::chrono::milliseconds{*wall}}, CpuTotal{Micros{*cpu}},
                    Bytes{*resident}});
  }
  return rows;
}

std::optional<CpuTotal> cpu_at(const std::vector<TruthPoint>& rows, MonotonicTime when) {
  return total_at(rows, &TruthPoint::mono, when);
}

std::optional<CpuTotal> cpu_at(const std::vector<TruthPoint>& rows, WallTime when) {
  return total_at(rows, &TruthPoint::wall, when);
}

std::int64_t own_cpu_nanos() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace fleetledger::fleet
