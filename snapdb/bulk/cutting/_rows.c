/* Boxes of a plane that lies in a file row by row, read in the order of the rows.

Where many boxes lie beside each other, some rows are read at once and the boxes' pieces taken from them;
where few do, each piece is asked for by itself.
*/

#define _FILE_OFFSET_BITS 64
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 512 * 1024, PIECE = 8 * 1024 };
/* Bytes of rows that are read at once: they stay in the cache. Bytes that take as long as a call more. */

/* Columns are bytes. */
typedef struct {
    int64_t left, bottom, right, top; /* in the plane */
    int64_t at, step;                 /* where its first byte goes, and how far on the next row */
} Box;

typedef struct {
    int descriptor;
    int64_t begin, stride; /* of the plane's rows */
    char *out, *room;
} Reading;

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Read a piece; give how much of it there is, or -1. */
static int64_t read_piece(int descriptor, int64_t begin, int64_t length, char *out)
{
    int64_t done = 0;
    while (done < length) {
        const ssize_t found = pread(descriptor, out + done, (size_t)(length - done), (off_t)(begin + done));
        if (found < 0 && errno == EINTR)
            continue;
        if (found < 0)
            return -1;
        if (found == 0)
            break;
        done += found;
    }
    return done;
}

/* Read what a box has in rows from..to, from the file or, if they are there, from rows in memory. */
static int64_t take_rows(const Reading *reading, const Box *box, int64_t from, int64_t to, int held)
{
    const int64_t length = box->right - box->left, first = greater(box->bottom, from);
    const char *source = reading->room + (first - from) * reading->stride + box->left;
    int64_t at = reading->begin + first * reading->stride + box->left, total = 0;
    char *target = reading->out + box->at + (first - box->bottom) * box->step;
    for (int64_t row = first; row < lesser(box->top, to); row++) {
        if (held) {
            memcpy(target, source, (size_t)length);
            total += length;
        } else {
            const int64_t found = read_piece(reading->descriptor, at, length, target);
            if (found < 0)
                return -1;
            total += found;
            if (found < length)
                return total;
        }
        source += reading->stride;
        at += reading->stride;
        target += box->step;
    }
    return total;
}

/* Read the rows from..to of all boxes, of which the first is the lowest that is not done. */
static int64_t read_some(const Reading *reading, const Box *boxes, Py_ssize_t number, int64_t from, int64_t *to)
{
    int64_t pieces = 0, high = from, total = 0;
    Py_ssize_t some = 0;
    for (; some < number && boxes[some].bottom < *to; some++) {
        const int64_t top = lesser(boxes[some].top, *to);
        pieces += greater(top - greater(boxes[some].bottom, from), 0);
        high = greater(high, top);
    }
    *to = high;
    const int64_t span = (high - from) * reading->stride;
    const int held = span / PIECE <= pieces;
    if (held) {
        const int64_t found = read_piece(reading->descriptor, reading->begin + from * reading->stride, span, reading->room);
        if (found < span)
            return found < 0 ? -1 : 0;
    }
    for (const Box *box = boxes; box < boxes + some; box++) {
        const int64_t found = take_rows(reading, box, from, high, held);
        if (found < 0)
            return -1;
        total += found;
    }
    return total;
}

/* Read all boxes; give the bytes that there were of them, or -1. */
static int64_t read_all(Reading *reading, const Box *boxes, Py_ssize_t number)
{
    const int64_t rows = greater(ROOM / reading->stride, 1);
    int64_t total = 0, row = 0;
    reading->room = malloc((size_t)(rows * reading->stride));
    if (reading->room == NULL) {
        errno = ENOMEM;
        return -1;
    }
    for (Py_ssize_t first = 0; first < number;) {
        if (boxes[first].top <= row) {
            first++;
            continue;
        }
        row = greater(row, boxes[first].bottom);
        int64_t to = row + rows;
        const int64_t found = read_some(reading, boxes + first, number - first, row, &to);
        if (found < 0) {
            total = -1;
            break;
        }
        total += found;
        row = to;
    }
    free(reading->room);
    return total;
}

/* See that boxes lie in rows and in what is read into, the lowest first. */
static int is_sound(const Box *boxes, Py_ssize_t number, int64_t stride, int64_t room)
{
    for (Py_ssize_t i = 0; i < number; i++) {
        const Box *box = boxes + i;
        const int64_t width = box->right - box->left, height = box->top - box->bottom;
        if (box->left < 0 || box->bottom < 0 || width < 1 || height < 1 || box->right > stride)
            return 0;
        if (box->at < 0 || box->step < width || box->step > room || height > room / box->step + 1)
            return 0;
        if (box->at > room - width - (height - 1) * box->step || (i && box->bottom < box[-1].bottom))
            return 0;
    }
    return 1;
}

/* See _rows.pyi. */
static PyObject *read_boxes(PyObject *Py_UNUSED(module), PyObject *args)
{
    Reading reading = {0};
    long long begin, stride;
    PyObject *boxes_object, *out_object;
    Py_buffer boxes, out;
    if (!PyArg_ParseTuple(args, "iLLOO", &reading.descriptor, &begin, &stride, &boxes_object, &out_object))
        return NULL;
    if (begin < 0 || stride < 1)
        return PyErr_Format(PyExc_ValueError, "rows of %lld bytes from %lld on", stride, begin);
    if (PyObject_GetBuffer(boxes_object, &boxes, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(out_object, &out, PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&boxes);
        return NULL;
    }
    reading.begin = begin, reading.stride = stride, reading.out = out.buf;
    const Py_ssize_t number = boxes.len / (Py_ssize_t)sizeof(Box);
    const int sound = is_sound(boxes.buf, number, stride, out.len);
    int64_t found = 0;
    if (sound) {
        Py_BEGIN_ALLOW_THREADS
        found = read_all(&reading, boxes.buf, number);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&out);
    PyBuffer_Release(&boxes);
    if (!sound)
        return PyErr_Format(PyExc_ValueError, "boxes beyond the rows or the room, or not in the order of rows");
    return found < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLongLong(found);
}

static PyMethodDef methods[] = {
    {"read_boxes", read_boxes, METH_VARARGS, "Read boxes of a plane that lies in a file row by row."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_rows", .m_doc = "Boxes of rows of a file.", .m_methods = methods,
};

PyMODINIT_FUNC PyInit__rows(void)
{
    return PyModuleDef_Init(&definition);
}
