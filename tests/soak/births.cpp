// Stands for a server whose tools come and go: once it gets SIGUSR1 it starts so many children one after the other,
// lets each use so much CPU time and waits for it. Then it prints what it and they have used since, in microseconds, by
// the kernel's account, and sleeps until it is killed.
//   births COUNT MICROS PER_SECOND    PER_SECOND 0: as fast as it goes
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

long long used_us() {
  long long sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) sum += time.tv_sec * 1'000'000LL + time.tv_usec;
  }
  return sum;
}

[[noreturn]] void live(long micros) {
  timespec used{};
  do {
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (used.tv_sec * 1'000'000 + used.tv_nsec / 1'000 < micros);
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const long count = std::atol(argv[1]);
  const long micros = std::atol(argv[2]);
  const long per_second = std::atol(argv[3]);
  sigset_t begin;
  sigemptyset(&begin);
  sigaddset(&begin, SIGUSR1);
  sigprocmask(SIG_BLOCK, &begin, nullptr);
  std::puts("ready");
  std::fflush(stdout);
  int got = 0;
  sigwait(&begin, &got);

  const auto before = used_us();
  const auto started = std::chrono::steady_clock::now();
  long highest = 0;
  long wraps = 0;
  for (long born = 0; born < count; ++born) {
    const pid_t child = fork();
    if (child == 0) live(micros);
    if (child < 0) return 1;
    wraps += child < highest ? 1 : 0;
    highest = child;
    waitpid(child, nullptr, 0);
    if (per_second > 0)
      std::this_thread::sleep_until(started + std::chrono::microseconds{1'000'000 * born / per_second});
  }
  std::printf("%lld\n%ld\n", used_us() - before, wraps);
  std::fflush(stdout);
  for (;;) pause();
}
