// Where a click may be: a cheap screen of every stretch by its prediction error, and a closer look where it fires.
#include "autoregression.hpp"
#include "best_model.hpp"
#include "click_signs.hpp"
#include "prediction.hpp"

#include <nanobind/stl/array.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace {

using autoregression::Vector;
using namespace prediction;
using namespace click_signs;

constexpr size_t CELL = 64, CELLS = 64;  // samples at the base rate, cells in a segment
constexpr size_t TAPER = 512;
constexpr size_t SIDE = 28, NEAR = 1, DECAYED = 4, LATE = 4;  // cells: beside a click, skipped, its longest decay, after it
constexpr double QUANTILE = 0.7;
constexpr double FLOOR = 2e-5;        // prediction errors below it are the format's own, not the music's
constexpr size_t DROPPED = 16;         // segments gone by that are forgotten together
constexpr int ROUNDS = 4;
constexpr double PRICE = 1.2;          // of replacing a sample, in mean squared errors: a little more than it saves
constexpr double LOW = 2.4;            // as a prominence: where a click begins and ends, once it is one

// The quantile of each run of WIDTH cells, by its first: one cell leaves what is sorted, the next one enters.
template <size_t WIDTH> void quantiles(const double *cells, size_t count, double share, double *out) {
    const size_t at = static_cast<size_t>(share * static_cast<double>(WIDTH - 1));
    double sorted[WIDTH];
    std::copy(cells, cells + WIDTH, sorted);
    std::sort(sorted, sorted + WIDTH);
    out[0] = sorted[at];
    for (size_t i = 1; i + WIDTH <= count; ++i) {
        const double leaves = cells[i - 1], enters = cells[i + WIDTH - 1];
        size_t n = 0;
        while (sorted[n] < leaves)
            ++n;
        for (; n + 1 < WIDTH && sorted[n + 1] < enters; ++n)
            sorted[n] = sorted[n + 1];
        for (; n > 0 && sorted[n - 1] > enters; --n)
            sorted[n] = sorted[n - 1];
        sorted[n] = enters;
        out[i] = sorted[at];
    }
}

// How large an error is usual around each of cells `first` to `last - 1`: the larger of before, after, and right after the
// longest click has decayed. A drum has only begun when a click has ended. There are SIDE + NEAR cells before the first, and
// SIDE + DECAYED from the last on.
void usual(const double *cells, size_t first, size_t last, double *out) {
    const double *from = cells + first - NEAR - SIDE;
    const size_t count = last - first + NEAR + 2 * SIDE + DECAYED;
    double wide[3 * CELLS], brief[3 * CELLS];
    quantiles<SIDE>(from, count, QUANTILE, wide);
    quantiles<LATE>(from, count, 0.5, brief);
    for (size_t i = 0; i < last - first; ++i) {
        const size_t after = i + SIDE + NEAR + DECAYED;
        out[i] = std::max({wide[i], wide[after], brief[after], brief[i + SIDE - LATE], FLOOR});
    }
}

class ClickScreen {
public:
    // scale: samples of a cell over CELL, so that a cell lasts about as long at every rate.
    // kept: prominence from which a candidate is kept. screened: prominence, to the screen's lesser eye, that makes it look
    // closer; at 0 it looks closely everywhere. The rest is what judges: see Trees.
    ClickScreen(size_t channels, size_t scale, double kept, double screened, Row<int32_t> sign, Row<double> at,
                Row<int32_t> next, Row<int32_t> roots, double base)
        : channels_(channels), cell_(CELL * scale), segment_(CELL * CELLS * scale), kept_(kept), screened_(screened),
          trees_{copied(sign), copied(next), copied(roots), copied(at), base},
          history_(channels, std::vector<float>(2 * segment_, 0.0f)), cells_(channels, Vector(2 * CELLS, 0.0)), found_(channels) {
        taper_.resize(TAPER);
        for (size_t n = 0; n < TAPER; ++n)
            taper_[n] = static_cast<float>(0.5 - 0.5 * std::cos(M_PI * (static_cast<double>(n) + 0.5) / TAPER));
    }

    template <class T> void process(Planar<T> block) {
        const size_t samples = block.shape(1);
        nb::gil_scoped_release release;
        for (size_t start = 0; start < samples;) {
            const size_t count = std::min(samples - start, segment_ - filled_);
            for (size_t c = 0; c < channels_; ++c) {
                const T *x = block.data() + c * samples + start;
                std::vector<float> &h = history_[c];
                h.resize(begin_ + 2 * segment_ + filled_);
                h.insert(h.end(), x, x + count);
            }
            filled_ += count;
            start += count;
            if (filled_ == segment_)
                advance();
        }
    }

