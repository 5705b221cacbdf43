/* The error numbers alone, as Linux has them: results are -E..., and nothing freestanding reads errno itself. */
#ifndef SLEY_FREESTANDING_ERRNO_H
#define SLEY_FREESTANDING_ERRNO_H

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define EBADF 9
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOSPC 28
#define EPIPE 32
#define ERANGE 34
#define EDEADLK 35
#define ENODATA 61
#define EOVERFLOW 75
#define EOPNOTSUPP 95
#define ENOTSUP 95
#define ESHUTDOWN 108
#define ETIMEDOUT 110
#define EALREADY 114
#define EINPROGRESS 115
#define ECANCELED 125

#endif
