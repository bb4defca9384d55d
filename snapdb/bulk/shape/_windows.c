/* Square windows of an image, which lie one after another, brought to one size.

What snapdb.bulk.shape.resample does with arrays of windows, in one pass over each: its pixels are read once,
whatever their byte order, and all between them and the stamp stays in the processor's nearest cache. Sums are
taken in the order of the pixels and without fused operations, so that they are the same on every processor.
Pixels are numbers here, whatever they are: the caller learns where one is not finite, and does that stamp over.
*/

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
/* Compiled three times; the loader takes the widest instructions that the processor has. */
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif
#define INLINE static inline __attribute__((always_inline))

enum { MOST = 1 << 14, MOST_SIZE = 1 << 24 }; /* pixels a side of a stamp, and of a window */

/* How `size` pixels become those of a stamp: each from `taps` neighbours, from `first` on. */
typedef struct {
    int64_t size, taps;
    const int32_t *first; /* never descending */
    const float *weights; /* stamp's pixels x taps */
    Py_buffer first_view, weights_view;
} Axis;

/* Copy pixels, times a factor. */
INLINE void copy_pixels(const char *pixels, int swapped, int64_t number, float factor, float *restrict out)
{
    for (int64_t i = 0; i < number; i++) {
        uint32_t bits;
        float value;
        memcpy(&bits, pixels + 4 * i, 4);
        bits = swapped ? __builtin_bswap32(bits) : bits;
        memcpy(&value, &bits, 4);
        out[i] = value * factor;
    }
}

/* Sum up neighbouring rows with the weights of one output. Only the last `ring` rows are held, unless that is 0. */
INLINE void weigh(const float *restrict rows, int32_t ring, int64_t width, const Axis *axis, int64_t output,
                  float *restrict out)
{
    const float *w = axis->weights + output * axis->taps;
    const int64_t first = ring ? axis->first[output] % ring : axis->first[output];
#define ROW(k) (rows + (first + (k) - (ring && first + (k) >= ring ? ring : 0)) * width)
    if (axis->taps == 2) {
        const float *a = ROW(0), *b = ROW(1);
        for (int64_t i = 0; i < width; i++)
            out[i] = w[0] * a[i] + w[1] * b[i];
    } else if (axis->taps == 3) {
        const float *a = ROW(0), *b = ROW(1), *c = ROW(2);
        for (int64_t i = 0; i < width; i++)
            out[i] = w[0] * a[i] + w[1] * b[i] + w[2] * c[i];
    } else {
        int64_t k = 0;
        memset(out, 0, (size_t)width * sizeof(float));
        for (; k + 4 <= axis->taps; k += 4) { /* by fours: quicker, and many taps lose fewer digits */
            const float *p = ROW(k), *q = ROW(k + 1), *r = ROW(k + 2), *s = ROW(k + 3);
            for (int64_t i = 0; i < width; i++)
                out[i] += (w[k] * p[i] + w[k + 1] * q[i]) + (w[k + 2] * r[i] + w[k + 3] * s[i]);
        }
        for (; k < axis->taps; k++) {
            const float *p = ROW(k);
            for (int64_t i = 0; i < width; i++)
                out[i] += w[k] * p[i];
        }
    }
#undef ROW
}

#if defined(__clang__) || __GNUC__ >= 12
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
#define PICK __builtin_shufflevector

