// The model of a sound with damage in it: see the header.
#include "best_model.hpp"

#include "lanes.hpp"
#include "prediction.hpp"

#include <algorithm>
#include <cmath>

namespace prediction {

VECTOR_CLONES size_t count_below(const double *x, size_t count, double bound) {
    constexpr size_t LANES = 16;
    double lanes[LANES] = {};
    for (size_t n = 0; n < count; n += LANES)
        for (size_t i = 0; i < LANES; ++i)
            lanes[i] += x[n + i] < bound ? 1.0 : 0.0;
    return static_cast<size_t>(sum_of(lanes));
}

const BestModel::Vector &BestModel::of(const Vector &y, bool all) {
    note_changes(y);
    // The last choice first: against a low median the others fall out sooner.
    size_t chosen = PIECES + 1;
    double least = 1e300;
    for (size_t i = 0; i <= PIECES; ++i) {
        const size_t n = i == 0 ? best_ : i <= best_ ? i - 1 : i;
        if (n == PIECES && !all)
            continue;
        Candidate &candidate = candidates_[n];
        fit(candidate, y, n);
        const double middle = candidate.useful ? middle_below(candidate, least) : least;
        if (middle < least) {
            least = middle;
            chosen = n;
        }
    }
    if (chosen > PIECES)
        return none_;
    best_ = chosen;
    return candidates_[chosen].a;
}

void BestModel::note_changes(const Vector &y) {
    const bool first = sound_.empty();
    changed_.assign(y.size() / LOOK, first);
    for (size_t b = 0; b < changed_.size() && !first; ++b)
        changed_[b] = !std::equal(y.begin() + b * LOOK, y.begin() + (b + 1) * LOOK, sound_.begin() + b * LOOK);
    sound_ = y;
}

bool BestModel::changed(size_t start, size_t stop) const {
    return std::find(changed_.begin() + start / LOOK, changed_.begin() + stop / LOOK, true) != changed_.begin() + stop / LOOK;
}

void BestModel::fit(Candidate &candidate, const Vector &y, size_t n) {
    const size_t piece = y.size() / PIECES;
    const size_t start = n == PIECES ? 0 : n * piece, stop = n == PIECES ? y.size() : start + piece;
    const bool anew = !candidate.fitted || changed(start, stop);
    if (anew) {
        candidate.a.resize(ORDER + 1);
        candidate.useful = burg(y.data() + start, stop - start, candidate.a.data());
        candidate.fitted = true;
    }
    if (!candidate.useful)
        return;
    candidate.sizes.resize(LOOK * ((y.size() - 2 * LOOK) / (4 * LOOK) + 1));
    for (size_t i = 0; i < candidate.sizes.size(); i += LOOK) {
        const size_t from = LOOK + 4 * i;
        if (!anew && !changed(from - LOOK, from + LOOK))
            continue;
        double *sizes = candidate.sizes.data() + i;
        predict(y.data() + from, candidate.a.data(), sizes, LOOK);
        for (size_t m = 0; m < LOOK; ++m)
            sizes[m] = std::abs(sizes[m]);
    }
}

// The median of a candidate's sizes where it is below `least`, else `least`: that is told by counting.
double BestModel::middle_below(const Candidate &candidate, double least) {
    const Vector &sizes = candidate.sizes;
    if (2 * count_below(sizes.data(), sizes.size(), least) <= sizes.size())
        return least;
    sorted_ = sizes;
    const auto middle = sorted_.begin() + static_cast<ptrdiff_t>(sorted_.size() / 2);
    std::nth_element(sorted_.begin(), middle, sorted_.end());
    return *middle;
}

}  // namespace prediction
