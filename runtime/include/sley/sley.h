/* Everything a user of sley needs, in one include. Parts have headers of their own. */
#ifndef SLEY_SLEY_H
#define SLEY_SLEY_H

#include <sley/blocking.h>
#include <sley/cores.h>
#include <sley/fiber.h>
#include <sley/file.h>
#include <sley/frame.h>
#include <sley/local.h>
#include <sley/main.h>
#include <sley/mpsc.h>
#include <sley/notify.h>
#include <sley/oneshot.h>
#include <sley/process.h>
#include <sley/runtime.h>
#include <sley/scope.h>
#include <sley/signal.h>
#include <sley/stream.h>
#include <sley/task.h>
#include <sley/tcp.h>
#include <sley/timer.h>

#endif
