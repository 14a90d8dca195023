// Sums and maxima kept side by side, so that they vectorise without reordering by the compiler, and folded at the end.
#pragma once

#include "kernels.hpp"

// By halves: each sum waits for log2(N) others and not for N, and their order does not hang on the vector unit's width.
template <class T, size_t N> INTO_CLONES T sum_of(const T (&lanes)[N]) {
    static_assert((N & (N - 1)) == 0, "lanes are folded by halves: a power of two");
    if constexpr (N == 1) {
        return lanes[0];
    } else {
        T halves[N / 2];
        for (size_t i = 0; i < N / 2; ++i) halves[i] = lanes[i] + lanes[i + N / 2];
        return sum_of(halves);
    }
}

template <class T, size_t N, class Better> INTO_CLONES T best_of(const T (&lanes)[N], Better better) {
    static_assert((N & (N - 1)) == 0, "lanes are folded by halves: a power of two");
    if constexpr (N == 1) {
        return lanes[0];
    } else {
        T halves[N / 2];
        for (size_t i = 0; i < N / 2; ++i) halves[i] = better(lanes[i], lanes[i + N / 2]) ? lanes[i] : lanes[i + N / 2];
        return best_of(halves, better);
    }
}

template <class T, size_t N> INTO_CLONES T highest_of(const T (&lanes)[N]) {
    return best_of(lanes, [](T a, T b) { return a > b; });
}

template <class T, size_t N> INTO_CLONES T lowest_of(const T (&lanes)[N]) {
    return best_of(lanes, [](T a, T b) { return a < b; });
}