/* Turn eight rows as far as whole blocks of eight pixels go; give where they end. */
INLINE int64_t turn_blocks(const float *restrict row, int64_t width, float *restrict out, int64_t height)
{
    int64_t x = 0;
    for (; x + 8 <= width; x += 8, row += 8, out += 8 * height) {
        Eight a[8], b[8];
        for (int k = 0; k < 8; k++)
            a[k] = *(const Eight *)(row + k * width);
        for (int k = 0; k < 8; k += 2) { /* pairs of rows, of fours, of eights */
            b[k] = PICK(a[k], a[k + 1], 0, 8, 1, 9, 4, 12, 5, 13);
            b[k + 1] = PICK(a[k], a[k + 1], 2, 10, 3, 11, 6, 14, 7, 15);
        }
        for (int k = 0; k < 8; k += 4) {
            for (int h = 0; h < 2; h++) {
                a[k + 2 * h] = PICK(b[k + h], b[k + h + 2], 0, 1, 8, 9, 4, 5, 12, 13);
                a[k + 2 * h + 1] = PICK(b[k + h], b[k + h + 2], 2, 3, 10, 11, 6, 7, 14, 15);
            }
        }
        for (int k = 0; k < 4; k++) {
            *(Eight *)(out + k * height) = PICK(a[k], a[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
            *(Eight *)(out + (k + 4) * height) = PICK(a[k], a[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        }
    }
    return x;
}
#else
INLINE int64_t turn_blocks(const float *restrict row, int64_t width, float *restrict out, int64_t height)
{
    (void)row, (void)width, (void)out, (void)height;
    return 0;
}
#endif

INLINE void transpose(const float *restrict in, int64_t height, int64_t width, float *restrict out)
{
    int64_t y = 0;
    for (; y + 8 <= height; y += 8)
        for (int64_t x = turn_blocks(in + y * width, width, out + y, height); x < width; x++)
            for (int64_t k = y; k < y + 8; k++)
                out[x * height + k] = in[k * width + x];
    for (; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            out[x * height + y] = in[y * width + x];
}

/* Give how many floats a stamp takes on the way. */
static int64_t find_room(const Axis *axis, int64_t side)
{
    const int64_t size = axis->size;
    const int64_t made = size > side ? axis->taps * size + side * side : 2 * size * size;
    return made + 2 * size * side + 3 * side;
}

/* Make a stamp of a window, first along the axis that leaves less to do. */
WIDEST static void make_stamp(const char *window, int swapped, const Axis *axis, int64_t side, float factor,
                              float *restrict room, float *restrict out)
{
    const int64_t size = axis->size;
    if (size == side) {
        copy_pixels(window, swapped, size * size, factor, out);
    } else if (size > side) {
        float *held = room, *low = held + axis->taps * size;
        float *turned = low + side * size, *across = turned + size * side;
        int64_t row = 0;
        for (int64_t i = 0; i < side; i++) {
            for (; row < axis->first[i] + axis->taps; row++)
                copy_pixels(window + 4 * row * size, swapped, size, factor, held + row % axis->taps * size);
            weigh(held, (int32_t)axis->taps, size, axis, i, low + i * size);
        }
        transpose(low, side, size, turned);
        for (int64_t i = 0; i < side; i++)
            weigh(turned, 0, side, axis, i, across + i * side);
        transpose(across, side, side, out);
    } else {
        float *whole = room, *turned = whole + size * size;
        float *across = turned + size * size, *wide = across + side * size;
        copy_pixels(window, swapped, size * size, factor, whole);
        transpose(whole, size, size, turned);
        for (int64_t i = 0; i < side; i++)
            weigh(turned, 0, size, axis, i, across + i * size);
        transpose(across, side, size, wide);
        for (int64_t i = 0; i < side; i++)
            weigh(wide, 0, side, axis, i, out + i * side);
    }
}

/* Find the least and the greatest pixel of a stamp: NaN both where one is not finite. */
WIDEST static void find_extremes(const float *restrict stamp, int64_t side, float *restrict room, float *extremes)
{
    float *low = room, *high = low + side, *nothing = high + side;
    for (int64_t x = 0; x < side; x++) {
        low[x] = high[x] = stamp[x];
        nothing[x] = 0.0f;
    }
    for (int64_t y = 0; y < side; y++) {
        const float *row = stamp + y * side;
        for (int64_t x = 0; x < side; x++) {
            low[x] = row[x] < low[x] ? row[x] : low[x];
            high[x] = row[x] > high[x] ? row[x] : high[x];
            nothing[x] += row[x] * 0.0f; /* NaN of what is not finite */
        }
    }
    for (int64_t x = 1; x < side; x++) {
        low[0] = low[x] < low[0] ? low[x] : low[0];
        high[0] = high[x] > high[0] ? high[x] : high[0];
        nothing[0] += nothing[x];
    }
    extremes[0] = low[0] + nothing[0];
    extremes[1] = high[0] + nothing[0];
}

/* Make the stamps of all windows. */
static int make_stamps(const char *pixels, int swapped, const int64_t *sizes, Py_ssize_t number, const Axis *axes,
                       int64_t side, float factor, float *out, float *extremes)
{
    const Axis *axis = axes;
    int64_t most = 0;
    for (Py_ssize_t i = 0; i < number; i++) {
        axis += axis->size != sizes[i];
        const int64_t needed = find_room(axis, side);
        most = needed > most ? needed : most;
    }
    float *room = malloc((size_t)most * sizeof(float) + 1);
    if (room == NULL)
        return -1;
    axis = axes;
    for (Py_ssize_t i = 0; i < number; i++, out += side * side, extremes += 2) {
        axis += axis->size != sizes[i];
        make_stamp(pixels, swapped, axis, side, factor, room, out);
        find_extremes(out, side, room, extremes);
        pixels += 4 * axis->size * axis->size;
    }
    free(room);
    return 0;
}

/* Take a view of bytes in one piece, as many as expected. */
static int view_bytes(PyObject *object, Py_buffer *view, int flags, int64_t expected, const char *name)
{
    if (PyObject_GetBuffer(object, view, flags) < 0)
        return -1;
    if (view->len == expected)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s has %zd bytes: expected %lld", name, view->len, (long long)expected);
    PyBuffer_Release(view);
    return -1;
}

static void release_axes(Axis *axes, Py_ssize_t number)
{
    for (Py_ssize_t i = 0; i < number; i++) {
        PyBuffer_Release(&axes[i].first_view);
        PyBuffer_Release(&axes[i].weights_view);
    }
    free(axes);
}

/* Read how an axis is made from a pair of arrays, and see that it takes none but its own pixels. */
static int read_axis(PyObject *first, PyObject *weights, int64_t size, int64_t side, Axis *axis)
{
    if (view_bytes(first, &axis->first_view, PyBUF_SIMPLE, 4 * side, "first") < 0)
        return -1;
    if (PyObject_GetBuffer(weights, &axis->weights_view, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&axis->first_view);
        return -1;
    }
    axis->size = size;
    axis->taps = axis->weights_view.len / (4 * side);
    axis->first = axis->first_view.buf;
    axis->weights = axis->weights_view.buf;
    int sound = size >= 1 && axis->taps >= 1 && axis->weights_view.len == 4 * side * axis->taps;
    for (int64_t i = 0; sound && i < side; i++)
        sound = axis->first[i] >= (i ? axis->first[i - 1] : 0) && axis->first[i] + axis->taps <= size;
    if (sound)
        return 0;
    PyErr_Format(PyExc_ValueError, "the weights of %lld pixels do not lie on them", (long long)size);
    PyBuffer_Release(&axis->first_view);
    PyBuffer_Release(&axis->weights_view);
    return -1;
}

/* Look up how an axis of so many pixels is made. */
static int find_axis(PyObject *axes, int64_t size, int64_t side, Axis *axis)
{
    PyObject *key = PyLong_FromLongLong(size), *pair = key == NULL ? NULL : PyObject_GetItem(axes, key);
    PyObject *first = NULL, *weights = NULL;
    int found = -1;
    if (pair != NULL && (first = PySequence_GetItem(pair, 0)) != NULL)
        weights = PySequence_GetItem(pair, 1);
    if (weights != NULL)
        found = read_axis(first, weights, size, side, axis);
    Py_XDECREF(key);
    Py_XDECREF(pair);
    Py_XDECREF(first);
    Py_XDECREF(weights);
    return found;
}

/* Look up how the axes of all windows are made, one for each stretch of windows of one size. */
static Axis *find_axes(PyObject *axes, const int64_t *sizes, Py_ssize_t number, int64_t side, Py_ssize_t *known)
{
    Axis *found = calloc((size_t)number + 1, sizeof(Axis));
    if (found == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < number; i++) {
        if (*known && found[*known - 1].size == sizes[i])
            continue;
        if (find_axis(axes, sizes[i], side, &found[*known]) < 0) {
            release_axes(found, *known);
            return NULL;
        }
        ++*known;
    }
    return found;
}

/* Count the bytes of windows; -1 if one has no size. */
static int64_t count_bytes(const int64_t *sizes, Py_ssize_t number)
{
    int64_t total = 0;
    for (Py_ssize_t i = 0; i < number; i++) {
        if (sizes[i] < 1 || sizes[i] > MOST_SIZE || total > INT64_MAX / 2)
            return -1;
        total += 4 * sizes[i] * sizes[i];
    }
    return total;
}

static PyObject *make_all(const Py_buffer *pixels, int swapped, const Py_buffer *sizes, PyObject *axes_object, int64_t side,
                          float factor, float *out, float *extremes)
{
    const Py_ssize_t number = sizes->len / 8;
    if (pixels->len != count_bytes(sizes->buf, number))
        return PyErr_Format(PyExc_ValueError, "%zd bytes are not those of %zd windows", pixels->len, number);
    Py_ssize_t known = 0;
    Axis *axes = find_axes(axes_object, sizes->buf, number, side, &known);
    if (axes == NULL)
        return NULL;
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = make_stamps(pixels->buf, swapped, sizes->buf, number, axes, side, factor, out, extremes);
    Py_END_ALLOW_THREADS
    release_axes(axes, known);
    return failed ? PyErr_NoMemory() : Py_NewRef(Py_None);
}

/* See _windows.pyi. */
static PyObject *resample(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *pixels_object, *sizes_object, *axes, *out_object, *extremes_object, *result = NULL;
    Py_buffer pixels, sizes, out, extremes;
    long long side;
    int swapped;
    float factor;
    if (!PyArg_ParseTuple(args, "OpOOLfOO", &pixels_object, &swapped, &sizes_object, &axes, &side, &factor, &out_object,
                          &extremes_object))
        return NULL;
    if (side < 1 || side > MOST)
        return PyErr_Format(PyExc_ValueError, "stamps of %lld pixels", side);
    if (PyObject_GetBuffer(pixels_object, &pixels, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(sizes_object, &sizes, PyBUF_SIMPLE) < 0)
        goto pixels;
    const Py_ssize_t number = sizes.len / 8;
    if (view_bytes(out_object, &out, PyBUF_WRITABLE, 4 * number * side * side, "out") < 0)
        goto sizes;
    if (view_bytes(extremes_object, &extremes, PyBUF_WRITABLE, 8 * number, "extremes") < 0)
        goto out;
    result = make_all(&pixels, swapped, &sizes, axes, side, factor, out.buf, extremes.buf);
    PyBuffer_Release(&extremes);
out:
    PyBuffer_Release(&out);
sizes:
    PyBuffer_Release(&sizes);
pixels:
    PyBuffer_Release(&pixels);
    return result;
}

static PyMethodDef methods[] = {
    {"resample", resample, METH_VARARGS, "Bring square windows to one size."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_windows", .m_doc = "Windows brought to one size.", .m_methods = methods,
};

PyMODINIT_FUNC PyInit__windows(void)
{
    return PyModuleDef_Init(&definition);
}
