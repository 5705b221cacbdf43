/* Latencies by their leading eight bits: 128 buckets per power of two, so that a quantile is off by less than 1/128. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BITS = 7, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

/** Zeroed is empty. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, max;
};

static inline unsigned histogram_index(uint64_t value)
{
    if (value >> HISTOGRAM_BITS == 0) {
        return (unsigned)value;
    }
    const unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
    return (shift << HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

/** The smallest value of a bucket. */
static inline uint64_t histogram_floor(unsigned index)
{
    const unsigned shift = index >> HISTOGRAM_BITS ? (index >> HISTOGRAM_BITS) - 1 : 0;
    return (uint64_t)(index - (shift << HISTOGRAM_BITS)) << shift;
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[histogram_index(value)]++;
    h->total++;
    h->max = value > h->max ? value : h->max;
}

/** The value that a share @p q (0..1) of all values do not exceed; the middle of its bucket, but never more than the largest. */
static inline double histogram_quantile(const struct histogram *h, double q)
{
    const double wanted = q * (double)h->total;
    double seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += (double)h->counts[i];
        if (h->counts[i] && seen >= wanted) {
            const double low = (double)histogram_floor(i);
            const double high = i + 1 < HISTOGRAM_BUCKETS ? (double)histogram_floor(i + 1) - 1 : (double)h->max;
            const double middle = (low + high) / 2;
            return middle < (double)h->max ? middle : (double)h->max;
        }
    }
    return (double)h->max;
}

#endif