    void finish() {
        nb::gil_scoped_release release;
        for (int n = 0; n < 2; ++n) {  // silence, until the last sound lies in the middle segment
            for (size_t c = 0; c < channels_; ++c)
                history_[c].resize(begin_ + 3 * segment_, 0.0f);
            advance();
        }
    }

    std::vector<std::tuple<int64_t, int64_t, int64_t, double, double, double, Signs>> take() {
        std::vector<std::tuple<int64_t, int64_t, int64_t, double, double, double, Signs>> all;
        for (size_t c = 0; c < channels_; ++c) {
            for (const Found &f : found_[c])
                all.emplace_back(f.first, f.stop, static_cast<int64_t>(c), f.ratio, f.peak, trees_(f.signs), f.signs);
            found_[c].clear();
        }
        return all;
    }

    int64_t examined() const { return examined_; }

private:
    // The newest segment is whole: screen it, judge the one before it, drop the oldest.
    void advance() {
        for (size_t c = 0; c < channels_; ++c) {
            const float *three = history_[c].data() + begin_;
            Vector &cells = cells_[c];
            cells.resize(3 * CELLS);
            screen(three + 2 * segment_, cells.data() + 2 * CELLS);
            if (fires(cells.data()))
                examine(c, three);
            cells.erase(cells.begin(), cells.begin() + CELLS);
        }
        begin_ += segment_;
        if (begin_ == DROPPED * segment_) {
            for (std::vector<float> &h : history_)
                h.erase(h.begin(), h.begin() + static_cast<ptrdiff_t>(begin_));
            begin_ = 0;
        }
        filled_ = 0;
        ++segments_;
    }

    template <class T> void cells_of(const T *e, size_t count, double *cells) const {
        for (size_t i = 0; i < count; ++i)
            cells[i] = highest(e + i * cell_, cell_);
    }

    // The largest prediction error of every cell of a segment. A click spoils the model of what it lies in, so the model
    // is of that quarter which it predicts best.
    void screen(const float *x, double *cells) {
        const size_t quarter = segment_ / 4, count = quarter + TAPER;
        float whole[SCREEN_ORDER + 2] = {1.0f};
        double least = 1e300;
        for (size_t q = 0; q < 4; ++q) {
            tapered_.assign(count + SCREEN_ORDER, 0.0f);
            brighten(x + q * quarter - TAPER, tapered_.data(), count);
            for (size_t n = 0; n < TAPER; ++n) {
                tapered_[n] *= taper_[n];
                tapered_[count - 1 - n] *= taper_[n];
            }
            double r[SCREEN_ORDER + 1], a[SCREEN_ORDER + 1];
            correlate(tapered_.data(), count, r);
            const double error = levinson(r, a);
            if (r[0] <= static_cast<double>(count) * FLOOR * FLOOR || error >= least)
                continue;
            least = error;
            for (size_t k = 1; k <= SCREEN_ORDER; ++k)  // brightening, then the model of the bright
                whole[k] = static_cast<float>(a[k] - 0.9 * a[k - 1]);
            whole[SCREEN_ORDER + 1] = static_cast<float>(-0.9 * a[SCREEN_ORDER]);
        }
        error_.resize(segment_);
        predict(x, whole, error_.data(), segment_);
        cells_of(error_.data(), CELLS, cells);
    }

    bool fires(const double *cells) const {
        if (screened_ <= 0.0)
            return true;
        Vector sorted(cells + CELLS, cells + 2 * CELLS);
        std::nth_element(sorted.begin(), sorted.begin() + CELLS / 4, sorted.end());
        const double least = screened_ * std::max(FLOOR, sorted[CELLS / 4]);
        if (!(*std::max_element(cells + CELLS, cells + 2 * CELLS) > least))
            return false;
        double around[CELLS];
        usual(cells, CELLS, 2 * CELLS, around);
        for (size_t i = 0; i < CELLS; ++i)
            if (cells[CELLS + i] > least && cells[CELLS + i] > screened_ * around[i])
                return true;
        return false;
    }

