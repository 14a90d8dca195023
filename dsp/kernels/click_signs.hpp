// The signs by which a click is told from music, and the trees that weigh them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace click_signs {

// What tells a click from the music's own: logarithms of ratios, in this order.
enum Sign {
    PROMINENCE,    // its largest prediction error re the usual one around it
    BACKWARD,      // the same, predicted from what follows, re the forward one
    LENGTH,        // samples at the base rate
    LEFT,          // the largest error once the span is filled in, re the usual one: whether a model bridges it
    SAVED,         // energy of the errors, filled in re as it was
    NEXT_HIGHEST,  // the largest error within 1024 samples on either side, re the usual one
    SOON,          // errors of the 256 samples after it re those before
    LOUDER_SOON,   // the sound after it re before, of 256 samples
    LOUDER_LATER,  // and of 1024
    SIZE,          // peak of what is removed re the peak around it
    REMOVED,       // energy of what is removed re the sound before it
    SOUND,         // peak of the sound around it re full scale
    FORESEEN,      // usual error re the sound's level
    BRIGHT,        // steps of what is removed re its samples
    EVEN,          // mean size of its samples re its peak
    ONE_SIDED,     // sum of its samples re the sum of their sizes
    ATTACK,        // where its peak lies, as a share of its length, not a logarithm
    COMPANY,       // others within 2048 samples, plus one
    SIGNS
};
using Signs = std::array<double, SIGNS>;

struct Found {
    int64_t first, stop;
    double ratio, peak;
    Signs signs;
};

// Regression trees whose sum is the logarithm of how many times likelier the signs are of a click than of music.
struct Trees {
    std::vector<int32_t> sign, next, roots;  // of a leaf the sign is -1; next: the child for less, the other follows it
    std::vector<double> at;                  // threshold; of a leaf its value
    double base = 0.0;

    double operator()(const Signs &signs) const {
        double sum = base;
        for (int32_t root : roots) {
            size_t n = static_cast<size_t>(root);
            while (sign[n] >= 0)
                n = static_cast<size_t>(next[n] + (signs[static_cast<size_t>(sign[n])] > at[n]));
            sum += at[n];
        }
        return sum;
    }
};

}  // namespace click_signs
