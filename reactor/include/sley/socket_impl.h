/* For reactors: recv(2) and send(2) that never wait, inline: one instruction where libc has a dozen around it. No other calls. */
#ifndef SLEY_SOCKET_IMPL_H
#define SLEY_SOCKET_IMPL_H

#include <sley/base.h>

#include <sys/socket.h>
#include <sys/types.h>

#ifndef __cplusplus

/* Sanitizers have to see what a call reads and writes: then it is libc's, as on machines that are not listed here. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLEY__SOCKET_LIBC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SLEY__SOCKET_LIBC 1
#endif
#endif

#if defined(__linux__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(SLEY__SOCKET_LIBC)

#include <sys/syscall.h>

#ifdef __x86_64__

/* six arguments; the kernel keeps every register but rax, rcx and r11 */
SLEY_INLINE ssize_t sley__socket_call(long what, int number, const void *buf, size_t len, int flags)
{
    register long r10 __asm__("r10") = flags;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    long n = what;
    __asm__ volatile("syscall" : "+a"(n) : "D"((long)number), "S"(buf), "d"(len), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return n;
}

#else

SLEY_INLINE ssize_t sley__socket_call(long what, int number, const void *buf, size_t len, int flags)
{
    register long x8 __asm__("x8") = what;
    register long x0 __asm__("x0") = number;
    register const void *x1 __asm__("x1") = buf;
    register size_t x2 __asm__("x2") = len;
    register long x3 __asm__("x3") = flags;
    register long x4 __asm__("x4") = 0;
    register long x5 __asm__("x5") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

#endif

/** Returns: bytes, 0 at the end, or a negative errno. Thread: any. */
SLEY_INLINE ssize_t sley__socket_recv(int number, void *buf, size_t len)
{
    return sley__socket_call(SYS_recvfrom, number, buf, len, MSG_DONTWAIT);
}

/** Returns: bytes, or a negative errno. Never raises SIGPIPE. Thread: any. */
SLEY_INLINE ssize_t sley__socket_send(int number, const void *buf, size_t len)
{
    return sley__socket_call(SYS_sendto, number, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

#else

SLEY_INLINE ssize_t sley__socket_recv(int number, void *buf, size_t len)
{
    const ssize_t n = recv(number, buf, len, MSG_DONTWAIT);
    return SLEY_LIKELY(n >= 0) ? n : -errno;
}

SLEY_INLINE ssize_t sley__socket_send(int number, const void *buf, size_t len)
{
    const ssize_t n = send(number, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return SLEY_LIKELY(n >= 0) ? n : -errno;
}

#endif

#endif /* !__cplusplus */
#endif