    // The segment in the middle of three, with half of its neighbours.
    void examine(size_t c, const float *three) {
        ++examined_;
        const size_t side = segment_ / 2, length = 2 * segment_, margin = ORDER + 2;
        const Vector sound(three + side, three + side + length);
        const double *x = sound.data();
        Vector y(sound), a, e(length, 0.0), forward;
        BestModel models;
        const size_t cells = length / cell_, first_cell = SIDE + NEAR, last_cell = cells - SIDE - DECAYED;
        Vector top(cells), scale(cells, 1e30);
        std::vector<std::pair<size_t, size_t>> spans;
        for (int round = 0; round < ROUNDS; ++round) {
            const Vector before(y);
            a = models.of(y, round > 0);
            if (a.empty())
                return;
            predict(y.data() + ORDER, a.data(), e.data() + ORDER, length - ORDER);
            cells_of(e.data(), cells, top.data());
            usual(top.data(), first_cell, last_cell, scale.data() + first_cell);
            // Towards the ends, where not all neighbours are seen, clicks are found only lest they spoil the model.
            std::fill(scale.begin(), scale.begin() + first_cell, scale[first_cell]);
            std::fill(scale.begin() + last_cell, scale.end(), scale[last_cell - 1]);
            forward = e;
            for (auto [first, stop] : spans)  // errors of the sound itself, also where it is filled in
                predict(x + first, a.data(), forward.data() + first, stop + ORDER - first);
            const bool last = round + 1 == ROUNDS;
            spans = spans_of(x, a, forward, scale, margin, length - margin, last ? longest() : 2 * longest());
            if (round == 0 && !stands_out(spans, forward, scale))
                return;
            fill_spans(x, y, a, spans);
            if (spans.empty())
                break;
            if (!last && round > 0 && y == before) {  // the next rounds would find the same
                spans = spans_of(x, a, forward, scale, margin, length - margin, longest());
                fill_spans(x, y, a, spans);
                break;
            }
        }
        const int64_t origin = (segments_ - 2) * static_cast<int64_t>(segment_) + static_cast<int64_t>(side);
        join(y, a, spans, scale);
        for (size_t n = 0; n < spans.size(); ++n)
            spans[n].second = fitting_stop(x, y, a, spans, n, scale[spans[n].first / cell_]);
        Vector left(length, 0.0);
        predict(y.data() + ORDER, a.data(), left.data() + ORDER, length - ORDER);
        for (size_t n = 0; n < spans.size(); ++n) {
            const auto [first, stop] = spans[n];
            const double ratio = highest(forward.data() + first, stop - first) / scale[first / cell_];
            if (first < side || first >= side + segment_ || ratio <= kept_)
                continue;
            double peak = 0.0;
            for (size_t i = first; i < stop; ++i)
                peak = std::max(peak, std::abs(x[i] - y[i]));
            found_[c].push_back({origin + static_cast<int64_t>(first), origin + static_cast<int64_t>(stop), ratio, peak,
                                 signs_of(x, y, a, forward, left, spans, n, scale[first / cell_])});
        }
    }

    // Whether anything brief stands out as much as the screen asks for: the first model tells, unless all is to be looked at.
    bool stands_out(const std::vector<std::pair<size_t, size_t>> &spans, const Vector &forward, const Vector &scale) const {
        return screened_ <= 0.0 || std::any_of(spans.begin(), spans.end(), [&](const auto &span) {
                   const auto [first, stop] = span;
                   const bool mine = first >= segment_ / 2 && first < segment_ / 2 + segment_;
                   return mine && stop - first <= longest() &&
                          highest(forward.data() + first, stop - first) > screened_ * scale[first / cell_];
               });
    }

    static void fill_spans(const double *x, Vector &y, const Vector &a, const std::vector<std::pair<size_t, size_t>> &spans) {
        std::copy(x, x + y.size(), y.begin());
        for (auto [first, stop] : spans)
            autoregression::fill_gap(y.data(), first, stop, a, 0);
    }

