#pragma once

// glibc 2.36 forgets to say that the functions of this header have C linkage.
extern "C" {
#include <sys/pidfd.h>
}
