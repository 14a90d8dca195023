// What every kernel file shares: array types, self-registration, and dispatch to the CPU's vector units.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nb = nanobind;

// (channels, samples), C-contiguous rows.
template <class T> using Planar = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using PlanarOut = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using Row = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T> using RowOut = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T> inline std::vector<T> copied(Row<T> row) { return {row.data(), row.data() + row.shape(0)}; }

// A kernel file adds itself to the module with `static Register here([](nb::module_ &m) { ... });`.
using Binder = void (*)(nb::module_ &);
std::vector<Binder> &binders();
struct Register {
    explicit Register(Binder bind) { binders().push_back(bind); }
};

// One binary, the widest vectors the CPU has: the loader picks the clone. Put it before a free function.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__)
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define VECTOR_CLONES
#endif

// What clones call is part of each of them, not a function of its own for the plainest processor.
#if defined(__GNUC__)
#define INTO_CLONES [[gnu::always_inline]] inline
#else
#define INTO_CLONES inline
#endif