    // forward: prediction errors of the sound x by the model a; left: of y, whose spans are filled in.
    Signs signs_of(const double *x, const Vector &y, const Vector &a, const Vector &forward, const Vector &left,
                   const std::vector<std::pair<size_t, size_t>> &spans, size_t n, double usual_error) const {
        const auto [first, stop] = spans[n];
        const size_t count = stop - first, unit = cell_ / CELL, reach = count + ORDER;
        const size_t brief = 256 * unit, wide = 1024 * unit, far = 2048 * unit;
        auto power = [](const double *v, size_t size) {
            return autoregression::dot(v, v, size) / static_cast<double>(size);
        };
        auto re = [](double value, double other) { return std::log((value + 1e-12) / (other + 1e-12)); };
        Vector removed(count);
        double sum = 0.0, sizes = 0.0, steps = 0.0, peak = 0.0;
        size_t at = 0;
        for (size_t i = 0; i < count; ++i) {
            const double v = removed[i] = x[first + i] - y[first + i], before = i > 0 ? removed[i - 1] : 0.0;
            sum += v;
            sizes += std::abs(v);
            steps += (v - before) * (v - before);
            if (std::abs(v) > peak) {
                peak = std::abs(v);
                at = i;
            }
        }
        const double energy = autoregression::dot(removed.data(), removed.data(), count), size = static_cast<double>(count);
        const double top = highest(forward.data() + first, count), around = highest(y.data() + first - wide, count + 2 * wide);
        size_t company = 0;
        for (size_t m = 0; m < spans.size(); ++m)
            company += m != n && spans[m].first + far > first && spans[m].first < first + far;
        Signs s{};
        s[PROMINENCE] = re(top, usual_error);
        s[BACKWARD] = re(highest(backward_errors(x, a, first, stop).data(), count), top);
        s[LENGTH] = std::log(size / static_cast<double>(unit));
        s[LEFT] = re(highest(left.data() + first, reach), usual_error);
        s[SAVED] = re(power(left.data() + first, reach), power(forward.data() + first, reach));
        s[NEXT_HIGHEST] = re(std::max(highest(left.data() + first - wide, wide), highest(left.data() + first + reach, wide)), usual_error);
        s[SOON] = 0.5 * re(power(left.data() + first + reach, brief), power(left.data() + first - brief, brief));
        s[LOUDER_SOON] = 0.5 * re(power(y.data() + stop, brief), power(y.data() + first - brief, brief));
        s[LOUDER_LATER] = 0.5 * re(power(y.data() + stop, wide), power(y.data() + first - wide, wide));
        s[SIZE] = re(peak, around);
        s[REMOVED] = 0.5 * re(energy / size, power(y.data() + first - brief, brief));
        s[SOUND] = re(around, 1.0);
        s[FORESEEN] = 0.5 * re(usual_error * usual_error, power(y.data() + first - wide, count + 2 * wide));
        s[BRIGHT] = 0.5 * re(steps, energy);
        s[EVEN] = re(sizes / size, peak);
        s[ONE_SIDED] = re(std::abs(sum), sizes);
        s[ATTACK] = static_cast<double>(at) / size;
        s[COMPANY] = std::log(1.0 + static_cast<double>(company));
        return s;
    }

    // Prediction errors of x[first] to x[stop - 1] by what follows each.
    static Vector backward_errors(const double *x, const Vector &a, size_t first, size_t stop) {
        const size_t count = stop - first;
        Vector reversed(count + ORDER), e(count);
        std::reverse_copy(x + first, x + stop + ORDER, reversed.begin());
        predict(reversed.data() + ORDER, a.data(), e.data(), count);
        std::reverse(e.begin(), e.end());
        return e;
    }

    // From where the forward error first stands out to where the backward error last does.
    std::vector<std::pair<size_t, size_t>> spans_of(const double *x, const Vector &a, const Vector &forward,
                                                   const Vector &scale, size_t start, size_t end, size_t most) const {
        std::vector<std::pair<size_t, size_t>> spans;
        for (size_t n = start; n < end; ++n) {
            if (std::abs(forward[n]) <= LOW * scale[n / cell_])
                continue;
            // The group of errors that stand out, none of them further than the order from the next.
            size_t last = n;
            bool sure = false;
            for (size_t i = n; i < std::min(last + ORDER + 1, end); ++i)
                if (std::abs(forward[i]) > LOW * scale[n / cell_]) {
                    last = i;
                    sure = sure || std::abs(forward[i]) > kept_ * scale[n / cell_];
                }
            if (sure) {
                const Vector backward = backward_errors(x, a, n, last + 1);
                size_t stop = n + 1;
                for (size_t i = n; i <= last; ++i)
                    if (std::abs(backward[i - n]) > LOW * scale[n / cell_])
                        stop = i + 1;
                const size_t first = n - 1;
                stop = std::max(stop + 1, first + 3);
                if (stop - first <= most)
                    spans.emplace_back(first, stop);
            }
            n = last;
        }
        return spans;
    }

    size_t longest() const { return 13 * cell_ / 4; }  // 4.7 ms

