// The model of a sound with damage in it: of several, the one that foresees most of the sound best.
#pragma once

#include "autoregression.hpp"

namespace prediction {

// Models are of eight pieces, and of all; what has not changed since the last choice is not worked out again.
class BestModel {
public:
    using Vector = autoregression::Vector;

    // The coefficients whose errors in y have the lowest median, for damage that is not yet found spoils some of them, and
    // most of a sound is whole; `all`: the model of all of y competes. Every fourth stretch of 128 samples is judged. Empty
    // where nothing can be foreseen. y: 1024 samples or a multiple, always as many.
    const Vector &of(const Vector &y, bool all);

private:
    static constexpr size_t PIECES = 8, LOOK = 128;

    struct Candidate {
        Vector a, sizes;      // the model, and how large its errors are
        bool fitted = false;  // to what now sounds
        bool useful = false;
    };

    void note_changes(const Vector &y);
    bool changed(size_t start, size_t stop) const;
    void fit(Candidate &candidate, const Vector &y, size_t n);
    double middle_below(const Candidate &candidate, double least);

    Candidate candidates_[PIECES + 1];
    Vector sound_, sorted_;
    std::vector<bool> changed_;  // of every LOOK samples since the last choice
    size_t best_ = 0;
    const Vector none_;
};

}  // namespace prediction
