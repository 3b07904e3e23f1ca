#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <sys/resource.h>
#include <thread>

#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"
#include "tests/soak/parameters.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
using soak::parameter;
using soak::pick;

namespace {

using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;

const std::string kToken = "luna-token-0123456789";

/// Does something again and again on its own loop, in a thread of its own, until it is told to stop.
class Crowd {
 public:
  virtual ~Crowd() = default;
  Crowd() = default;
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    stop_ = true;
    thread_.join();
  }

 protected:
  virtual void begin(uv_loop_t* loop) = 0;
  virtual void turn() = 0;  ///< every 5 ms at least, and after every event
  virtual void end() = 0;

 private:
  void run() {
    uv_loop_t loop;
    uv_loop_init(&loop);
    auto timer = make_handle<uv_timer_t>([&](uv_timer_t* handle) { return uv_timer_init(&loop, handle); });
    uv_timer_start(
        timer.get(), [](uv_timer_t*) {}, 0, 5);
    begin(&loop);
    while (!stop_) {
      uv_run(&loop, UV_RUN_ONCE);
      turn();
    }
    end();
    timer.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

/// Clients that send a header byte by byte and never end it, and come again as soon as they are sent away.
class Slow final : public Crowd {
 public:
  Slow(std::string address, std::size_t count, std::uint64_t seed)
      : address_(std::move(address)), clients_(count), random_(seed) {}

  [[nodiscard]] std::uint64_t came() const { return came_; }

 private:
  void begin(uv_loop_t* loop) override { loop_ = loop; }
  void turn() override {
    // Each sends something about once a second.
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds{10};
    for (std::size_t i = 0; i < clients_.size() / 100 + 1; ++i) {
      auto& client = clients_[at_++ % clients_.size()];
      if (client && !client->ended()) client->send("x");
    }
    for (auto& client : clients_) {
      if (!client || client->ended()) {
        client.reset();
        client.emplace(loop_, address_);
        client->send("GET /resources/summary HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        ++came_;
      }
    }
  }
  void end() override { clients_.clear(); }

  std::string address_;
  uv_loop_t* loop_ = nullptr;
  std::vector<std::optional<test::RawClient>> clients_;
  std::size_t at_ = 0;
  Clock::time_point next_{};
  std::atomic<std::uint64_t> came_ = 0;
  Random random_;
};

std::string malformed(Random& random) {
  static const std::vector<std::string> kBad{
      "\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /resources/summary HTTP/1.1\r\nHost: evil.example\r\n\r\n",
      "GET /resources/summary HTTP/1.1\r\n\r\n",
      "POST /resources/summary HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
      "GET /resources/summary HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer no-such-token-0123456789\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nX\x01: y\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"};
  const auto which = pick(random, 0, static_cast<std::int64_t>(kBad.size()) + 2);
  if (which < static_cast<std::int64_t>(kBad.size())) {
    return kBad[static_cast<std::size_t>(which)];
  }
  if (which == static_cast<std::int64_t>(kBad.size())) {
    return "GET /" + std::string(static_cast<std::size_t>(pick(random, 1, 100'000)), 'a') + " HTTP/1.1\r\n\r\n";
  }
  if (which == static_cast<std::int64_t>(kBad.size()) + 1) {
    std::string many = "GET / HTTP/1.1\r\n";
    for (auto left = pick(random, 1, 2'000); left > 0; --left) many += "X: " + std::to_string(left) + "\r\n";
    return many + "\r\n";
  }
  std::string noise(static_cast<std::size_t>(pick(random, 1, 2'000)), '\0');
  for (char& c : noise) c = static_cast<char>(pick(random, -128, 127));
  return noise;
}

/// So many malformed requests, some at a time, each on a connection of its own.
class Malformed final : public Crowd {
 public:
  Malformed(std::string address, std::uint64_t count, std::uint64_t seed)
      : address_(std::move(address)), left_(count), random_(seed) {}

  [[nodiscard]] bool done() const { return left_ == 0; }

 private:
  struct Try {
    std::optional<test::RawClient> client;
    Clock::time_point since{};
  };

  void begin(uv_loop_t* loop) override { loop_ = loop; }
  void turn() override {
    const auto now = Clock::now();
    for (auto& attempt : tries_) {
      // What is no whole request is not answered: such clients give up.
      if (attempt.client && !attempt.client->ended() && attempt.client->received().empty() &&
          now - attempt.since < std::chrono::milliseconds{100}) {
        continue;
      }
      attempt.client.reset();
      if (left_ > 0) {
        --left_;
        attempt.since = now;
        attempt.client.emplace(loop_, address_);
        attempt.client->send(malformed(random_));
      }
    }
  }
  void end() override { tries_.clear(); }

  std::string address_;
  uv_loop_t* loop_ = nullptr;
  std::vector<Try> tries_ = std::vector<Try>(16);
  std::atomic<std::uint64_t> left_;
  Random random_;
};

/// Clients that keep their connection, ask, read the answer, think a while and ask again. One whose connection was
/// closed meanwhile asks again on a new one, as any client would; that time counts.
class Honest final : public Crowd {
 public:
  Honest(std::string address, std::size_t count, std::string token, std::uint64_t seed)
      : address_(std::move(address)), readers_(count), operators_token_(std::move(token)), random_(seed) {}

  [[nodiscard]] std::uint64_t answered() const { return answered_; }
  // After stop():
  std::vector<double> took_ms;
  std::uint64_t retries = 0;
  std::uint64_t kept_lost = 0;  ///< connections that were closed after an answer
  std::uint64_t refused = 0;

 private:
  struct Reader {
    std::optional<test::RawClient> client;
    std::string request;
    Clock::time_point asked{};
    Clock::time_point next{};
    bool waits = false;
    bool kept = false;  ///< it was answered on this connection
  };

  void begin(uv_loop_t* loop) override { loop_ = loop; }
  void turn() override {
    const auto now = Clock::now();
    for (auto& reader : readers_) {
      if (!reader.waits && now >= reader.next) {
        static const std::vector<std::pair<std::string, bool>> kAsked{{"/resources/summary", false},
                                                                      {"/resources/samples?limit=20", false},
                                                                      {"/agents", true},
                                                                      {"/fleet/now", true},
                                                                      {"/healthz", false}};
        const auto& [target, by_operator] = kAsked[static_cast<std::size_t>(pick(random_, 0, 4))];
        reader.request = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                         (by_operator ? operators_token_ : kToken) + "\r\n\r\n";
        reader.asked = now;
        reader.waits = true;
        if (reader.client && !reader.client->ended()) reader.client->send(reader.request);
      }
      if (!reader.waits) continue;
      if (!reader.client || reader.client->ended()) {
        retries += reader.client ? 1U : 0U;
        kept_lost += std::exchange(reader.kept, false) ? 1U : 0U;
        reader.client.reset();
        reader.client.emplace(loop_, address_);
        reader.client->send(reader.request);
      } else if (const auto reply = reader.client->take_reply()) {
        const auto end = Clock::now();
        took_ms.push_back(std::chrono::duration<double, std::milli>(end - reader.asked).count());
        refused += reply->status == 200 ? 0U : 1U;
        ++answered_;
        reader.waits = false;
        reader.kept = true;
        reader.next = end + std::chrono::milliseconds{pick(random_, 0, 200)};
      }
    }
  }
  void end() override { readers_.clear(); }

  std::string address_;
  uv_loop_t* loop_ = nullptr;
  std::vector<Reader> readers_;
  std::string operators_token_;
  std::atomic<std::uint64_t> answered_ = 0;
  Random random_;
};

/// What the kernel says that a process holds; 0 if it does not say it to us.
std::size_t descriptors_of(pid_t pid) {
  std::error_code none;
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", none)) {
    count += entry.path().empty() ? 0U : 1U;
  }
  return count;
}

double resident_mib(pid_t pid) {
  const auto statm = test::text_of_file("/proc/" + std::to_string(pid) + "/statm");
  return std::stod(statm.substr(statm.find(' '))) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20U);
}

double percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

TEST_CASE("slow clients and malformed requests keep no honest reader and no tick waiting, and leave nothing behind") {
  auto random = soak::seeded();
  const auto slow_clients = parameter("SOAK_SLOW", 300);
  const auto bad_requests = parameter("SOAK_MALFORMED", 1'000);
  const auto readers = parameter("SOAK_HONEST", 16);
  const auto answers = parameter("SOAK_ANSWERS", 500);
  const bool is_long = answers >= 10'000;  // by hand, on a host that has little else to do
  raise_descriptor_limit();

  Host host;
  host.configure("http: {listen: [\"127.0.0.1:0\"]}\nsampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  ServedAgent luna(host, "luna", R"({"developmentAgent":true,"authToken":")" + kToken + "\"}");
  host.register_agents({luna.entry()});
  Served served(host);
  const auto pid = served.daemon.pid();
  REQUIRE(test::await([&] { return read_ticks(luna.path).size() >= 3; }));

  const auto attack = [&](bool attacked) {
    Slow slow(served.address, attacked ? slow_clients : 1, random());
    Malformed bad(served.address, attacked ? bad_requests : 0, random());
    Honest honest(served.address, readers, served.operators_token(), random());
    const auto skipped_before = served.skipped();  // before the first of the ticks that count
    const auto first = read_ticks(luna.path);
    const auto begun = Clock::now();
    if (attacked) {
      slow.start();
      bad.start();
    }
    honest.start();
    std::size_t most_descriptors = 0;
    const bool all = test::await([&] {
                       most_descriptors = std::max(most_descriptors, descriptors_of(pid));
                       return honest.answered() >= answers;
                     }) &&
                     test::await([&] { return bad.done(); });
    CHECK(all);
    // The ticks have gone on, and go on.
    const auto ticks = read_ticks(luna.path).size();
    CHECK(test::await([&] { return read_ticks(luna.path).size() > ticks; }));
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    honest.stop();
    if (attacked) {
      slow.stop();
      bad.stop();
    }
    CHECK(honest.refused == 0);
    CHECK(honest.kept_lost == 0);
    // Each second has a tick or is counted as one without; which a short run grants where others keep the host busy,
    // but not to most.
    const auto moments = read_ticks(luna.path);
    const auto left_out = served.skipped() - skipped_before;  // after the last of them
    const auto written = moments.size() - first.size();
    const auto lasted = static_cast<double>(*moments.rbegin() - *first.rbegin()) / 1000;
    CHECK(static_cast<double>(written) + left_out + 1.5 >= lasted);
    CHECK(left_out <= (is_long ? 0 : static_cast<double>(written) + 1));
    if (is_long) {
      CHECK(percentile(honest.took_ms, 0.99) <= 50);
    }
    std::printf(
        "%s: %zu honest answers in %.1f s, p50 %.1f ms, p99 %.1f ms, longest %.1f ms, %llu retries; %llu slow "
        "connections; %zu ticks; at most %zu descriptors, %.1f MiB\n",
        attacked ? "attacked" : "in peace", honest.took_ms.size(), seconds, percentile(honest.took_ms, 0.5),
        percentile(honest.took_ms, 0.99), percentile(honest.took_ms, 1.0),
        static_cast<unsigned long long>(honest.retries), static_cast<unsigned long long>(slow.came()), written,
        most_descriptors, resident_mib(pid));
    return percentile(honest.took_ms, 0.99);
  };
  // Once in peace, so that what is kept for later is there.
  const double peace = attack(false);
  REQUIRE(test::await([&] { return served.get("/healthz", "").status == 200; }));
  const auto descriptors = descriptors_of(pid);
  const auto resident = resident_mib(pid);
  const double attacked = attack(true);
  std::printf("p99 attacked %.1f ms, in peace %.1f ms\n", attacked, peace);
  // At rest again: not a descriptor more than before, and no memory for those who have left.
  if (descriptors > 0) {
    CHECK(test::await([&] { return descriptors_of(pid) <= descriptors; }));
  }
#ifndef FLEETLEDGER_SANITIZED  // the address sanitizer keeps what was freed
  CHECK(test::await([&] { return resident_mib(pid) < resident + 4; }));
#endif
  std::printf("afterwards %zu descriptors (before %zu), %.1f MiB (before %.1f)\n", descriptors_of(pid), descriptors,
              resident_mib(pid), resident);
  for (const auto& line : test::lines_of(served.get("/metrics", served.operators_token()).body)) {
    if (line.starts_with("fleetledger_ticks_skipped_total") || line.starts_with("fleetledger_loop_lag_seconds") ||
        line.starts_with("fleetledger_tick_duration_seconds")) {
      std::printf("%s\n", line.c_str());
    }
  }
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
  // Not a line for each of them.
  CHECK(test::lines_of(served.daemon.errors()).size() < 100);
}