    // A swelling that starts and ends abruptly is found as two: they are one where that describes the samples in fewer words.
    void join(Vector &y, const Vector &a, std::vector<std::pair<size_t, size_t>> &spans, const Vector &scale) const {
        std::vector<std::pair<size_t, size_t>> joined;
        for (const auto &span : spans) {
            if (!joined.empty() && span.second - joined.back().first <= longest()) {
                auto &[first, stop] = joined.back();
                const size_t reach = span.second + ORDER - first;
                const auto at = y.begin() + static_cast<ptrdiff_t>(first);
                const Vector apart(at, at + static_cast<ptrdiff_t>(reach));
                const double usual_error = scale[first / cell_];
                const double replaced = static_cast<double>(stop - first + span.second - span.first);
                const double words = price_of(y, a, first, reach, usual_error, replaced);
                autoregression::fill_gap(y.data(), first, span.second, a, 0);
                if (price_of(y, a, first, reach, usual_error, static_cast<double>(span.second - first)) < words) {
                    stop = span.second;
                    continue;
                }
                std::copy(apart.begin(), apart.end(), at);
            }
            joined.push_back(span);
        }
        spans = joined;
    }

    // Words that describe the samples: errors left, and a price for every sample replaced. The largest of a cell's errors is
    // some 2.4 deviations.
    double price_of(const Vector &y, const Vector &a, size_t first, size_t reach, double usual_error, double replaced) const {
        Vector e(reach);
        predict(y.data() + first, a.data(), e.data(), reach);
        return 6.0 * autoregression::dot(e.data(), e.data(), reach) / (usual_error * usual_error) + PRICE * replaced;
    }

    // The end that describes the samples in the fewest words.
    size_t fitting_stop(const double *x, Vector &y, const Vector &a, const std::vector<std::pair<size_t, size_t>> &spans,
                        size_t n, double usual_error) {
        const auto [first, found] = spans[n];
        const size_t limit = std::min({first + longest(), n + 1 < spans.size() ? spans[n + 1].first : y.size(),
                                       y.size() - 2 * ORDER});
        const size_t reach = std::max(limit, found) + ORDER - first;
        Vector best(y.begin() + static_cast<ptrdiff_t>(first), y.begin() + static_cast<ptrdiff_t>(first + reach));
        double least = 1e300;
        size_t chosen = found;
        for (size_t stop = found; stop <= std::max(limit, found); stop += std::max<size_t>(4, (stop - first) / 3)) {
            std::copy(x + found, x + std::max(stop, found), y.begin() + static_cast<ptrdiff_t>(found));
            autoregression::fill_gap(y.data(), first, stop, a, 0);
            const double words = price_of(y, a, first, reach, usual_error, static_cast<double>(stop - first));
            if (words < least) {
                least = words;
                chosen = stop;
                std::copy(y.begin() + static_cast<ptrdiff_t>(first), y.begin() + static_cast<ptrdiff_t>(first + reach), best.begin());
            }
            std::copy(x + first, x + std::max(stop, found), y.begin() + static_cast<ptrdiff_t>(first));
        }
        std::copy(best.begin(), best.end(), y.begin() + static_cast<ptrdiff_t>(first));
        return chosen;
    }

    size_t channels_, cell_, segment_;
    double kept_, screened_;
    Trees trees_;
    std::vector<std::vector<float>> history_;
    std::vector<Vector> cells_;
    std::vector<std::vector<Found>> found_;
    std::vector<float> taper_, tapered_, error_;
    size_t begin_ = 0, filled_ = 0;  // of the three segments in the history; samples of the newest
    int64_t segments_ = 0, examined_ = 0;
};

static Register here([](nb::module_ &m) {
    m.attr("CLICK_SIGNS") = static_cast<size_t>(SIGNS);
    nb::class_<ClickScreen>(m, "ClickScreen")
        .def(nb::init<size_t, size_t, double, double, Row<int32_t>, Row<double>, Row<int32_t>, Row<int32_t>, double>(),
             nb::arg("channels"), nb::arg("scale"), nb::kw_only(), nb::arg("kept"), nb::arg("screened"), nb::arg("sign"),
             nb::arg("at"), nb::arg("next"), nb::arg("roots"), nb::arg("base"))
        .def("process", &ClickScreen::process<float>, nb::arg("block"))
        .def("process", &ClickScreen::process<double>, nb::arg("block"))
        .def("finish", &ClickScreen::finish)
        .def("take", &ClickScreen::take, "First, stop, channel, ratio, peak, score and signs of what was found since the last call.")
        .def("examined", &ClickScreen::examined);
});

}  // namespace
